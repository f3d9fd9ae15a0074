//! The master as a pure state machine: `(state, now, event) -> effects`.
//!
//! It owns every scheduling and lifecycle decision. It never reads a clock, a file, a socket or a random
//! source: time and randomness are inputs. It is `Clone` and comparable, so that it can be simulated and replayed.

mod accept;
mod accounts;
mod admission;
mod agent_loss;
mod agent_states;
mod calls;
pub mod config;
mod conservation;
pub mod durable;
pub mod effect;
mod election;
pub mod event;
mod executors;
mod explain;
pub mod fact;
mod framework_changes;
pub mod framework_info;
mod framework_removal;
mod frameworks;
mod groups;
mod invariants;
pub mod key;
mod kills;
mod launch;
mod lists;
mod master;
pub mod metrics;
pub mod native;
mod native_framework;
mod native_placement;
mod offer_constraints;
mod offer_wire;
mod offers;
mod operator;
mod recall;
mod reconcile;
pub mod records;
mod registration;
mod reported;
mod returning;
mod sessions;
mod snapshot;
mod state;
mod tasks;
mod unreachable;
pub mod validation;
mod wire;
mod work;

pub use admission::fault_domain;
pub use master::Master;
pub use mezz_sched::{GpuPolicy, Packing, RegexLimits, Sorter};
pub use mezz_state::{pages, time};
pub use snapshot::RestoreError;
pub use wire::is_terminal;
