//! Pid 1 of a container's pid namespace: it starts the program, passes signals on, reaps, and reports how the
//! program ended. When it ends, the kernel kills everything that is left.
//!
//! Async-signal-safe like everything between clone and exec; must never allocate.

use crate::child::ChildPlan;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where the heap of the warden begins; 0 until that is known.
static HEAP: AtomicUsize = AtomicUsize::new(0);

/// Finds out what an init can give back. Once, at the start of a warden.
pub(crate) fn remember_heap() {
    /// `start_brk` in proc_pid_stat(5), counted after the name.
    const START: usize = 44;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let start = fields
        .split(' ')
        .nth(START)
        .and_then(|start| start.parse().ok());
    HEAP.store(start.unwrap_or(0), Ordering::Relaxed);
}

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
        let status = plan.init_status;
        close_all_but(status);
        give_back_heap();
        serve(i32::try_from(program).unwrap_or(-1), status)
    }
}

/// An init lives as long as its container and uses its stack alone: of the copy of the warden that it is, the heap is
/// nearly all that would stay its own, 50 KiB and more.
unsafe fn give_back_heap() {
    const PAGE: usize = 4096;
    let start = HEAP.load(Ordering::Relaxed);
    // SAFETY: asking for the end of the heap; then giving back pages of it, which nobody reads from here on.
    unsafe {
        let end = usize::try_from(libc::syscall(libc::SYS_brk, 0)).unwrap_or(0);
        if start > 0 && start < end {
            let first = start.next_multiple_of(PAGE);
            let length = end.saturating_sub(first);
            libc::syscall(libc::SYS_madvise, first, length, libc::MADV_DONTNEED);
        }
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
