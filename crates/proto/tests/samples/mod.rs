//! The golden samples, and what can be done with a message of any type.
#![allow(dead_code)] // Each test program uses its own part.

use base64::Engine as _;
use mezz_proto::{Json, decode_binary, from_json, to_json, to_json_ascii};

mod g {
    pub(super) mod mesos {
        pub(in super::super) use mezz_proto::v1;
    }
}

include!(concat!(env!("OUT_DIR"), "/every.rs"));

/// One line of a golden file.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) binary: Vec<u8>,
    pub(crate) json: String,
}

/// The lines of a golden file.
pub(crate) fn samples(file: &str) -> Vec<Sample> {
    let sample = |line: &str| {
        let mut parts = line.splitn(3, '\t').map(str::to_owned);
        let mut part = || parts.next().expect("a line has three parts");
        let (name, binary, json) = (part(), part(), part());
        let binary = base64::engine::general_purpose::STANDARD
            .decode(binary)
            .expect("base64");
        Sample { name, binary, json }
    };
    file.lines().map(sample).collect()
}

/// What is done with messages of one type.
#[derive(Debug, Clone)]
pub(crate) struct Codec {
    pub(crate) name: &'static str,
    /// Binary to JSON text.
    pub(crate) to_json: fn(&[u8]) -> Result<String, String>,
    /// The same in ASCII.
    pub(crate) to_ascii: fn(&[u8]) -> Result<String, String>,
    /// JSON text to binary.
    pub(crate) to_binary: fn(&[u8]) -> Result<Vec<u8>, String>,
    /// Binary to binary.
    pub(crate) reencode: fn(&[u8]) -> Result<Vec<u8>, String>,
}

fn json_of<M: Json>(bytes: &[u8]) -> Result<String, String> {
    let message: M = decode_binary(bytes).map_err(|error| error.to_string())?;
    String::from_utf8(to_json(&message)).map_err(|error| error.to_string())
}

fn ascii_of<M: Json>(bytes: &[u8]) -> Result<String, String> {
    let message: M = decode_binary(bytes).map_err(|error| error.to_string())?;
    let text = String::from_utf8(to_json_ascii(&message)).map_err(|error| error.to_string())?;
    assert!(text.is_ascii());
    Ok(text)
}

fn binary_of<M: Json>(text: &[u8]) -> Result<Vec<u8>, String> {
    from_json::<M>(text)
        .map(|message| message.encode_to_vec())
        .map_err(|error| error.to_string())
}

fn again<M: Json>(bytes: &[u8]) -> Result<Vec<u8>, String> {
    decode_binary::<M>(bytes)
        .map(|message| message.encode_to_vec())
        .map_err(|error| error.to_string())
}

macro_rules! codecs {
    ($($name:literal => $path:path,)*) => {
        /// Every message of the Mesos API.
        pub(crate) static CODECS: &[Codec] = &[$(
            Codec {
                name: $name,
                to_json: json_of::<$path>,
                to_ascii: ascii_of::<$path>,
                to_binary: binary_of::<$path>,
                reencode: again::<$path>,
            },
        )*];
    };
}
with_every_message!(codecs);

/// The codec of the message with this full name.
pub(crate) fn codec(name: &str) -> &'static Codec {
    CODECS
        .iter()
        .find(|codec| codec.name == name)
        .unwrap_or_else(|| panic!("no message {name}"))
}
