//! Reaching files and mounts that are not the container's.

use crate::{Attempt, Outcome, beyond, call, given};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;

pub(crate) const ATTEMPTS: &[Attempt] = &[
    ("read-a-file-of-the-host", || {
        std::fs::read(given("SECRET_FILE")?).map(drop)
    }),
    ("write-a-file-of-the-host", || write(&given("SECRET_FILE")?)),
    ("climb-out-of-the-sandbox", climb),
    ("follow-a-link-out-of-the-sandbox", follow),
    ("break-out-of-a-new-root", break_out),
    ("open-by-handle", open_by_handle),
    ("make-a-block-device", || {
        make_device(libc::S_IFBLK, libc::makedev(259, 0))
    }),
    ("make-a-character-device", || {
        make_device(libc::S_IFCHR, libc::makedev(1, 1))
    }),
    ("mount-a-file-system", || mount("none", "/tmp", "tmpfs", 0)),
    ("mount-a-process-list", || mount("proc", "/tmp", "proc", 0)),
    ("mount-a-folder-elsewhere", || {
        mount("/proc", "/tmp", "", libc::MS_BIND)
    }),
    ("make-a-read-only-mount-writable", || {
        mount("none", "volume", "", libc::MS_REMOUNT | libc::MS_BIND)
    }),
    ("change-the-propagation-of-mounts", || {
        mount("none", "/", "", libc::MS_SHARED | libc::MS_REC)
    }),
    ("mount-a-group-hierarchy", mount_groups),
    ("take-a-mount-away", || unmount("volume")),
    ("take-a-mask-away", || unmount("/proc/kcore")),
    ("swap-the-root", swap_root),
    ("open-a-file-system", open_file_system),
    ("copy-a-tree-of-mounts", copy_tree),
    ("change-attributes-of-a-mount", change_attributes),
    ("write-to-a-read-only-volume", || {
        File::create("volume/new").map(drop)
    }),
    ("name-the-handler-of-crashes", || {
        write("/proc/sys/kernel/core_pattern")
    }),
    ("drop-the-caches", || write("/proc/sys/vm/drop_caches")),
    ("pull-the-emergency-brake", || write("/proc/sysrq-trigger")),
    ("read-the-memory-of-the-kernel", || read_some("/proc/kcore")),
    ("read-the-keys-of-the-kernel", || read_some("/proc/keys")),
    ("read-the-timers-of-the-kernel", || {
        read_some("/proc/timer_list")
    }),
    ("set-what-the-kernel-runs-on-events", || {
        write("/sys/kernel/uevent_helper")
    }),
    ("set-the-pages-of-the-kernel", || {
        write("/sys/kernel/mm/transparent_hugepage/enabled")
    }),
    ("open-the-log-device", || read_open("/dev/kmsg")),
    ("open-the-memory-device", || read_open("/dev/mem")),
    ("open-the-machine-device", || read_open("/dev/kvm")),
    ("open-the-disk", || read_open(&given("DISK")?)),
    ("make-a-group", make_group),
    ("connect-to-a-socket-of-the-host", || {
        std::os::unix::net::UnixStream::connect(given("SOCKET_FILE")?).map(drop)
    }),
];

/// Opens for writing, and writes nothing.
fn write(path: &str) -> Outcome {
    OpenOptions::new().write(true).open(path).map(drop)
}

fn read_open(path: &str) -> Outcome {
    File::open(path).map(drop)
}

fn read_some(path: &str) -> Outcome {
    use std::io::Read as _;
    let mut buffer = [0; 64];
    match File::open(path)?.read(&mut buffer)? {
        0 => Err(io::Error::other("it is empty")),
        _ => Ok(()),
    }
}

fn climb() -> Outcome {
    let up = "../".repeat(40);
    std::fs::read(format!("{up}{}", given("SECRET_FILE")?)).map(drop)
}

fn follow() -> Outcome {
    let link = "link-outside";
    std::os::unix::fs::symlink(given("SECRET_FILE")?, link)?;
    std::fs::read(link).map(drop)
}

/// The old way out of a changed root: one's working directory stays above the next one.
fn break_out() -> Outcome {
    std::fs::create_dir_all("below")?;
    std::os::unix::fs::chroot("below")?;
    for _ in 0..40 {
        std::env::set_current_dir("..")?;
    }
    std::os::unix::fs::chroot(".")?;
    std::fs::read(given("SECRET_FILE")?).map(drop)
}

fn text(value: &str) -> io::Result<CString> {
    CString::new(value).map_err(io::Error::other)
}

fn open_by_handle() -> Outcome {
    #[repr(C, align(8))]
    struct Handle {
        bytes: u32,
        kind: i32,
        name: [u8; 128],
    }
    let mut handle = Handle {
        bytes: 128,
        kind: 0,
        name: [0; 128],
    };
    let (mut mount, path) = (0_i32, text(".")?);
    let at = libc::AT_FDCWD.cast_unsigned() as usize;
    let address = (&raw mut handle).expose_provenance();
    let arguments = [
        at,
        path.as_ptr().expose_provenance(),
        address,
        (&raw mut mount).expose_provenance(),
        0,
    ];
    // SAFETY: the path is terminated, the handle has room for 128 bytes.
    unsafe { call(libc::SYS_name_to_handle_at, arguments) }?;
    // SAFETY: the handle was filled in by the kernel.
    let opened = unsafe {
        call(
            libc::SYS_open_by_handle_at,
            [at, address, libc::O_PATH.cast_unsigned() as usize, 0, 0],
        )
    };
    opened.map(drop)
}

fn make_device(kind: libc::mode_t, device: libc::dev_t) -> Outcome {
    let path = text("device")?;
    // SAFETY: the path is terminated.
    let made = unsafe { libc::mknod(path.as_ptr(), kind | 0o600, device) };
    if made < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong) -> Outcome {
    let (source, target, kind) = (text(source)?, text(target)?, text(kind)?);
    // SAFETY: three terminated texts, no data.
    let mounted = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
    if mounted < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The way to a release agent.
fn mount_groups() -> Outcome {
    mount("none", "/tmp", "cgroup2", 0)
}

fn unmount(path: &str) -> Outcome {
    let path = text(path)?;
    // SAFETY: the path is terminated.
    let gone = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    if gone < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn swap_root() -> Outcome {
    let path = text("/tmp")?;
    let path = path.as_ptr().expose_provenance();
    // SAFETY: both are the same terminated text. That `/tmp` is no mount is found after the rights are looked at.
    beyond(
        unsafe { call(libc::SYS_pivot_root, [path, path, 0, 0, 0]) },
        &[libc::EINVAL, libc::EBUSY],
    )
}

fn open_file_system() -> Outcome {
    let kind = text("tmpfs")?;
    // SAFETY: the text is terminated.
    unsafe {
        call(
            libc::SYS_fsopen,
            [kind.as_ptr().expose_provenance(), 0, 0, 0, 0],
        )
    }
    .map(drop)
}

fn copy_tree() -> Outcome {
    const OPEN_TREE_CLONE: usize = 1;
    let (path, at) = (text("/")?, libc::AT_FDCWD.cast_unsigned() as usize);
    // SAFETY: the text is terminated.
    unsafe {
        call(
            libc::SYS_open_tree,
            [at, path.as_ptr().expose_provenance(), OPEN_TREE_CLONE, 0, 0],
        )
    }
    .map(drop)
}

fn change_attributes() -> Outcome {
    // What to set and to clear (read-only), propagation, user namespace.
    let attributes = [0_u64, 1, 0, 0];
    let (path, at) = (text("volume")?, libc::AT_FDCWD.cast_unsigned() as usize);
    let arguments = [
        at,
        path.as_ptr().expose_provenance(),
        0,
        attributes.as_ptr().expose_provenance(),
        std::mem::size_of_val(&attributes),
    ];
    // SAFETY: the text is terminated, the attributes are as long as is said.
    unsafe { call(libc::SYS_mount_setattr, arguments) }.map(drop)
}

fn make_group() -> Outcome {
    let folder = format!("/sys/fs/cgroup/{}", given("GROUP")?);
    std::fs::create_dir(&folder)?;
    std::fs::remove_dir(&folder)
}
