//! The names under which values are kept.

use std::fmt;

use crate::batch::limits;

/// A key: path-like UTF-8 text, ordered by its bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<str>);

/// Why a text cannot be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is empty.
    #[error("a store key must not be empty")]
    Empty,
    /// The text is longer than any backend takes.
    #[error(
        "a store key has {length} bytes, more than {}: `{start}…`",
        limits::KEY_BYTES
    )]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// Its first characters.
        start: String,
    },
    /// The text holds a character that a backend could not carry.
    #[error("a store key must not hold control characters: {key:?}")]
    ControlCharacter {
        /// The refused text.
        key: String,
    },
}

impl Key {
    /// Checks `text` and makes it a key.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text: String = text.into();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.len() > limits::KEY_BYTES {
            let start = text.chars().take(40).collect();
            return Err(KeyError::TooLong {
                length: text.len(),
                start,
            });
        }
        if text.chars().any(char::is_control) {
            return Err(KeyError::ControlCharacter { key: text });
        }
        Ok(Self(text.into_boxed_str()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn trusted(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for Key {
    type Error = KeyError;

    fn try_from(text: &str) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl TryFrom<String> for Key {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::new(text)
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_must_be_short_printable_text() {
        assert_eq!(Key::new(""), Err(KeyError::Empty));
        assert!(matches!(
            Key::new("a".repeat(513)),
            Err(KeyError::TooLong { length: 513, .. })
        ));
        assert!(matches!(
            Key::new("a\0b"),
            Err(KeyError::ControlCharacter { .. })
        ));
        assert_eq!(Key::new("agents/S0").expect("valid").as_str(), "agents/S0");
    }
}
