//! The master's shell: sockets, streams, the store and the clock around the pure core, and its HTTP surfaces.
//!
//! It decides nothing: it turns bytes into events and effects into bytes. Reads are served from an immutable
//! view and never enter the core.

mod agent_sessions;
mod clock;
mod core_thread;
mod direct_calls;
mod facades;
mod fact_ring;
mod facts;
mod inbox;
mod indexes;
mod json;
mod leading;
mod marathon;
mod metering;
mod metrics;
mod native;
mod open_streams;
mod operator;
mod options;
mod pieces;
mod plan_trial;
mod readers;
mod recorder;
mod release;
mod replies;
mod routes;
mod scheduler_api;
mod scheduler_stream;
mod secrets;
mod shared;
mod start;
mod task_wire;
mod timers;
mod timings;
mod unversioned;
mod view;
mod work_facts;
mod writes;

pub use facades::Facade;
pub use options::{LoggingControl, MasterOptions, VERSION};
pub use recorder::{RECORDER_FOLDER, RecorderOptions, segments as recorded_segments};
pub use secrets::{SecretKey, SecretKeyError};
pub use start::{MasterEnd, MasterError, MasterHandle, run};

/// Every crash point of this crate; a test visits each.
pub const CRASH_POINTS: &[&str] = &[
    "master.elected",
    "master.before_persist",
    "master.after_persist",
    "master.durable_before_release",
    "master.released",
    "master.before_reply",
    "master.before_event",
    "master.heard_agent",
    "master.before_agent",
    "master.after_agent",
];
