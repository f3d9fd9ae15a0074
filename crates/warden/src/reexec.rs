//! Becoming a new release in place: the same process, the same children, a new program.
//!
//! The state is shown to the new program in a child first; must never execute one that did not accept it.

use crate::crash_point::crash_point;
use crate::exit_log::ExitLog;
use crate::launch::{Launch, Phase};
use crate::peer::{Peer, Segment};
use crate::protocol::Reply;
use crate::reexec_state::{SavedEnding, SavedLaunch, SavedPeer, SavedState, decode, encode};
use crate::startup::{Endpoint, Setup, log_folder};
use crate::timers::Timer;
use crate::tree::TreeId;
use crate::tree_ending::{Answer, Ending, Means};
use crate::warden::{Token, Warden};
use crate::{VERB, sys};
use mezz_launch_plan::LaunchId;
use mezz_launch_plan::wire::DecodeError;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the new program may look at the state.
const VALIDATION_DEADLINE: Duration = Duration::from_secs(10);

/// Why a state cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Startup(#[from] crate::startup::StartupError),
}

/// A child of the new program that looks at the state.
#[derive(Debug)]
pub(crate) struct Validation {
    path: PathBuf,
    child: Child,
    pidfd: OwnedFd,
    accepted: Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    NotYet,
    Yes,
}

impl Validation {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the state was accepted, and only launches under way are waited for.
    pub(crate) fn is_done(&self) -> bool {
        self.accepted == Accepted::Yes
    }
}

/// Reads a state without taking anything over.
pub(crate) fn validate(fd: RawFd) -> Result<(), StateError> {
    read_state(&sys::adopt(fd)?).map(|_| ())
}

/// Goes on where the former program stopped.
pub(crate) fn resume(fd: RawFd) -> Result<Warden, StateError> {
    let saved = read_state(&sys::adopt(fd)?)?;
    let open_files = libc::rlimit64 {
        rlim_cur: saved.open_files.0,
        rlim_max: saved.open_files.1,
    };
    let log = ExitLog::reopen(log_folder(&saved.socket, saved.work_dir.as_deref()))?;
    let setup = Setup {
        socket: saved.socket,
        work_dir: saved.work_dir,
        signals: adopt(saved.signals)?,
        open_files,
    };
    let endpoint = Endpoint {
        listener: adopt(saved.listener)?,
        lock: adopt(saved.lock)?,
    };
    sys::reset_signal_actions();
    sys::become_subreaper()?;
    let mut warden = Warden::new(setup, endpoint, Some(log))?;
    warden.generation = saved.generation;
    for launch in saved.launches {
        warden.note_cgroup_parent(&launch.tree.kill);
        let place = warden.insert(restore(launch)?);
        warden.watch_launch(place);
    }
    for ending in saved.endings {
        warden.endings.insert(
            ending.id,
            Ending::new(ending.tree, ending.means, ending.answer),
        );
        warden.timers.set(Instant::now(), Timer::Ending(ending.id));
    }
    if let Some(peer) = saved.controller {
        warden.adopt_controller(peer)?;
    }
    crash_point("warden.after_reexec");
    warden.sweep_soon();
    Ok(warden)
}

fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    let fd = sys::adopt(fd)?;
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}

fn restore(saved: SavedLaunch) -> io::Result<Launch> {
    Ok(Launch {
        id: saved.id,
        tree: saved.tree,
        survival: saved.survival,
        leftovers: saved.leftovers,
        phase: saved.exit.map_or(Phase::Running, Phase::Exited),
        pidfd: saved.pidfd.map(adopt).transpose()?,
        stdin: saved.stdin.map(adopt).transpose()?,
        outputs: saved
            .outputs
            .into_iter()
            .map(adopt)
            .collect::<io::Result<_>>()?,
        init_status: saved.init_status.map(adopt).transpose()?,
        unclear_since: None,
    })
}

fn read_state(fd: &OwnedFd) -> Result<SavedState, StateError> {
    let file = File::from(fd.try_clone()?);
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(decode(&bytes)?)
}

impl Warden {
    /// Shows the state to the new program.
    pub(crate) fn begin_reexec(&mut self, path: PathBuf) {
        if self.validation.is_some() {
            return self.reexec_failed("a re-execution is under way");
        }
        if !path.is_absolute() {
            return self.reexec_failed("the path is not absolute");
        }
        match self.start_validation(path) {
            Ok(validation) => {
                self.validation = Some(validation);
                self.timers
                    .set(Instant::now() + VALIDATION_DEADLINE, Timer::Validation);
            }
            Err(error) => self.reexec_failed(&error.to_string()),
        }
    }

    fn start_validation(&self, path: PathBuf) -> io::Result<Validation> {
        // The one descriptor that is meant to be inherited.
        let state = self.write_state()?;
        let mut command = Command::new(&path);
        command
            .arg(VERB)
            .arg("--validate-state")
            .arg(state.as_raw_fd().to_string());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let pid = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(io::ErrorKind::InvalidData)?;
        let watched = pidfd_open(pid, PidfdFlags::empty())
            .map_err(io::Error::from)
            .and_then(|pidfd| {
                self.watch(pidfd.as_fd(), Token::Validation)?;
                Ok(pidfd)
            });
        match watched {
            Ok(pidfd) => Ok(Validation {
                path,
                child,
                pidfd,
                accepted: Accepted::NotYet,
            }),
            Err(error) => {
                // The sweep of orphans reaps it.
                let _ = child.kill();
                Err(error)
            }
        }
    }

    /// The new program has said what it thinks of the state.
    pub(crate) fn on_validated(&mut self) {
        let Some(validation) = &mut self.validation else {
            return;
        };
        match validation.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) if status.success() => validation.accepted = Accepted::Yes,
            Ok(Some(status)) => {
                self.drop_validation(&format!("the new program refused the state ({status})"));
            }
            Err(error) => self.drop_validation(&error.to_string()),
        }
        if let Some(validation) = &self.validation {
            self.unwatch(validation.pidfd.as_fd());
        }
        self.update_interest();
    }

    /// It takes too long.
    pub(crate) fn on_validation_deadline(&mut self) {
        if self
            .validation
            .as_ref()
            .is_some_and(|validation| !validation.is_done())
        {
            self.drop_validation("the new program did not look at the state in time");
        }
    }

    fn drop_validation(&mut self, why: &str) {
        if let Some(mut validation) = self.validation.take() {
            self.unwatch(validation.pidfd.as_fd());
            let _ = validation.child.kill();
            self.sweep_soon();
        }
        self.reexec_failed(why);
        self.update_interest();
    }

    fn reexec_failed(&mut self, message: &str) {
        self.reply(&Reply::ReexecFailed {
            message: message.to_owned(),
        });
    }

    /// Becomes the new program once nothing is between clone and exec; returns if that did not work.
    pub(crate) fn continue_reexec(&mut self) {
        let Some(validation) = self
            .validation
            .as_ref()
            .filter(|validation| validation.is_done())
        else {
            return;
        };
        let under_way = self
            .launches
            .iter()
            .flatten()
            .any(|launch| matches!(launch.phase, Phase::Launching(_)));
        if under_way
            || !self.backlog.is_empty()
            || !self.late_reports.is_empty()
            || self.stopping.is_some()
        {
            return;
        }
        let path = validation.path.clone();
        crash_point("warden.before_reexec");
        let error = self.execute(&path);
        self.set_inherited(FdFlags::CLOEXEC);
        self.validation = None;
        self.reexec_failed(&error.to_string());
        self.flush_peers();
    }

    fn execute(&mut self, path: &Path) -> io::Error {
        let state = match self.write_state() {
            Ok(state) => state,
            Err(error) => return error,
        };
        let Ok(program) = CString::new(path.as_os_str().as_bytes()) else {
            return io::ErrorKind::InvalidInput.into();
        };
        let number = CString::new(state.as_raw_fd().to_string()).expect("digits hold no NUL");
        let verb = CString::new(VERB).expect("the verb holds no NUL");
        let arguments: [&CStr; 4] = [c"mezz", &verb, c"--resume-state", &number];
        // Last of all, so that no child can inherit them.
        self.set_inherited(FdFlags::empty());
        sys::execute(&program, &arguments)
    }

    fn set_inherited(&self, flags: FdFlags) {
        for fd in self.inherited() {
            if let Err(errno) = fcntl_setfd(fd, flags) {
                note!("descriptor flags: {errno}");
            }
        }
    }

    /// Every descriptor that the successor needs.
    fn inherited(&self) -> Vec<BorrowedFd<'_>> {
        let mut fds = vec![
            self.endpoint.listener.as_fd(),
            self.endpoint.lock.as_fd(),
            self.setup.signals.as_fd(),
        ];
        for launch in self.launches.iter().flatten() {
            let owned = [&launch.pidfd, &launch.stdin, &launch.init_status]
                .into_iter()
                .flatten();
            fds.extend(owned.chain(&launch.outputs).map(AsFd::as_fd));
        }
        if let Some(peer) = self.controller.and_then(|id| self.peers.get(&id)) {
            fds.push(peer.socket.as_fd());
            fds.extend(
                peer.outgoing
                    .iter()
                    .flat_map(|segment| &segment.descriptors)
                    .map(AsFd::as_fd),
            );
        }
        fds
    }

    /// The state in a memory file that is inherited by whoever is executed.
    fn write_state(&self) -> io::Result<OwnedFd> {
        let mut file = File::from(memfd_create("mezz-warden-state", MemfdFlags::empty())?);
        file.write_all(&encode(&self.save()))?;
        Ok(file.into())
    }

    fn save(&self) -> SavedState {
        let raw = |fd: &Option<OwnedFd>| fd.as_ref().map(AsRawFd::as_raw_fd);
        let launches = self.launches.iter().flatten().map(|launch| SavedLaunch {
            id: launch.id,
            tree: launch.tree.clone(),
            survival: launch.survival,
            leftovers: launch.leftovers,
            exit: if let Phase::Exited(exit) = &launch.phase {
                Some(*exit)
            } else {
                None
            },
            pidfd: raw(&launch.pidfd),
            stdin: raw(&launch.stdin),
            outputs: launch.outputs.iter().map(AsRawFd::as_raw_fd).collect(),
            init_status: raw(&launch.init_status),
        });
        let saved = |id: LaunchId, tree: &TreeId, means, answer| SavedEnding {
            id,
            tree: tree.clone(),
            means,
            answer,
        };
        let suspected = self
            .suspected
            .iter()
            .map(|(id, tree)| saved(*id, tree, Means::Kill, Answer::None));
        let endings = self
            .endings
            .iter()
            .map(|(id, ending)| saved(*id, &ending.tree, ending.means, ending.answer));
        SavedState {
            socket: self.setup.socket.clone(),
            work_dir: self.setup.work_dir.clone(),
            generation: self.generation,
            listener: self.endpoint.listener.as_raw_fd(),
            lock: self.endpoint.lock.as_raw_fd(),
            signals: self.setup.signals.as_raw_fd(),
            open_files: (
                self.setup.open_files.rlim_cur,
                self.setup.open_files.rlim_max,
            ),
            controller: self
                .controller
                .and_then(|id| self.peers.get(&id))
                .map(save_peer),
            launches: launches.collect(),
            endings: suspected.chain(endings).collect(),
        }
    }

    fn adopt_controller(&mut self, saved: SavedPeer) -> io::Result<()> {
        let mut peer = Peer::new(adopt(saved.socket)?);
        peer.incoming = saved.incoming;
        for (bytes, fds) in saved.outgoing {
            let descriptors = fds.into_iter().map(adopt).collect::<io::Result<_>>()?;
            peer.outgoing.push_back(Segment {
                bytes,
                sent: 0,
                descriptors,
            });
        }
        let id = self.next_peer;
        self.next_peer += 1;
        self.watch(peer.socket.as_fd(), Token::Peer(id))?;
        self.peers.insert(id, peer);
        self.controller = Some(id);
        self.greet();
        // Whole requests may lie in the buffer already, of which epoll knows nothing.
        self.on_peer(id, rustix::event::epoll::EventFlags::empty());
        Ok(())
    }
}

fn save_peer(peer: &Peer) -> SavedPeer {
    let outgoing = peer.outgoing.iter().map(|segment| {
        let fds = segment.descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        (segment.bytes[segment.sent..].to_vec(), fds)
    });
    SavedPeer {
        socket: peer.socket.as_raw_fd(),
        incoming: peer.incoming.clone(),
        outgoing: outgoing.collect(),
    }
}
