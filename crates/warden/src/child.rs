//! What runs between clone and exec.
//!
//! Everything here is async-signal-safe: no allocation, no locks, no panics, raw system calls only, since the child
//! may share the warden's memory. It must never touch anything of the warden but its own report slot.

use crate::child_isolation::{ChildIsolation, set_apart};
use crate::child_privileges::{after_switch, before_switch, restrict};
use crate::protocol::LaunchStep;
use std::ffi::c_void;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the child says how far it came; in pages that both processes see.
#[repr(C)]
#[derive(Debug, Default)]
pub(crate) struct ReportSlot {
    /// The step that it is in.
    pub(crate) step: AtomicU32,
    /// Why that step failed; 0 if it did not.
    pub(crate) errno: AtomicU32,
    /// Which part of the step it is in, from 1; 0 for the step as a whole.
    pub(crate) detail: AtomicU32,
}

/// Where one of the standard streams comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChildStream {
    /// A descriptor that the child inherits.
    Descriptor(RawFd),
    /// `/dev/null`.
    Null,
    /// This file, appended to.
    Append(*const libc::c_char),
}

/// Everything the child needs, as pointers into memory that stays until it has executed.
#[derive(Debug)]
pub(crate) struct ChildPlan {
    pub(crate) slot: *const ReportSlot,
    pub(crate) new_session: bool,
    /// `cgroup.procs` files to write to; ends with a null pointer.
    pub(crate) cgroup_procs: *const *const libc::c_char,
    pub(crate) rlimits: *const (u32, libc::rlimit64),
    pub(crate) rlimit_count: usize,
    pub(crate) switch_user: bool,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: *const u32,
    pub(crate) group_count: usize,
    pub(crate) streams: [ChildStream; 3],
    /// `u32::MAX` for none.
    pub(crate) umask: u32,
    pub(crate) directory: *const libc::c_char,
    /// Paths to try; ends with a null pointer.
    pub(crate) programs: *const *const libc::c_char,
    /// Two free places, then the arguments, then a null pointer: room for `sh` and the script's path.
    pub(crate) argv: *mut *const libc::c_char,
    pub(crate) env: *const *const libc::c_char,
    /// As pid 1 of a namespace: the descriptor to which the init writes how the program ended; else -1.
    pub(crate) init_status: RawFd,
    /// Whether standard input becomes the terminal of the session.
    pub(crate) takes_terminal: bool,
    /// What sets it apart; null for nothing.
    pub(crate) isolation: *const ChildIsolation,
}

/// The entry of the child.
///
/// # Safety
/// `plan` points to a `ChildPlan` whose pointers are all valid.
pub(crate) unsafe extern "C" fn child_main(plan: *mut c_void) -> ! {
    // SAFETY: by the contract of this function.
    unsafe {
        let plan = &*plan.cast::<ChildPlan>();
        let mut errno = match plan.isolation.as_ref() {
            Some(isolation) => set_apart(plan, isolation),
            None => 0,
        };
        if errno == 0 {
            if plan.init_status >= 0 {
                crate::pid_namespace::become_init(plan);
            }
            errno = prepare_and_execute(plan);
        }
        (*plan.slot)
            .errno
            .store(errno.unsigned_abs(), Ordering::Release);
        libc::_exit(127)
    }
}

/// A system call's result as an error number.
unsafe fn errno() -> i32 {
    // SAFETY: the location is valid in every thread.
    unsafe { *libc::__errno_location() }
}

macro_rules! checked {
    ($call:expr) => {
        if $call < 0 {
            return errno();
        }
    };
}

/// Goes on if an answer is no error number.
macro_rules! zero {
    ($call:expr) => {
        let errno = $call;
        if errno != 0 {
            return errno;
        }
    };
}

/// Answers with an error number, or 0.
///
/// # Safety
/// The plan's list of files is valid.
pub(crate) unsafe fn join_cgroups(plan: &ChildPlan) -> i32 {
    // SAFETY: by the contract of this function.
    unsafe {
        let mut procs = plan.cgroup_procs;
        while !(*procs).is_null() {
            let fd = libc::open(*procs, libc::O_WRONLY | libc::O_CLOEXEC);
            checked!(fd);
            checked!(libc::write(fd, c"0".as_ptr().cast(), 1));
            libc::close(fd);
            procs = procs.add(1);
        }
    }
    0
}

/// Returns only when a step failed, with its error number.
unsafe fn prepare_and_execute(plan: &ChildPlan) -> i32 {
    // SAFETY: pointers are valid by the contract of child_main, all calls are async-signal-safe.
    unsafe {
        let step = |step: LaunchStep| {
            (*plan.slot)
                .step
                .store(step.number().into(), Ordering::Release);
        };
        step(LaunchStep::Session);
        checked!(if plan.new_session {
            libc::setsid()
        } else {
            libc::setpgid(0, 0)
        });
        let privileges = plan
            .isolation
            .as_ref()
            .map(|isolation| &(*isolation.plan).privileges);
        let sets = privileges.and_then(|privileges| privileges.capabilities.as_ref());
        if privileges.is_none() {
            step(LaunchStep::JoinCgroup);
            zero!(join_cgroups(plan));
        }
        step(LaunchStep::Rlimits);
        for index in 0..plan.rlimit_count {
            let (resource, limit) = &*plan.rlimits.add(index);
            let none = std::ptr::null_mut::<c_void>();
            checked!(libc::syscall(
                libc::SYS_prlimit64,
                0,
                *resource,
                std::ptr::from_ref(limit),
                none
            ));
        }
        if let Some(sets) = sets {
            step(LaunchStep::Capabilities);
            zero!(before_switch(sets));
        }
        if plan.switch_user {
            step(LaunchStep::User);
            // The raw calls: libc's would signal threads that this process does not have.
            checked!(libc::syscall(
                libc::SYS_setgroups,
                plan.group_count,
                plan.groups
            ));
            checked!(libc::syscall(libc::SYS_setgid, plan.gid));
            checked!(libc::syscall(libc::SYS_setuid, plan.uid));
        }
        if let (Some(privileges), Some(sets)) = (privileges, sets) {
            step(LaunchStep::Capabilities);
            zero!(after_switch(privileges, sets));
        }
        step(LaunchStep::Stdio);
        if plan.umask != u32::MAX {
            libc::umask(plan.umask);
        }
        for (target, stream) in (0..).zip(&plan.streams) {
            checked!(open_stream(*stream, target));
        }
        if plan.takes_terminal {
            checked!(libc::ioctl(0, libc::TIOCSCTTY, 0));
        }
        step(LaunchStep::Directory);
        checked!(libc::chdir(plan.directory));
        let unblocked: u64 = 0;
        let none = std::ptr::null_mut::<c_void>();
        checked!(libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const unblocked,
            none,
            8
        ));
        if let Some(privileges) = privileges {
            step(LaunchStep::Seccomp);
            zero!(restrict(privileges));
        }
        step(LaunchStep::Exec);
        execute(plan)
    }
}

unsafe fn open_stream(stream: ChildStream, target: RawFd) -> i32 {
    // SAFETY: paths are NUL-terminated; the warden keeps 0, 1 and 2 open, so that what is opened lies above them.
    unsafe {
        let fd = match stream {
            ChildStream::Descriptor(fd) => fd,
            ChildStream::Null if target == 0 => {
                libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)
            }
            ChildStream::Null => {
                libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC)
            }
            ChildStream::Append(path) => {
                let flags = libc::O_WRONLY
                    | libc::O_APPEND
                    | libc::O_CREAT
                    | libc::O_NOCTTY
                    | libc::O_CLOEXEC;
                libc::open(path, flags, 0o644)
            }
        };
        if fd < 0 {
            return fd;
        }
        let result = libc::dup2(fd, target);
        libc::close(fd);
        result
    }
}

/// As `execvpe`: the first candidate that exists, scripts without an interpreter line by `/bin/sh`.
unsafe fn execute(plan: &ChildPlan) -> i32 {
    // SAFETY: as in prepare_and_execute; argv has two places before the arguments.
    unsafe {
        let mut denied = false;
        let mut last = libc::ENOENT;
        let mut program = plan.programs;
        while !(*program).is_null() {
            libc::execve(*program, plan.argv.add(2), plan.env);
            last = errno();
            match last {
                libc::EACCES => denied = true,
                libc::ENOENT | libc::ENOTDIR => {}
                libc::ENOEXEC => {
                    let arguments = plan.argv.add(1);
                    *arguments = c"sh".as_ptr();
                    *arguments.add(1) = *program;
                    libc::execve(c"/bin/sh".as_ptr(), arguments, plan.env);
                    return errno();
                }
                _ => return last,
            }
            program = program.add(1);
        }
        if denied { libc::EACCES } else { last }
    }
}
