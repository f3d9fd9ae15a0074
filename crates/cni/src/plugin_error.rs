//! The error that a plugin reports, and what its code means.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a plugin reported instead of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginError {
    /// A code of the interface below 100, or the plugin's own.
    pub code: u32,
    /// In short.
    pub message: String,
    /// At length.
    pub details: String,
}

/// The container is unknown: nothing has to be undone.
const UNKNOWN_CONTAINER: u32 = 3;
/// A passing condition.
const TRY_AGAIN: u32 = 11;

impl PluginError {
    /// Reads what a failed plugin printed; `None` if that is no error object.
    pub fn parse(output: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(output).ok()?;
        let object = value.as_object()?;
        let text = |key: &str| {
            let text = object.get(key).and_then(Value::as_str);
            text.unwrap_or_default().trim().to_owned()
        };
        let code = object.get("code").and_then(Value::as_u64);
        if code.is_none() && !object.contains_key("msg") {
            return None;
        }
        Some(Self {
            code: code.and_then(|code| u32::try_from(code).ok()).unwrap_or(0),
            message: text("msg"),
            details: text("details"),
        })
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        self.code == TRY_AGAIN
    }

    /// Whether there was nothing to delete.
    pub fn says_unknown_container(&self) -> bool {
        self.code == UNKNOWN_CONTAINER
    }

    fn meaning(&self) -> Option<&'static str> {
        Some(match self.code {
            1 => "incompatible version",
            2 => "unsupported field in the configuration",
            3 => "unknown container",
            4 => "invalid environment",
            5 => "input or output failed",
            6 => "content could not be decoded",
            7 => "invalid configuration",
            11 => "try again later",
            50 => "not available",
            51 => "not available, and containers have limited connectivity",
            _ => return None,
        })
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = if self.message.is_empty() {
            "no message"
        } else {
            &self.message
        };
        f.write_str(message)?;
        if !self.details.is_empty() && self.details != self.message {
            write!(f, "; {}", self.details)?;
        }
        match self.meaning() {
            Some(meaning) => write!(f, " (code {}: {meaning})", self.code),
            None => write!(f, " (code {})", self.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_object_is_read_with_its_meaning() {
        let error = PluginError::parse(
            br#"{"cniVersion":"1.0.0","code":11,"msg":"no lease","details":"the server is silent"}"#,
        )
        .unwrap();
        assert!(error.is_transient());
        assert_eq!(
            error.to_string(),
            "no lease; the server is silent (code 11: try again later)"
        );
    }

    #[test]
    fn errors_of_a_plugins_own_codes_are_told_by_number() {
        let error = PluginError::parse(br#"{"code": 999, "msg": "odd"}"#).unwrap();
        assert_eq!(error.to_string(), "odd (code 999)");
    }

    #[test]
    fn other_output_is_no_error_object() {
        for output in [&b"panic: oh"[..], b"", b"[]", b"{}", br#"{"ips": []}"#] {
            assert_eq!(PluginError::parse(output), None);
        }
    }
}
