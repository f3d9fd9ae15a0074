//! Sets a child apart: users, cgroups, namespaces, mounts, host name, network. All of it before the user switch.
//!
//! Async-signal-safe; must never allocate, and never touch anything of the warden but the report slot.

use crate::child::{ChildPlan, join_cgroups};
use crate::child_mounts::{MountRoom, mount_all};
use crate::kernel_calls::close;
use crate::protocol::LaunchStep;
use mezz_launch_plan::isolation::{GroupChanges, Isolation, NamespaceKind};
use std::ffi::{c_int, c_ulong};
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;

/// What the child needs to be set apart.
#[derive(Debug)]
pub(crate) struct ChildIsolation {
    pub(crate) plan: *const Isolation,
    /// Closes when the ids of a user namespace have been written; -1 without.
    /// Both ends of a pipe that the warden closes when the ids of a user namespace have been written; -1 without.
    pub(crate) gate: [RawFd; 2],
    /// Namespaces to join, but for that of process ids.
    pub(crate) joins: *const Join,
    pub(crate) join_count: usize,
    pub(crate) mounts: MountRoom,
}

/// A namespace to join.
#[derive(Debug)]
pub(crate) struct Join {
    /// A pidfd, or -1.
    pub(crate) fd: RawFd,
    /// The file of the namespace, where there is no pidfd.
    pub(crate) path: *const libc::c_char,
    /// The kernel's flag of its kind, or of several behind one pidfd.
    pub(crate) flags: c_int,
}

fn errno() -> c_int {
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

/// Answers with an error number, or 0.
///
/// # Safety
/// All pointers in the plan are valid, and this process has memory of its own.
pub(crate) unsafe fn set_apart(child: &ChildPlan, isolation: &ChildIsolation) -> c_int {
    // SAFETY: by the contract of this function; all calls are async-signal-safe.
    unsafe {
        let plan = &*isolation.plan;
        let slot = &*child.slot;
        let step = |step: LaunchStep| slot.step.store(step.number().into(), Ordering::Release);
        if isolation.gate[0] >= 0 {
            step(LaunchStep::UserMap);
            let result = become_root_inside(plan, isolation.gate);
            if result != 0 {
                return result;
            }
        }
        // Until it executes its program, nobody in the container may look into what is a part of the warden still.
        let no: c_ulong = 0;
        checked!(libc::prctl(libc::PR_SET_DUMPABLE, no, no, no, no));
        step(LaunchStep::JoinCgroup);
        let result = join_cgroups(child);
        if result != 0 {
            return result;
        }
        step(LaunchStep::Namespaces);
        let result = join(isolation);
        if result != 0 {
            return result;
        }
        if plan.makes(NamespaceKind::Cgroup) {
            checked!(libc::unshare(libc::CLONE_NEWCGROUP));
        }
        if plan.makes(NamespaceKind::Mount) {
            step(LaunchStep::Mounts);
            let at = |index: usize| {
                let index = u32::try_from(index).unwrap_or(u32::MAX);
                slot.detail.store(index, Ordering::Release);
            };
            let result = mount_all(plan, isolation.mounts, at);
            if result != 0 {
                return result;
            }
        }
        if let Some(name) = &plan.hostname {
            step(LaunchStep::Hostname);
            checked!(libc::sethostname(name.as_ptr(), name.as_bytes().len()));
        }
        if plan.makes(NamespaceKind::Network) {
            step(LaunchStep::Network);
            return raise_loopback();
        }
        0
    }
}

/// Waits for the ids, and takes the first of them.
unsafe fn become_root_inside(plan: &Isolation, [gate, other]: [RawFd; 2]) -> c_int {
    let mut nothing = 0u8;
    // SAFETY: the byte is valid for writes; nobody ever writes one, the end is what is waited for.
    unsafe {
        libc::close(other);
        loop {
            let read = libc::read(gate, (&raw mut nothing).cast(), 1);
            if read == 0 {
                break;
            }
            if errno() != libc::EINTR {
                return errno();
            }
        }
        libc::close(gate);
        let Some(users) = &plan.users else { return 0 };
        if users.groups == GroupChanges::Allowed {
            checked!(libc::syscall(
                libc::SYS_setgroups,
                0,
                std::ptr::null::<u32>()
            ));
        }
        if users.gids.iter().any(|range| range.inside == 0) {
            checked!(libc::syscall(libc::SYS_setresgid, 0, 0, 0));
        }
        if users.uids.iter().any(|range| range.inside == 0) {
            checked!(libc::syscall(libc::SYS_setresuid, 0, 0, 0));
        }
    }
    0
}

unsafe fn join(isolation: &ChildIsolation) -> c_int {
    // SAFETY: by the contract of set_apart.
    unsafe {
        for index in 0..isolation.join_count {
            let join = &*isolation.joins.add(index);
            if join.fd >= 0 {
                checked!(libc::setns(join.fd, join.flags));
                continue;
            }
            let file = libc::open(join.path, libc::O_RDONLY | libc::O_CLOEXEC);
            checked!(file);
            checked!(libc::setns(file, join.flags));
            close(file);
        }
    }
    0
}

/// The one device of a new network, which is down.
unsafe fn raise_loopback() -> c_int {
    // SAFETY: a plain C struct for which all-zero bytes are valid; the name fits with its NUL.
    unsafe {
        let mut request = std::mem::zeroed::<libc::ifreq>();
        for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
            *to = (*from).cast_signed();
        }
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP).unwrap_or(1);
        let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        checked!(socket);
        checked!(libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request));
        close(socket);
    }
    0
}
