//! Connections that become plain bytes in both directions: the way into containers, through a master.
//!
//! Owns the upgrade on both sides and the frames of a session with a container. It must never know what the bytes of a
//! frame are for.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::session::{Carrier, accepted};
use crate::{Request, Response, respond};

/// The protocol named in the `Upgrade` header.
pub const PROTOCOL: &str = "mezz-tunnel/1";

const TIMEOUT: Duration = Duration::from_secs(15);
const LONGEST_REFUSAL: usize = 64 << 10;
/// The longest frame that either side takes.
const LONGEST_FRAME: usize = 1 << 20;

/// Whether the client asks for a tunnel; refuses it otherwise.
pub fn expect(request: &Request) -> Result<(), Response> {
    if request.wants_upgrade(PROTOCOL) {
        return Ok(());
    }
    let problem = respond::Problem {
        title: "Upgrade Required".to_owned(),
        detail: format!("this path speaks only the protocol '{PROTOCOL}'"),
        why: Vec::new(),
        hint: Some(format!(
            "send 'Connection: Upgrade' and 'Upgrade: {PROTOCOL}'"
        )),
    };
    let mut response = respond::problem(StatusCode::UPGRADE_REQUIRED, &problem);
    let name = HeaderValue::from_static(PROTOCOL);
    response.headers_mut().insert(UPGRADE, name);
    Err(response)
}

/// The answer that makes a tunnel of the connection.
pub fn switching() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    response
}

/// The connection of a request that was answered with [`switching`].
pub async fn opened(request: Request) -> Option<Carrier> {
    let upgraded = request.upgrade().await.ok()?;
    accepted(upgraded.into_inner()).ok()
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The other side cannot be reached.
    #[error("{authority} cannot be reached: {reason}")]
    Unreachable { authority: String, reason: String },
    /// It refuses; its words are for whoever asked.
    #[error("{authority} refused with status {status}")]
    Refused {
        authority: String,
        status: StatusCode,
        content_type: Option<HeaderValue>,
        body: Bytes,
    },
}

/// Asks another daemon for a tunnel.
pub async fn dial(authority: &str, path: &str, body: Bytes) -> Result<Carrier, TunnelError> {
    let unreachable = |reason: String| TunnelError::Unreachable {
        authority: authority.to_owned(),
        reason,
    };
    let asked = tokio::time::timeout(TIMEOUT, ask(authority, path, body)).await;
    let response = asked
        .map_err(|_| unreachable("no answer in time".to_owned()))?
        .map_err(unreachable)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upgraded = hyper::upgrade::on(response).await;
        let upgraded = upgraded.map_err(|error| unreachable(error.to_string()))?;
        return accepted(upgraded).map_err(|_| unreachable("not a plain connection".to_owned()));
    }
    let (parts, body) = response.into_parts();
    let body = http_body_util::Limited::new(body, LONGEST_REFUSAL);
    let body = body.collect().await;
    Err(TunnelError::Refused {
        authority: authority.to_owned(),
        status: parts.status,
        content_type: parts.headers.get(CONTENT_TYPE).cloned(),
        body: body
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default(),
    })
}

async fn ask(
    authority: &str,
    path: &str,
    body: Bytes,
) -> Result<http::Response<hyper::body::Incoming>, String> {
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| error.to_string())?;
    // Keystrokes must leave at once; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection.with_upgrades());
    let request = hyper::Request::post(path)
        .header(HOST, authority)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, PROTOCOL)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| error.to_string())?;
    requests
        .send_request(request)
        .await
        .map_err(|error| error.to_string())
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        /// What a frame of a session with a container is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            fn number(self) -> u8 {
                match self { $(Self::$name => $number,)* }
            }

            fn of(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// Bytes of standard input.
    Stdin = 0;
    /// Standard input has ended.
    EndOfStdin = 1;
    /// The terminal's size: rows and columns, two bytes each.
    Resize = 2;
    /// A signal's number, for the program; four bytes.
    Signal = 3;
    /// Bytes of standard output.
    Stdout = 16;
    /// Bytes of standard error.
    Stderr = 17;
    /// The program's end: its raw wait(2) status in four bytes, or a text where that is not known. The last frame.
    Exit = 18;
    /// Nothing: keeps a silent connection open.
    Alive = 19;
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub data: Bytes,
}

/// A frame as bytes: its kind, the length of its data in four bytes (big-endian), its data.
pub fn encode(kind: Kind, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(data.len() + 5);
    frame.push(kind.number());
    let length = u32::try_from(data.len()).expect("pieces are far shorter than 4 GiB");
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(data);
    frame
}

/// Why bytes are no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not a kind that is known.
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    /// Longer than any frame.
    #[error("a frame of {0} bytes")]
    TooLong(usize),
}

/// Takes bytes apart into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Adds bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame that is complete.
    #[allow(clippy::should_implement_trait)] // It is no iterator: more may come after `None`.
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let Some((&[kind, a, b, c, d], _)) = self.buffer.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > LONGEST_FRAME {
            return Err(FrameError::TooLong(length));
        }
        let kind = Kind::of(kind).ok_or(FrameError::Kind(kind))?;
        if self.buffer.len() < length + 5 {
            return Ok(None);
        }
        self.buffer.advance(5);
        let data = self.buffer.split_to(length).freeze();
        Ok(Some(Frame { kind, data }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_whatever_the_pieces() {
        let mut bytes = encode(Kind::Stdin, b"hello");
        bytes.extend(encode(Kind::EndOfStdin, b""));
        let mut decoder = Decoder::default();
        let mut frames = Vec::new();
        for byte in bytes {
            decoder.push(&[byte]);
            while let Some(frame) = decoder.next().unwrap() {
                frames.push((frame.kind, frame.data));
            }
        }
        let wanted = [
            (Kind::Stdin, Bytes::from_static(b"hello")),
            (Kind::EndOfStdin, Bytes::new()),
        ];
        assert_eq!(frames, wanted);
        decoder.push(&[99, 0, 0, 0, 0]);
        assert_eq!(decoder.next(), Err(FrameError::Kind(99)));
    }
}
