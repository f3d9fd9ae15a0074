//! Frames: a payload with its length and its checksums, so that a torn end and a changed byte are told apart.
//!
//! Head: length (4 bytes), checksum of the payload (4), checksum of these eight bytes (2); all little-endian.

use xxhash_rust::xxh3::xxh3_64;

const HEAD: usize = 10;

/// What is at a position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A payload, and where the next frame begins.
    Whole { payload: &'a [u8], next: usize },
    /// The bytes end within it.
    Torn,
    /// A checksum does not agree.
    Corrupt,
    /// Nothing follows.
    End,
}

/// Begins a frame at the end of a buffer; the payload is appended next.
pub(crate) fn begin(buffer: &mut Vec<u8>) -> usize {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEAD]);
    start
}

/// Ends the frame that begins at a position and reaches to the end of the buffer.
pub(crate) fn seal(buffer: &mut [u8], start: usize) {
    let (head, payload) = buffer[start..].split_at_mut(HEAD);
    let length = u32::try_from(payload.len()).expect("an entry is shorter than 4 GiB");
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..8].copy_from_slice(&payload_check(payload));
    let own = head_check(&head[..8]);
    head[8..].copy_from_slice(&own);
}

/// Reads the frame at a position.
pub(crate) fn read(bytes: &[u8], at: usize) -> Frame<'_> {
    let rest = &bytes[at.min(bytes.len())..];
    if rest.is_empty() {
        return Frame::End;
    }
    let Some((head, rest)) = rest.split_at_checked(HEAD) else {
        return Frame::Torn;
    };
    if head[8..] != head_check(&head[..8]) {
        return Frame::Corrupt;
    }
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let Some(payload) = rest.get(..length) else {
        return Frame::Torn;
    };
    if head[4..8] != payload_check(payload) {
        return Frame::Corrupt;
    }
    Frame::Whole {
        payload,
        next: at + HEAD + length,
    }
}

fn payload_check(payload: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64(payload).to_le_bytes();
    [a, b, c, d]
}

fn head_check(head: &[u8]) -> [u8; 2] {
    let [a, b, ..] = xxh3_64(head).to_le_bytes();
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_is_torn_and_every_changed_byte_is_corrupt() {
        let mut bytes = Vec::new();
        let start = begin(&mut bytes);
        bytes.extend_from_slice(b"payload");
        seal(&mut bytes, start);
        assert_eq!(
            read(&bytes, 0),
            Frame::Whole {
                payload: b"payload",
                next: bytes.len()
            }
        );
        assert_eq!(read(&bytes, bytes.len()), Frame::End);
        for end in 1..bytes.len() {
            assert_eq!(read(&bytes[..end], 0), Frame::Torn, "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert_eq!(read(&changed, 0), Frame::Corrupt, "changed at {at}");
        }
    }
}
