//! Pid 1 of a container's pid namespace: it starts the program, passes signals on, reaps, and reports how the
//! program ended. When it ends, the kernel kills everything that is left.
//!
//! Async-signal-safe like everything between clone and exec; must never allocate.

use crate::child::ChildPlan;
use std::ffi::c_void;

/// Returns in the child that is to execute the program; stays here as init in the other.
///
/// # Safety
/// `plan` must be valid, and this process the first of a pid namespace.
pub(crate) unsafe fn become_init(plan: &ChildPlan) {
    // SAFETY: a fork of a process with one thread, then only async-signal-safe calls.
    unsafe {
        let program = libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
        if program == 0 {
            libc::close(plan.init_status);
            return;
        }
        if program < 0 {
            let errno = *libc::__errno_location();
            (*plan.slot)
                .errno
                .store(errno.unsigned_abs(), std::sync::atomic::Ordering::Release);
            libc::syscall(libc::SYS_exit_group, 127);
        }
        libc::syscall(libc::SYS_setsid);
        close_all_but(plan.init_status);
        serve(i32::try_from(program).unwrap_or(-1), plan.init_status)
    }
}

/// The init never executes a program: whatever it kept open, it would keep open for the life of the container.
unsafe fn close_all_but(kept: i32) {
    // SAFETY: closing descriptors of this process, which uses none but the one kept.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, kept - 1, 0);
        libc::syscall(libc::SYS_close_range, kept + 1, u32::MAX, 0);
    }
}

unsafe fn serve(program: i32, status_pipe: i32) -> ! {
    // SAFETY: all signals are blocked, as inherited; the set and the information are plain structs.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        loop {
            reap(program, status_pipe);
            let mut info = std::mem::zeroed::<libc::siginfo_t>();
            let none = std::ptr::null::<c_void>();
            let signal = libc::syscall(
                libc::SYS_rt_sigtimedwait,
                &raw const all,
                &raw mut info,
                none,
                8,
            );
            if signal > 0 && signal != i64::from(libc::SIGCHLD) {
                libc::syscall(libc::SYS_kill, program, signal);
            }
        }
    }
}

/// Takes every ended child; ends itself with the program.
unsafe fn reap(program: i32, status_pipe: i32) {
    // SAFETY: the status is valid for writes; the pipe is ours.
    unsafe {
        loop {
            let mut status = 0i32;
            let pid = libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL);
            if pid <= 0 {
                return;
            }
            if pid == program {
                libc::write(status_pipe, (&raw const status).cast(), 4);
                // For a warden that was not there to make the pipe.
                let code = if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    128 + libc::WTERMSIG(status)
                };
                libc::syscall(libc::SYS_exit_group, code);
            }
        }
    }
}
