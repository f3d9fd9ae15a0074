//! A walk over encoded bytes that notes which required fields occur.

use std::borrow::Cow;

use super::{Child, Kind, Required, Shape};

/// Deeper than this prost refuses to decode.
const DEPTH_LIMIT: usize = 100;

/// Paths of the required fields that are absent.
pub(super) fn missing(shape: &'static Shape, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    // The quick walk knows nothing of split messages and names no path; it nearly always suffices.
    if !complete(shape, bytes, 0) {
        collect(shape, bytes, "", &mut found);
    }
    found
}

/// One field of the encoding.
enum Field<'a> {
    Number(u32, u64),
    Bytes(u32, &'a [u8]),
    Other(u32),
}

/// The fields of an encoded message; it ends early where the encoding is broken.
struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip_group(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_LIMIT {
            return None;
        }
        loop {
            let tag = self.varint()?;
            if tag & 7 == 4 {
                return Some(());
            }
            self.value(tag, depth + 1)?;
        }
    }

    fn value(&mut self, tag: u64, depth: usize) -> Option<Field<'a>> {
        let number = u32::try_from(tag >> 3).ok()?;
        match tag & 7 {
            0 => Some(Field::Number(number, self.varint()?)),
            1 => self.take(8).map(|_| Field::Other(number)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.take(length).map(|bytes| Field::Bytes(number, bytes))
            }
            3 => self.skip_group(depth).map(|()| Field::Other(number)),
            5 => self.take(4).map(|_| Field::Other(number)),
            _ => None,
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let tag = self.varint()?;
        self.value(tag, 0)
    }
}

/// The bits of the required fields that are filled once this field has been read too.
fn filled(seen: u64, required: &[Required], field: &Field<'_>) -> u64 {
    let (number, value) = match field {
        Field::Number(number, value) => (*number, Some(*value)),
        Field::Bytes(number, _) | Field::Other(number) => (*number, None),
    };
    let Some(bit) = required.iter().position(|field| field.number == number) else {
        return seen;
    };
    #[allow(clippy::cast_possible_truncation)] // Enums are sign-extended on the wire.
    let known = match (required[bit].known, value) {
        (Some(known), Some(value)) => known(value as i32),
        _ => true,
    };
    // The last occurrence is the one that counts.
    if known {
        seen | 1 << bit
    } else {
        seen & !(1 << bit)
    }
}

fn all(required: &[Required]) -> u64 {
    required
        .iter()
        .enumerate()
        .fold(0, |bits, (bit, _)| bits | 1 << bit)
}

/// True when every message, taken piece by piece, has its required fields.
fn complete(shape: &'static Shape, bytes: &[u8], depth: usize) -> bool {
    if depth > DEPTH_LIMIT {
        return true;
    }
    let mut seen = 0;
    for field in Walk(bytes) {
        seen = filled(seen, shape.required, &field);
        let Field::Bytes(number, held) = field else {
            continue;
        };
        let Some(child) = shape.children.iter().find(|child| child.number == number) else {
            continue;
        };
        let held = if child.kind == Kind::Map {
            entry(held).1
        } else {
            held
        };
        if !complete(child.shape, held, depth + 1) {
            return false;
        }
    }
    seen == all(shape.required)
}

/// Key and value of an encoded map entry.
fn entry(bytes: &[u8]) -> (&[u8], &[u8]) {
    Walk(bytes).fold((&[], &[]), |(key, value), field| match field {
        Field::Bytes(1, bytes) => (bytes, value),
        Field::Bytes(2, bytes) => (key, bytes),
        _ => (key, value),
    })
}

/// Notes the paths of what is absent: a message's own fields first, then what its children lack.
fn collect(shape: &'static Shape, bytes: &[u8], path: &str, found: &mut Vec<String>) {
    let seen = Walk(bytes).fold(0, |seen, field| filled(seen, shape.required, &field));
    for (bit, field) in shape.required.iter().enumerate() {
        if seen & (1 << bit) == 0 {
            found.push(format!("{path}{}", field.name));
        }
    }
    for child in shape.children {
        for (segment, held) in held(child, bytes) {
            collect(
                child.shape,
                &held,
                &format!("{path}{}{segment}.", child.name),
                found,
            );
        }
    }
}

/// The messages that a field holds, each with the part of the path that tells it from the others.
fn held<'a>(child: &Child, bytes: &'a [u8]) -> Vec<(String, Cow<'a, [u8]>)> {
    let pieces = Walk(bytes).filter_map(|field| match field {
        Field::Bytes(number, held) if number == child.number => Some(held),
        _ => None,
    });
    match child.kind {
        Kind::Single => {
            // Several pieces of one message are merged, which is what their concatenation encodes.
            let pieces: Vec<&[u8]> = pieces.collect();
            match pieces.as_slice() {
                [] => Vec::new(),
                [one] => vec![(String::new(), Cow::Borrowed(*one))],
                many => vec![(String::new(), Cow::Owned(many.concat()))],
            }
        }
        Kind::Repeated => pieces
            .enumerate()
            .map(|(index, held)| (format!("[{index}]"), Cow::Borrowed(held)))
            .collect(),
        Kind::Map => pieces
            .map(|piece| {
                let (key, value) = entry(piece);
                (
                    format!("[{:?}]", String::from_utf8_lossy(key)),
                    Cow::Borrowed(value),
                )
            })
            .collect(),
    }
}
