//! Starting a warden from the agent, and finding one that runs already.
//!
//! Must never fork this process plainly: it may be big. The standard library's spawn shares memory until exec.

use crate::VERB;
use crate::client::{ClientError, Connection};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a warden may take until it listens.
const READY_DEADLINE: Duration = Duration::from_secs(10);

/// How a warden is started.
#[derive(Clone, Debug)]
pub struct SpawnOptions {
    /// The binary; normally the running one.
    pub program: PathBuf,
    /// Where it listens.
    pub socket: PathBuf,
    /// Where it keeps its exit log; without it, it ends with its first connection.
    pub work_dir: Option<PathBuf>,
    /// A folder to remove when it ends; not for a warden with a work directory.
    pub scratch: Option<PathBuf>,
    /// Where its own messages go; `None` is our standard error.
    pub log: Option<PathBuf>,
}

impl SpawnOptions {
    /// A warden of the running binary.
    pub fn new(socket: impl Into<PathBuf>, work_dir: Option<PathBuf>) -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            socket: socket.into(),
            work_dir,
            scratch: None,
            log: None,
        }
    }
}

/// A warden that we started. Dropping the handle does nothing to it.
#[derive(Debug)]
pub struct WardenHandle {
    child: Child,
}

impl WardenHandle {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub fn try_wait(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> io::Result<std::process::ExitStatus> {
        self.child.wait()
    }
}

/// Why no warden could be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The binary could not be started.
    #[error("cannot start the warden {}: {source}", program.display())]
    Start {
        /// The binary.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its log could not be opened.
    #[error("cannot open the warden's log {}: {source}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended, or kept silent, before it was ready; its own messages say why.
    #[error("the warden did not become ready: {0}")]
    NotReady(String),
    /// It was started but cannot be spoken to.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Starts a warden in a session of its own and waits until it listens.
pub fn spawn(options: &SpawnOptions) -> Result<WardenHandle, SpawnError> {
    let mut command = Command::new(&options.program);
    command
        .arg0("mezz")
        .arg(VERB)
        .arg("--socket")
        .arg(&options.socket);
    if let Some(work_dir) = &options.work_dir {
        command.arg("--work-dir").arg(work_dir);
    }
    if let Some(scratch) = &options.scratch {
        command.arg("--scratch").arg(scratch);
    }
    if let Some(path) = &options.log {
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path);
        command.stderr(log.map_err(|source| SpawnError::Log {
            path: path.clone(),
            source,
        })?);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|source| SpawnError::Start {
        program: options.program.clone(),
        source,
    })?;
    let ready = await_ready(&mut child);
    if let Err(error) = ready {
        let end = match child.try_wait() {
            Ok(Some(status)) => format!("{error} ({status})"),
            _ => error.to_string(),
        };
        // Without the answer nobody will ever connect: do not leave it behind.
        let _ = child.kill();
        let _ = child.wait();
        return Err(SpawnError::NotReady(end));
    }
    Ok(WardenHandle { child })
}

/// Connects to the warden behind the socket, or starts one if nobody listens there.
pub fn connect_or_spawn(
    options: &SpawnOptions,
    generation: u64,
) -> Result<(Connection, Option<WardenHandle>), SpawnError> {
    match Connection::connect(&options.socket, generation) {
        Ok(connection) => return Ok((connection, None)),
        Err(ClientError::Io(error))
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) => {}
        // A child of a warden that has just died may hold its socket for a moment.
        Err(ClientError::Closed) => {}
        Err(error) => return Err(error.into()),
    }
    let handle = spawn(options)?;
    Ok((
        Connection::connect(&options.socket, generation)?,
        Some(handle),
    ))
}

fn await_ready(child: &mut Child) -> io::Result<()> {
    let mut stdout = child.stdout.take().expect("standard output is piped");
    let timeout = Timespec::try_from(READY_DEADLINE).map_err(io::Error::other)?;
    if poll(
        &mut [PollFd::new(&stdout.as_fd(), PollFlags::IN)],
        Some(&timeout),
    )? == 0
    {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
    }
    let mut word = [0; 6];
    stdout
        .read_exact(&mut word)
        .map_err(|_| io::Error::other("it ended"))?;
    if &word == b"ready\n" {
        Ok(())
    } else {
        Err(io::Error::other("it said something unexpected"))
    }
}
