//! Words to the person at the terminal, on stderr, in one style: `error:`, `because:`, `hint:`, `warning:`, `note:`.

use std::io::Write;

use super::terminal::{Paint, on_stderr};
use crate::client::error::ClientError;
use crate::exit::Exit;

/// Says what went wrong with a request, why, and what to do next; the exit code that goes with it.
pub(crate) fn client_error(error: &ClientError) -> Exit {
    self::error(&error.to_string());
    for reason in error.reasons() {
        line("because", reason);
    }
    if let Some(hint) = error.hint() {
        line("hint", &hint);
    }
    error.exit()
}

/// Says what went wrong.
pub(crate) fn error(text: &str) {
    line("error", text);
}

/// Says what the person can do next.
pub(crate) fn hint(text: &str) {
    line("hint", text);
}

/// Says what is odd but goes on.
pub(crate) fn warning(text: &str) {
    line("warning", text);
}

/// Says something worth knowing.
pub(crate) fn note(text: &str) {
    plain(text);
}

fn line(kind: &str, text: &str) {
    let paint = match kind {
        "error" => Paint::Bad,
        "warning" => Paint::Waiting,
        _ => Paint::Title,
    };
    plain(&format!("{}: {text}", on_stderr(kind, paint)));
}

/// A line of its own. Whoever closed stderr does not want to hear, so a failure to write is no failure.
fn plain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
