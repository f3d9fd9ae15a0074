//! The system calls that no safe crate offers, each with the smallest surface.
//!
//! Must hold no policy: what to call and when is decided elsewhere.

use rustix::io::Errno;
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
    let (mut info, mut usage) = unsafe { (std::mem::zeroed::<libc::siginfo_t>(), std::mem::zeroed::<libc::rusage>()) };
    // SAFETY: both pointers are valid for writes; the raw call fills the usage, which libc's wrapper does not offer.
    let result = unsafe {
        libc::syscall(libc::SYS_waitid, kind, id, &raw mut info, libc::WEXITED | libc::WNOHANG | keep, &raw mut usage)
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
        owned(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))
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

/// Wraps a descriptor returned by a system call.
fn owned(fd: RawFd) -> io::Result<OwnedFd> {
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
    map(bytes, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK)
}

fn map(bytes: usize, flags: i32) -> io::Result<*mut c_void> {
    // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing that exists.
    let pages = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if pages == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(pages) }
}

/// The kernel's `struct clone_args`, as far as it is used.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CloneArgs {
    pub(crate) flags: u64,
    pub(crate) pidfd: u64,
    pub(crate) child_tid: u64,
    pub(crate) parent_tid: u64,
    pub(crate) exit_signal: u64,
    pub(crate) stack: u64,
    pub(crate) stack_size: u64,
    pub(crate) tls: u64,
    pub(crate) set_tid: u64,
    pub(crate) set_tid_size: u64,
    pub(crate) cgroup: u64,
}

/// `CLONE_INTO_CGROUP`, which does not fit libc's type.
pub(crate) const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A plain fork: runs `entry` in the child, which must not return; the parent gets its pid and pidfd.
///
/// # Safety
/// `entry` must be async-signal-safe and must not unwind.
pub(crate) unsafe fn fork(
    extra_flags: u64,
    cgroup: Option<BorrowedFd<'_>>,
    entry: unsafe extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> Result<(u32, OwnedFd), Errno> {
    let mut pidfd: RawFd = -1;
    let args = clone_args(extra_flags, cgroup, &mut pidfd);
    // SAFETY: without CLONE_VM the child gets a copy of this stack; the arguments are valid for their size.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match result {
        0 => {
            // SAFETY: the caller promised that entry may run here.
            unsafe { entry(argument) }
        }
        pid if pid > 0 => finish_clone(pid, pidfd),
        _ => Err(last_errno()),
    }
}

/// A child that shares our memory on a stack of its own; we sleep until it has executed or exited.
///
/// # Safety
/// `entry` must be async-signal-safe, must not unwind, and must not touch what is behind `argument` but as agreed;
/// `stack` must be a mapping of `stack_size` bytes that nothing else uses.
pub(crate) unsafe fn vfork(
    stack: *mut c_void,
    stack_size: usize,
    cgroup: Option<BorrowedFd<'_>>,
    entry: unsafe extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> Result<(u32, OwnedFd), Errno> {
    let mut pidfd: RawFd = -1;
    let mut args = clone_args((libc::CLONE_VM | libc::CLONE_VFORK).unsigned_abs().into(), cgroup, &mut pidfd);
    args.stack = stack as u64;
    args.stack_size = stack_size as u64;
    // SAFETY: as the caller promised; the child runs on its own stack and leaves ours alone.
    let result = unsafe { clone3_on_stack(&args, entry, argument) };
    if result < 0 {
        return Err(Errno::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EINVAL)));
    }
    finish_clone(result, pidfd)
}

fn clone_args(flags: u64, cgroup: Option<BorrowedFd<'_>>, pidfd: &mut RawFd) -> CloneArgs {
    let mut args = CloneArgs {
        flags: flags | u64::from(libc::CLONE_PIDFD.unsigned_abs()),
        pidfd: std::ptr::from_mut(pidfd) as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    args
}

fn finish_clone(pid: i64, pidfd: RawFd) -> Result<(u32, OwnedFd), Errno> {
    let pid = u32::try_from(pid).map_err(|_| Errno::INVAL)?;
    let pidfd = owned(pidfd).map_err(|_| Errno::BADF)?;
    Ok((pid, pidfd))
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

#[cfg(target_arch = "x86_64")]
unsafe fn clone3_on_stack(args: &CloneArgs, entry: unsafe extern "C" fn(*mut c_void) -> !, argument: *mut c_void) -> i64 {
    let result: i64;
    // SAFETY: in the parent this is a system call that clobbers rax, rcx and r11. In the child, which starts with
    // an empty 16-byte aligned stack, entry is called and never comes back.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") std::ptr::from_ref(args),
            in("rsi") size_of::<CloneArgs>(),
            in("r12") entry,
            in("r13") argument,
            out("rcx") _,
            out("r11") _,
        );
    }
    result
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn clone3_on_stack(args: &CloneArgs, entry: unsafe extern "C" fn(*mut c_void) -> !, argument: *mut c_void) -> i64 {
    if args.flags & CLONE_INTO_CGROUP != 0 {
        return -i64::from(libc::ENOSYS);
    }
    extern "C" fn enter(pair: *mut c_void) -> libc::c_int {
        // SAFETY: the pair lives on the parent's stack, which sleeps until we have executed or exited.
        let (entry, argument) = unsafe { *pair.cast::<(unsafe extern "C" fn(*mut c_void) -> !, *mut c_void)>() };
        // SAFETY: as promised to vfork.
        unsafe { entry(argument) }
    }
    let mut pair = (entry, argument);
    let flags = i32::try_from(args.flags).unwrap_or(0) | libc::SIGCHLD;
    // SAFETY: the stack grows down from its end; the pair outlives the child's use of it.
    let pid = unsafe {
        let top = (args.stack as *mut u8).add(args.stack_size as usize).cast();
        libc::clone(enter, top, flags, (&raw mut pair).cast(), args.pidfd as *mut RawFd)
    };
    if pid < 0 { -i64::from(last_errno().raw_os_error()) } else { i64::from(pid) }
}

/// Replaces this program; returns only if that failed.
pub(crate) fn execute(path: &CStr, argv: &[&CStr]) -> io::Error {
    let mut pointers: Vec<*const libc::c_char> = argv.iter().map(|argument| argument.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: path and arguments are NUL-terminated and outlive the call; the list ends with a null pointer.
    unsafe { libc::execv(path.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}
