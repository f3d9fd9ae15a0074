//! A small blocking HTTP/1.1 client over plain sockets: one connection to a request.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use prost::Message;
use serde_json::Value;

use crate::event_stream::EventStream;
use crate::record_reader::RecordError;

/// The content type of JSON.
pub const JSON: &str = "application/json";
/// The content type of protobuf.
pub const PROTOBUF: &str = "application/x-protobuf";
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The socket failed.
    #[error("{address}: {error}")]
    Socket {
        /// The server.
        address: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// The answer is no HTTP.
    #[error("not an HTTP answer: {0}")]
    Malformed(String),
    /// The stream is no RecordIO.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record is not what was asked for.
    #[error("cannot decode a record: {0}")]
    Decode(String),
}

/// What is asked of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST` and so on.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Sent as they are; `Host` and `Content-Length` are added when they are missing.
    pub headers: Vec<(String, String)>,
    /// The body; nothing is said of it when it is `None`.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            headers: Vec::new(),
            body: None,
        }
    }

    /// A GET that accepts JSON.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path).header("Accept", JSON)
    }

    /// A POST of JSON that accepts JSON.
    pub fn json(path: &str, body: &Value) -> Self {
        let request = Self::new("POST", path)
            .header("Accept", JSON)
            .header("Content-Type", JSON);
        request.body(body.to_string().into_bytes())
    }

    /// A POST of protobuf that accepts protobuf.
    pub fn protobuf(path: &str, message: &impl Message) -> Self {
        let request = Self::new("POST", path)
            .header("Accept", PROTOBUF)
            .header("Content-Type", PROTOBUF);
        request.body(message.encode_to_vec())
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    fn to_bytes(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let mut line = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        };
        let has = |name: &str| {
            self.headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        if !has("Host") {
            line("Host", host);
        }
        if let Some(body) = &self.body
            && !has("Content-Length")
            && !has("Transfer-Encoding")
        {
            line("Content-Length", &body.len().to_string());
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        head.push_str("\r\n");
        [head.as_bytes(), self.body.as_deref().unwrap_or_default()].concat()
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, without its chunking.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the body when it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in an answer {}: {}", self.status, self.text()))
    }

    /// The body as a protobuf message; panics when it is none.
    #[track_caller]
    pub fn message<M: Message + Default>(&self) -> M {
        M::decode(self.body.as_slice())
            .unwrap_or_else(|error| panic!("{error} in an answer {}: {}", self.status, self.text()))
    }
}

pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Asks one server.
#[derive(Debug, Clone)]
pub struct Client {
    address: String,
}

impl Client {
    /// A client of the server at `IP:PORT`.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
        }
    }

    /// The server, as `IP:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request and reads the whole answer.
    pub fn send(&self, request: &Request) -> Result<Response, HttpError> {
        let mut stream = self.open(request)?;
        let mut body = Vec::new();
        while let Some(bytes) = stream.next_bytes()? {
            body.extend_from_slice(&bytes);
        }
        Ok(Response {
            status: stream.status,
            headers: stream.headers,
            body,
        })
    }

    /// Sends a request and reads the head of the answer; the body is read as it comes.
    pub fn open(&self, request: &Request) -> Result<EventStream, HttpError> {
        let failed = |error| HttpError::Socket {
            address: self.address.clone(),
            error,
        };
        let mut socket = TcpStream::connect(&self.address).map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        socket
            .set_read_timeout(Some(READ_TIMEOUT))
            .map_err(failed)?;
        socket
            .write_all(&request.to_bytes(&self.address))
            .map_err(failed)?;
        EventStream::read_head(self.address.clone(), socket, &request.method)
    }

    /// GET, accepting JSON.
    pub fn get(&self, path: &str) -> Result<Response, HttpError> {
        self.send(&Request::get(path))
    }

    /// POST of JSON.
    pub fn post_json(&self, path: &str, body: &Value) -> Result<Response, HttpError> {
        self.send(&Request::json(path, body))
    }

    /// POST of protobuf.
    pub fn post_protobuf(&self, path: &str, message: &impl Message) -> Result<Response, HttpError> {
        self.send(&Request::protobuf(path, message))
    }
}
