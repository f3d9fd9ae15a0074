//! What holds of groups on whichever hierarchies this host has: version 1, version 2 or both.
//!
//! Each test runs once for each way in which the host's controllers can be used. Without root, or where a controller
//! is not there, a test says so and passes; with `MEZZ_CGROUP_CONTRACT=required` that is a failure. The binary needs
//! nothing but itself and a shell, so that it can be run in a guest with another kernel.

mod enforcing;
mod host;
mod lifecycle;
mod telling;
