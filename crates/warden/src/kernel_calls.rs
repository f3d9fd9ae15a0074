//! System calls of namespaces and mounts that libc does not wrap, for what runs between clone and exec.
//!
//! Each answers with its result, or with the negative error number. Async-signal-safe; must never allocate.

use std::ffi::{CStr, c_int};
use std::os::fd::RawFd;

pub(crate) const OPEN_TREE_CLONE: u32 = 1;
pub(crate) const RECURSIVE: u32 = 0x8000;
const CLOEXEC: u32 = 0o2_000_000;
const EMPTY_PATH: u32 = 0x1000;
const RESOLVE_IN_ROOT: u64 = 0x10;
const MOVE_FROM_EMPTY: u32 = 0x4;
const MOVE_TO_EMPTY: u32 = 0x40;
const FSMOUNT_CLOEXEC: u32 = 1;
const FSOPEN_CLOEXEC: u32 = 1;
const SET_FLAG: u32 = 0;
const SET_STRING: u32 = 1;
const CREATE: u32 = 6;

/// The result of a system call, or its negative error number.
macro_rules! call {
    ($($argument:expr),+) => {{
        // SAFETY: the callers of these wrappers give valid pointers, and each wrapper passes what its call takes.
        let result = unsafe { libc::syscall($($argument),+) };
        if result < 0 {
            // SAFETY: the location is valid in every thread.
            -unsafe { *libc::__errno_location() }
        } else {
            // Descriptors and zero: they fit.
            c_int::try_from(result).unwrap_or(c_int::MAX)
        }
    }};
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Opens a path for naming it only, with `base` as the root that no link leads out of.
pub(crate) fn open_in_root(base: RawFd, path: *const libc::c_char, flags: c_int) -> c_int {
    let how = OpenHow {
        flags: u64::from((libc::O_PATH | libc::O_CLOEXEC | flags).unsigned_abs()),
        mode: 0,
        resolve: RESOLVE_IN_ROOT,
    };
    // A mount or rename anywhere on the host makes the kernel unsure whether a `..` still leads inside.
    let mut tries = 0;
    loop {
        let found = call!(
            libc::SYS_openat2,
            base,
            path,
            &raw const how,
            size_of::<OpenHow>()
        );
        tries += 1;
        if found != -libc::EAGAIN || tries > 1000 {
            return found;
        }
    }
}

/// A copy of the mount tree at what is open, attached nowhere.
pub(crate) fn clone_tree(fd: RawFd, flags: u32) -> c_int {
    let flags = OPEN_TREE_CLONE | CLOEXEC | EMPTY_PATH | flags;
    call!(libc::SYS_open_tree, fd, c"".as_ptr(), flags)
}

/// Attaches a mount that is attached nowhere to what is open.
pub(crate) fn attach(mount: RawFd, target: RawFd) -> c_int {
    call!(
        libc::SYS_move_mount,
        mount,
        c"".as_ptr(),
        target,
        c"".as_ptr(),
        MOVE_FROM_EMPTY | MOVE_TO_EMPTY
    )
}

/// Changes what holds for a mount, or for it and all below.
pub(crate) fn change(mount: RawFd, set: u32, propagation: u64, flags: u32) -> c_int {
    if set == 0 && propagation == 0 {
        return 0;
    }
    let attributes = MountAttr {
        set: set.into(),
        clear: 0,
        propagation,
        user_namespace: 0,
    };
    call!(
        libc::SYS_mount_setattr,
        mount,
        c"".as_ptr(),
        EMPTY_PATH | flags,
        &raw const attributes,
        size_of::<MountAttr>()
    )
}

/// Begins a new file system.
pub(crate) fn begin(kind: *const libc::c_char) -> c_int {
    call!(libc::SYS_fsopen, kind, FSOPEN_CLOEXEC)
}

/// Sets an option of a file system that was begun.
pub(crate) fn set(context: RawFd, key: *const libc::c_char, value: *const libc::c_char) -> c_int {
    call!(libc::SYS_fsconfig, context, SET_STRING, key, value, 0)
}

/// Sets an option given as `key=value`, or as `flag`.
pub(crate) fn set_option(context: RawFd, option: &CStr) -> c_int {
    const LONGEST_KEY: usize = 64;
    let bytes = option.to_bytes();
    let Some(equals) = bytes.iter().position(|byte| *byte == b'=') else {
        let none = std::ptr::null::<libc::c_char>();
        return call!(
            libc::SYS_fsconfig,
            context,
            SET_FLAG,
            option.as_ptr(),
            none,
            0
        );
    };
    if equals >= LONGEST_KEY {
        return -libc::EINVAL;
    }
    let mut key = [0u8; LONGEST_KEY];
    for (to, from) in key.iter_mut().zip(bytes).take(equals) {
        *to = *from;
    }
    // SAFETY: the value follows the sign within the same string, whose end is its end.
    let value = unsafe { option.as_ptr().add(equals + 1) };
    set(context, key.as_ptr().cast(), value)
}

/// Makes the file system that was begun, as a mount attached nowhere; closes what it was begun with.
pub(crate) fn finish(context: RawFd, attributes: u32) -> c_int {
    let none = std::ptr::null::<libc::c_char>();
    let mut result = call!(libc::SYS_fsconfig, context, CREATE, none, none, 0);
    if result >= 0 {
        result = call!(libc::SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
    }
    close(context);
    result
}

/// Makes the folder at hand the root, and lets go of what was.
pub(crate) fn pivot_here() -> c_int {
    let here = c".".as_ptr();
    let result = call!(libc::SYS_pivot_root, here, here);
    if result < 0 {
        return result;
    }
    let result = call!(libc::SYS_umount2, here, libc::MNT_DETACH);
    if result < 0 {
        return result;
    }
    call!(libc::SYS_chdir, c"/".as_ptr())
}

/// Closes a descriptor, if it is one.
pub(crate) fn close(fd: RawFd) {
    if fd >= 0 {
        let _ = call!(libc::SYS_close, fd);
    }
}

/// Who owns what is open, and of which kind it is: the mode, the user, the group.
pub(crate) fn status(fd: RawFd) -> Result<(u32, u32, u32), c_int> {
    // SAFETY: a plain C struct for which all-zero bytes are valid; fstat fills it.
    let mut found = unsafe { std::mem::zeroed::<libc::stat>() };
    // SAFETY: the struct is valid for writes.
    if unsafe { libc::fstat(fd, &raw mut found) } < 0 {
        // SAFETY: the location is valid in every thread.
        return Err(unsafe { *libc::__errno_location() });
    }
    Ok((found.st_mode, found.st_uid, found.st_gid))
}
