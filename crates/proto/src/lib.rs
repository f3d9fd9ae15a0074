//! The words of the wire: Mesos v1 messages, the agent protocol, Mesos's JSON rules and RecordIO.
//!
//! It owns how bytes become messages and messages become bytes. It must never decide what a
//! message means, and touches no clock, file, socket or random source.

/// What prost makes of the `.proto` files.
#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/protos.rs"));
}
pub mod check_labels;
mod encoded;
pub mod fields;
pub mod json;
pub mod recordio;
mod secret_value;
pub mod wire;

pub use generated::google::protobuf as well_known;
pub use generated::mesos::v1;
pub use generated::mezz::agent::v1 as agent_protocol;
pub use json::{
    Json, JsonError, from_json, from_value, to_json, to_json_ascii, to_value, write_json,
    write_json_ascii,
};
pub use wire::{BinaryError, Wire, decode_binary};
