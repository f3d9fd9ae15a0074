//! Answers of facades.

use serde_json::{Value, json};

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

/// What an answer holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Nothing,
    Json(Value),
    /// A text with its media type.
    Text(&'static str, String),
}

impl Answer {
    /// 200 with JSON.
    pub fn json(value: Value) -> Self {
        Self::of(200, value)
    }

    /// JSON with a status.
    pub fn of(status: u16, value: Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Json(value),
        }
    }

    /// `{"message": …}`, as Marathon and Metronome word their errors.
    pub fn message(status: u16, message: impl Into<String>) -> Self {
        Self::of(status, json!({ "message": message.into() }))
    }

    /// A status alone.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Nothing,
        }
    }

    /// 200 with a text.
    pub fn text(media_type: &'static str, text: impl Into<String>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: Body::Text(media_type, text.into()),
        }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}
