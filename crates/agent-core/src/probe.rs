//! What the shell is asked to try over the network for a check, and what may come of it.

use crate::ids::{LaunchId, ProbeId};

/// One attempt to reach a task on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Names it in the answer.
    pub id: ProbeId,
    /// The launch of the task, in whose network it is reached.
    pub launch_id: LaunchId,
    /// What to try.
    pub target: ProbeTarget,
}

/// What to try. How long it may take is the core's affair: it takes back what takes too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeTarget {
    /// GET this address; redirects are followed, certificates are not checked, the body is read to its end.
    Http {
        /// Complete, with scheme, host, port and path.
        url: String,
    },
    /// Make a connection, and close it.
    Tcp {
        /// Host and port.
        address: String,
    },
}

/// What came of a [`Probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The answer's status code.
    Status(u16),
    /// The connection stood.
    Connected,
    /// Nothing was answered, or no connection could be made.
    Failed,
}
