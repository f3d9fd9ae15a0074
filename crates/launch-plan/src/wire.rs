//! Little-endian, length-prefixed primitives shared by the plan's encoding and the warden's protocol.
//!
//! Must never allocate by a length that the input does not really hold.

use std::ffi::CString;

/// Why bytes could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("{field}: input ends too early")]
    Truncated {
        /// What was being read.
        field: &'static str,
    },
    /// A number that stands for a choice is none of the known ones.
    #[error("{field}: unknown value {value}")]
    UnknownValue {
        /// What was being read.
        field: &'static str,
        /// The number found.
        value: u64,
    },
    /// A string holds a NUL byte or is not UTF-8.
    #[error("{field}: malformed string")]
    Text {
        /// What was being read.
        field: &'static str,
    },
    /// Bytes follow the end.
    #[error("{count} bytes too many")]
    Trailing {
        /// How many.
        count: usize,
    },
}

/// Appends primitives to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Appends to `buffer`.
    pub fn new(buffer: &'a mut Vec<u8>) -> Self {
        Self { buffer }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.buffer.push(value);
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    /// Four bytes, signed.
    pub fn i32(&mut self, value: i32) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    /// A number of items, saturated (nothing we encode comes near).
    pub fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// A length and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.buffer.extend_from_slice(bytes);
    }

    /// An optional eight-byte number.
    pub fn optional_u64(&mut self, value: Option<u64>) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                self.u64(value);
            }
        }
    }

    /// A number of strings and each of them.
    pub fn strings(&mut self, strings: &[CString]) {
        self.count(strings.len());
        for string in strings {
            self.bytes(string.as_bytes());
        }
    }
}

/// Takes primitives off a slice.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Refuses bytes that follow the end.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing {
                count: self.rest.len(),
            })
        }
    }

    fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        Ok(self
            .take(field, N)?
            .try_into()
            .expect("take returns exactly the length asked for"))
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    /// Four bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    /// Four bytes, signed.
    pub fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        Ok(i32::from_le_bytes(self.array(field)?))
    }

    /// Eight bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// A number of items, each of which takes at least one byte.
    pub fn count(&mut self, field: &'static str) -> Result<usize, DecodeError> {
        let count = self.u32(field)? as usize;
        if count > self.rest.len() {
            return Err(DecodeError::Truncated { field });
        }
        Ok(count)
    }

    /// A length and that many bytes.
    pub fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let count = self.count(field)?;
        self.take(field, count)
    }

    /// A string for the kernel.
    pub fn c_string(&mut self, field: &'static str) -> Result<CString, DecodeError> {
        CString::new(self.bytes(field)?).map_err(|_| DecodeError::Text { field })
    }

    /// A UTF-8 string.
    pub fn text(&mut self, field: &'static str) -> Result<String, DecodeError> {
        std::str::from_utf8(self.bytes(field)?)
            .map(str::to_owned)
            .map_err(|_| DecodeError::Text { field })
    }

    /// An optional eight-byte number.
    pub fn optional_u64(&mut self, field: &'static str) -> Result<Option<u64>, DecodeError> {
        match self.u8(field)? {
            0 => Ok(None),
            1 => Ok(Some(self.u64(field)?)),
            value => Err(DecodeError::UnknownValue {
                field,
                value: value.into(),
            }),
        }
    }

    /// A list of strings for the kernel.
    pub fn strings(&mut self, field: &'static str) -> Result<Vec<CString>, DecodeError> {
        let count = self.count(field)?;
        let mut strings = Vec::with_capacity(count);
        for _ in 0..count {
            strings.push(self.c_string(field)?);
        }
        Ok(strings)
    }
}
