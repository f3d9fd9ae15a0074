//! Containers for runtimes of the Open Container Initiative (runc, crun, runsc, kata-runtime): a launch plan said in the
//! words of their `config.json`, and the command lines by which they are run, listed and deleted.
//!
//! It starts from the plan that the warden would carry out, so that a container is the same whoever makes it. It must
//! never touch the host: the bundle's files and folders are made by whoever calls.

mod bundle;
pub mod config;
mod mounts;
mod privileges;
mod runtime;
mod seccomp;

pub use bundle::{Bundle, CONFIG_FILE, OciError, Resources, bundle};
pub use privileges::DEFAULT_CAPABILITIES;
pub use runtime::{
    ContainerName, Invocation, Runtime, RuntimeError, failure, parse_runtimes, parse_states,
};
