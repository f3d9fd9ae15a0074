//! The root of a container and what is mounted in it, made by the child itself in a mount namespace of its own.
//!
//! Nothing is attached before it is whole, and nothing of it is ever seen outside. Async-signal-safe; must never
//! allocate.

use crate::child_paths::{Kind, parent, resolve};
use crate::kernel_calls::{
    RECURSIVE, attach, begin, change, clone_tree, close, finish, open_in_root, pivot_here, set,
    set_option,
};
use mezz_launch_plan::isolation::{
    Depth, Isolation, Missing, Mount, MountAttributes, MountSource, Overlay, Propagation, Root,
    RootStep, Spot,
};
use std::ffi::{CString, c_int};
use std::os::fd::RawFd;

/// What the child needs for its mounts beside the plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MountRoom {
    /// A place for a descriptor for each step.
    pub(crate) sources: *mut RawFd,
    /// How many.
    pub(crate) count: usize,
    /// The options of an overlay for kernels that take them as one text; or null.
    pub(crate) overlay_data: *const libc::c_char,
}

macro_rules! checked {
    ($call:expr) => {{
        let result = $call;
        if result < 0 {
            return -result;
        }
        result
    }};
}

/// Makes the root and everything in it, and goes there; `at` hears of each step. Answers with an error number or 0.
///
/// # Safety
/// This process has a mount namespace of its own and a single thread; the pointers in `room` are valid.
pub(crate) unsafe fn mount_all(
    isolation: &Isolation,
    room: MountRoom,
    at: impl Fn(usize),
) -> c_int {
    // SAFETY: by the contract of this function; what is opened is closed by the execution of the program at last.
    unsafe {
        let mask = libc::umask(0);
        let host = checked!(open_in_root(
            libc::AT_FDCWD,
            c"/".as_ptr(),
            libc::O_DIRECTORY
        ));
        for (index, step) in isolation.steps.iter().enumerate() {
            if index >= room.count {
                return libc::EINVAL;
            }
            at(index + 1);
            if let RootStep::Mount(mount) = step {
                *room.sources.add(index) = checked!(source(host, mount));
            }
        }
        at(0);
        let slave = libc::MS_SLAVE | libc::MS_REC;
        let none = std::ptr::null::<libc::c_char>();
        if libc::mount(none, c"/".as_ptr(), none, slave, none.cast()) < 0 {
            return *libc::__errno_location();
        }
        let root = checked!(open_root(host, &isolation.root, room.overlay_data));
        for (index, step) in isolation.steps.iter().enumerate() {
            at(index + 1);
            let result = perform(host, root, step, *room.sources.add(index));
            if result != 0 {
                return result;
            }
        }
        at(0);
        if isolation.root != Root::Host {
            checked!(change(root, isolation.root_attributes.0, 0, 0));
            if libc::fchdir(root) < 0 {
                return *libc::__errno_location();
            }
            checked!(pivot_here());
        }
        close(root);
        close(host);
        libc::umask(mask);
        0
    }
}

/// What is to be mounted, attached nowhere yet.
fn source(host: RawFd, mount: &Mount) -> c_int {
    match &mount.source {
        MountSource::Bind {
            spot,
            depth,
            missing,
        } => {
            let found = resolve(host, spot, *missing, Kind::Folder);
            if found < 0 {
                return found;
            }
            let flags = if *depth == Depth::All { RECURSIVE } else { 0 };
            let tree = clone_tree(found, flags);
            close(found);
            tree
        }
        MountSource::New {
            kind,
            name,
            options,
        } => new_file_system(kind, name, options, mount.attributes),
    }
}

fn new_file_system(
    kind: &CString,
    name: &CString,
    options: &[CString],
    attributes: MountAttributes,
) -> c_int {
    let context = begin(kind.as_ptr());
    if context < 0 {
        return context;
    }
    let mut result = set(context, c"source".as_ptr(), name.as_ptr());
    for option in options {
        if result >= 0 {
            result = set_option(context, option);
        }
    }
    if result < 0 {
        close(context);
        return result;
    }
    finish(context, attributes.0)
}

/// The new root, attached where it was prepared, or the old one.
unsafe fn open_root(host: RawFd, root: &Root, overlay_data: *const libc::c_char) -> c_int {
    let (mount, at) = match root {
        Root::Host => return open_in_root(host, c"/".as_ptr(), libc::O_DIRECTORY),
        Root::Folder { path } => {
            let folder = open_in_root(host, path.as_ptr(), libc::O_DIRECTORY);
            if folder < 0 {
                return folder;
            }
            let tree = clone_tree(folder, RECURSIVE);
            if tree >= 0 {
                let changed = change(tree, 0, libc::MS_PRIVATE, RECURSIVE);
                if changed < 0 {
                    return changed;
                }
            }
            (tree, folder)
        }
        Root::Overlay(overlay) => {
            let at = open_in_root(host, overlay.at.as_ptr(), libc::O_DIRECTORY);
            if at < 0 {
                return at;
            }
            let mount = new_overlay(overlay);
            if mount == -libc::EINVAL && !overlay_data.is_null() {
                // SAFETY: by the contract of mount_all.
                return unsafe { mount_by_text(host, overlay, overlay_data) };
            }
            (mount, at)
        }
    };
    if mount < 0 {
        return mount;
    }
    let attached = attach(mount, at);
    close(at);
    if attached < 0 { attached } else { mount }
}

/// One option for each layer, however many there are (Linux 6.5).
fn new_overlay(overlay: &Overlay) -> c_int {
    let context = begin(c"overlay".as_ptr());
    if context < 0 {
        return context;
    }
    let mut result = set(context, c"source".as_ptr(), c"overlay".as_ptr());
    let layers = overlay.lower.iter().map(|path| (c"lowerdir+", path));
    let upper = overlay
        .upper
        .iter()
        .flat_map(|upper| [(c"upperdir", &upper.upper), (c"workdir", &upper.work)]);
    for (key, path) in layers.chain(upper) {
        if result >= 0 {
            result = set(context, key.as_ptr(), path.as_ptr());
        }
    }
    for option in &overlay.options {
        if result >= 0 {
            result = set_option(context, option);
        }
    }
    if result < 0 {
        close(context);
        return result;
    }
    finish(context, 0)
}

unsafe fn mount_by_text(host: RawFd, overlay: &Overlay, data: *const libc::c_char) -> c_int {
    let kind = c"overlay".as_ptr();
    // SAFETY: strings of the plan, and a text that the warden made of it.
    unsafe {
        if libc::mount(kind, overlay.at.as_ptr(), kind, 0, data.cast()) < 0 {
            return -*libc::__errno_location();
        }
    }
    open_in_root(host, overlay.at.as_ptr(), libc::O_DIRECTORY)
}

/// One step; answers with an error number or 0.
unsafe fn perform(host: RawFd, root: RawFd, step: &RootStep, source: RawFd) -> c_int {
    match step {
        RootStep::Mount(mount) => attach_at(root, mount, source),
        RootStep::Mask { spot } => mask(host, root, spot),
        RootStep::ReadOnly { spot } => read_only(root, spot),
        RootStep::Directory { spot, mode } => {
            // SAFETY: names of the plan.
            made(root, spot, |folder, name| unsafe {
                libc::mkdirat(folder, name, *mode)
            })
        }
        RootStep::Link { spot, target } => {
            // SAFETY: likewise.
            made(root, spot, |folder, name| unsafe {
                libc::symlinkat(target.as_ptr(), folder, name)
            })
        }
        RootStep::Device {
            spot,
            mode,
            major,
            minor,
        } => {
            let device = libc::makedev(*major, *minor);
            // SAFETY: likewise.
            made(root, spot, |folder, name| unsafe {
                libc::mknodat(folder, name, libc::S_IFCHR | *mode, device)
            })
        }
    }
}

fn attach_at(root: RawFd, mount: &Mount, source: RawFd) -> c_int {
    let kind = match Kind::of(source) {
        Ok(kind) => kind,
        Err(errno) => return errno,
    };
    let depth = match mount.source {
        MountSource::Bind {
            depth: Depth::All, ..
        } => RECURSIVE,
        _ => 0,
    };
    let propagation = match mount.propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::FromHost => libc::MS_SLAVE,
        // It is a copy of the host's, and stays its peer.
        Propagation::Both => 0,
    };
    checked!(change(source, mount.attributes.0, propagation, depth));
    let target = checked!(resolve(root, &mount.target, mount.missing_target, kind));
    let attached = attach(source, target);
    close(target);
    close(source);
    checked!(attached);
    0
}

/// Nothing of it can be read: a folder looks empty, a file is `/dev/null`.
fn mask(host: RawFd, root: RawFd, spot: &Spot) -> c_int {
    let target = resolve(root, spot, Missing::Fail, Kind::Folder);
    if target == -libc::ENOENT {
        return 0;
    }
    checked!(target);
    let cover = match Kind::of(target) {
        Err(errno) => return errno,
        Ok(Kind::Folder) => {
            let name = c"tmpfs";
            let context = checked!(begin(name.as_ptr()));
            checked!(set(context, c"source".as_ptr(), name.as_ptr()));
            finish(context, MountAttributes::READ_ONLY.0)
        }
        Ok(Kind::File) => {
            let null = checked!(open_in_root(host, c"/dev/null".as_ptr(), 0));
            let cover = clone_tree(null, 0);
            close(null);
            cover
        }
    };
    checked!(cover);
    let attached = attach(cover, target);
    close(cover);
    close(target);
    checked!(attached);
    0
}

/// Covered by itself, unchangeable.
fn read_only(root: RawFd, spot: &Spot) -> c_int {
    let target = resolve(root, spot, Missing::Fail, Kind::Folder);
    if target == -libc::ENOENT {
        return 0;
    }
    checked!(target);
    let cover = checked!(clone_tree(target, RECURSIVE));
    checked!(change(cover, MountAttributes::READ_ONLY.0, 0, RECURSIVE));
    let attached = attach(cover, target);
    close(cover);
    close(target);
    checked!(attached);
    0
}

/// Makes something, unless it is there already.
fn made(root: RawFd, spot: &Spot, make: impl Fn(RawFd, *const libc::c_char) -> c_int) -> c_int {
    let (folder, name_at) = match parent(root, spot) {
        Ok(found) => found,
        Err(errno) => return errno,
    };
    // SAFETY: the name begins within the path, whose end is its end.
    let name = unsafe { spot.path.as_ptr().add(name_at) };
    let result = make(folder, name);
    // SAFETY: the location is valid in every thread.
    let errno = unsafe { *libc::__errno_location() };
    close(folder);
    if result < 0 && errno != libc::EEXIST {
        return errno;
    }
    0
}
