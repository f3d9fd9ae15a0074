//! Mesos's JSON form of its messages, in both directions.
//!
//! The code per message is generated from the descriptors; this module owns the rules that it
//! calls. It must never look at what a field means beyond its declared type.

mod double;
mod duration;
mod read;
mod scan;
mod write;

use crate::wire::Wire;
use read::Reader;
use scan::{Fail, Scanner};
use write::{Charset, Writer};

/// The generated implementations.
#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
mod codec {
    use super::Json;
    use super::read::{EnumTable, Fields, Reader};
    use super::scan::Fail;
    use super::write::{Empty, Writer};
    use crate::generated as g;
    use crate::wire::{Required, Wire};

    include!(concat!(env!("OUT_DIR"), "/json.rs"));
}

/// A message that has a JSON form.
#[allow(private_bounds)]
pub trait Json: Wire + read::Fields {}

/// Why a text is no such message; the `Display` form is the body that Mesos answers with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON.
    #[error("Failed to parse body into JSON: syntax error at line {line} near: {near}")]
    Syntax {
        /// Line of the first byte that does not fit, from 1.
        line: usize,
        /// The rest of that line.
        near: String,
    },
    /// The text is JSON, but required fields are absent.
    #[error("Failed to convert JSON into {message} protobuf: Missing required fields: {}", fields.join(", "))]
    Missing {
        /// Name of the message, without its package.
        message: &'static str,
        /// Paths of the absent fields, `subscribe.framework_info.user`.
        fields: Vec<String>,
    },
    /// The text is JSON, but a value has the wrong type or range.
    #[error(
        "Failed to convert JSON into {message} protobuf: {}",
        at(path, problem)
    )]
    Mismatch {
        /// Name of the message, without its package.
        message: &'static str,
        /// Path of the field; empty for the text as a whole.
        path: String,
        /// What was expected and found.
        problem: String,
    },
}

fn at(path: &str, problem: &str) -> String {
    if path.is_empty() {
        problem.to_owned()
    } else {
        format!("field '{path}': {problem}")
    }
}

/// The JSON text of a message.
pub fn to_json<M: Json>(message: &M) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_json(message, &mut out);
    out
}

/// The JSON text of a message with every other character than ASCII escaped.
pub fn to_json_ascii<M: Json>(message: &M) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_json_ascii(message, &mut out);
    out
}

/// Appends the JSON text of a message.
pub fn write_json<M: Json>(message: &M, out: &mut Vec<u8>) {
    Writer::new(out, Charset::Utf8).object(message);
}

/// Appends the JSON text of a message with every other character than ASCII escaped, as streams need it.
pub fn write_json_ascii<M: Json>(message: &M, out: &mut Vec<u8>) {
    Writer::new(out, Charset::Ascii).object(message);
}

/// Appends a text in quotes, as in the JSON of a message.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    Writer::new(out, Charset::Utf8).quoted(text);
}

/// Appends bytes in base64 and in quotes, as in the JSON of a message.
pub fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    Writer::new(out, Charset::Utf8).base64(bytes);
}

/// Reads a message from JSON text.
pub fn from_json<M: Json>(text: &[u8]) -> Result<M, JsonError> {
    let mut message = M::default();
    read_json(text, &mut message, M::shape().name)?;
    Ok(message)
}

/// The message as a value for documents that are put together by hand.
pub fn to_value<M: Json>(message: &M) -> serde_json::Value {
    serde_json::from_slice(&to_json(message)).expect("the writer emits valid JSON")
}

/// Reads a message from a part of a document that is parsed already.
pub fn from_value<M: Json>(value: &serde_json::Value) -> Result<M, JsonError> {
    from_json(value.to_string().as_bytes())
}

fn read_json(
    text: &[u8],
    message: &mut dyn read::Fields,
    name: &'static str,
) -> Result<(), JsonError> {
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => return Err(syntax(text, error.valid_up_to())),
    };
    let mut reader = Reader::new(text);
    let read = reader.document(message);
    let missing = reader.into_missing();
    let error = match read {
        Ok(()) if missing.is_empty() => return Ok(()),
        Ok(()) => JsonError::Missing {
            message: name,
            fields: missing,
        },
        Err(Fail::Syntax(position)) => return Err(syntax(text.as_bytes(), position)),
        Err(Fail::Mismatch(mismatch)) => JsonError::Mismatch {
            message: name,
            path: mismatch.path(),
            problem: mismatch.problem,
        },
    };
    // A syntax error further on wins, as where the whole text is parsed before it is converted.
    match Scanner::new(text).validate() {
        Err(Fail::Syntax(position)) => Err(syntax(text.as_bytes(), position)),
        _ => Err(error),
    }
}

fn syntax(text: &[u8], position: usize) -> JsonError {
    let before = &text[..position];
    let rest = text[position..]
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let near: String = String::from_utf8_lossy(rest)
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    JsonError::Syntax {
        line: before.split(|byte| *byte == b'\n').count(),
        near,
    }
}
