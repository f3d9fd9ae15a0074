//! The warden: parent of every task of one node, and the client by which the agent speaks to it.
//!
//! Owns processes: it executes launch plans, passes file descriptors, reports exits and keeps each exit status until
//! it is acknowledged. It must never know of tasks, frameworks or HTTP, never sleep on a child, and stay small,
//! since the cost of a fork grows with the parent.
#![allow(unsafe_code)]

pub mod accounts;
pub mod client;
pub mod crash_point;
mod fd_passing;
pub mod frames;
pub mod host;
mod options;
pub mod protocol;
mod spawn;

pub use client::{ClientError, Connection, Flush, Incoming, ReadState, Welcome};
pub use crash_point::crash_point;
pub use options::{OptionsError, WardenOptions};
pub use protocol::{
    Exit, ExitStatus, LaunchPhase, LaunchState, LaunchStep, Reply, Request, RequestKind, ShutdownLaunches, SignalScope, Usage,
};
pub use spawn::{SpawnError, SpawnOptions, WardenHandle, connect_or_spawn, spawn};

/// The hidden verb under which the binary becomes the warden.
pub const VERB: &str = "warden";
