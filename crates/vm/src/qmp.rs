//! qemu's protocol, as far as it is needed: it tells what happens, and is asked to press the power button.
//!
//! Owns the words; a line is a JSON object.

use serde_json::Value;

/// What is said first.
pub(crate) const HELLO: &str = "{\"execute\":\"qmp_capabilities\"}\n";
/// What presses the power button.
pub(crate) const POWER_BUTTON: &str = "{\"execute\":\"system_powerdown\"}\n";

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// qemu is there, but may still find its command line wrong.
    Greeting,
    /// It does what it was asked: the machine is made.
    Done,
    /// The guest has panicked.
    Panicked,
    /// Something was refused; the text says what.
    Refused(String),
    /// Nothing of interest.
    Nothing,
}

/// Reads a line.
pub fn read(line: &str) -> Told {
    let Ok(value) = serde_json::from_str::<Value>(line) else {
        return Told::Nothing;
    };
    if value.get("QMP").is_some() {
        return Told::Greeting;
    }
    if value.get("return").is_some() {
        return Told::Done;
    }
    if let Some(error) = value.get("error") {
        let text = error.get("desc").and_then(Value::as_str);
        return Told::Refused(text.unwrap_or("no reason given").to_owned());
    }
    let reason = value.pointer("/data/reason").and_then(Value::as_str);
    match value.get("event").and_then(Value::as_str) {
        Some("GUEST_PANICKED") => Told::Panicked,
        Some("SHUTDOWN") if reason == Some("guest-panic") => Told::Panicked,
        _ => Told::Nothing,
    }
}
