//! The targets, by what takes the bytes in.

pub(crate) mod agent_events;
pub(crate) mod codecs;
pub(crate) mod facades;
pub(crate) mod framing;
pub(crate) mod images;
pub(crate) mod master_events;
pub(crate) mod objects;
pub(crate) mod script;
pub(crate) mod texts;
