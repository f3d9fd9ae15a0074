//! Opening a session: the HTTP upgrade on the agent's side, and the carrier that both sides run it on.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::direct::Replayed;

/// Where the master takes sessions.
pub const PATH: &str = "/agent/v1/session";
/// The protocol named in the `Upgrade` header.
pub const PROTOCOL: &str = "mezz-agent/1";

const REDIRECTS: usize = 5;
const ATTEMPTS: usize = 5;
const RETRY: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why no session could be opened.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("{address} did not answer within {seconds} s")]
    Timeout { address: String, seconds: u64 },
    #[error("{address} broke off the request: {source}")]
    Http {
        address: String,
        source: hyper::Error,
    },
    #[error("{address} has no leading master now: {message}")]
    Unavailable { address: String, message: String },
    #[error("{address} refused the session with status {status}: {message}")]
    Refused {
        address: String,
        status: u16,
        message: String,
    },
    #[error("{address} redirected without a usable Location")]
    BadRedirect { address: String },
    #[error("more than {REDIRECTS} redirects, the last to {address}")]
    TooManyRedirects { address: String },
    #[error("the address {address:?} is not HOST:PORT")]
    BadAddress { address: String },
}

/// The byte stream of a session: the connection, and what was read of it beyond the upgrade.
#[derive(Debug)]
pub struct Carrier {
    early: Bytes,
    stream: TcpStream,
}

/// Opens a session with the master at `address`, following redirects to the leader and waiting a little for one.
pub async fn dial(address: &str) -> Result<Carrier, DialError> {
    let mut attempt = 1;
    loop {
        match dial_once(address).await {
            Err(DialError::Unavailable { .. }) if attempt < ATTEMPTS => {
                attempt += 1;
                tokio::time::sleep(RETRY).await;
            }
            done => return done,
        }
    }
}

/// Like [`dial`], without waiting while there is no leader.
pub async fn dial_once(address: &str) -> Result<Carrier, DialError> {
    let mut address = address.to_owned();
    for _ in 0..=REDIRECTS {
        let asked = tokio::time::timeout(TIMEOUT, ask(&address)).await;
        let timeout = || DialError::Timeout {
            address: address.clone(),
            seconds: TIMEOUT.as_secs(),
        };
        match asked.map_err(|_| timeout())?? {
            Answer::Open(carrier) => return Ok(carrier),
            Answer::Redirect(next) => address = next,
        }
    }
    Err(DialError::TooManyRedirects { address })
}

/// The carrier under an upgraded connection of a hyper server.
pub fn accepted(upgraded: Upgraded) -> Result<Carrier, Upgraded> {
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            return Ok(Carrier {
                early: parts.read_buf,
                stream: parts.io.into_inner(),
            });
        }
        Err(upgraded) => upgraded,
    };
    // On our own server's side the socket comes with what was read from it before.
    let parts = upgraded.downcast::<TokioIo<Replayed>>()?;
    let Replayed { early, stream } = parts.io.into_inner();
    let early = [&parts.read_buf[..], &early[..]].concat().into();
    Ok(Carrier { early, stream })
}

enum Answer {
    Open(Carrier),
    Redirect(String),
}

async fn ask(address: &str) -> Result<Answer, DialError> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|source| DialError::Connect {
            address: address.into(),
            source,
        })?;
    // Small frames must leave at once; a socket that refuses the option still works.
    let _ = stream.set_nodelay(true);
    let broken = |source| DialError::Http {
        address: address.into(),
        source,
    };
    let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    tokio::spawn(connection.with_upgrades());
    let request = hyper::Request::post(PATH)
        .header(hyper::header::HOST, address)
        .header(hyper::header::CONNECTION, "Upgrade")
        .header(hyper::header::UPGRADE, PROTOCOL)
        .header(hyper::header::CONTENT_LENGTH, 0)
        .body(Empty::<Bytes>::new())
        .map_err(|_| DialError::BadAddress {
            address: address.into(),
        })?;
    let response = requests.send_request(request).await.map_err(broken)?;
    answered(address, response).await
}

async fn answered(
    address: &str,
    response: hyper::Response<hyper::body::Incoming>,
) -> Result<Answer, DialError> {
    match response.status().as_u16() {
        101 => {
            let upgraded =
                hyper::upgrade::on(response)
                    .await
                    .map_err(|source| DialError::Http {
                        address: address.into(),
                        source,
                    })?;
            let carrier = accepted(upgraded).map_err(|_| DialError::BadAddress {
                address: address.into(),
            })?;
            Ok(Answer::Open(carrier))
        }
        307 | 308 => {
            let location = response
                .headers()
                .get(hyper::header::LOCATION)
                .and_then(|value| value.to_str().ok());
            let next = location
                .and_then(authority)
                .ok_or_else(|| DialError::BadRedirect {
                    address: address.into(),
                })?;
            Ok(Answer::Redirect(next))
        }
        status => {
            let body = response
                .into_body()
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            let message = String::from_utf8_lossy(&body[..body.len().min(1024)])
                .trim()
                .to_owned();
            let address = address.to_owned();
            Err(if status == 503 {
                DialError::Unavailable { address, message }
            } else {
                DialError::Refused {
                    address,
                    status,
                    message,
                }
            })
        }
    }
}

/// The `host:port` of a `Location`, with or without a scheme.
fn authority(location: &str) -> Option<String> {
    let rest = location
        .strip_prefix("http:")
        .unwrap_or(location)
        .strip_prefix("//")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once(':')?.1.parse::<u16>().ok()?;
    Some(authority.to_owned())
}

impl Carrier {
    /// A carrier over a plain connection.
    pub fn new(stream: TcpStream) -> Self {
        Self {
            early: Bytes::new(),
            stream,
        }
    }

    /// Address of the other side.
    pub fn peer_address(&self) -> io::Result<std::net::SocketAddr> {
        self.stream.peer_addr()
    }

    /// Address of this side.
    pub fn local_address(&self) -> io::Result<std::net::SocketAddr> {
        self.stream.local_addr()
    }
}

impl AsyncRead for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.has_remaining() {
            let length = self.early.len().min(into.remaining());
            into.put_slice(&self.early.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
