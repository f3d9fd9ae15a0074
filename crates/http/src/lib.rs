//! HTTP for the daemons: negotiation, streams, files, and the agent session.
pub mod session;
