//! A request as handlers see it.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

use crate::Response;
use crate::query::{Query, percent_decode};
use crate::respond;

/// The connection after a protocol upgrade, to be read and written directly.
pub type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

/// A request whose body has not been read yet.
#[derive(Debug)]
pub struct Request {
    parts: Parts,
    peer: SocketAddr,
    body: Incoming,
    max_body_bytes: usize,
}

impl Request {
    /// Wraps what the server received.
    pub(crate) fn new(
        request: http::Request<Incoming>,
        peer: SocketAddr,
        max_body_bytes: usize,
    ) -> Self {
        let (parts, body) = request.into_parts();
        Self {
            parts,
            peer,
            body,
            max_body_bytes,
        }
    }

    /// The method.
    pub fn method(&self) -> &http::Method {
        &self.parts.method
    }

    /// The path as sent (still percent-encoded), without the query.
    pub fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Path and query as sent.
    pub fn path_and_query(&self) -> &str {
        self.parts
            .uri
            .path_and_query()
            .map_or("/", http::uri::PathAndQuery::as_str)
    }

    /// The decoded query string.
    pub fn query(&self) -> Query {
        Query::parse(self.parts.uri.query().unwrap_or_default())
    }

    /// The headers.
    pub fn headers(&self) -> &http::HeaderMap {
        &self.parts.headers
    }

    /// A header's text, when it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    }

    /// Who sent it.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Refuses other methods with 405 and `Allow`.
    pub fn expect_method(&self, allowed: &[http::Method]) -> Result<(), Response> {
        if allowed.contains(self.method()) {
            Ok(())
        } else {
            Err(respond::method_not_allowed(allowed, self.method()))
        }
    }

    /// Reads the whole body; 413 names the limit when it is longer.
    pub async fn read_body(&mut self) -> Result<Bytes, Response> {
        let limit = self.max_body_bytes;
        let declared = http_body::Body::size_hint(&self.body).lower();
        if declared > limit as u64 {
            return Err(respond::payload_too_large(limit));
        }
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(frame) = self.body.frame().await {
            let Ok(frame) = frame else {
                return Err(respond::bad_request("The request body ended early"));
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let have = first.as_ref().map_or(0, Bytes::len) + rest.len();
            if have + data.len() > limit {
                return Err(respond::payload_too_large(limit));
            }
            match &first {
                None => first = Some(data),
                Some(_) => rest.extend_from_slice(&data),
            }
        }
        let first = first.unwrap_or_default();
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(first.len() + rest.len());
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    }

    /// The next piece of a streaming body; `None` at its end or when the peer broke off.
    pub async fn next_piece(&mut self) -> Option<Bytes> {
        loop {
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                return Some(data);
            }
        }
    }

    /// Whether the client asks for this protocol in `Upgrade`.
    pub fn wants_upgrade(&self, protocol: &str) -> bool {
        self.header("upgrade").is_some_and(|value| {
            value
                .split(',')
                .any(|one| one.trim().eq_ignore_ascii_case(protocol))
        })
    }

    /// The raw connection; resolves after a 101 response was sent.
    pub fn upgrade(self) -> impl Future<Output = Result<Upgraded, hyper::Error>> + Send {
        let request = http::Request::from_parts(self.parts, self.body);
        let upgrade = hyper::upgrade::on(request);
        async move { upgrade.await.map(TokioIo::new) }
    }
}

/// The components of a path tail such as `/a%2Fb/logs`, decoded one by one.
pub fn segments(tail: &str) -> Vec<String> {
    tail.split('/')
        .filter(|part| !part.is_empty())
        .map(percent_decode)
        .collect()
}
