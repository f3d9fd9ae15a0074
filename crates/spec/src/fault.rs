//! What is wrong with a document: where, why, and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most faults that are told at once.
pub const MAX_FAULTS: usize = 100;

/// A place in a text, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Which object, when there are several: `service /team/web`, or `document 2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// A JSON pointer into the object, such as `/spec/template/containers/0/ports`.
    pub path: String,
    pub message: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the text, when the text is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Position>,
}

impl Fault {
    /// A fault at a JSON pointer.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            object: None,
            path: path.into(),
            message: message.into(),
            hint: None,
            at: None,
        }
    }

    /// With what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With its place in the text.
    pub fn at(mut self, position: Option<Position>) -> Self {
        self.at = position;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        if let Some(at) = self.at {
            write!(f, " (line {}, column {})", at.line, at.column)?;
        }
        Ok(())
    }
}

/// One step of a JSON pointer more.
pub(crate) fn below(path: &str, key: impl fmt::Display) -> String {
    format!("{path}/{}", escaped(&key.to_string()))
}

/// A key as JSON pointers write it.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
