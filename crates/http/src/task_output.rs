//! How the output of a task is written into an answer: lines of JSON, server-sent events or plain text, and the id by
//! which a broken stream goes on. Master and agent share it; neither tasks nor files are known here.

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::negotiate::{allows, first_named};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// `application/x-ndjson`: a record to a line.
    Lines,
    /// `text/event-stream`: a record to an event.
    ServerSent,
    /// `text/plain`: the bytes of the task and nothing else.
    Plain,
}

impl OutputFormat {
    // Clients that ask for JSON whatever it is get JSON, a record to a line.
    const NAMES: [(&'static str, Self); 4] = [
        ("application/x-ndjson", Self::Lines),
        ("text/plain", Self::Plain),
        ("text/event-stream", Self::ServerSent),
        ("application/json", Self::Lines),
    ];

    /// What `Accept` asks for: the type that it names first, else the first that it allows; lines without one.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        first_named(headers, &Self::NAMES).or_else(|| {
            let allowed = Self::NAMES.iter().find(|(name, _)| allows(headers, name));
            allowed.map(|(_, format)| *format)
        })
    }

    /// What a client is told whose `Accept` allows none of them, with the status of such an answer.
    pub const NONE_ACCEPTED: (StatusCode, &'static str) = (
        StatusCode::NOT_ACCEPTABLE,
        "the output can be application/x-ndjson, text/event-stream or text/plain",
    );

    /// The type of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::ServerSent => "text/event-stream",
            Self::Plain => "text/plain; charset=utf-8",
        }
    }

    /// What keeps a silent connection open, where the format has such a thing.
    pub fn keep_alive(self) -> Option<Bytes> {
        match self {
            Self::Lines => Some(Bytes::from_static(b"\n")),
            Self::ServerSent => Some(Bytes::from_static(b":\n\n")),
            Self::Plain => None,
        }
    }
}

/// What a task has written, from one position on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// `stdout` or `stderr`.
    pub stream: &'static str,
    /// Counted from the first byte that was ever written.
    pub offset: u64,
    pub content: Content,
}

/// The bytes of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(String),
    /// Not UTF-8.
    Bytes(Vec<u8>),
}

impl Content {
    /// How many bytes of the output it is.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How far a reader has come; as a `Last-Event-ID` it reads `stdout=12,stderr=0`, with `,end` after the last record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    pub stdout: Option<u64>,
    pub stderr: Option<u64>,
    /// The reader has been told how the task ended: there is nothing more.
    pub ended: bool,
}

/// A `Last-Event-ID` that no stream of output has given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "Last-Event-ID: '{0}' is not an id of this stream; one looks like 'stdout=120,stderr=0': the bytes that have been read"
)]
pub struct BadPositions(String);

impl Positions {
    /// What the reader brings along; nothing is known of one that brings nothing.
    pub fn of(headers: &HeaderMap) -> Result<Self, BadPositions> {
        let Some(value) = headers.get("last-event-id") else {
            return Ok(Self::default());
        };
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        Self::parse(text).ok_or_else(|| BadPositions(text.to_owned()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut positions = Self::default();
        for part in text.split(',') {
            match part.split_once('=') {
                None if part == "end" => positions.ended = true,
                Some(("stdout", offset)) => positions.stdout = Some(offset.parse().ok()?),
                Some(("stderr", offset)) => positions.stderr = Some(offset.parse().ok()?),
                _ => return None,
            }
        }
        Some(positions)
    }

    /// How far the reader has come in one output.
    pub fn in_stream(&self, name: &str) -> Option<u64> {
        match name {
            "stdout" => self.stdout,
            "stderr" => self.stderr,
            _ => None,
        }
    }

    fn advance(&mut self, piece: &Piece) {
        let end = Some(piece.offset + piece.content.len() as u64);
        match piece.stream {
            "stdout" => self.stdout = end,
            _ => self.stderr = end,
        }
    }
}

impl std::fmt::Display for Positions {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            self.stdout.map(|offset| format!("stdout={offset}")),
            self.stderr.map(|offset| format!("stderr={offset}")),
            self.ended.then(|| "end".to_owned()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        write!(out, "{}", parts.join(","))
    }
}

/// Writes the records of one answer.
#[derive(Clone, Copy, Debug)]
pub struct OutputWriter {
    format: OutputFormat,
    positions: Positions,
}

impl OutputWriter {
    /// One whose reader has come so far.
    pub fn new(format: OutputFormat, positions: Positions) -> Self {
        Self { format, positions }
    }

    pub fn format(&self) -> OutputFormat {
        self.format
    }

    /// The record of a piece.
    pub fn piece(&mut self, piece: Piece) -> Bytes {
        self.positions.advance(&piece);
        let Piece {
            stream,
            offset,
            content,
        } = piece;
        if self.format == OutputFormat::Plain {
            return match content {
                Content::Text(text) => text.into(),
                Content::Bytes(bytes) => bytes.into(),
            };
        }
        let record = match content {
            Content::Text(text) => json!({ "stream": stream, "offset": offset, "data": text }),
            Content::Bytes(bytes) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
                json!({ "stream": stream, "offset": offset, "base64": encoded })
            }
        };
        self.record("output", &record)
    }

    /// The last record, which tells how the task ended; plain text has none.
    pub fn end(
        &mut self,
        state: &str,
        message: Option<&str>,
        wait_status: Option<i32>,
    ) -> Option<Bytes> {
        self.positions.ended = true;
        let end = json!({ "state": state, "message": message, "wait_status": wait_status });
        let record = json!({ "end": end });
        (self.format != OutputFormat::Plain).then(|| self.record("end", &record))
    }

    fn record(&self, name: &str, record: &Value) -> Bytes {
        Bytes::from(match self.format {
            OutputFormat::Lines | OutputFormat::Plain => format!("{record}\n"),
            OutputFormat::ServerSent => {
                let id = self.positions;
                format!("id: {id}\nevent: {name}\ndata: {record}\n\n")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn the_type_that_is_named_first_is_given_and_lines_to_whoever_names_none() {
        let accepted = |value| OutputFormat::accepted(&headers("accept", value));
        assert_eq!(
            OutputFormat::accepted(&HeaderMap::new()),
            Some(OutputFormat::Lines)
        );
        assert_eq!(accepted("*/*"), Some(OutputFormat::Lines));
        assert_eq!(
            accepted("text/plain, application/x-ndjson"),
            Some(OutputFormat::Plain)
        );
        assert_eq!(
            accepted("text/event-stream"),
            Some(OutputFormat::ServerSent)
        );
        assert_eq!(accepted("text/*"), Some(OutputFormat::Plain));
        assert_eq!(accepted("image/png"), None);
    }

    #[test]
    fn an_id_says_how_far_each_output_was_read_and_reads_back() {
        let mut writer = OutputWriter::new(OutputFormat::ServerSent, Positions::default());
        let piece = Piece {
            stream: "stderr",
            offset: 7,
            content: Content::Bytes(vec![0xff, 0xfe]),
        };
        let event = String::from_utf8(writer.piece(piece).to_vec()).unwrap();
        assert_eq!(
            event,
            "id: stderr=9\nevent: output\ndata: {\"base64\":\"//4=\",\"offset\":7,\"stream\":\"stderr\"}\n\n"
        );
        let end = writer.end("TASK_FINISHED", None, Some(0)).unwrap();
        assert!(end.starts_with(b"id: stderr=9,end\nevent: end\n"));
        let read = Positions::of(&headers("last-event-id", "stdout=12,stderr=9,end")).unwrap();
        assert_eq!(
            (read.stdout, read.stderr, read.ended),
            (Some(12), Some(9), true)
        );
        for wrong in ["12", "stdout", "stdout=x", "stdin=3"] {
            let error = Positions::of(&headers("last-event-id", wrong)).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
