//! The warden: parent of every task of one node, and the client by which the agent speaks to it.
//!
//! Owns processes: it executes launch plans, passes file descriptors, reports exits and keeps each exit status until
//! it is acknowledged. It must never know of tasks, frameworks or HTTP, never sleep on a child, and stay small,
//! since the cost of a fork grows with the parent.
#![allow(unsafe_code)]

#[macro_use]
mod messages;

pub mod accounts;
mod adoption;
mod child;
mod child_isolation;
mod child_mounts;
mod child_paths;
mod child_privileges;
pub mod client;
mod clone;
mod control;
pub mod crash_point;
mod exit_log;
mod exits;
mod fd_passing;
pub mod frames;
pub mod host;
mod kernel_calls;
mod launch;
mod launching;
mod options;
mod peer;
mod pid_namespace;
mod prepared;
mod prepared_isolation;
mod proc_tree;
pub mod protocol;
mod reexec;
mod reexec_state;
mod run;
pub mod scheduling;
mod spawn;
mod startup;
mod sys;
mod terminal;
mod timers;
mod tree;
mod tree_ending;
mod warden;

pub use client::{ClientError, Connection, Flush, Incoming, ReadState, Welcome};
pub use crash_point::crash_point;
pub use options::{OptionsError, WardenOptions};
pub use protocol::{
    Exit, ExitStatus, LaunchPhase, LaunchState, LaunchStep, Reply, Request, RequestKind,
    ShutdownLaunches, SignalScope, Usage,
};
pub use run::run;
pub use spawn::{SpawnError, SpawnOptions, WardenHandle, connect_or_spawn, spawn};

/// The hidden verb under which the binary becomes the warden.
pub const VERB: &str = "warden";
