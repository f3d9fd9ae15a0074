//! Writing fields: the JSON form of each field type, straight into a byte buffer.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::double;
use super::read::{EnumTable, Fields};

/// Which characters a text may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    Utf8,
    /// Everything else is escaped: some clients count characters where bytes are meant.
    Ascii,
}

/// What becomes of a repeated field without elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    Omitted,
    Shown,
}

/// Writes messages as JSON.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    charset: Charset,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, charset: Charset) -> Self {
        Self { out, charset }
    }

    /// Writes a message as an object.
    pub(super) fn object(&mut self, message: &dyn Fields) {
        self.out.push(b'{');
        message.write(self);
        self.out.push(b'}');
    }

    /// Puts the comma before every member but the first.
    fn separate(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    /// Begins a member; the key comes quoted and with its colon.
    fn key(&mut self, key: &str) {
        self.separate();
        self.out.extend_from_slice(key.as_bytes());
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    pub(super) fn bytes(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        self.base64(value);
    }

    pub(super) fn base64(&mut self, value: &[u8]) {
        self.out.push(b'"');
        self.out
            .extend_from_slice(STANDARD.encode(value).as_bytes());
        self.out.push(b'"');
    }

    pub(super) fn boolean(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn int(&mut self, key: &str, value: i64) {
        self.key(key);
        if value < 0 {
            self.out.push(b'-');
        }
        self.digits(value.unsigned_abs());
    }

    pub(super) fn uint(&mut self, key: &str, value: u64) {
        self.key(key);
        self.digits(value);
    }

    pub(super) fn double(&mut self, key: &str, value: f64) {
        self.key(key);
        double::write(self.out, value);
    }

    /// An enum by name; a number without a name counts as unset.
    pub(super) fn enumeration(&mut self, key: &str, value: i32, table: &EnumTable) {
        if let Some(name) = (table.name)(value) {
            self.key(key);
            self.plain(name);
        }
    }

    /// An enum with a default, which also stands in for a number without a name.
    pub(super) fn enumeration_or(
        &mut self,
        key: &str,
        value: Option<i32>,
        default: i32,
        table: &EnumTable,
    ) {
        let known = value.filter(|value| (table.name)(*value).is_some());
        self.enumeration(key, known.unwrap_or(default), table);
    }

    pub(super) fn message(&mut self, key: &str, value: &dyn Fields) {
        self.key(key);
        self.object(value);
    }

    pub(super) fn strings(&mut self, key: &str, values: &[String]) {
        self.array(key, values, Empty::Omitted, |writer, value| {
            writer.quoted(value);
        });
    }

    pub(super) fn uints(&mut self, key: &str, values: &[u32]) {
        self.array(key, values, Empty::Omitted, |writer, value| {
            writer.digits(u64::from(*value));
        });
    }

    pub(super) fn enumerations(&mut self, key: &str, values: &[i32], table: &EnumTable) {
        let names: Vec<&str> = values
            .iter()
            .filter_map(|value| (table.name)(*value))
            .collect();
        self.array(key, &names, Empty::Omitted, |writer, name| {
            writer.plain(name);
        });
    }

    pub(super) fn messages<T: Fields>(&mut self, key: &str, values: &[T], empty: Empty) {
        self.array(key, values, empty, |writer, value| writer.object(value));
    }

    fn array<T>(&mut self, key: &str, values: &[T], empty: Empty, element: impl Fn(&mut Self, &T)) {
        if values.is_empty() && empty == Empty::Omitted {
            return;
        }
        self.key(key);
        self.out.push(b'[');
        for value in values {
            self.separate();
            element(self, value);
        }
        self.out.push(b']');
    }

    pub(super) fn string_map(&mut self, key: &str, values: &BTreeMap<String, String>) {
        self.map(key, values, |writer, value| writer.quoted(value));
    }

    pub(super) fn message_map<T: Fields>(&mut self, key: &str, values: &BTreeMap<String, T>) {
        self.map(key, values, |writer, value| writer.object(value));
    }

    fn map<T>(&mut self, key: &str, values: &BTreeMap<String, T>, entry: impl Fn(&mut Self, &T)) {
        if values.is_empty() {
            return;
        }
        self.key(key);
        self.out.push(b'{');
        for (name, value) in values {
            self.separate();
            self.quoted(name);
            self.out.push(b':');
            entry(self, value);
        }
        self.out.push(b'}');
    }

    fn digits(&mut self, mut value: u64) {
        let mut buffer = [0_u8; 20];
        let mut start = buffer.len();
        loop {
            start -= 1;
            buffer[start] = b'0' + u8::try_from(value % 10).expect("a digit fits a byte");
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&buffer[start..]);
    }

    /// A string that needs no escapes.
    fn plain(&mut self, value: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
    }

    pub(super) fn quoted(&mut self, value: &str) {
        self.out.push(b'"');
        let bytes = value.as_bytes();
        let mut clean = 0;
        for (position, byte) in bytes.iter().enumerate() {
            let escape = match byte {
                b'"' | b'\\' | 0..0x20 => true,
                0x80.. => self.charset == Charset::Ascii,
                _ => false,
            };
            if escape && position >= clean {
                self.out.extend_from_slice(&bytes[clean..position]);
                let character = value[position..]
                    .chars()
                    .next()
                    .expect("an escape starts at a character");
                self.escape(character);
                clean = position + character.len_utf8();
            }
        }
        self.out.extend_from_slice(&bytes[clean..]);
        self.out.push(b'"');
    }

    fn escape(&mut self, character: char) {
        let short = match character {
            '"' => b'"',
            '\\' => b'\\',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    self.unit(*unit);
                }
                return;
            }
        };
        self.out.extend_from_slice(&[b'\\', short]);
    }

    fn unit(&mut self, unit: u16) {
        self.out.extend_from_slice(b"\\u");
        for shift in [12, 8, 4, 0] {
            self.out
                .push(b"0123456789ABCDEF"[usize::from(unit >> shift & 0xf)]);
        }
    }
}
