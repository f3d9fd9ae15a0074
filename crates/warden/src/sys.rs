//! The system calls that no safe crate offers, each with the smallest surface.
//!
//! Must hold no policy: what to call and when is decided elsewhere.

use std::ffi::{CStr, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// What `waitid` tells of an ended child.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) pid: u32,
    /// As `wait(2)` encodes it.
    pub(crate) raw_status: i32,
    pub(crate) user_us: u64,
    pub(crate) system_us: u64,
    pub(crate) max_rss_kib: u64,
}

/// Which children to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waited<'a> {
    /// The one behind this descriptor.
    Pidfd(BorrowedFd<'a>),
    /// The one of this number, which nobody else can reap.
    Pid(u32),
    /// Any.
    Any,
}

/// Whether the child stays a zombie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reap {
    /// It stays.
    Look,
    /// It goes.
    Reap,
}

/// Looks for an ended child without ever sleeping.
pub(crate) fn wait(waited: Waited<'_>, reap: Reap) -> io::Result<Option<Ended>> {
    let (kind, id) = match waited {
        Waited::Pidfd(fd) => (libc::P_PIDFD, fd.as_raw_fd()),
        Waited::Pid(pid) => (libc::P_PID, i32::try_from(pid).unwrap_or(0)),
        Waited::Any => (libc::P_ALL, 0),
    };
    let keep = if reap == Reap::Look { libc::WNOWAIT } else { 0 };
    // SAFETY: both are plain C structs for which all-zero bytes are valid.
    let (mut info, mut usage) = unsafe {
        (
            std::mem::zeroed::<libc::siginfo_t>(),
            std::mem::zeroed::<libc::rusage>(),
        )
    };
    // SAFETY: both pointers are valid for writes; the raw call fills the usage, which libc's wrapper does not offer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            kind,
            id,
            &raw mut info,
            libc::WEXITED | libc::WNOHANG | keep,
            &raw mut usage,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: waitid filled the child fields, or left the zeroes.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let raw_status = match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    };
    Ok(Some(Ended {
        pid: pid.unsigned_abs(),
        raw_status,
        user_us: microseconds(usage.ru_utime),
        system_us: microseconds(usage.ru_stime),
        max_rss_kib: u64::try_from(usage.ru_maxrss).unwrap_or(0),
    }))
}

/// Whether the process behind a pidfd, anybody's child, has ended.
pub(crate) fn has_ended(pidfd: BorrowedFd<'_>) -> bool {
    let mut poll = [rustix::event::PollFd::from_borrowed_fd(
        pidfd,
        rustix::event::PollFlags::IN,
    )];
    let now = rustix::event::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(rustix::event::poll(&mut poll, Some(&now)), Ok(1))
}

/// How the process behind a pidfd, anybody's child, has ended, as `wait(2)` encodes it; `None` until its parent has
/// reaped it. Kernels before 6.15 cannot say it.
pub(crate) fn exit_status(pidfd: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    /// The kernel's `struct pidfd_info` in its first form.
    #[repr(C)]
    #[derive(Default)]
    struct Info {
        mask: u64,
        cgroup: u64,
        ids: [u32; 11],
        exit_code: i32,
    }
    const SIZE: u64 = size_of::<Info>() as u64;
    /// `_IOWR(0xFF, 11, struct pidfd_info)`
    const GET_INFO: u64 = (3 << 30) | (SIZE << 16) | (0xff << 8) | 0x0b;
    const EXIT: u64 = 1 << 3;
    let mut info = Info {
        mask: EXIT,
        ..Info::default()
    };
    // SAFETY: the structure is valid for reads and writes, and its size is part of the request.
    let result = unsafe { libc::ioctl(pidfd.as_raw_fd(), GET_INFO, &raw mut info) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((info.mask & EXIT != 0).then_some(info.exit_code))
}

fn microseconds(time: libc::timeval) -> u64 {
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_usec).unwrap_or(0)
}

/// Resets and blocks every signal: they are read from the returned descriptor.
pub(crate) fn take_over_signals() -> io::Result<OwnedFd> {
    reset_signal_actions();
    // SAFETY: sigset_t is a plain bit set.
    let mut set = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: the set is valid for writes, then for reads.
    unsafe {
        libc::sigfillset(&raw mut set);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        libc::sigemptyset(&raw mut set);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD] {
            libc::sigaddset(&raw mut set, signal);
        }
        owned(libc::signalfd(
            -1,
            &raw const set,
            libc::SFD_CLOEXEC | libc::SFD_NONBLOCK,
        ))
    }
}

/// Gives every signal its default action, which children inherit: the language's start-up ignores SIGPIPE.
pub(crate) fn reset_signal_actions() {
    for signal in 1..=64 {
        // The kernel's struct sigaction, all zero: the default action. libc's own call leaves out what it reserves.
        let default = [0u64; 4];
        let none = std::ptr::null_mut::<c_void>();
        // SAFETY: the struct is at most this long; signals that cannot be changed are refused without effect.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, none, 8) };
    }
}

/// Closes every descriptor above the standard streams that whoever started us left open.
pub(crate) fn close_inherited() {
    // SAFETY: called before this process has opened anything that it still uses; where the call is missing,
    // the descriptors stay.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
}

/// Whether orphaned descendants become our children.
pub(crate) fn become_subreaper() -> io::Result<()> {
    // SAFETY: no pointers are involved.
    match unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether the kernel has the newest of the calls by which mounts are made apart from the tree (Linux 5.12).
pub(crate) fn has_mount_calls() -> bool {
    let none = std::ptr::null::<c_void>();
    // SAFETY: with a structure of no size the call is refused before it looks at anything.
    let result = unsafe { libc::syscall(libc::SYS_mount_setattr, -1, none, 0, none, 0) };
    result == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// Wraps a descriptor returned by a system call.
pub(crate) fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes ownership of a descriptor that was inherited under this number.
pub(crate) fn adopt(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the descriptor is open.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and after a re-execution only the decoded state names it, once.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A shared anonymous mapping of zeroes, which lives as long as the process.
pub(crate) fn shared_pages(bytes: usize) -> io::Result<*mut c_void> {
    map(bytes, libc::MAP_SHARED | libc::MAP_ANONYMOUS)
}

/// A private anonymous mapping for a child's stack, which lives as long as the process.
pub(crate) fn stack_pages(bytes: usize) -> io::Result<*mut c_void> {
    map(
        bytes,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
    )
}

fn map(bytes: usize, flags: i32) -> io::Result<*mut c_void> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let pages = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            flags,
            -1,
            0,
        )
    };
    if pages == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(pages)
    }
}

/// Replaces this program; returns only if that failed.
pub(crate) fn execute(path: &CStr, argv: &[&CStr]) -> io::Error {
    let mut pointers: Vec<*const libc::c_char> =
        argv.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: path and arguments are NUL-terminated and outlive the call; the list ends with a null pointer.
    unsafe { libc::execv(path.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// `SCHED_IDLE` for the calling thread.
pub(crate) fn set_idle_policy() -> io::Result<()> {
    // SAFETY: a plain C struct for which all-zero bytes are valid; zero is the only priority of this policy.
    let parameter = unsafe { std::mem::zeroed::<libc::sched_param>() };
    // SAFETY: the pointer is valid for reads during the call, and 0 names the calling thread.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameter) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
