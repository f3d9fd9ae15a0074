//! Sending recorded requests again, with the ids of the cluster at hand.

use crate::captures::{Dialogue, RecordedBody};
use crate::compare::{self, Difference};
use crate::http_client::{Client, HttpError, Request};

/// The ids in the recordings.
pub mod recorded {
    /// The framework's id.
    pub const FRAMEWORK: &str = "a39dd3da-cd7f-4149-b87f-7094cad0fdc8-0000";
    /// The agent's id.
    pub const AGENT: &str = "a39dd3da-cd7f-4149-b87f-7094cad0fdc8-S0";
    /// The framework's stream.
    pub const STREAM: &str = "161127be-70dc-4924-8e4f-72732d7f49f4";
}

/// What stands in recorded requests, and what is sent in its place.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    substitutions: Vec<(String, String)>,
}

impl Replay {
    /// Sends `actual` wherever the recording has `recorded`; the longest match wins.
    pub fn with(mut self, recorded: &str, actual: &str) -> Self {
        self.substitutions
            .push((recorded.to_owned(), actual.to_owned()));
        self.substitutions
            .sort_by_key(|(recorded, _)| std::cmp::Reverse(recorded.len()));
        self
    }

    /// The recorded request with the ids of the cluster at hand.
    pub fn request(&self, dialogue: &Dialogue) -> Request {
        let mut request = dialogue.request.clone();
        request.path = self.translated(&request.path);
        for (_, value) in &mut request.headers {
            *value = self.translated(value);
        }
        let body = request.body.as_deref().map(String::from_utf8_lossy);
        request.body = body.map(|body| self.translated(&body).into_bytes());
        request
    }

    /// The recorded answer with the ids of the cluster at hand; its title stays.
    pub fn answer(&self, dialogue: &Dialogue) -> Dialogue {
        let mut dialogue = dialogue.clone();
        if let RecordedBody::Whole(text) = &mut dialogue.body {
            *text = self.translated(text);
        }
        dialogue
    }

    /// Sends the recorded request and compares the answers; of a stream only status and headers.
    pub fn differences(
        &self,
        client: &Client,
        dialogue: &Dialogue,
    ) -> Result<Vec<Difference>, HttpError> {
        let request = self.request(dialogue);
        if matches!(dialogue.body, RecordedBody::Chunks { .. }) {
            let stream = client.open(&request)?;
            return Ok(compare::head_differences(
                dialogue,
                stream.status,
                &stream.headers,
            ));
        }
        Ok(compare::differences(
            &self.answer(dialogue),
            &client.send(&request)?,
        ))
    }

    fn translated(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let found = self
                .substitutions
                .iter()
                .find(|(recorded, _)| rest.starts_with(recorded.as_str()));
            if let Some((recorded, actual)) = found {
                out.push_str(actual);
                rest = &rest[recorded.len()..];
            } else {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captures::Capture;

    #[test]
    fn ids_are_replaced_in_headers_bodies_and_paths() {
        let replay = Replay::default()
            .with(recorded::STREAM, "stream")
            .with(recorded::FRAMEWORK, "F")
            .with("nobody", "ü");
        let request = replay.request(&Capture::Scheduler.dialogue("KILL unknown task"));
        assert!(
            request
                .headers
                .contains(&("Mesos-Stream-Id".into(), "stream".into()))
        );
        let body = String::from_utf8(request.body.unwrap()).unwrap();
        assert!(
            body.contains(r#"{"value": "F"}"#) && body.contains(r#"{"value": "ü"}"#),
            "{body}"
        );
    }
}
