//! Numbers of the machine: load, processors, memory.

use crate::json::Json;

/// What `/system/stats.json` and the `system/` metrics show.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SystemNumbers {
    pub(crate) loads: [f64; 3],
    pub(crate) cpus: u64,
    pub(crate) mem_total_bytes: u64,
    pub(crate) mem_free_bytes: u64,
}

/// Reads them from the kernel; what cannot be read is 0.
pub(crate) fn system_numbers() -> SystemNumbers {
    let mut numbers = SystemNumbers {
        cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        ..SystemNumbers::default()
    };
    if let Ok(text) = std::fs::read_to_string("/proc/loadavg") {
        for (slot, word) in numbers.loads.iter_mut().zip(text.split_whitespace()) {
            *slot = word.parse().unwrap_or_default();
        }
    }
    if let Ok(text) = std::fs::read_to_string("/proc/meminfo") {
        let kibibytes = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        numbers.mem_total_bytes = kibibytes("MemTotal:").unwrap_or_default() * 1024;
        numbers.mem_free_bytes = kibibytes("MemFree:").unwrap_or_default() * 1024;
    }
    numbers
}

pub(super) fn stats() -> Vec<u8> {
    let numbers = system_numbers();
    let mut json = Json::new();
    json.object(|json| {
        json.key("avg_load_15min").double(numbers.loads[2]);
        json.key("avg_load_1min").double(numbers.loads[0]);
        json.key("avg_load_5min").double(numbers.loads[1]);
        json.key("cpus_total").integer(numbers.cpus);
        json.key("mem_free_bytes").integer(numbers.mem_free_bytes);
        json.key("mem_total_bytes").integer(numbers.mem_total_bytes);
    });
    json.finish()
}
