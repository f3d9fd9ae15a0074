//! What the shell has learned of a container before it runs, and what of it frameworks are shown.
//!
//! Plain data; it is kept in the journal, since a later life of the daemon shows the same.

use bytes::Bytes;
use mezz_proto::v1::NetworkInfo;

/// What is known of a container beside its process.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ContainerFacts {
    /// The networks that it has joined; empty for a container in the host's network.
    #[prost(message, repeated, tag = "1")]
    pub network_infos: Vec<NetworkInfo>,
    /// What goes with TASK_RUNNING as `data`.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub data: Option<Bytes>,
    /// The signal that asks its processes to end, if it is not SIGTERM.
    #[prost(int32, optional, tag = "3")]
    pub stop_signal: Option<i32>,
}
