//! The agent's side of the connection: nonblocking, without a runtime, to be driven by any poller.
//!
//! Owns framing and buffering; it must never interpret a reply, nor block except in the calls that say so.

use crate::fd_passing;
use crate::frames::{decode_reply, encode_request, next_frame};
use crate::protocol::{PROTOCOL_VERSION, Reply, Request};
use mezz_launch_plan::wire::DecodeError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a warden may take to answer the greeting.
const WELCOME_DEADLINE: Duration = Duration::from_secs(10);
/// How much is read at once.
const READ_BYTES: usize = 32 << 10;

/// Why the connection cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket failed.
    #[error("warden connection: {0}")]
    Io(#[from] io::Error),
    /// The warden sent what we do not understand.
    #[error("warden reply: {0}")]
    Decode(#[from] DecodeError),
    /// The warden closed the connection before it greeted.
    #[error("the warden closed the connection")]
    Closed,
    /// A newer agent is, or now is, in control.
    #[error("generation {generation} is in control of this warden")]
    Superseded {
        /// The generation in control.
        generation: u64,
    },
    /// The warden did not greet in time.
    #[error("the warden did not answer within {0:?}")]
    Timeout(Duration),
    /// The first reply was not a greeting.
    #[error("the warden began with an unexpected reply: {0:?}")]
    Unexpected(Box<Reply>),
}

/// One reply and the descriptors that came with it (for `Started`: the streams that are pipes, in their order).
#[derive(Debug)]
pub struct Incoming {
    /// What the warden says.
    pub reply: Reply,
    /// Our ends of the pipes.
    pub descriptors: Vec<OwnedFd>,
}

/// Whether everything asked for has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Flush {
    /// Nothing is left in the buffer.
    Done,
    /// The socket is full: call [`Connection::flush`] when it is writable.
    Pending,
}

/// Whether more can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum ReadState {
    /// Everything that was there has been read.
    Open,
    /// The warden closed the connection.
    Closed,
}

/// What the warden said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol version of the warden.
    pub version: u32,
    /// The version of plans that it executes.
    pub plan_version: u8,
    /// Its process id.
    pub warden_pid: u32,
    /// How many launches it knows.
    pub launches: u32,
}

/// A controlling connection to a warden.
#[derive(Debug)]
pub struct Connection {
    socket: UnixStream,
    welcome: Welcome,
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Vec<u8>,
    descriptors: VecDeque<OwnedFd>,
}

impl Connection {
    /// Connects and greets; blocks until the warden answered. `generation` must grow with every agent process.
    pub fn connect(socket: &Path, generation: u64) -> Result<Self, ClientError> {
        let (short, _directory) = fd_passing::short_path(socket)?;
        let socket = UnixStream::connect(short)?;
        socket.set_nonblocking(true)?;
        let welcome = Welcome {
            version: 0,
            plan_version: 0,
            warden_pid: 0,
            launches: 0,
        };
        let mut connection = Self {
            socket,
            welcome,
            outgoing: Vec::new(),
            sent: 0,
            incoming: Vec::new(),
            descriptors: VecDeque::new(),
        };
        if connection.send_batch(&[Request::Hello {
            version: PROTOCOL_VERSION,
            generation,
        }])? == Flush::Pending
        {
            return Err(ClientError::Timeout(WELCOME_DEADLINE));
        }
        match connection
            .receive(WELCOME_DEADLINE)?
            .map(|incoming| incoming.reply)
        {
            Some(Reply::Welcome {
                version,
                plan_version,
                warden_pid,
                launches,
            }) => {
                connection.welcome = Welcome {
                    version,
                    plan_version,
                    warden_pid,
                    launches,
                };
                Ok(connection)
            }
            Some(Reply::Superseded { generation }) => Err(ClientError::Superseded { generation }),
            Some(other) => Err(ClientError::Unexpected(Box::new(other))),
            None => Err(ClientError::Timeout(WELCOME_DEADLINE)),
        }
    }

    /// What the warden said of itself.
    pub fn welcome(&self) -> Welcome {
        self.welcome
    }

    /// Queues the requests and sends what the socket takes, in one write.
    pub fn send_batch(&mut self, requests: &[Request]) -> Result<Flush, ClientError> {
        for request in requests {
            encode_request(request, &mut self.outgoing);
        }
        self.flush()
    }

    /// Sends what is still queued.
    pub fn flush(&mut self) -> Result<Flush, ClientError> {
        while self.sent < self.outgoing.len() {
            match fd_passing::send(self.socket.as_fd(), &self.outgoing[self.sent..], &[]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flush::Pending);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(Flush::Done)
    }

    /// Appends every reply that has arrived to `replies`, until the socket would block or is closed.
    pub fn try_read(&mut self, replies: &mut Vec<Incoming>) -> Result<ReadState, ClientError> {
        loop {
            let received = fd_passing::receive(
                self.socket.as_fd(),
                &mut self.incoming,
                READ_BYTES,
                &mut self.descriptors,
            );
            let state = match received {
                Ok(0) => Some(ReadState::Closed),
                Ok(count) if count < READ_BYTES => None,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(ReadState::Open),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    Some(ReadState::Closed)
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(state) = state {
                self.take_frames(replies)?;
                return Ok(state);
            }
        }
    }

    /// Waits for one reply; blocks at most `deadline`. Replies come in their order. For tools and tests.
    pub fn receive(&mut self, deadline: Duration) -> Result<Option<Incoming>, ClientError> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(incoming) = self.take_frame()? {
                return Ok(Some(incoming));
            }
            match fd_passing::receive(
                self.socket.as_fd(),
                &mut self.incoming,
                READ_BYTES,
                &mut self.descriptors,
            ) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(ClientError::Closed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = end.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    wait_readable(self.socket.as_fd(), left)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take_frames(&mut self, replies: &mut Vec<Incoming>) -> Result<(), ClientError> {
        let mut done = 0;
        while let Some((body, length)) = next_frame(&self.incoming[done..])? {
            let reply = decode_reply(body)?;
            done += length;
            let descriptors = take_descriptors(&mut self.descriptors, &reply);
            replies.push(Incoming { reply, descriptors });
        }
        self.incoming.drain(..done);
        Ok(())
    }

    fn take_frame(&mut self) -> Result<Option<Incoming>, ClientError> {
        let Some((body, length)) = next_frame(&self.incoming)? else {
            return Ok(None);
        };
        let reply = decode_reply(body)?;
        self.incoming.drain(..length);
        let descriptors = take_descriptors(&mut self.descriptors, &reply);
        Ok(Some(Incoming { reply, descriptors }))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::os::fd::AsRawFd for Connection {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

fn take_descriptors(queue: &mut VecDeque<OwnedFd>, reply: &Reply) -> Vec<OwnedFd> {
    match reply {
        Reply::Started { descriptors, .. } => queue
            .drain(..usize::from(*descriptors).min(queue.len()))
            .collect(),
        _ => Vec::new(),
    }
}

fn wait_readable(fd: BorrowedFd<'_>, deadline: Duration) -> io::Result<()> {
    let timeout =
        Timespec::try_from(deadline).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    match poll(
        &mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)],
        Some(&timeout),
    ) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
