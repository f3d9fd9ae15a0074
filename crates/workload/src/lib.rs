//! The controllers of services, jobs, crons and dags as one pure state machine: `(state, now, event) -> effects`.
//!
//! It owns what users want to run and how far that has come. It places nothing itself: it says to the ledger, through
//! the core, how much of what is wanted, and is told where the next instance goes. It never reads a clock, a file, a
//! socket or a random source.

pub mod call;
mod cron;
mod dag;
pub mod demand_key;
mod dispatch;
pub mod effect;
pub mod event;
pub mod fact;
mod instances;
mod job;
pub mod key;
mod naming;
mod objects;
pub mod placing;
pub mod plan;
pub mod records;
mod restore;
mod runs;
mod service;
mod standstill;
mod stored;
mod why;
mod workloads;
mod writing;

pub use instances::footing::Footing;
pub use instances::kills::KillLimits;
pub use naming::{MAX_ID_BYTES, instance_head};
pub use objects::inheritance::Inherited;
pub use runs::ids::attempt_head;
pub use standstill::Standstill;
pub use stored::StoredError;
pub use workloads::{Stage, Workloads};
