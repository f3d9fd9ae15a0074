//! Gaining privileges, or using those that a container's root has not.

use crate::{Attempt, Outcome, beyond, call, given};
use std::ffi::CString;
use std::io;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("gain-by-a-program-with-the-bit", by_program),
    ("become-root", || {
        // SAFETY: numbers only.
        unsafe { call(libc::SYS_setuid, [0; 5]) }.map(drop)
    }),
    ("take-a-group", take_group),
    ("take-capabilities", take_capabilities),
    ("keep-capabilities-for-programs", raise_ambient),
    ("give-a-file-away", || {
        std::os::unix::fs::chown(own_file("given")?, Some(1), Some(1))
    }),
    ("read-a-file-of-somebody-else", || {
        std::fs::read(given("CLOSED_FILE")?).map(drop)
    }),
    ("change-the-mode-of-a-file-of-somebody-else", || {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(given("CLOSED_FILE")?, PermissionsExt::from_mode(0o600))
    }),
    ("give-a-file-capabilities", give_capabilities),
    ("make-a-file-immutable", make_immutable),
    ("raise-a-limit", raise_limit),
    ("go-before-others", || {
        let nicer = (-5_isize).cast_unsigned();
        // SAFETY: numbers only: this process, nice -5.
        unsafe { call(libc::SYS_setpriority, [0, 0, nicer, 0, 0]) }.map(drop)
    }),
    ("be-scheduled-in-real-time", real_time),
    ("be-spared-when-memory-is-short", || {
        std::fs::write("/proc/self/oom_score_adj", "-900")
    }),
    ("move-the-end-of-the-heap", move_heap),
    ("lock-memory-without-end", lock_memory),
];

/// A file of one's own in the sandbox.
fn own_file(name: &str) -> io::Result<String> {
    std::fs::write(name, "")?;
    Ok(name.to_owned())
}

fn by_program() -> Outcome {
    let output = std::process::Command::new(given("PROGRAM_WITH_BIT")?)
        .arg("-u")
        .output()?;
    if output.stdout.starts_with(b"0\n") {
        Ok(())
    } else {
        Err(io::Error::other(
            String::from_utf8_lossy(&output.stdout).into_owned(),
        ))
    }
}

fn take_group() -> Outcome {
    let groups = [0_u32, 4242];
    // SAFETY: the list is as long as is said.
    unsafe {
        call(
            libc::SYS_setgroups,
            [2, groups.as_ptr().expose_provenance(), 0, 0, 0],
        )
    }
    .map(drop)
}

fn take_capabilities() -> Outcome {
    let header = [0x2008_0522_u32, 0];
    // Effective, permitted, inheritable, twice.
    let all = [u32::MAX, u32::MAX, 0, 0x1ff, 0x1ff, 0];
    let (header, all) = (
        header.as_ptr().expose_provenance(),
        all.as_ptr().expose_provenance(),
    );
    // SAFETY: a header of version 3 and its two triples.
    unsafe { call(libc::SYS_capset, [header, all, 0, 0, 0]) }.map(drop)
}

fn raise_ambient() -> Outcome {
    const CAP_SYS_ADMIN: usize = 21;
    let header = [0x2008_0522_u32, 0];
    let mut data = [0_u32; 6];
    let at = header.as_ptr().expose_provenance();
    // SAFETY: a header of version 3 and room for its two triples.
    unsafe {
        call(
            libc::SYS_capget,
            [at, data.as_mut_ptr().expose_provenance(), 0, 0, 0],
        )
    }?;
    data[2] |= 1 << CAP_SYS_ADMIN;
    // SAFETY: as above.
    unsafe {
        call(
            libc::SYS_capset,
            [at, data.as_ptr().expose_provenance(), 0, 0, 0],
        )
    }?;
    let raise = [
        libc::PR_CAP_AMBIENT.cast_unsigned() as usize,
        libc::PR_CAP_AMBIENT_RAISE.cast_unsigned() as usize,
        CAP_SYS_ADMIN,
        0,
        0,
    ];
    // SAFETY: numbers only.
    unsafe { call(libc::SYS_prctl, raise) }.map(drop)
}

fn give_capabilities() -> Outcome {
    let path = CString::new(own_file("capable")?).map_err(io::Error::other)?;
    // Version 2, effective; CAP_SYS_ADMIN permitted.
    let value = [0x0200_0001_u32, 1 << 21, 0, 0, 0];
    let name = c"security.capability";
    let arguments = [
        path.as_ptr().expose_provenance(),
        name.as_ptr().expose_provenance(),
        value.as_ptr().expose_provenance(),
        std::mem::size_of_val(&value),
        0,
    ];
    // SAFETY: two terminated texts and a value as long as is said.
    unsafe { call(libc::SYS_setxattr, arguments) }.map(drop)
}

/// Sets the flag and takes it away again.
fn make_immutable() -> Outcome {
    use std::os::fd::AsRawFd as _;
    const IMMUTABLE: libc::c_long = 0x10;
    let file = std::fs::File::open(own_file("immutable")?)?;
    let mut flags: libc::c_long = 0;
    let mut set = |order, change: &dyn Fn(&mut libc::c_long)| {
        change(&mut flags);
        // SAFETY: the kernel reads and writes no more than a long.
        match unsafe { libc::ioctl(file.as_raw_fd(), order, &raw mut flags) } {
            0.. => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    set(libc::FS_IOC_GETFLAGS, &|_| ())?;
    set(libc::FS_IOC_SETFLAGS, &|flags| *flags |= IMMUTABLE)?;
    set(libc::FS_IOC_SETFLAGS, &|flags| *flags &= !IMMUTABLE)
}

fn raise_limit() -> Outcome {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit has room.
    unsafe { libc::getrlimit(libc::RLIMIT_RTPRIO, &raw mut limit) };
    limit.rlim_max += 1;
    // SAFETY: the limit is filled in.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_RTPRIO, &raw const limit) };
    if set < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn real_time() -> Outcome {
    let priority = 1_i32;
    let policy = libc::SCHED_RR.cast_unsigned() as usize;
    let arguments = [0, policy, (&raw const priority).expose_provenance(), 0, 0];
    // SAFETY: the parameter is one number.
    unsafe { call(libc::SYS_sched_setscheduler, arguments) }.map(drop)
}

fn move_heap() -> Outcome {
    const PR_SET_MM: usize = 35;
    const PR_SET_MM_BRK: usize = 7;
    // SAFETY: numbers only; an address that cannot be the heap's end is refused after the rights are looked at.
    let moved = unsafe { call(libc::SYS_prctl, [PR_SET_MM, PR_SET_MM_BRK, 1, 0, 0]) };
    beyond(moved, &[libc::EINVAL])
}

fn lock_memory() -> Outcome {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the limit is filled in; lowering is always allowed.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const none) };
    let page = vec![0_u8; 8192];
    // SAFETY: the range is ours.
    let locked = unsafe { libc::mlock(page.as_ptr().cast(), page.len()) };
    if locked < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
