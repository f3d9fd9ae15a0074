//! A small HTTP/1.1 client for talking to other daemons: keep-alive, whole or streamed bodies. No TLS, no redirects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Idle connections kept per authority.
const MAX_IDLE: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect to {authority}: {source}")]
    Connect {
        authority: String,
        source: std::io::Error,
    },
    #[error("{authority} broke off: {source}")]
    Exchange {
        authority: String,
        source: hyper::Error,
    },
    #[error("the answer of {authority} is longer than {limit} bytes")]
    TooLong { authority: String, limit: usize },
    #[error("the request is malformed: {0}")]
    Malformed(#[from] http::Error),
}

type Sender = SendRequest<Full<Bytes>>;

/// Sends requests; clones share their idle connections.
#[derive(Clone, Debug, Default)]
pub struct Client {
    idle: Arc<Mutex<BTreeMap<String, Vec<Sender>>>>,
}

/// A response whose body is still being received.
#[derive(Debug)]
pub struct ClientResponse {
    pub status: http::StatusCode,
    pub headers: http::HeaderMap,
    body: Incoming,
    sender: Option<Sender>,
    authority: String,
    client: Client,
}

impl Client {
    /// A client without open connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a request to `authority` (`host:port`); `path` includes the query.
    pub async fn send(
        &self,
        authority: &str,
        method: http::Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<ClientResponse, ClientError> {
        let build = || {
            let mut request = http::Request::builder()
                .method(method.clone())
                .uri(path)
                .header("Host", authority);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            request.body(Full::new(body.clone()))
        };
        // An idle connection may have been closed by the peer meanwhile: then a fresh one is used.
        while let Some(mut sender) = self.take_idle(authority) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(build()?).await {
                Ok(response) => return Ok(self.respond(authority, sender, response)),
                Err(mut failed) => {
                    if failed.take_message().is_none() {
                        return Err(exchange(authority, failed.into_error()));
                    }
                }
            }
        }
        let mut sender = connect(authority).await?;
        let response = sender
            .send_request(build()?)
            .await
            .map_err(|source| exchange(authority, source))?;
        Ok(self.respond(authority, sender, response))
    }

    fn respond(
        &self,
        authority: &str,
        sender: Sender,
        response: http::Response<Incoming>,
    ) -> ClientResponse {
        let (parts, body) = response.into_parts();
        ClientResponse {
            status: parts.status,
            headers: parts.headers,
            body,
            sender: Some(sender),
            authority: authority.to_owned(),
            client: self.clone(),
        }
    }

    fn take_idle(&self, authority: &str) -> Option<Sender> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(authority)?
            .pop()
    }

    fn give_idle(&self, authority: &str, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = idle.entry(authority.to_owned()).or_default();
        if senders.len() < MAX_IDLE && !sender.is_closed() {
            senders.push(sender);
        }
    }
}

impl ClientResponse {
    /// The next piece of the body as it arrives; `None` at the end.
    pub async fn next_piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.body.frame().await {
                None => {
                    if let Some(sender) = self.sender.take() {
                        self.client.give_idle(&self.authority, sender);
                    }
                    return Ok(None);
                }
                Some(Err(source)) => return Err(exchange(&self.authority, source)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, up to a limit.
    pub async fn read(mut self, limit: usize) -> Result<Bytes, ClientError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next_piece().await? {
            if whole.len() + piece.len() > limit {
                return Err(ClientError::TooLong {
                    authority: self.authority,
                    limit,
                });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Bytes::from(whole))
    }
}

async fn connect(authority: &str) -> Result<Sender, ClientError> {
    let refused = |source| ClientError::Connect {
        authority: authority.to_owned(),
        source,
    };
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(authority))
        .await
        .map_err(|_| refused(std::io::ErrorKind::TimedOut.into()))?
        .map_err(refused)?;
    stream.set_nodelay(true).map_err(refused)?;
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|source| exchange(authority, source))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a client connection ended early");
        }
    });
    Ok(sender)
}

fn exchange(authority: &str, source: hyper::Error) -> ClientError {
    ClientError::Exchange {
        authority: authority.to_owned(),
        source,
    }
}
