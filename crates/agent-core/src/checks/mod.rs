//! Checks of command tasks: what is probed and when, what the results mean, and how long a task may run.
//!
//! The agent is the executor of a command task, so its checks are the agent's too; those of a custom executor's tasks
//! are none of its business. Probes themselves belong to the shell (network) and to the warden (commands).

mod asked;
mod findings;
mod health;
mod probing;
mod terms;

use crate::ids::ProbeId;
use health::Watch;
use mezz_proto::v1::{CheckInfo, CheckStatusInfo};
use std::collections::BTreeMap;
use terms::Found;

pub(crate) use asked::{Asked, Purpose};

/// What is known of a running task by its checks.
#[derive(Clone, Debug)]
pub(crate) struct Checks {
    /// Since 1970: what survives the daemon is measured with this.
    pub(crate) started_wall_ns: u64,
    /// Of each health check.
    pub(crate) health: Vec<Watch>,
    /// What the framework was told last of each check.
    pub(crate) statuses: Vec<CheckStatusInfo>,
    pub(crate) under_way: BTreeMap<Purpose, ProbeId>,
}

/// What is told of a check of which nothing is known yet.
pub(crate) fn empty_status(check: &CheckInfo) -> CheckStatusInfo {
    terms::check_status(check, Found::Nothing)
}
