//! A custom executor for tests: speaks the executor API in place of the process that the agent started.

use mezz_proto::v1::executor::{Call, Event};
use serde_json::{Value, json};

use crate::encoding::Encoding;
use crate::event_stream::EventStream;
use crate::http_client::{Client, HttpError, Response};

const PATH: &str = "/api/v1/executor";

/// A subscribed executor. Dropping it closes its stream.
#[derive(Debug)]
pub struct Executor {
    client: Client,
    encoding: Encoding,
    framework: String,
    id: String,
    events: EventStream,
    sent: u8,
}

impl Executor {
    /// Subscribes to an agent with nothing unacknowledged.
    pub fn subscribe(
        encoding: Encoding,
        client: &Client,
        framework: &str,
        executor: &str,
    ) -> Result<Self, HttpError> {
        Self::subscribe_with(encoding, client, framework, executor, &json!({}))
    }

    /// Subscribes with the contents of the call: what is not yet acknowledged.
    pub fn subscribe_with(
        encoding: Encoding,
        client: &Client,
        framework: &str,
        executor: &str,
        subscribe: &Value,
    ) -> Result<Self, HttpError> {
        let call = json!({
            "type": "SUBSCRIBE",
            "framework_id": {"value": framework},
            "executor_id": {"value": executor},
            "subscribe": subscribe,
        });
        let mut events = client.open(&encoding.post::<Call>(PATH, &call))?;
        if events.status != 200 {
            let text = events.next_bytes()?.unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(HttpError::Decode(format!("{}: {text}", events.status)));
        }
        Ok(Self {
            client: client.clone(),
            encoding,
            framework: framework.into(),
            id: executor.into(),
            events,
            sent: 0,
        })
    }

    /// The next event; panics at the end of the stream.
    #[track_caller]
    pub fn next_event(&mut self) -> Value {
        let event = self.try_next_event();
        let event = event.unwrap_or_else(|error| panic!("the stream fails: {error}"));
        event.unwrap_or_else(|| panic!("the stream of {} has ended", self.id))
    }

    /// The next event; `None` at the end of the stream.
    pub fn try_next_event(&mut self) -> Result<Option<Value>, HttpError> {
        let Some(record) = self.events.next_record()? else {
            return Ok(None);
        };
        self.encoding.decode::<Event>(&record).map(Some)
    }

    /// Reads events until one of that type comes, and returns it.
    #[track_caller]
    pub fn wait_for_event(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next_event();
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Sends a call; type and contents are given, ids are added.
    pub fn call(&self, kind: &str, contents: &Value) -> Result<Response, HttpError> {
        let call = json!({
            "type": kind,
            "framework_id": {"value": self.framework},
            "executor_id": {"value": self.id},
            kind.to_lowercase(): contents,
        });
        self.client.send(&self.encoding.post::<Call>(PATH, &call))
    }

    /// A status with a uuid of its own, as UPDATE carries it.
    pub fn status(&mut self, task: &str, state: &str) -> Value {
        self.sent += 1;
        // Fifteen zero bytes and a number, in base64.
        let last = ["A", "Q", "g", "w"][usize::from(self.sent & 3)];
        let high = char::from(b'A' + (self.sent >> 2));
        json!({
            "task_id": {"value": task},
            "state": state,
            "source": "SOURCE_EXECUTOR",
            "executor_id": {"value": self.id},
            "uuid": format!("{}{high}{last}==", "A".repeat(20)),
        })
    }

    /// Sends an update of a task; panics when it is not accepted.
    #[track_caller]
    pub fn update(&mut self, task: &str, state: &str) {
        let status = self.status(task, state);
        let answer = self.call("UPDATE", &json!({"status": status}));
        let answer = answer.unwrap_or_else(|error| panic!("UPDATE: {error}"));
        assert_eq!(answer.status, 202, "UPDATE: {}", answer.text());
    }
}
