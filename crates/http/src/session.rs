//! The framed session between an agent and the master, over any byte stream.
//!
//! Owns framing, order, credit, splitting of long bodies and coalescing of writes. It never looks into a
//! body beyond the window that `Hello` and `Admitted` announce, and never decides to answer one.
//!
//! Each direction counts its ordered frames from 1. A side keeps at most the peer's window of them
//! unacknowledged; pings and pongs stand outside that order and overtake what waits.

mod dial;
mod incoming;
mod outgoing;
mod writer;

pub use dial::{Carrier, DialError, PATH, PROTOCOL, accepted, dial, dial_once};
pub use incoming::Receiver;
pub use outgoing::{Pressure, Sender};

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

/// Limits of one session.
#[derive(Debug, Clone, Copy)]
pub struct SessionConfig {
    /// Ordered frames that the peer may send before they are taken in.
    pub window: u32,
    /// A frame longer than this travels in parts of this size.
    pub part_bytes: usize,
    /// Longest body that is put together from parts.
    pub max_body_bytes: usize,
    /// Queued bytes above which `send` reports pressure.
    pub high_water_bytes: usize,
    /// Queued bytes above which the session is given up.
    pub limit_bytes: usize,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            window: 1024,
            part_bytes: 64 * 1024,
            max_body_bytes: 256 * 1024 * 1024,
            high_water_bytes: 4 * 1024 * 1024,
            limit_bytes: 512 * 1024 * 1024,
        }
    }
}

/// Why a session ended.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SessionError {
    #[error("connection: {0}")]
    Io(Arc<io::Error>),
    #[error("the connection ended inside a frame")]
    Truncated,
    #[error("frame of {length} bytes exceeds the limit of {limit}")]
    FrameTooLong { length: usize, limit: usize },
    #[error("frame cannot be decoded: {0}")]
    Malformed(String),
    #[error("frame {received} arrived where {expected} was due")]
    OutOfOrder { expected: u64, received: u64 },
    #[error("the peer sent more than the {window} frames it may have in flight")]
    WindowExceeded { window: u32 },
    #[error("body in parts exceeds the limit of {limit} bytes")]
    BodyTooLong { limit: usize },
    #[error("acknowledgement of frame {acknowledged}, but only {sent} were sent")]
    BadAcknowledgement { acknowledged: u64, sent: u64 },
    #[error("{queued} bytes wait for a peer that does not read (limit {limit})")]
    Overrun { queued: usize, limit: usize },
    #[error("the session is closed")]
    Closed,
}

impl From<io::Error> for SessionError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// One end of a framed connection, before it is split into its two directions.
#[derive(Debug)]
pub struct Session;

impl Session {
    /// Starts a session on `io`: spawns its writer on the current runtime and returns both directions.
    #[expect(
        clippy::new_ret_no_self,
        reason = "a session is used through its two directions only"
    )]
    pub fn new<Io>(io: Io, config: SessionConfig) -> (Sender, Receiver<tokio::io::ReadHalf<Io>>)
    where
        Io: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (read, write) = tokio::io::split(io);
        Self::from_halves(read, write, config)
    }

    /// Starts a session on a stream that is already split (spares the lock of a generic split).
    pub fn from_halves<R, W>(read: R, write: W, config: SessionConfig) -> (Sender, Receiver<R>)
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let link = Arc::new(outgoing::Link::new(config));
        tokio::spawn(writer::write_all_frames(Arc::clone(&link), write));
        (Sender::new(Arc::clone(&link)), Receiver::new(read, link))
    }
}
