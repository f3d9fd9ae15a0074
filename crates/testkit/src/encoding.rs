//! The two encodings of the Mesos APIs, so that a test can be run for each.
//!
//! Tests write calls and read events as JSON values; protobuf is translated at the edge by the message
//! definitions, whose own tests compare them with samples of another implementation.

use mezz_proto::{Json, Wire, decode_binary, from_value, to_value};
use serde_json::Value;

use crate::http_client::{HttpError, JSON, PROTOBUF, Request};

/// How bodies are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    Json,
    /// Protobuf.
    Protobuf,
}

impl Encoding {
    /// Both, for tests that hold for each.
    pub const BOTH: [Self; 2] = [Self::Json, Self::Protobuf];

    /// The content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Protobuf => PROTOBUF,
        }
    }

    /// The bytes of a message that is written as JSON; panics when it is none.
    #[track_caller]
    pub fn encode<M: Json + prost::Message>(self, message: &Value) -> Vec<u8> {
        match self {
            Self::Json => message.to_string().into_bytes(),
            Self::Protobuf => from_value::<M>(message)
                .unwrap_or_else(|error| panic!("{error} in {message}"))
                .encode_to_vec(),
        }
    }

    /// The message in the bytes, as JSON.
    pub fn decode<M: Json + Wire + Default>(self, bytes: &[u8]) -> Result<Value, HttpError> {
        match self {
            Self::Json => {
                serde_json::from_slice(bytes).map_err(|error| HttpError::Decode(error.to_string()))
            }
            Self::Protobuf => decode_binary::<M>(bytes)
                .map(|message| to_value(&message))
                .map_err(|error| HttpError::Decode(error.to_string())),
        }
    }

    /// A POST of a message that accepts the same encoding.
    #[track_caller]
    pub fn post<M: Json + prost::Message>(self, path: &str, message: &Value) -> Request {
        Request::new("POST", path)
            .header("Accept", self.content_type())
            .header("Content-Type", self.content_type())
            .body(self.encode::<M>(message))
    }
}
