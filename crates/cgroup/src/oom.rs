//! Whether memory ran out, by the kernel's counters.
//!
//! Pure: the files are read and watched in `events`.

use crate::limits::{Bytes, Ceiling};
use crate::stat_text::{number, value_of};

/// What the kernel has counted for a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomCounters {
    /// Processes killed for want of memory, the host's or the group's.
    pub killed: u64,
    /// How often the group was at its own limit and nothing could be freed; version 1 counts every time at the limit.
    pub at_limit: u64,
}

/// Why processes were killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OomVerdict {
    /// None was, for want of memory.
    None,
    /// The group was at its limit.
    Limit,
    /// The host, or a group further up, had no more.
    Outside,
}

impl OomCounters {
    /// From `memory.oom_control` and `memory.failcnt`.
    pub fn parse_v1(oom_control: &str, failcnt: &str) -> Self {
        Self {
            killed: value_of(oom_control, "oom_kill").unwrap_or(0),
            at_limit: number(failcnt).unwrap_or(0),
        }
    }

    /// From `memory.events`.
    pub fn parse_v2(events: &str) -> Self {
        Self {
            killed: value_of(events, "oom_kill").unwrap_or(0),
            at_limit: value_of(events, "oom").unwrap_or(0),
        }
    }

    /// What has happened since the counters were as in `before`.
    pub fn verdict_since(&self, before: &Self) -> OomVerdict {
        if self.killed <= before.killed {
            OomVerdict::None
        } else if self.at_limit > before.at_limit {
            OomVerdict::Limit
        } else {
            OomVerdict::Outside
        }
    }
}

/// What a client is told of a container that was at its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OomReport {
    /// The hard limit.
    pub limit: Ceiling<Bytes>,
    /// The most that was used, where the kernel keeps it.
    pub peak: Option<Bytes>,
    /// `memory.stat` as it is.
    pub stat: String,
}

impl OomReport {
    /// The text that Mesos puts into the status.
    pub fn message(&self) -> String {
        let requested = match self.limit {
            Ceiling::At(limit) => format!("Requested: {limit} "),
            Ceiling::Infinite => String::new(),
        };
        let used = self
            .peak
            .map_or(String::new(), |peak| format!("Maximum Used: {peak}\n"));
        let stat = &self.stat;
        format!("Memory limit exceeded: {requested}{used}\nMEMORY STATISTICS: \n{stat}\n")
    }

    /// The quantity of `mem` of the limitation, in megabytes: what was used at most, else the limit.
    pub fn megabytes(&self) -> f64 {
        let bytes = self.peak.or(match self.limit {
            Ceiling::At(limit) => Some(limit),
            Ceiling::Infinite => None,
        });
        bytes.map_or(0.0, |bytes| bytes.0 as f64 / f64::from(1 << 20))
    }
}
