//! One request to the Engine over its socket, and its answer.
//!
//! Each request has a connection of its own: there are few, and some last as long as their container.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::error::EngineError;

/// Long enough for an Engine under load to make a container.
const PATIENCE: Duration = Duration::from_mins(2);
/// More than any answer that is read at once.
const LONGEST: usize = 16 << 20;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// What errors call it.
    pub(crate) name: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Option<Bytes>,
    /// Credentials, encoded.
    pub(crate) auth: Option<String>,
}

impl Call {
    pub(crate) fn get(name: &'static str, path: impl Into<String>) -> Self {
        Self::of(name, Method::GET, path.into())
    }

    pub(crate) fn post(name: &'static str, path: impl Into<String>) -> Self {
        Self::of(name, Method::POST, path.into())
    }

    pub(crate) fn of(name: &'static str, method: Method, path: String) -> Self {
        Self {
            name,
            method,
            path,
            body: None,
            auth: None,
        }
    }

    pub(crate) fn with(self, body: Vec<u8>) -> Self {
        Self {
            body: Some(body.into()),
            ..self
        }
    }
}

/// Where the Engine is.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    socket: PathBuf,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Transport {
    pub(crate) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// The head of the answer; its body may go on for ever.
    pub(crate) async fn open(&self, call: Call) -> Result<Response<Incoming>, EngineError> {
        let name = call.name;
        let late = |_| EngineError::Late {
            call: name,
            after: PATIENCE,
        };
        let answer = timeout(PATIENCE, self.exchange(call))
            .await
            .map_err(late)??;
        let status = answer.status();
        if status.is_success() || status == http::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(answer);
        }
        let text = whole(name, answer).await.unwrap_or_default();
        let refusal = serde_json::from_slice::<Refusal>(&text);
        let message = match refusal {
            Ok(refusal) => refusal.message,
            Err(_) => format!("the Docker Engine answered '{name}' with {status}"),
        };
        Err(EngineError::Refused {
            status: status.as_u16(),
            message,
        })
    }

    /// The whole answer.
    pub(crate) async fn ask(&self, call: Call) -> Result<Bytes, EngineError> {
        let name = call.name;
        let answer = self.open(call).await?;
        timeout(PATIENCE, whole(name, answer))
            .await
            .map_err(|_| EngineError::Late {
                call: name,
                after: PATIENCE,
            })?
    }

    /// The whole answer, decoded.
    pub(crate) async fn get<T: DeserializeOwned>(&self, call: Call) -> Result<T, EngineError> {
        let name = call.name;
        let text = self.ask(call).await?;
        serde_json::from_slice(&text).map_err(|source| EngineError::Answer { call: name, source })
    }

    async fn exchange(&self, call: Call) -> Result<Response<Incoming>, EngineError> {
        let stream =
            UnixStream::connect(&self.socket)
                .await
                .map_err(|source| EngineError::Unreachable {
                    socket: self.socket.clone(),
                    source,
                })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the body of the answer, or when nobody reads it any more.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(http::header::HOST, "docker");
        if call.body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        if let Some(auth) = call.auth {
            request = request.header("X-Registry-Auth", auth);
        }
        let request = request
            .body(Full::new(call.body.unwrap_or_default()))
            .expect("paths are made of names that were checked, credentials of base64");
        Ok(sender.send_request(request).await?)
    }
}

/// All of a body, which may come late.
pub(crate) async fn whole(
    name: &'static str,
    answer: Response<Incoming>,
) -> Result<Bytes, EngineError> {
    match Limited::new(answer.into_body(), LONGEST).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => EngineError::Broken(*error),
            Err(_) => EngineError::TooLong(name),
        }),
    }
}

/// For a part of a path or query.
pub(crate) fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing into a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
