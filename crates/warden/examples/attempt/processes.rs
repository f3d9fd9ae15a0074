//! Reaching processes outside.

use crate::{Attempt, Outcome, beyond, call, given};
use std::io;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("see-a-process", see),
    ("signal-a-process", signal),
    ("trace-a-process", trace),
    ("read-the-memory-of-a-process", read_memory),
    ("open-the-memory-of-a-process", || open("mem")),
    ("read-the-environment-of-a-process", || read("environ")),
    ("read-the-arguments-of-a-process", || read("cmdline")),
    ("look-through-the-root-of-a-process", root),
    ("look-through-the-directory-of-a-process", directory),
    ("list-the-files-of-a-process", list_files),
    ("hold-a-process", hold),
    ("take-a-file-of-a-process", take_file),
    ("enter-the-network-of-a-process", || {
        enter("net", libc::CLONE_NEWNET)
    }),
    ("enter-the-names-of-a-process", || {
        enter("uts", libc::CLONE_NEWUTS)
    }),
    ("slow-a-process-down", slow_down),
    ("bind-a-process-to-a-processor", bind),
    ("limit-a-process", limit),
    ("open-the-program-of-the-init", || {
        std::fs::read("/proc/1/exe").map(drop)
    }),
];

fn outsider() -> io::Result<libc::pid_t> {
    given("OUTSIDER")?.parse().map_err(io::Error::other)
}

fn number() -> io::Result<usize> {
    usize::try_from(outsider()?).map_err(io::Error::other)
}

fn checked(result: libc::c_int) -> Outcome {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn see() -> Outcome {
    let wanted = given("OUTSIDER")?;
    for entry in std::fs::read_dir("/proc")? {
        if entry?.file_name().to_string_lossy() == wanted {
            let arguments = std::fs::read_to_string(format!("/proc/{wanted}/cmdline"))?;
            if arguments.contains(&given("OUTSIDER_ARGUMENT")?) {
                return Ok(());
            }
        }
    }
    Err(io::Error::other("it is not seen"))
}

fn signal() -> Outcome {
    // SAFETY: no memory is involved.
    checked(unsafe { libc::kill(outsider()?, 0) })
}

fn trace() -> Outcome {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: seizing takes neither address nor data.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, outsider()?, none, none) };
    if seized < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn read_memory() -> Outcome {
    let mut byte = 0_u8;
    let local = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // No program has its first page mapped: the fault is met after the rights were looked at.
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(16),
        iov_len: 1,
    };
    // SAFETY: both vectors are one entry long; ours points to a byte.
    let read = unsafe {
        libc::process_vm_readv(outsider()?, &raw const local, 1, &raw const remote, 1, 0)
    };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error());
    beyond(read, &[libc::EFAULT])
}

/// The outsider is known by its argument: a number alone can be that of somebody inside.
fn known() -> io::Result<String> {
    let path = format!("/proc/{}", outsider()?);
    let arguments = std::fs::read_to_string(format!("{path}/cmdline"))?;
    if arguments.contains(&given("OUTSIDER_ARGUMENT")?) {
        Ok(path)
    } else {
        Err(io::Error::other("that is somebody else"))
    }
}

fn open(file: &str) -> Outcome {
    std::fs::File::open(format!("{}/{file}", known()?)).map(drop)
}

fn read(file: &str) -> Outcome {
    std::fs::read(format!("{}/{file}", known()?)).map(drop)
}

fn root() -> Outcome {
    let secret = given("SECRET_FILE")?;
    std::fs::read(format!("{}/root{secret}", known()?)).map(drop)
}

fn directory() -> Outcome {
    std::fs::read_dir(format!("{}/cwd/", known()?)).map(drop)
}

fn list_files() -> Outcome {
    std::fs::read_link(format!("{}/fd/0", known()?)).map(drop)
}

fn pidfd() -> io::Result<usize> {
    // SAFETY: a number and flags.
    unsafe { call(libc::SYS_pidfd_open, [number()?, 0, 0, 0, 0]) }
}

fn hold() -> Outcome {
    pidfd().map(drop)
}

fn take_file() -> Outcome {
    let holder = pidfd()?;
    // SAFETY: two numbers and flags.
    unsafe { call(libc::SYS_pidfd_getfd, [holder, 0, 0, 0, 0]) }.map(drop)
}

fn enter(kind: &str, flag: libc::c_int) -> Outcome {
    use std::os::fd::AsRawFd as _;
    let file = std::fs::File::open(format!("{}/ns/{kind}", known()?))?;
    // SAFETY: the descriptor is open.
    checked(unsafe { libc::setns(file.as_raw_fd(), flag) })
}

fn slow_down() -> Outcome {
    // SAFETY: numbers only; the type of the first differs between C libraries.
    unsafe { call(libc::SYS_setpriority, [0, number()?, 1, 0, 0]) }.map(drop)
}

fn bind() -> Outcome {
    let mask = [u64::MAX; 16];
    let mask = (
        std::mem::size_of_val(&mask),
        mask.as_ptr().expose_provenance(),
    );
    // SAFETY: the mask lives as long as the call and is as long as is said.
    unsafe {
        call(
            libc::SYS_sched_setaffinity,
            [number()?, mask.0, mask.1, 0, 0],
        )
    }
    .map(drop)
}

fn limit() -> Outcome {
    let mut old = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the old limit has room; none is set.
    checked(unsafe {
        libc::prlimit(
            outsider()?,
            libc::RLIMIT_NOFILE,
            std::ptr::null(),
            &raw mut old,
        )
    })
}
