//! Loads programs into the kernel's virtual machine and attaches them to groups.
//!
//! The only module with unsafe code. Must hold no policy: what the programs decide is made in `gate`.

#![allow(unsafe_code)]

use crate::gate::Instruction;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const PROG_LOAD: i32 = 5;
const PROG_ATTACH: i32 = 8;
const PROG_DETACH: i32 = 9;
const PROG_GET_FD_BY_ID: i32 = 13;
const PROG_QUERY: i32 = 16;

const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Groups further down may have programs too; all of them must allow.
const ALLOW_MULTI: u32 = 1 << 1;
/// Takes the place of another program, at one moment.
const REPLACE: u32 = 1 << 2;
/// So many programs of one group are looked at; we attach one.
const MOST: usize = 64;

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    kind: u32,
    flags: u32,
    attached_with: u32,
    ids: u64,
    count: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// Attaches the program to the group, in the place of the one that is there.
pub(crate) fn attach(group: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let new = load(program)?;
    let old: Vec<_> = attached(group)?
        .into_iter()
        .filter_map(|id| by_id(id).ok())
        .collect();
    let Some((first, others)) = old.split_first() else {
        return attach_one(group, new.as_fd(), None);
    };
    match attach_one(group, new.as_fd(), Some(first.as_fd())) {
        Ok(()) => {}
        // Kernels before 5.6 cannot replace: for a moment both must allow.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            attach_one(group, new.as_fd(), None)?;
            detach(group, first.as_fd())?;
        }
        Err(error) => return Err(error),
    }
    others
        .iter()
        .try_for_each(|other| detach(group, other.as_fd()))
}

fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let code: Vec<[u8; 8]> = program.iter().map(|each| each.bytes()).collect();
    let license = c"Apache-2.0";
    let mut request = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: u32::try_from(code.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        instructions: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: both pointers in the request are to memory that outlives the call, of the stated length.
    let fd = unsafe { bpf(PROG_LOAD, &mut request) }?;
    // SAFETY: the kernel has just returned this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn attach_one(
    group: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut request = Attach {
        target: number(group),
        program: number(program),
        kind: ATTACH_CGROUP_DEVICE,
        flags: ALLOW_MULTI | if replaced.is_some() { REPLACE } else { 0 },
        replaced: replaced.map_or(0, number),
    };
    // SAFETY: the request holds no pointers.
    unsafe { bpf(PROG_ATTACH, &mut request) }.map(drop)
}

fn detach(group: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut request = Attach {
        target: number(group),
        program: number(program),
        kind: ATTACH_CGROUP_DEVICE,
        ..Attach::default()
    };
    // SAFETY: the request holds no pointers.
    unsafe { bpf(PROG_DETACH, &mut request) }.map(drop)
}

/// The numbers of the programs of this very group.
pub(crate) fn attached(group: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut ids = vec![0u32; MOST];
    let mut request = Query {
        target: number(group),
        kind: ATTACH_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: u32::try_from(MOST).map_err(|_| io::ErrorKind::InvalidInput)?,
        ..Query::default()
    };
    // SAFETY: the pointer in the request is to as many numbers as it says, which outlive the call.
    unsafe { bpf(PROG_QUERY, &mut request) }?;
    ids.truncate(usize::try_from(request.count).unwrap_or(0));
    Ok(ids)
}

fn by_id(id: u32) -> io::Result<OwnedFd> {
    let mut request = ById {
        id,
        ..ById::default()
    };
    // SAFETY: the request holds no pointers.
    let fd = unsafe { bpf(PROG_GET_FD_BY_ID, &mut request) }?;
    // SAFETY: the kernel has just returned this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

/// # Safety
///
/// `T` is the kernel's structure for this command, and pointers in it are valid for what the command does with them.
unsafe fn bpf<T>(command: i32, request: &mut T) -> io::Result<RawFd> {
    // SAFETY: the request is valid for reads and writes of its size, and the caller answers for the rest.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(request),
            size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(|_| io::ErrorKind::InvalidData.into())
}
