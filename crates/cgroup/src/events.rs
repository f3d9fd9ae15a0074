//! What the kernel tells by itself: memory ran out, memory is short.
//!
//! Owns the descriptors to poll. What a count means is decided in `oom`.

use crate::controller::Controller;
use crate::directory::Directory;
use crate::group::Group;
use crate::limits::{Bytes, Ceiling};
use crate::oom::{OomCounters, OomReport};
use crate::stat_text::number;
use rustix::event::{EventfdFlags, epoll, eventfd};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Which version's files of memory a group has.
enum MemoryFiles {
    V1(PathBuf),
    V2(PathBuf),
}

fn memory_files(group: &Group) -> io::Result<MemoryFiles> {
    let (layout, name) = (group.layout(), group.name().as_str());
    if let Some(root) = layout.v1_root(Controller::Memory) {
        return Ok(MemoryFiles::V1(root.path.join(name)));
    }
    match &layout.v2 {
        Some(root) if root.controllers.contains(&Controller::Memory) => {
            Ok(MemoryFiles::V2(root.path.join(name)))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the agent does not isolate memory",
        )),
    }
}

impl Group {
    /// What the kernel has counted of memory that ran out.
    pub fn oom_counters(&self) -> io::Result<OomCounters> {
        match memory_files(self)? {
            MemoryFiles::V1(path) => {
                let directory = Directory::open(&path)?;
                let control = directory.read("memory.oom_control")?;
                Ok(OomCounters::parse_v1(
                    &control,
                    &directory.read("memory.failcnt")?,
                ))
            }
            MemoryFiles::V2(path) => Ok(OomCounters::parse_v2(
                &Directory::open(&path)?.read("memory.events")?,
            )),
        }
    }

    /// What there is to say about memory that ran out.
    pub fn oom_report(&self) -> io::Result<OomReport> {
        let (path, limit, peak) = match memory_files(self)? {
            MemoryFiles::V1(path) => (path, "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
            MemoryFiles::V2(path) => (path, "memory.max", "memory.peak"),
        };
        let directory = Directory::open(&path)?;
        // Version 1 writes no limit as the greatest number of whole pages.
        let limit = number(&directory.read(limit)?).filter(|limit| *limit < 1 << 62);
        Ok(OomReport {
            limit: limit.map_or(Ceiling::Infinite, |limit| Ceiling::At(Bytes(limit))),
            peak: directory
                .read(peak)
                .ok()
                .and_then(|text| number(&text))
                .map(Bytes),
            stat: directory.read("memory.stat")?,
        })
    }
}

/// Is ready when memory may have run out in a group; then its counters say whether it has. It also may be when the
/// group goes.
#[derive(Debug)]
pub enum OomWatch {
    /// A counter that the kernel raises: readable then.
    V1(OwnedFd),
    /// The file of the counters: it has urgent news (`POLLPRI`) then, and can always be read.
    V2(File),
}

impl OomWatch {
    /// Begins to watch.
    pub fn new(group: &Group) -> io::Result<Self> {
        match memory_files(group)? {
            MemoryFiles::V1(path) => {
                registered(&Directory::open(&path)?, "memory.oom_control", "").map(Self::V1)
            }
            MemoryFiles::V2(path) => {
                let watch = Self::V2(Directory::open(&path)?.open_to_read("memory.events")?);
                // News are counted from the first reading on.
                watch.drain()?;
                Ok(watch)
            }
        }
    }

    /// What to wait for.
    pub fn readiness(&self) -> epoll::EventFlags {
        match self {
            Self::V1(_) => epoll::EventFlags::IN,
            Self::V2(_) => epoll::EventFlags::PRI,
        }
    }

    /// Makes it unready until something happens again.
    pub fn drain(&self) -> io::Result<()> {
        let mut buffer = [0u8; 4096];
        match self {
            Self::V1(counter) => match rustix::io::read(counter, &mut buffer[..8]) {
                Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
                Err(errno) => Err(errno.into()),
            },
            Self::V2(file) => file.read_at(&mut buffer, 0).map(drop),
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::V1(counter) => counter.as_fd(),
            Self::V2(file) => file.as_fd(),
        }
    }
}

/// How short memory is, in version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PressureLevel {
    /// Memory is being reclaimed.
    Low,
    /// Some of it by swapping.
    Medium,
    /// It is about to run out.
    Critical,
}

/// Counts how often memory was so short; version 1 only. It costs a descriptor for each level.
#[derive(Debug)]
pub struct PressureWatch {
    counter: OwnedFd,
    seen: u64,
}

impl PressureWatch {
    /// Begins to count; `None` in version 2, whose statistics have the time that was waited instead.
    pub fn new(group: &Group, level: PressureLevel) -> io::Result<Option<Self>> {
        let MemoryFiles::V1(path) = memory_files(group)? else {
            return Ok(None);
        };
        let level = match level {
            PressureLevel::Low => " low",
            PressureLevel::Medium => " medium",
            PressureLevel::Critical => " critical",
        };
        let counter = registered(&Directory::open(&path)?, "memory.pressure_level", level)?;
        Ok(Some(Self { counter, seen: 0 }))
    }

    /// How often it was since the watch began.
    pub fn count(&mut self) -> io::Result<u64> {
        let mut more = [0u8; 8];
        match rustix::io::read(&self.counter, &mut more) {
            Ok(_) => self.seen = self.seen.saturating_add(u64::from_ne_bytes(more)),
            Err(rustix::io::Errno::AGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(self.seen)
    }
}

/// A counter that the kernel raises when the file has something to tell.
fn registered(directory: &Directory, file: &str, arguments: &str) -> io::Result<OwnedFd> {
    let counter = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let source = directory.open_to_read(file)?;
    let text = format!("{} {}{arguments}", counter.as_raw_fd(), source.as_raw_fd());
    directory.write("cgroup.event_control", &text)?;
    Ok(counter)
}
