//! The connection to the warden: started or found, batched, and made anew when the warden dies.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mezz_agent_core::{KnownContainer, KnownContainerState, LaunchId};
use mezz_warden::{
    ClientError, Connection, Flush, Incoming, LaunchPhase, LaunchState, ReadState, Reply, Request,
    ShutdownLaunches, SpawnError, SpawnOptions, WardenHandle, connect_or_spawn,
};

use crate::work_dir::WorkDir;

/// How long the warden may take to list its launches.
const LIST_DEADLINE: Duration = Duration::from_secs(30);
/// The pause before the list is asked for again.
const LIST_PAUSE: Duration = Duration::from_millis(2);
/// How long it may take to become another program: launches under way are finished first.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(30);
/// How long a warden that is dead may take to be gone.
const LAST_MOMENT: Duration = Duration::from_millis(200);
/// How long it may take to end.
const END_DEADLINE: Duration = Duration::from_secs(10);

/// Why there is no warden.
#[derive(Debug, thiserror::Error)]
pub enum WardenLinkError {
    /// It could not be started or reached.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It could not be spoken to.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It did not list its launches.
    #[error("the warden did not list its launches within {} s", LIST_DEADLINE.as_secs())]
    NoListing,
}

/// A live connection.
#[derive(Debug)]
pub(crate) struct WardenLink {
    options: SpawnOptions,
    generation: u64,
    connection: Connection,
    handle: Option<WardenHandle>,
    pending: bool,
}

impl WardenLink {
    /// Finds the warden of the work directory, or starts it, and learns what it runs.
    pub(crate) fn open(
        work_dir: &WorkDir,
        program: Option<PathBuf>,
    ) -> Result<(Self, Vec<KnownContainer>), WardenLinkError> {
        let mut options = SpawnOptions::new(work_dir.warden_socket(), work_dir.warden_dir());
        if let Some(program) = program {
            options.program = program;
        }
        options.log = Some(work_dir.warden_log());
        options.scratch = work_dir.scratch();
        Self::connect(options, work_dir.generation())
    }

    fn connect(
        options: SpawnOptions,
        generation: u64,
    ) -> Result<(Self, Vec<KnownContainer>), WardenLinkError> {
        let (connection, handle) = connect_or_spawn(&options, generation)?;
        let found = handle.is_none();
        let mut link = Self {
            options,
            generation,
            connection,
            handle,
            pending: false,
        };
        if found {
            link.upgrade()?;
        }
        let known = link.list()?;
        Ok((link, known))
    }

    /// A warden of another program than ours becomes ours, with everything that it runs.
    fn upgrade(&mut self) -> Result<(), WardenLinkError> {
        let pid = self.connection.welcome().warden_pid;
        let Some(program) = successor(&self.options.program, pid) else {
            return Ok(());
        };
        self.send(&[Request::Reexec {
            path: program.clone(),
        }])?;
        let end = Instant::now() + UPGRADE_DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self
                .connection
                .receive(left)?
                .map(|incoming| incoming.reply)
            {
                Some(Reply::Welcome { .. }) => {
                    tracing::info!(pid, program = %program.display(), "the warden was upgraded in place");
                    return Ok(());
                }
                Some(Reply::ReexecFailed { message }) => {
                    tracing::warn!(
                        pid,
                        message,
                        "the warden stays what it is: it could not be upgraded"
                    );
                    return Ok(());
                }
                // The list that follows holds them too.
                Some(_) => {}
                None => {
                    tracing::warn!(
                        pid,
                        "the warden stays what it is: it did not say whether it could be upgraded"
                    );
                    return Ok(());
                }
            }
        }
    }

    /// After the warden died: a new one, and what it knows.
    pub(crate) fn reopen(&mut self) -> Result<Vec<KnownContainer>, WardenLinkError> {
        if let Some(handle) = &mut self.handle {
            // Only to leave no zombie. Its connection closes a moment before it has ended.
            let end = Instant::now() + LAST_MOMENT;
            while let Ok(None) = handle.try_wait()
                && Instant::now() < end
            {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let (link, known) = Self::connect(self.options.clone(), self.generation)?;
        *self = link;
        Ok(known)
    }

    /// What the warden runs, or has seen end. A launch under way is waited for: who took it for missing would call a
    /// task lost that then runs.
    fn list(&mut self) -> Result<Vec<KnownContainer>, WardenLinkError> {
        let end = Instant::now() + LIST_DEADLINE;
        loop {
            let launches = self.list_once(end)?;
            if launches
                .iter()
                .all(|launch| launch.phase != LaunchPhase::Launching)
            {
                return Ok(launches.iter().filter_map(known).collect());
            }
            std::thread::sleep(LIST_PAUSE);
        }
    }

    fn list_once(&mut self, end: Instant) -> Result<Vec<LaunchState>, WardenLinkError> {
        self.send(&[Request::List])?;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self
                .connection
                .receive(left)?
                .map(|incoming| incoming.reply)
            {
                Some(Reply::Listing { launches }) => return Ok(launches),
                // Starts and exits that are told meanwhile are in the list too.
                Some(_) => {}
                None => return Err(WardenLinkError::NoListing),
            }
        }
    }

    /// Sends requests in one write; what the socket does not take goes with [`WardenLink::flush`].
    pub(crate) fn send(&mut self, requests: &[Request]) -> Result<(), ClientError> {
        self.pending = self.connection.send_batch(requests)? == Flush::Pending;
        Ok(())
    }

    /// Whether the socket was full.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending
    }

    pub(crate) fn flush(&mut self) -> Result<(), ClientError> {
        self.pending = self.connection.flush()? == Flush::Pending;
        Ok(())
    }

    /// Takes what has arrived.
    pub(crate) fn read(&mut self, into: &mut Vec<Incoming>) -> Result<ReadState, ClientError> {
        self.connection.try_read(into)
    }

    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }

    /// Asks the warden to end with everything it runs, and waits for that.
    pub(crate) fn shut_down(mut self) {
        if self
            .send(&[Request::Shutdown {
                launches: ShutdownLaunches::Kill,
            }])
            .is_err()
        {
            return;
        }
        let end = Instant::now() + END_DEADLINE;
        loop {
            match self
                .connection
                .receive(end.saturating_duration_since(Instant::now()))
            {
                Ok(Some(_)) => {}
                Ok(None) => {
                    tracing::warn!("the warden did not end in time");
                    return;
                }
                Err(_) => break,
            }
        }
        self.wait_for_end();
    }

    /// Closes the connection of a warden that ends with it, and waits for that.
    pub(crate) fn release(self) {
        let Self {
            connection, handle, ..
        } = self;
        drop(connection);
        wait(handle);
    }

    fn wait_for_end(self) {
        wait(self.handle);
    }
}

fn wait(handle: Option<WardenHandle>) {
    let Some(mut handle) = handle else { return };
    let end = Instant::now() + END_DEADLINE;
    while let Ok(None) = handle.try_wait() {
        if Instant::now() > end {
            tracing::warn!(pid = handle.pid(), "the warden did not end in time");
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The program that a found warden should be, if it is another one.
fn successor(program: &Path, warden_pid: u32) -> Option<PathBuf> {
    let wanted = if program == Path::new("/proc/self/exe") {
        std::env::current_exe().ok()?
    } else {
        program.to_owned()
    };
    let ours = fs::metadata(program).ok()?;
    // A program that was replaced on disk is still the one that runs.
    let theirs = fs::metadata(format!("/proc/{warden_pid}/exe")).ok()?;
    let same = (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino());
    (!same && wanted.exists()).then_some(wanted)
}

fn known(launch: &LaunchState) -> Option<KnownContainer> {
    let state = match launch.phase {
        LaunchPhase::Launching => return None,
        LaunchPhase::Running => KnownContainerState::Running { pid: launch.pid },
        LaunchPhase::Exited(exit) => KnownContainerState::Exited {
            wait_status: exit.status.raw(),
        },
    };
    Some(KnownContainer {
        launch_id: LaunchId(launch.launch_id.0),
        state,
    })
}

/// Whether the error means that the warden is gone (rather than that we are superseded).
pub(crate) fn is_gone(error: &ClientError) -> bool {
    match error {
        ClientError::Closed => true,
        ClientError::Io(error) => {
            matches!(
                error.kind(),
                io::ErrorKind::BrokenPipe
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected
            )
        }
        _ => false,
    }
}
