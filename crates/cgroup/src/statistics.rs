//! What a group has used, and how the kernel's texts say it.
//!
//! Pure: reading the files belongs to `reader`.

use crate::devices::DeviceNumber;
use crate::stat_text::{device, keyed, number, value_of};
use std::collections::BTreeMap;

/// What a group has used. `None` is what this kernel or layout does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Processes.
    pub processes: Option<u64>,
    /// Threads, those of single-threaded processes too.
    pub threads: Option<u64>,
    /// Processor time.
    pub cpu: CpuUsed,
    /// Memory.
    pub memory: MemoryUsed,
    /// Block devices.
    pub io: BTreeMap<DeviceNumber, IoUsed>,
    /// How long it had to wait; version 2 only.
    pub pressure: Option<Pressures>,
}

/// Processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuUsed {
    /// In programs, in microseconds.
    pub user_us: Option<u64>,
    /// In the kernel, in microseconds.
    pub system_us: Option<u64>,
    /// Periods of the quota in which it wanted to run.
    pub periods: Option<u64>,
    /// Those in which the quota was used up.
    pub throttled: Option<u64>,
    /// How long it was not let run, in microseconds.
    pub throttled_us: Option<u64>,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUsed {
    /// All that counts against the limit.
    pub total: Option<u64>,
    /// That and swap.
    pub with_swap: Option<u64>,
    /// The kernel's, on its behalf.
    pub kernel: Option<u64>,
    /// Buffers of TCP.
    pub tcp: Option<u64>,
    /// The cache of files.
    pub file: Option<u64>,
    /// What is no file's.
    pub anonymous: Option<u64>,
    /// Mapped files.
    pub mapped: Option<u64>,
    /// Swapped out.
    pub swap: Option<u64>,
    /// Locked.
    pub unevictable: Option<u64>,
}

/// A kind of access to a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IoOperation {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Those that were waited for.
    Sync,
    /// Those that were not.
    Async,
    /// Blocks given back.
    Discard,
    /// All.
    Total,
}

/// What was asked of one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoUsed {
    /// How many operations.
    pub operations: BTreeMap<IoOperation, u64>,
    /// How many bytes.
    pub bytes: BTreeMap<IoOperation, u64>,
}

/// How long at least one process waited, and how long all did, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// One or more.
    pub some_us: u64,
    /// All that were not idle.
    pub full_us: u64,
}

/// Waiting for each of the resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressures {
    /// For a processor.
    pub cpu: Pressure,
    /// For memory.
    pub memory: Pressure,
    /// For block devices.
    pub io: Pressure,
}

/// Which of the two counts of `blkio`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoCount {
    /// Operations.
    Operations,
    /// Bytes.
    Bytes,
}

impl Statistics {
    /// `cpuacct.stat`, in ticks of which there are so many a second.
    pub fn cpuacct_stat(&mut self, text: &str, ticks: u64) {
        let time = |key| value_of(text, key).map(|count| micros(count, ticks));
        self.cpu.user_us = time("user");
        self.cpu.system_us = time("system");
    }

    /// `cpu.stat` of version 1, which counts in nanoseconds.
    pub fn cpu_stat_v1(&mut self, text: &str) {
        for (key, value) in keyed(text) {
            match key {
                "nr_periods" => self.cpu.periods = Some(value),
                "nr_throttled" => self.cpu.throttled = Some(value),
                "throttled_time" => self.cpu.throttled_us = Some(value / 1000),
                _ => {}
            }
        }
    }

    /// `cpu.stat` of version 2, which counts in microseconds.
    pub fn cpu_stat_v2(&mut self, text: &str) {
        for (key, value) in keyed(text) {
            match key {
                "user_usec" => self.cpu.user_us = Some(value),
                "system_usec" => self.cpu.system_us = Some(value),
                "nr_periods" => self.cpu.periods = Some(value),
                "nr_throttled" => self.cpu.throttled = Some(value),
                "throttled_usec" => self.cpu.throttled_us = Some(value),
                _ => {}
            }
        }
    }

    /// `memory.stat` of version 1: the sums over the group and those in it.
    pub fn memory_stat_v1(&mut self, text: &str) {
        let memory = &mut self.memory;
        for (key, value) in keyed(text) {
            match key {
                "total_cache" => memory.file = Some(value),
                "total_rss" => memory.anonymous = Some(value),
                "total_mapped_file" => memory.mapped = Some(value),
                "total_swap" => memory.swap = Some(value),
                "total_unevictable" => memory.unevictable = Some(value),
                _ => {}
            }
        }
    }

    /// `memory.stat` of version 2.
    pub fn memory_stat_v2(&mut self, text: &str) {
        let memory = &mut self.memory;
        for (key, value) in keyed(text) {
            match key {
                "anon" => memory.anonymous = Some(value),
                "file" => memory.file = Some(value),
                "kernel" => memory.kernel = Some(value),
                "sock" => memory.tcp = Some(value),
                "file_mapped" => memory.mapped = Some(value),
                "unevictable" => memory.unevictable = Some(value),
                _ => {}
            }
        }
    }

    /// `memory.swap.current`: in version 2 swap is counted apart.
    pub fn swap_current(&mut self, text: &str) {
        self.memory.swap = number(text);
        self.memory.with_swap = self
            .memory
            .total
            .zip(self.memory.swap)
            .map(|(total, swap)| total.saturating_add(swap));
    }

    /// `blkio.throttle.io_serviced` or `blkio.throttle.io_service_bytes`.
    pub fn blkio(&mut self, which: IoCount, text: &str) {
        for line in text.lines() {
            let mut words = line.split(' ');
            let (Some(number), Some(operation), Some(value)) =
                (words.next().and_then(device), words.next(), words.next())
            else {
                continue;
            };
            let operation = match operation {
                "Read" => IoOperation::Read,
                "Write" => IoOperation::Write,
                "Sync" => IoOperation::Sync,
                "Async" => IoOperation::Async,
                "Discard" => IoOperation::Discard,
                "Total" => IoOperation::Total,
                _ => continue,
            };
            if let Ok(value) = value.parse() {
                self.count_io(number, which, operation, value);
            }
        }
    }

    fn count_io(&mut self, of: DeviceNumber, which: IoCount, operation: IoOperation, value: u64) {
        let used = self.io.entry(of).or_default();
        let counts = match which {
            IoCount::Operations => &mut used.operations,
            IoCount::Bytes => &mut used.bytes,
        };
        counts.insert(operation, value);
    }

    /// `io.stat` of version 2.
    pub fn io_stat(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split(' ');
            let Some(number) = words.next().and_then(device) else {
                continue;
            };
            for (key, value) in words.filter_map(|word| word.split_once('=')) {
                let (which, operation) = match key {
                    "rbytes" => (IoCount::Bytes, IoOperation::Read),
                    "wbytes" => (IoCount::Bytes, IoOperation::Write),
                    "dbytes" => (IoCount::Bytes, IoOperation::Discard),
                    "rios" => (IoCount::Operations, IoOperation::Read),
                    "wios" => (IoCount::Operations, IoOperation::Write),
                    "dios" => (IoCount::Operations, IoOperation::Discard),
                    _ => continue,
                };
                if let Ok(value) = value.parse() {
                    self.count_io(number, which, operation, value);
                }
            }
            if let Some(used) = self.io.get_mut(&number) {
                for counts in [&mut used.operations, &mut used.bytes] {
                    let total = counts
                        .values()
                        .fold(0u64, |sum, one| sum.saturating_add(*one));
                    counts.insert(IoOperation::Total, total);
                }
            }
        }
    }
}

/// One of the `pressure` files.
pub fn pressure(text: &str) -> Pressure {
    let mut found = Pressure::default();
    for line in text.lines() {
        let total = line
            .rsplit_once("total=")
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(0);
        match line.split(' ').next() {
            Some("some") => found.some_us = total,
            Some("full") => found.full_us = total,
            _ => {}
        }
    }
    found
}

fn micros(count: u64, ticks: u64) -> u64 {
    let micros = u128::from(count) * 1_000_000 / u128::from(ticks.max(1));
    u64::try_from(micros).unwrap_or(u64::MAX)
}
