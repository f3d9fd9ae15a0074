//! The native API as client verbs see it: paths, queries, answers and refusals.

use std::io::{BufReader, Read};

use serde_json::Value;

use super::error::{ClientError, Problem};
use super::http::{Body, Connection, Content, Patience, Request, percent_encoded};

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
const ANSWER_BYTES_MAX: u64 = 4 << 30;
const PROBLEM_BYTES_MAX: u64 = 1 << 20;

/// A cluster, through its master.
#[derive(Debug)]
pub(crate) struct Api {
    connection: Connection,
}

/// Which part of a task's output is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogQuery {
    pub(crate) stream: &'static str,
    pub(crate) follow: bool,
    pub(crate) tail: Option<u64>,
}

impl Api {
    /// The cluster whose master has this address.
    pub(crate) fn new(master: &str) -> Result<Self, ClientError> {
        Ok(Self {
            connection: Connection::new(master)?,
        })
    }

    /// The master's `HOST:PORT`; that of the leader once it has redirected.
    pub(crate) fn address(&self) -> &str {
        self.connection.address()
    }

    /// The body of a GET, as it came.
    pub(crate) fn get(&mut self, target: &str) -> Result<Vec<u8>, ClientError> {
        self.plain("GET", target, None)
    }

    /// The body of a GET and the index to wait for a change of it.
    pub(crate) fn get_with_index(&mut self, target: &str) -> Result<(Vec<u8>, u64), ClientError> {
        let address = self.connection.address().to_owned();
        let (index, answer) = self.open("GET", target, None, JSON, Patience::Plain)?;
        Ok((whole(answer, address)?, index.unwrap_or_default()))
    }

    /// The body of a GET, which must be a JSON list.
    pub(crate) fn list(&mut self, target: &str) -> Result<Vec<Value>, ClientError> {
        Ok(serde_json::from_slice(&self.get(target)?)?)
    }

    /// The body of a GET, which must be JSON.
    pub(crate) fn value(&mut self, target: &str) -> Result<Value, ClientError> {
        Ok(serde_json::from_slice(&self.get(target)?)?)
    }

    /// The answer to a POST of a text.
    pub(crate) fn post(&mut self, target: &str, body: Content<'_>) -> Result<Value, ClientError> {
        Ok(serde_json::from_slice(&self.plain(
            "POST",
            target,
            Some(body),
        )?)?)
    }

    /// The answer to a POST of JSON.
    pub(crate) fn post_json(&mut self, target: &str, body: &Value) -> Result<Value, ClientError> {
        let text = body.to_string();
        let body = Content {
            media_type: JSON,
            bytes: text.as_bytes(),
        };
        self.post(target, body)
    }

    /// The answer to a DELETE.
    pub(crate) fn delete(&mut self, target: &str) -> Result<Value, ClientError> {
        Ok(serde_json::from_slice(
            &self.plain("DELETE", target, None)?,
        )?)
    }

    /// Creates a task and returns its id.
    pub(crate) fn create_task(&mut self, task: &[u8]) -> Result<String, ClientError> {
        #[derive(serde::Deserialize)]
        struct Created {
            id: String,
        }
        let body = Content {
            media_type: JSON,
            bytes: task,
        };
        let answer = self.plain("POST", "/v1/tasks", Some(body))?;
        Ok(serde_json::from_slice::<Created>(&answer)?.id)
    }

    /// Asks for the end of a task; without a grace period its own applies.
    pub(crate) fn kill_task(
        &mut self,
        id: &str,
        grace_period_secs: Option<f64>,
    ) -> Result<(), ClientError> {
        let grace =
            grace_period_secs.map_or_else(String::new, |secs| format!("?grace_period_secs={secs}"));
        self.plain(
            "DELETE",
            &format!("/v1/tasks/{}{grace}", percent_encoded(id)),
            None,
        )
        .map(|_| ())
    }

    /// Opens the stream of a task's output.
    pub(crate) fn logs(
        &mut self,
        id: &str,
        query: LogQuery,
    ) -> Result<BufReader<Body<'_>>, ClientError> {
        let tail = query
            .tail
            .map_or_else(String::new, |lines| format!("&tail={lines}"));
        let target = format!(
            "/v1/tasks/{}/logs?stream={}&follow={}{tail}",
            percent_encoded(id),
            query.stream,
            query.follow
        );
        let stream = self.open("GET", &target, None, LINES, Patience::Stream)?;
        Ok(stream.1)
    }

    /// Opens the stream of what happens in the cluster; `target` is its path and query.
    pub(crate) fn events(&mut self, target: &str) -> Result<BufReader<Body<'_>>, ClientError> {
        let stream = self.open("GET", target, None, LINES, Patience::Stream)?;
        Ok(stream.1)
    }

    /// Makes a tunnel of a connection of its own.
    pub(crate) fn tunnel(
        &self,
        target: &str,
        body: &[u8],
    ) -> Result<BufReader<std::net::TcpStream>, ClientError> {
        let mut connection = Connection::new(self.connection.address())?;
        let opened = connection.tunnel(target, mezz_http::tunnel::PROTOCOL, body)?;
        opened.map_err(|(status, text)| ClientError::Refused(problem(status, &text)))
    }

    fn plain(
        &mut self,
        method: &'static str,
        target: &str,
        body: Option<Content<'_>>,
    ) -> Result<Vec<u8>, ClientError> {
        let address = self.connection.address().to_owned();
        let (_, answer) = self.open(method, target, body, JSON, Patience::Plain)?;
        whole(answer, address)
    }

    fn open(
        &mut self,
        method: &'static str,
        target: &str,
        body: Option<Content<'_>>,
        accept: &'static str,
        patience: Patience,
    ) -> Result<(Option<u64>, BufReader<Body<'_>>), ClientError> {
        let response = self.connection.send(Request {
            method,
            target,
            accept,
            body,
            patience,
        })?;
        if (200..300).contains(&response.status) {
            return Ok((response.index, response.body));
        }
        let mut text = Vec::new();
        // A refusal whose words are lost is still a refusal.
        let _ = response.body.take(PROBLEM_BYTES_MAX).read_to_end(&mut text);
        Err(ClientError::Refused(problem(response.status, &text)))
    }
}

fn whole(body: BufReader<Body<'_>>, address: String) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    let read = body.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|source| ClientError::Broken { address, source })?;
    Ok(bytes)
}

/// A refusal in whatever words it came.
fn problem(status: u16, text: &[u8]) -> Problem {
    let worded = serde_json::from_slice::<Problem>(text).ok();
    let plain = || Problem {
        detail: String::from_utf8_lossy(text).trim().to_owned(),
        ..Problem::default()
    };
    Problem {
        status,
        ..worded.unwrap_or_else(plain)
    }
}
