//! Using calls of the kernel that are for its administrator, or that have been ways out before.

use crate::{Attempt, Outcome, beyond, call};
use std::io;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("load-a-module", load_module),
    ("load-a-module-from-a-file", load_module_file),
    ("remove-a-module", remove_module),
    ("load-another-kernel", load_kernel),
    ("restart-the-machine", restart),
    ("load-a-program-into-the-kernel", load_program),
    ("count-events-of-all", count_events),
    ("handle-faults", || plain(libc::SYS_userfaultfd, [0; 5])),
    ("submit-by-rings", submit_by_rings),
    ("add-a-key", add_key),
    ("read-a-keyring", read_keyring),
    ("ask-for-a-key", ask_for_key),
    ("make-a-user-namespace", || unshare(libc::CLONE_NEWUSER)),
    ("make-a-mount-namespace", || unshare(libc::CLONE_NEWNS)),
    ("make-a-network-namespace", || unshare(libc::CLONE_NEWNET)),
    ("make-a-group-namespace", || unshare(libc::CLONE_NEWCGROUP)),
    ("start-a-process-in-a-user-namespace", clone_user),
    ("set-the-clock", set_clock),
    ("read-the-log-of-the-kernel", read_log),
    ("account-for-processes", account),
    ("swap-to-a-file", swap_on),
    ("stop-swapping", swap_off),
    ("set-quotas", quotas),
    ("watch-all-files", || plain(libc::SYS_fanotify_init, [0; 5])),
    ("hang-up-terminals", || plain(libc::SYS_vhangup, [0; 5])),
    ("place-addresses-predictably", personality),
    ("move-pages", move_pages),
    ("use-ports-of-the-machine", ports),
];

fn plain(number: libc::c_long, arguments: [usize; 5]) -> Outcome {
    // SAFETY: the lists above give only numbers here.
    unsafe { call(number, arguments) }.map(drop)
}

fn at(text: &std::ffi::CStr) -> usize {
    text.as_ptr().expose_provenance()
}

fn load_module() -> Outcome {
    let image = [0_u8; 64];
    let arguments = [
        image.as_ptr().expose_provenance(),
        image.len(),
        at(c""),
        0,
        0,
    ];
    // SAFETY: an image that is none, as long as is said.
    beyond(
        unsafe { call(libc::SYS_init_module, arguments) },
        &[libc::ENOEXEC],
    )
}

fn load_module_file() -> Outcome {
    // SAFETY: a descriptor that is not open, a terminated text.
    let loaded = unsafe { call(libc::SYS_finit_module, [usize::MAX, at(c""), 0, 0, 0]) };
    beyond(loaded, &[libc::EBADF])
}

fn remove_module() -> Outcome {
    // SAFETY: a terminated text.
    let removed = unsafe { call(libc::SYS_delete_module, [at(c"mezz-none"), 0, 0, 0, 0]) };
    beyond(removed, &[libc::ENOENT])
}

fn load_kernel() -> Outcome {
    // SAFETY: no segments; an unknown flag is refused after the rights are looked at.
    let loaded = unsafe { call(libc::SYS_kexec_load, [0, 0, 0, 0x8000, 0]) };
    beyond(loaded, &[libc::EINVAL])
}

fn restart() -> Outcome {
    // SAFETY: numbers that are not those of a restart are refused after the rights are looked at.
    beyond(
        unsafe { call(libc::SYS_reboot, [1, 2, 3, 0, 0]) },
        &[libc::EINVAL],
    )
}

fn load_program() -> Outcome {
    const MAP_CREATE: usize = 0;
    // An array of one entry with keys and values of four bytes.
    let wanted = [2_u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let arguments = [
        MAP_CREATE,
        wanted.as_ptr().expose_provenance(),
        std::mem::size_of_val(&wanted),
        0,
        0,
    ];
    // SAFETY: the attributes are as long as is said.
    unsafe { call(libc::SYS_bpf, arguments) }.map(drop)
}

fn count_events() -> Outcome {
    const ATTRIBUTES_BYTES: u32 = 64;
    // A software clock, on the first processor, of all processes.
    let mut attributes = [0_u32; 16];
    attributes[..2].copy_from_slice(&[1, ATTRIBUTES_BYTES]);
    let arguments = [
        attributes.as_ptr().expose_provenance(),
        usize::MAX,
        0,
        usize::MAX,
        0,
    ];
    // SAFETY: the attributes say their own length.
    unsafe { call(libc::SYS_perf_event_open, arguments) }.map(drop)
}

fn submit_by_rings() -> Outcome {
    let mut parameters = [0_u32; 30];
    let arguments = [1, parameters.as_mut_ptr().expose_provenance(), 0, 0, 0];
    // SAFETY: the parameters have the room that the call fills.
    unsafe { call(libc::SYS_io_uring_setup, arguments) }.map(drop)
}

const OWN_KEYRING: usize = (-2_isize).cast_unsigned();

fn add_key() -> Outcome {
    let arguments = [at(c"user"), at(c"mezz-attempt"), at(c"x"), 1, OWN_KEYRING];
    // SAFETY: terminated texts, and a payload of one byte.
    unsafe { call(libc::SYS_add_key, arguments) }.map(drop)
}

fn read_keyring() -> Outcome {
    const GET_KEYRING_ID: usize = 0;
    plain(libc::SYS_keyctl, [GET_KEYRING_ID, OWN_KEYRING, 1, 0, 0])
}

fn ask_for_key() -> Outcome {
    let arguments = [at(c"user"), at(c"mezz-nobody-has-it"), 0, 0, 0];
    // SAFETY: terminated texts.
    beyond(
        unsafe { call(libc::SYS_request_key, arguments) },
        &[libc::ENOKEY],
    )
}

fn unshare(flag: i32) -> Outcome {
    // SAFETY: numbers only.
    match unsafe { libc::unshare(flag) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// By the call whose arguments a filter cannot see.
fn clone_user() -> Outcome {
    let arguments = [
        libc::CLONE_NEWUSER.cast_unsigned().into(),
        0,
        0,
        0,
        libc::SIGCHLD.cast_unsigned().into(),
        0,
        0,
        0_u64,
    ];
    let (at, bytes) = (
        arguments.as_ptr().expose_provenance(),
        std::mem::size_of_val(&arguments),
    );
    // SAFETY: like a fork: no stack is given; the child ends at once.
    match unsafe { call(libc::SYS_clone3, [at, bytes, 0, 0, 0]) }? {
        // SAFETY: the child has nothing to clean up.
        0 => unsafe { libc::_exit(0) },
        _ => Ok(()),
    }
}

/// To what it is.
fn set_clock() -> Outcome {
    // SAFETY: all zero is a question.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is the kernel's.
    if unsafe { libc::adjtimex(&raw mut clock) } < 0 {
        return Err(io::Error::last_os_error());
    }
    clock.modes = libc::ADJ_TICK;
    // SAFETY: as above.
    match unsafe { libc::adjtimex(&raw mut clock) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn read_log() -> Outcome {
    const READ_ALL: usize = 3;
    let mut room = [0_u8; 64];
    let arguments = [
        READ_ALL,
        room.as_mut_ptr().expose_provenance(),
        room.len(),
        0,
        0,
    ];
    // SAFETY: the room is as long as is said.
    unsafe { call(libc::SYS_syslog, arguments) }.map(drop)
}

fn account() -> Outcome {
    // SAFETY: a terminated text.
    let set = unsafe { call(libc::SYS_acct, [at(c"/nowhere/at/all"), 0, 0, 0, 0]) };
    beyond(set, &[libc::ENOENT])
}

fn swap_on() -> Outcome {
    // SAFETY: a terminated text.
    let set = unsafe { call(libc::SYS_swapon, [at(c"/nowhere/at/all"), 0, 0, 0, 0]) };
    beyond(set, &[libc::ENOENT])
}

fn swap_off() -> Outcome {
    // SAFETY: a terminated text.
    let set = unsafe { call(libc::SYS_swapoff, [at(c"/nowhere/at/all"), 0, 0, 0, 0]) };
    beyond(set, &[libc::ENOENT])
}

/// Turns the quotas of a device off that there is not.
fn quotas() -> Outcome {
    const QUOTAS_OFF: usize = 0x0080_0003 << 8;
    // SAFETY: a terminated text.
    let set = unsafe { call(libc::SYS_quotactl, [QUOTAS_OFF, at(c"/dev/null"), 0, 0, 0]) };
    beyond(set, &[libc::ENOTBLK, libc::ENODEV])
}

fn personality() -> Outcome {
    const ADDR_NO_RANDOMIZE: usize = 0x0004_0000;
    plain(libc::SYS_personality, [ADDR_NO_RANDOMIZE, 0, 0, 0, 0])
}

fn move_pages() -> Outcome {
    // Of none, in this process.
    plain(libc::SYS_move_pages, [0, 0, 0, 0, 0])
}

fn ports() -> Outcome {
    #[cfg(target_arch = "x86_64")]
    return plain(libc::SYS_iopl, [3, 0, 0, 0, 0]);
    #[cfg(not(target_arch = "x86_64"))]
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}
