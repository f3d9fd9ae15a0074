//! Talking to a master from a short-lived process: blocking, on one connection, without an async runtime, because a
//! client verb must start and end within a few milliseconds.

pub(crate) mod api;
pub(crate) mod error;
pub(crate) mod follow;
pub(crate) mod http;
pub(crate) mod identify;
pub(crate) mod objects;
pub(crate) mod runs;
pub(crate) mod session;
