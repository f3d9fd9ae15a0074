//! The dialogues recorded from Apache Mesos (`tests/captures`), taken apart.

use serde_json::Value;

use crate::http_client::{self, Request};
use crate::record_reader::{RecordError, RecordReader};

/// A file of recorded dialogues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// Calls of the agent's operator API.
    AgentOperator,
    /// The agent's unversioned endpoints.
    AgentUnversioned,
    /// Calls of the master's operator API.
    MasterOperator,
    /// The master's unversioned endpoints.
    MasterUnversioned,
    /// A framework's calls and its event stream.
    Scheduler,
}

impl Capture {
    /// Every file.
    pub const ALL: [Self; 5] = [
        Self::AgentOperator,
        Self::AgentUnversioned,
        Self::MasterOperator,
        Self::MasterUnversioned,
        Self::Scheduler,
    ];

    /// The text of the file.
    pub fn text(self) -> &'static str {
        match self {
            Self::AgentOperator => include_str!("../../../tests/captures/agent-operator.txt"),
            Self::AgentUnversioned => include_str!("../../../tests/captures/agent-unversioned.txt"),
            Self::MasterOperator => include_str!("../../../tests/captures/master-operator.txt"),
            Self::MasterUnversioned => {
                include_str!("../../../tests/captures/master-unversioned.txt")
            }
            Self::Scheduler => include_str!("../../../tests/captures/scheduler-dialogue.txt"),
        }
    }

    /// The dialogues of the file; panics when the file is damaged.
    pub fn dialogues(self) -> Vec<Dialogue> {
        parse(self.text()).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// The dialogue of that title; panics when there is none.
    #[track_caller]
    pub fn dialogue(self, title: &str) -> Dialogue {
        let mut found = self
            .dialogues()
            .into_iter()
            .filter(|dialogue| dialogue.title == title);
        found
            .next()
            .unwrap_or_else(|| panic!("{self:?} has no dialogue {title:?}"))
    }
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialogue {
    /// What the recording calls it.
    pub title: String,
    /// What was sent.
    pub request: Request,
    /// The status code of the answer.
    pub status: u16,
    /// The headers of the answer.
    pub headers: Vec<(String, String)>,
    /// The body of the answer.
    pub body: RecordedBody,
}

/// The body of a recorded answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedBody {
    /// All of it; empty when there was none.
    Whole(String),
    /// A stream of chunks, each with one RecordIO record.
    Chunks {
        /// The chunks.
        chunks: Vec<String>,
        /// Whether the server ended the stream (else the recording did).
        ended: bool,
    },
    /// There was one, which the recording leaves out or cuts off (`…`).
    NotKept,
}

impl Dialogue {
    /// The first header of the answer with that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        http_client::header(&self.headers, name)
    }

    /// The body as JSON, when it is JSON.
    pub fn json(&self) -> Option<Value> {
        match &self.body {
            RecordedBody::Whole(text) => serde_json::from_str(text).ok(),
            RecordedBody::Chunks { .. } | RecordedBody::NotKept => None,
        }
    }

    /// The events of a stream, in their order.
    pub fn events(&self) -> Result<Vec<Value>, CaptureError> {
        let RecordedBody::Chunks { chunks, .. } = &self.body else {
            return Ok(Vec::new());
        };
        let mut reader = RecordReader::default();
        let mut events = Vec::new();
        for chunk in chunks {
            reader.push(chunk.as_bytes());
            while let Some(record) = reader.next_record()? {
                let event = serde_json::from_slice(&record);
                events.push(
                    event.map_err(|error| {
                        CaptureError::Json(self.title.clone(), error.to_string())
                    })?,
                );
            }
        }
        Ok(events)
    }
}

/// Why a file cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// A part is missing.
    #[error("dialogue {0:?}: {1}")]
    Dialogue(String, &'static str),
    /// A stream is no RecordIO.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An event is no JSON.
    #[error("dialogue {0:?}: {1}")]
    Json(String, String),
}

const CHUNKS: &str = "(each line below is one HTTP chunk)";
const END_OF_STREAM: &str = "(end of stream)";

/// Takes a whole file apart.
pub fn parse(text: &str) -> Result<Vec<Dialogue>, CaptureError> {
    let sections = text.split("\n### ").skip(1);
    sections
        .map(|section| {
            dialogue(section).map_err(|(title, what)| CaptureError::Dialogue(title, what))
        })
        .collect()
}

fn dialogue(section: &str) -> Result<Dialogue, (String, &'static str)> {
    let (title, rest) = section
        .split_once('\n')
        .ok_or((section.to_owned(), "has only a title"))?;
    let fail = |what| (title.to_owned(), what);
    let lines: Vec<&str> = rest.lines().collect();
    let answer = lines
        .iter()
        .position(|line| line.starts_with("< "))
        .ok_or(fail("has no answer"))?;
    let body = lines[answer..]
        .iter()
        .position(|line| !line.starts_with("< "))
        .map_or(lines.len(), |at| answer + at);
    let request = request(&lines[..answer]).ok_or(fail("has no request"))?;
    let head: Vec<&str> = lines[answer..body].iter().map(|line| &line[2..]).collect();
    let status = head[0].split(' ').nth(1).and_then(|code| code.parse().ok());
    let headers = headers(&head[1..]);
    let length = http_client::header(&headers, "Content-Length")
        .and_then(|length| length.parse::<usize>().ok());
    let body = recorded_body(&lines[(body + 1).min(lines.len())..], length);
    let status = status.ok_or(fail("has no status"))?;
    Ok(Dialogue {
        title: title.to_owned(),
        request,
        status,
        headers,
        body,
    })
}

fn request(lines: &[&str]) -> Option<Request> {
    let mut sent = lines
        .iter()
        .filter_map(|line| line.strip_prefix('>'))
        .map(|line| line.strip_prefix(' ').unwrap_or(line));
    let mut first = sent.next()?.split(' ');
    let (method, path) = (first.next()?, first.next()?);
    let mut head = Vec::new();
    let mut body: Option<String> = None;
    for line in sent {
        match &mut body {
            Some(body) if body.is_empty() => body.push_str(line),
            Some(body) => {
                body.push('\n');
                body.push_str(line);
            }
            None if line.is_empty() => body = Some(String::new()),
            None => head.push(line),
        }
    }
    let mut request = Request::new(method, path);
    // The length is that of the bytes sent; a replay computes its own.
    request.headers = headers(&head)
        .into_iter()
        .filter(|(name, _)| name != "Content-Length" && name != "Host")
        .collect();
    request.body = body.map(String::into_bytes);
    Some(request)
}

fn headers(lines: &[&str]) -> Vec<(String, String)> {
    let pairs = lines.iter().filter_map(|line| line.split_once(": "));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn recorded_body(lines: &[&str], length: Option<usize>) -> RecordedBody {
    let lines: Vec<&str> = lines
        .iter()
        .copied()
        .skip_while(|line| line.is_empty())
        .collect();
    if lines.first() == Some(&CHUNKS) {
        let chunks: Vec<String> = lines[1..]
            .iter()
            .filter(|line| !line.is_empty() && **line != END_OF_STREAM)
            .map(|line| line.replacen("\\n", "\n", 1))
            .collect();
        if chunks.is_empty() && length.is_some() {
            return RecordedBody::NotKept;
        }
        return RecordedBody::Chunks {
            chunks,
            ended: lines.contains(&END_OF_STREAM),
        };
    }
    let text = lines.join("\n").trim_end().to_owned();
    if text.ends_with('…') {
        return RecordedBody::NotKept;
    }
    RecordedBody::Whole(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_dialogue_is_understood() {
        let counts: Vec<usize> = Capture::ALL
            .iter()
            .map(|capture| capture.dialogues().len())
            .collect();
        assert_eq!(counts, [13, 15, 32, 21, 37]);
        for dialogue in Capture::ALL.iter().flat_map(|capture| capture.dialogues()) {
            assert!((200..500).contains(&dialogue.status), "{}", dialogue.title);
            assert!(dialogue.request.path.starts_with('/'), "{}", dialogue.title);
            let is_json = dialogue.header("Content-Type") == Some("application/json");
            let is_whole = matches!(dialogue.body, RecordedBody::Whole(_));
            assert!(
                !is_json || !is_whole || dialogue.json().is_some(),
                "{}",
                dialogue.title
            );
            dialogue.events().unwrap();
        }
    }

    #[test]
    fn requests_keep_their_headers_and_bodies() {
        let dialogue = Capture::Scheduler.dialogue("KILL unknown task");
        assert_eq!(
            (dialogue.request.method.as_str(), dialogue.status),
            ("POST", 202)
        );
        assert!(
            dialogue
                .request
                .headers
                .iter()
                .any(|(name, _)| name == "Mesos-Stream-Id")
        );
        let body: Value =
            serde_json::from_slice(dialogue.request.body.as_deref().unwrap()).unwrap();
        assert_eq!(body["kill"]["task_id"]["value"], "nobody");
        assert_eq!(dialogue.body, RecordedBody::Whole(String::new()));
        assert_eq!(
            Capture::MasterUnversioned
                .dialogue("master GET /version")
                .request
                .body,
            None
        );
    }

    #[test]
    fn the_stream_of_a_framework_is_a_list_of_events() {
        let events = Capture::Scheduler
            .dialogue("The whole stream of the framework")
            .events()
            .unwrap();
        let types: Vec<&str> = events
            .iter()
            .filter_map(|event| event["type"].as_str())
            .collect();
        assert_eq!(&types[..3], ["SUBSCRIBED", "HEARTBEAT", "OFFERS"]);
        let refused = Capture::Scheduler.dialogue("SUBSCRIBE with role '..'");
        assert!(matches!(
            refused.body,
            RecordedBody::Chunks { ended: true, .. }
        ));
        assert_eq!(refused.events().unwrap()[0]["type"], "ERROR");
    }

    #[test]
    fn an_unkept_body_is_not_taken_for_an_empty_one() {
        let title = "SUBSCRIBE with an unknown framework id field but none in the call";
        assert_eq!(
            Capture::Scheduler.dialogue(title).body,
            RecordedBody::NotKept
        );
    }
}
