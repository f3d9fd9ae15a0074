//! Fields of protobuf messages written straight into bytes, for messages that would be built only to be encoded.
//!
//! It knows wire types and lengths. Which fields a message has is known by who writes them, and held by a test against
//! the generated type.

use prost::Message;
use prost::encoding::{WireType, encoded_len_varint};

/// Simpler than the one of the codec, which cannot know that it writes into a vector.
fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn key(tag: u32, kind: WireType, out: &mut Vec<u8>) {
    varint(u64::from(tag << 3 | kind as u32), out);
}

/// A string.
pub fn text(tag: u32, text: &str, out: &mut Vec<u8>) {
    bytes(tag, text.as_bytes(), out);
}

/// Bytes, or a message that is encoded already.
pub fn bytes(tag: u32, bytes: &[u8], out: &mut Vec<u8>) {
    key(tag, WireType::LengthDelimited, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// An integer or an enumerator.
pub fn number(tag: u32, number: u64, out: &mut Vec<u8>) {
    key(tag, WireType::Varint, out);
    varint(number, out);
}

/// A double.
pub fn double(tag: u32, value: f64, out: &mut Vec<u8>) {
    key(tag, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A message that exists.
pub fn message(tag: u32, message: &impl Message, out: &mut Vec<u8>) {
    key(tag, WireType::LengthDelimited, out);
    varint(message.encoded_len() as u64, out);
    message.encode_raw(out);
}

/// A message whose one field is a string, such as an id.
pub fn wrapped(tag: u32, value: &str, out: &mut Vec<u8>) {
    key(tag, WireType::LengthDelimited, out);
    let length = 1 + encoded_len_varint(value.len() as u64) + value.len();
    varint(length as u64, out);
    text(1, value, out);
}

/// A message whose fields are written by a function.
pub fn nested(tag: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    key(tag, WireType::LengthDelimited, out);
    let head = out.len();
    out.push(0);
    let start = out.len();
    write(out);
    let length = out.len() - start;
    if length < 0x80 {
        out[head] = length.to_le_bytes()[0];
        return;
    }
    // The length takes more than the one byte that was left for it.
    let extra = encoded_len_varint(length as u64) - 1;
    out.resize(out.len() + extra, 0);
    out.copy_within(start..start + length, start + extra);
    let mut rest = length;
    for byte in &mut out[head..head + extra] {
        *byte = rest.to_le_bytes()[0] | 0x80;
        rest >>= 7;
    }
    out[head + extra] = rest.to_le_bytes()[0];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1;

    #[test]
    fn lengths_of_every_size_are_those_that_the_codec_writes() {
        for length in [
            0, 1, 100, 118, 119, 120, 121, 122, 127, 128, 16_370, 16_384, 70_000,
        ] {
            let offer = v1::Offer {
                id: v1::OfferId {
                    value: "x".repeat(length),
                },
                hostname: "host".into(),
                ..v1::Offer::default()
            };
            let whole = v1::scheduler::event::Offers {
                offers: vec![offer],
            };
            let mut written = Vec::new();
            nested(1, &mut written, |out| {
                wrapped(1, &"x".repeat(length), out);
                wrapped(2, "", out);
                wrapped(3, "", out);
                text(4, "host", out);
            });
            assert_eq!(written, whole.encode_to_vec(), "{length}");
        }
    }
}
