//! Workloads that are measured inside this process; each is an entry that a gate on instruction counts can call too.

pub mod backlog;
pub mod codec;
pub mod launch_path;
pub mod ledger;
pub mod offer_path;
pub mod return_path;
pub mod shapes;
