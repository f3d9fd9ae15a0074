//! Statistics as Mesos's `ResourceStatistics`.
//!
//! Pure. Owns which field is which; limits and the sandbox's disk are for the caller to add.

use crate::statistics::{IoOperation, IoUsed, MemoryUsed, Statistics};
use mezz_proto::v1;
use std::collections::BTreeMap;

use v1::cgroup_info::blkio;

impl Statistics {
    /// Fills in what was counted and leaves everything else as it is.
    pub fn fill(&self, into: &mut v1::ResourceStatistics) {
        into.processes = self.processes.map(narrow);
        into.threads = self.threads.map(narrow);
        into.cpus_user_time_secs = self.cpu.user_us.map(seconds);
        into.cpus_system_time_secs = self.cpu.system_us.map(seconds);
        into.cpus_nr_periods = self.cpu.periods.map(narrow);
        into.cpus_nr_throttled = self.cpu.throttled.map(narrow);
        into.cpus_throttled_time_secs = self.cpu.throttled_us.map(seconds);
        fill_memory(&self.memory, into);
        if !self.io.is_empty() {
            let throttling = self.io.iter().map(|(device, used)| {
                let device = v1::device::Number {
                    major_number: device.major.into(),
                    minor_number: device.minor.into(),
                };
                io(device, used)
            });
            into.blkio_statistics = Some(blkio::Statistics {
                throttling: throttling.collect(),
                ..blkio::Statistics::default()
            });
        }
    }
}

fn fill_memory(memory: &MemoryUsed, into: &mut v1::ResourceStatistics) {
    into.mem_total_bytes = memory.total;
    into.mem_total_memsw_bytes = memory.with_swap;
    into.mem_kmem_usage_bytes = memory.kernel;
    into.mem_kmem_tcp_usage_bytes = memory.tcp;
    // Mesos shows both under an old name and a new one.
    into.mem_file_bytes = memory.file;
    into.mem_cache_bytes = memory.file;
    into.mem_anon_bytes = memory.anonymous;
    into.mem_rss_bytes = memory.anonymous;
    into.mem_mapped_file_bytes = memory.mapped;
    into.mem_swap_bytes = memory.swap;
    into.mem_unevictable_bytes = memory.unevictable;
}

fn io(device: v1::device::Number, used: &IoUsed) -> blkio::throttling::Statistics {
    blkio::throttling::Statistics {
        device: Some(device),
        io_serviced: values(&used.operations),
        io_service_bytes: values(&used.bytes),
    }
}

fn values(counts: &BTreeMap<IoOperation, u64>) -> Vec<blkio::Value> {
    let operation = |operation| match operation {
        IoOperation::Read => blkio::Operation::Read,
        IoOperation::Write => blkio::Operation::Write,
        IoOperation::Sync => blkio::Operation::Sync,
        IoOperation::Async => blkio::Operation::Async,
        IoOperation::Discard => blkio::Operation::Discard,
        IoOperation::Total => blkio::Operation::Total,
    };
    counts
        .iter()
        .map(|(which, value)| blkio::Value {
            op: Some(operation(*which).into()),
            value: Some(*value),
        })
        .collect()
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
