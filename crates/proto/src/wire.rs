//! The binary form: decoding with the check for required fields that prost leaves out.
//!
//! It walks the encoded bytes next to prost, since afterwards an absent required field cannot be
//! told from one that holds its default.

mod presence;

use prost::Message;

/// The generated tables.
#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
mod tables {
    use super::{Child, Kind, Required, Shape, Wire};
    use crate::generated as g;

    include!(concat!(env!("OUT_DIR"), "/shapes.rs"));
}

/// What a message must hold.
#[derive(Debug)]
pub struct Shape {
    /// Name of the message, without its package.
    pub name: &'static str,
    /// Its required fields, in declaration order.
    pub required: &'static [Required],
    /// Its fields that hold messages with required fields below.
    pub children: &'static [Child],
}

/// One required field.
#[derive(Debug)]
pub struct Required {
    /// Field number.
    pub number: u32,
    /// Field name.
    pub name: &'static str,
    /// For an enum: whether a number has a name. A number without one counts as absent.
    pub known: Option<fn(i32) -> bool>,
}

/// One field that holds messages.
#[derive(Debug)]
pub struct Child {
    /// Field number.
    pub number: u32,
    /// Field name.
    pub name: &'static str,
    /// How the messages are held.
    pub kind: Kind,
    /// What they must hold.
    pub shape: &'static Shape,
}

/// How a field holds messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// At most one.
    Single,
    /// A list.
    Repeated,
    /// The values of a map with string keys.
    Map,
}

/// A message whose required fields are known.
pub trait Wire: Message + Default + std::fmt::Debug {
    /// What it must hold.
    fn shape() -> &'static Shape;
}

/// Why bytes are no such message; the `Display` form is fit for an answer's body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// The bytes do not follow the encoding.
    #[error("Failed to parse body into {message} protobuf: {reason}")]
    Malformed {
        /// Name of the message, without its package.
        message: &'static str,
        /// What the decoder met.
        reason: String,
    },
    /// Required fields are absent.
    #[error("Failed to parse body into {message} protobuf: Missing required fields: {}", fields.join(", "))]
    Missing {
        /// Name of the message, without its package.
        message: &'static str,
        /// Paths of the absent fields, `tasks[0].name`.
        fields: Vec<String>,
    },
}

/// Decodes a message and checks that every required field is there.
pub fn decode_binary<M: Wire>(bytes: &[u8]) -> Result<M, BinaryError> {
    let name = M::shape().name;
    let message = M::decode(bytes).map_err(|error| BinaryError::Malformed {
        message: name,
        reason: error.to_string(),
    })?;
    match missing_required::<M>(bytes) {
        fields if fields.is_empty() => Ok(message),
        fields => Err(BinaryError::Missing {
            message: name,
            fields,
        }),
    }
}

/// Paths of the required fields that an encoded message lacks.
pub fn missing_required<M: Wire>(bytes: &[u8]) -> Vec<String> {
    presence::missing(M::shape(), bytes)
}
