//! Whole-system recovery: real daemons are killed while real tasks run, and everything must end right.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on ends by panicking"
)]

mod agents;
mod arrays;
mod crash_points;
mod dev;
mod lab;
mod load;
mod masters;
mod sharing;
mod stopping;
mod unprivileged;
mod wardens;
