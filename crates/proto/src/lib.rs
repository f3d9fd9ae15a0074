//! The words of the wire: Mesos v1 messages, the agent protocol, Mesos's JSON rules and RecordIO.
#![allow(clippy::all, clippy::pedantic, unreachable_pub)]

mod generated {
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}
pub use generated::mesos::v1;
pub use generated::mezz::agent::v1 as agent_protocol;
