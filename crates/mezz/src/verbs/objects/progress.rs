//! How rollouts and runs go on: one line that is redrawn in a terminal, plain lines elsewhere. It goes to stderr.

use std::io::{IsTerminal, Write, stderr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::exit::Exit;
use crate::object_args::Waiting;
use crate::output::table::printable;
use crate::output::talk;

/// How long a master may be away before waiting is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// Whether somebody waits for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    Wait,
    Leave,
}

impl Stay {
    /// As the flags have it; without one a person at a terminal waits, and a script does not.
    pub(crate) fn of(flags: Waiting) -> Self {
        let waits = flags.wait || (!flags.no_wait && stderr().is_terminal());
        if waits { Self::Wait } else { Self::Leave }
    }

    pub(crate) fn is_wanted(self) -> bool {
        self == Self::Wait
    }
}

/// A line that is drawn again in place, or anew when it has changed.
#[derive(Debug, Default)]
pub(crate) struct Line {
    shown: String,
}

impl Line {
    /// Shows a text.
    pub(crate) fn show(&mut self, text: &str) {
        let text = printable(text);
        if text == self.shown {
            return;
        }
        // Whoever closed stderr does not want to hear.
        let _ = if stderr().is_terminal() {
            write!(stderr(), "\r\u{1b}[K{text}")
        } else {
            writeln!(stderr(), "{text}")
        };
        self.shown = text;
    }

    /// Leaves the last text standing.
    pub(crate) fn end(self) {
        if !self.shown.is_empty() && stderr().is_terminal() {
            let _ = writeln!(stderr());
        }
    }
}

/// Waits on a resource until `seen` has had enough of it; a master may be away meanwhile.
pub(crate) fn watch<T>(
    api: &mut Api,
    target: &str,
    deadline: Option<Instant>,
    mut seen: impl FnMut(&Value) -> Option<T>,
) -> Result<Option<T>, ClientError> {
    let joint = if target.contains('?') { '&' } else { '?' };
    let mut index = None;
    let mut away_since: Option<Instant> = None;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        let wait = left.map_or(30_000, |left| left.as_millis().clamp(1, 30_000));
        let poll = match index {
            Some(index) => format!("{target}{joint}index={index}&wait={wait}ms"),
            None => target.to_owned(),
        };
        match api.get_with_index(&poll) {
            Ok((answer, next)) => {
                away_since = None;
                index = Some(next);
                if let Some(enough) = seen(&serde_json::from_slice(&answer)?) {
                    return Ok(Some(enough));
                }
            }
            Err(error) if error.exit() == Exit::NoMaster || is_broken(&error) => {
                if away_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(error);
                }
                // The next leader counts from elsewhere.
                index = None;
                sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_broken(error: &ClientError) -> bool {
    matches!(error, ClientError::Broken { .. })
}

/// Follows rollouts to their ends, one after the other.
pub(crate) fn follow(api: &mut Api, rollouts: &[String]) -> Result<Exit, ClientError> {
    let mut exit = Exit::Ok;
    for id in rollouts {
        match one(api, id, None)? {
            Some(Exit::Ok) | None => {}
            Some(other) => exit = other,
        }
    }
    Ok(exit)
}

/// Follows one rollout; none when the deadline came first.
pub(crate) fn one(
    api: &mut Api,
    id: &str,
    deadline: Option<Instant>,
) -> Result<Option<Exit>, ClientError> {
    let mut line = Line::default();
    let target = format!("/v1/rollouts/{}", percent_encoded(id));
    let ended = watch(api, &target, deadline, |rollout| {
        line.show(&words(rollout));
        let state = text(rollout, "state");
        let ended = !["waiting", "rolling", "paused", "rolling_back"].contains(&state);
        ended.then(|| state.to_owned())
    });
    line.end();
    let ended = match ended {
        // A rollout that is no longer kept has been followed by others.
        Err(error) if error.exit() == Exit::NotFound => Some("superseded".to_owned()),
        ended => ended?,
    };
    Ok(ended.map(|state| match state.as_str() {
        "succeeded" => Exit::Ok,
        "superseded" => {
            talk::warning(&format!("rollout {id} was superseded by a later one"));
            Exit::Ok
        }
        state => {
            let state = state.replace('_', " ");
            talk::error(&format!("rollout {id} did not succeed: it is {state}"));
            talk::hint(&format!("`mezz why {id}` tells more"));
            Exit::Refused
        }
    }))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// How a rollout stands, in a line.
pub(super) fn words(rollout: &Value) -> String {
    let count = |key| rollout.get(key).and_then(Value::as_u64).unwrap_or_default();
    let mut words = format!(
        "service {}: {}, ready {}/{}, old {}",
        text(rollout, "service"),
        text(rollout, "state").replace('_', " "),
        count("new_ready"),
        count("wanted"),
        count("old_left"),
    );
    if count("failures") > 0 {
        words.extend([", failures ", &count("failures").to_string()]);
    }
    let message = text(rollout, "message");
    if !message.is_empty() {
        words.extend([": ", message]);
    }
    words
}
