//! Ids that follow from what they name, in the form of a UUID.

use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_128;

/// A UUID of these parts (version 8: its bits are the maker's own).
pub fn uuid(parts: &[&[u8]]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    let mut hash = xxh3_128(&bytes).to_be_bytes();
    hash[6] = hash[6] & 0x0f | 0x80;
    hash[8] = hash[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in hash.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        write!(text, "{byte:02x}").expect("a string takes all that is written");
    }
    text
}
