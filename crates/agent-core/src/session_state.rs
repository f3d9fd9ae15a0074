//! How far the session with the master has come: plain data, no decisions.

use mezz_proto::v1::MasterInfo;
use std::sync::Arc;

/// Silence after which the agent dials again, until a master says otherwise.
const DEFAULT_PING_TIMEOUT_NS: u64 = 75_000_000_000;

/// The session with the master.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) state: SessionState,
    /// Failed attempts in a row.
    pub(crate) attempts: u32,
    pub(crate) ping_timeout_ns: u64,
    /// The least wait that a refusal asked for.
    pub(crate) retry_after_ns: u64,
    pub(crate) master: Option<Arc<MasterInfo>>,
}

/// How far the session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionState {
    Idle,
    Dialling,
    Greeted,
    Registering,
    Registered,
    HangingUp,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            state: SessionState::Idle,
            attempts: 0,
            ping_timeout_ns: DEFAULT_PING_TIMEOUT_NS,
            retry_after_ns: 0,
            master: None,
        }
    }
}
