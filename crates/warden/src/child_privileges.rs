//! What a child may do: capabilities, new privileges, system calls.
//!
//! Async-signal-safe; must never allocate.

use mezz_launch_plan::isolation::{Capabilities, PrivilegeGrowth, Privileges, RootRule};
use mezz_launch_plan::seccomp::Instruction;
use mezz_launch_plan::{Capability, CapabilitySet};
use std::ffi::{c_int, c_ulong};

const SECBIT_NOROOT: c_ulong = 0x1;
const SECBIT_NOROOT_LOCKED: c_ulong = 0x2;
const LAST_CAPABILITY: c_ulong = 63;
const SECCOMP_SET_MODE_FILTER: c_int = 1;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

#[repr(C)]
struct FilterProgram {
    length: u16,
    filter: *const Instruction,
}

fn errno() -> c_int {
    // SAFETY: the location is valid in every thread.
    unsafe { *libc::__errno_location() }
}

/// What of a plan's calls with numbers only can fail.
fn control(option: c_int, first: c_ulong, second: c_ulong) -> c_int {
    // SAFETY: none of the options that are used here takes a pointer.
    unsafe { libc::prctl(option, first, second, 0, 0) }
}

/// What must happen while this process is still whoever made it: the bounding set can only shrink, and what another
/// user shall have must be kept over the switch. Answers with an error number or 0.
pub(crate) fn before_switch(sets: &Capabilities) -> c_int {
    if sets.root == RootRule::Plain
        && control(
            libc::PR_SET_SECUREBITS,
            SECBIT_NOROOT | SECBIT_NOROOT_LOCKED,
            0,
        ) < 0
    {
        return errno();
    }
    for number in 0..=LAST_CAPABILITY {
        if sets.bounding.0 >> number & 1 == 1 {
            continue;
        }
        match control(libc::PR_CAPBSET_READ, number, 0) {
            0 => {}
            1 => {
                if control(libc::PR_CAPBSET_DROP, number, 0) < 0 {
                    return errno();
                }
            }
            // The kernel knows no more.
            _ => break,
        }
    }
    if control(libc::PR_SET_KEEPCAPS, 1, 0) < 0 {
        return errno();
    }
    0
}

/// What the program shall have, and what the filter needs until it is in place. Answers with an error number or 0.
pub(crate) fn after_switch(privileges: &Privileges, sets: &Capabilities) -> c_int {
    let kept = if filter_needs_privilege(privileges) {
        sets.effective.with(Capability::SYS_ADMIN.into())
    } else {
        sets.effective
    };
    let result = set_capabilities(sets.effective, kept, sets.effective);
    if result != 0 {
        return result;
    }
    let (raise, clear) = (
        c_ulong::try_from(libc::PR_CAP_AMBIENT_RAISE).unwrap_or(2),
        c_ulong::try_from(libc::PR_CAP_AMBIENT_CLEAR_ALL).unwrap_or(4),
    );
    if control(libc::PR_CAP_AMBIENT, clear, 0) < 0 {
        return errno();
    }
    for number in 0..=LAST_CAPABILITY {
        let wanted = sets.effective.0 >> number & 1 == 1;
        if wanted && control(libc::PR_CAP_AMBIENT, raise, number) < 0 {
            return errno();
        }
    }
    0
}

/// The last before the program: no new privileges, and the filter. Answers with an error number or 0.
pub(crate) fn restrict(privileges: &Privileges) -> c_int {
    if privileges.growth == PrivilegeGrowth::Never && control(libc::PR_SET_NO_NEW_PRIVS, 1, 0) < 0 {
        return errno();
    }
    if privileges.seccomp.is_empty() {
        return 0;
    }
    let sets = privileges
        .capabilities
        .as_ref()
        .filter(|_| filter_needs_privilege(privileges));
    let admin = CapabilitySet::from(Capability::SYS_ADMIN);
    if let Some(sets) = sets {
        let more = sets.effective.with(admin);
        let result = set_capabilities(more, more, sets.effective);
        if result != 0 {
            return result;
        }
    }
    let program = FilterProgram {
        length: u16::try_from(privileges.seccomp.len()).unwrap_or(0),
        filter: privileges.seccomp.as_ptr(),
    };
    // SAFETY: the instructions outlive the call, which copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    if result < 0 {
        return errno();
    }
    match sets {
        Some(sets) => set_capabilities(sets.effective, sets.effective, sets.effective),
        None => 0,
    }
}

/// The kernel takes a filter from a process that can gain nothing more, or from a privileged one.
fn filter_needs_privilege(privileges: &Privileges) -> bool {
    !privileges.seccomp.is_empty() && privileges.growth == PrivilegeGrowth::Allowed
}

fn set_capabilities(
    effective: CapabilitySet,
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
) -> c_int {
    /// `_LINUX_CAPABILITY_VERSION_3`
    const VERSION: u32 = 0x2008_0522;
    let header = CapabilityHeader {
        version: VERSION,
        pid: 0,
    };
    let half = |set: CapabilitySet, shift: u32| {
        u32::try_from(set.0 >> shift & u64::from(u32::MAX)).unwrap_or(0)
    };
    let data = [0, 32].map(|shift| CapabilityData {
        effective: half(effective, shift),
        permitted: half(permitted, shift),
        inheritable: half(inheritable, shift),
    });
    // SAFETY: both structures are valid for reads, and of the version that they say.
    if unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) } < 0 {
        return errno();
    }
    0
}
