//! Making children: plainly, or sharing our memory; with a pidfd, and straight into a cgroup.
//!
//! Must hold no policy. Where `clone3` is missing (containers filter it), the older call does all but the cgroup.

use crate::sys::owned;
use rustix::io::Errno;
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

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
    let mut result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    if result < 0 && last_errno() == Errno::NOSYS && cgroup.is_none() {
        result = old_fork(&args);
    }
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
    let mut args = clone_args(
        (libc::CLONE_VM | libc::CLONE_VFORK).unsigned_abs().into(),
        cgroup,
        &mut pidfd,
    );
    args.stack = stack as u64;
    args.stack_size = stack_size as u64;
    // SAFETY: as the caller promised; the child runs on its own stack and leaves ours alone.
    let mut result = unsafe { clone3_on_stack(&args, entry, argument) };
    if result == -i64::from(libc::ENOSYS) && cgroup.is_none() {
        // SAFETY: likewise.
        result = unsafe { old_clone_on_stack(&args, entry, argument) };
    }
    if result < 0 {
        return Err(Errno::from_raw_os_error(
            i32::try_from(-result).unwrap_or(libc::EINVAL),
        ));
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
unsafe fn clone3_on_stack(
    args: &CloneArgs,
    entry: unsafe extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> i64 {
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
unsafe fn clone3_on_stack(
    _: &CloneArgs,
    _: unsafe extern "C" fn(*mut c_void) -> !,
    _: *mut c_void,
) -> i64 {
    -i64::from(libc::ENOSYS)
}

/// A plain fork by the older call; in the child the result is 0.
fn old_fork(args: &CloneArgs) -> i64 {
    let flags = args.flags | args.exit_signal;
    // SAFETY: without CLONE_VM the child gets a copy of this stack; the pidfd is valid for writes.
    unsafe { libc::syscall(libc::SYS_clone, flags, 0, args.pidfd, 0, 0) }
}

/// The older call for a child that shares our memory: a pid, or a negative error number.
unsafe fn old_clone_on_stack(
    args: &CloneArgs,
    entry: unsafe extern "C" fn(*mut c_void) -> !,
    argument: *mut c_void,
) -> i64 {
    type Pair = (unsafe extern "C" fn(*mut c_void) -> !, *mut c_void);
    extern "C" fn enter(pair: *mut c_void) -> libc::c_int {
        // SAFETY: the pair lives on the parent's stack, which sleeps until we have executed or exited.
        let (entry, argument) = unsafe { *pair.cast::<Pair>() };
        // SAFETY: as promised to vfork.
        unsafe { entry(argument) }
    }
    let mut pair: Pair = (entry, argument);
    let Ok(flags) = i32::try_from(args.flags | args.exit_signal) else {
        return -i64::from(libc::ENOSYS);
    };
    // SAFETY: the stack grows down from its end; the pair outlives the child's use of it.
    let pid = unsafe {
        let top =
            (args.stack as *mut u8).wrapping_add(usize::try_from(args.stack_size).unwrap_or(0));
        libc::clone(
            enter,
            top.cast(),
            flags,
            (&raw mut pair).cast(),
            args.pidfd as *mut RawFd,
        )
    };
    if pid < 0 {
        -i64::from(last_errno().raw_os_error())
    } else {
        i64::from(pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Reap, Waited, stack_pages, wait};
    use std::os::fd::AsFd;

    unsafe extern "C" fn exit_with(code: *mut c_void) -> ! {
        // SAFETY: ending is always allowed.
        unsafe { libc::_exit(i32::try_from(code as usize).unwrap_or(1)) }
    }

    fn status(pidfd: &OwnedFd) -> i32 {
        rustix::event::poll(
            &mut [rustix::event::PollFd::new(
                pidfd,
                rustix::event::PollFlags::IN,
            )],
            None,
        )
        .unwrap();
        wait(Waited::Pidfd(pidfd.as_fd()), Reap::Reap)
            .unwrap()
            .unwrap()
            .raw_status
            >> 8
    }

    #[test]
    fn where_clone3_is_missing_the_older_call_makes_the_same_children() {
        const STACK: usize = 64 << 10;
        let mut pidfd: RawFd = -1;
        let args = clone_args(0, None, &mut pidfd);
        let pid = old_fork(&args);
        if pid == 0 {
            // SAFETY: ends the child.
            unsafe { exit_with(7 as *mut c_void) }
        }
        assert_eq!(status(&finish_clone(pid, pidfd).unwrap().1), 7);
        let mut args = clone_args(
            (libc::CLONE_VM | libc::CLONE_VFORK).unsigned_abs().into(),
            None,
            &mut pidfd,
        );
        (args.stack, args.stack_size) = (stack_pages(STACK).unwrap() as u64, STACK as u64);
        // SAFETY: the entry only exits; the stack is this child's alone.
        let pid = unsafe { old_clone_on_stack(&args, exit_with, 9 as *mut c_void) };
        assert_eq!(status(&finish_clone(pid, pidfd).unwrap().1), 9);
    }
}
