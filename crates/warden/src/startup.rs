//! What the process needs before it serves: signals, limits, the lock, the socket.
//!
//! Must never leave two wardens on one socket.

use crate::fd_passing::short_path;
use crate::sys;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a child of a warden that has just died may hold its lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// What was asked for, and what belongs to the process as a whole.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) socket: PathBuf,
    pub(crate) work_dir: Option<PathBuf>,
    /// Where SIGTERM, SIGINT and SIGCHLD are read.
    pub(crate) signals: OwnedFd,
    /// The limit of open files that children get.
    pub(crate) open_files: libc::rlimit64,
}

/// Where the log lies: without a work directory it serves only a successor on the same socket.
pub(crate) fn log_folder<'a>(socket: &'a Path, work_dir: Option<&'a Path>) -> &'a Path {
    work_dir.unwrap_or_else(|| socket.parent().unwrap_or(Path::new("/")))
}

/// The socket and the lock beside it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) listener: OwnedFd,
    pub(crate) lock: OwnedFd,
}

/// Why a warden cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartupError {
    #[error("the socket directory {}: {source}", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("the socket directory {} belongs to uid {owner}", path.display())]
    ForeignDirectory { path: PathBuf, owner: u32 },
    #[error("another warden serves {}", path.display())]
    Locked { path: PathBuf },
    #[error("the socket {}: {source}", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("{what}: {source}")]
    Process {
        what: &'static str,
        source: io::Error,
    },
}

/// Prepares the process itself.
pub(crate) fn prepare_process(
    socket: &Path,
    work_dir: Option<&Path>,
) -> Result<Setup, StartupError> {
    // Paths are taken as from where we were started, before leaving that place.
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|source| StartupError::Process {
            what: "paths",
            source,
        })
    };
    let (socket, work_dir) = (absolute(socket)?, work_dir.map(absolute).transpose()?);
    // Fails for the leader of a group, which then is away from its starter's terminal already.
    let _ = rustix::process::setsid();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // Not to keep any file system busy; where it fails we keep one busy.
    let _ = rustix::process::chdir("/");
    keep_standard_streams_open().map_err(|source| StartupError::Process {
        what: "standard streams",
        source,
    })?;
    sys::close_inherited();
    let signals = sys::take_over_signals().map_err(|source| StartupError::Process {
        what: "signals",
        source,
    })?;
    sys::become_subreaper().map_err(|source| StartupError::Process {
        what: "subreaper",
        source,
    })?;
    Ok(Setup {
        socket,
        work_dir,
        signals,
        open_files: raise_open_files(),
    })
}

/// Children rely on 0, 1 and 2 being taken.
fn keep_standard_streams_open() -> io::Result<()> {
    loop {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
        if std::os::fd::AsRawFd::as_raw_fd(&null) > 2 {
            return Ok(());
        }
        std::mem::forget(null);
    }
}

/// Each running child costs a descriptor; returns the limit as it was.
fn raise_open_files() -> libc::rlimit64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let old = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: old.maximum,
            maximum: old.maximum,
        },
    );
    let value = |limit: Option<u64>| limit.unwrap_or(libc::RLIM64_INFINITY);
    libc::rlimit64 {
        rlim_cur: value(old.current),
        rlim_max: value(old.maximum),
    }
}

/// Makes the directory, takes the lock, and listens.
pub(crate) fn open_endpoint(path: &Path) -> Result<Endpoint, StartupError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    private_directory(parent)?;
    let lock_path = path.with_extension("lock");
    let socket_error = |source: io::Error| StartupError::Socket {
        path: path.to_owned(),
        source,
    };
    let lock = rustix::fs::open(
        &lock_path,
        OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC,
        Mode::from_raw_mode(0o600),
    )
    .map_err(|errno| socket_error(errno.into()))?;
    let patience = Instant::now() + LOCK_PATIENCE;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if Instant::now() < patience => std::thread::sleep(LOCK_PAUSE),
            Err(Errno::WOULDBLOCK) => {
                return Err(StartupError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(errno) => return Err(socket_error(errno.into())),
        }
    }
    let listener = listen_at(path).map_err(socket_error)?;
    Ok(Endpoint { listener, lock })
}

fn private_directory(path: &Path) -> Result<(), StartupError> {
    let failed = |source: io::Error| StartupError::Directory {
        path: path.to_owned(),
        source,
    };
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(failed);
        }
        Err(error) => return Err(failed(error)),
    }
    let found = fs::metadata(path).map_err(failed)?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(StartupError::ForeignDirectory {
            path: path.to_owned(),
            owner: found.uid(),
        });
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let others = found.mode() & 0o077;
    if others == 0 {
        Ok(())
    } else {
        fs::set_permissions(path, mode).map_err(failed)
    }
}

fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    // Whoever left it is dead: we hold the lock.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    let (short, _directory) = short_path(path)?;
    bind(&listener, &SocketAddrUnix::new(short)?)?;
    listen(&listener, 16)?;
    Ok(listener)
}
