//! What only a terminal understands: colours and a cleared screen. Nothing of it reaches a file or a pipe.

use std::io::IsTerminal;
use std::sync::OnceLock;

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Good,
    Waiting,
    Bad,
    Faint,
    Title,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Waiting => "33",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Title => "1",
        }
    }

    /// The colour of a state's name.
    pub(crate) fn of_state(state: &str) -> Option<Self> {
        match state.to_ascii_lowercase().as_str() {
            "running" | "connected" | "active" => Some(Self::Good),
            "staging" | "starting" | "killing" | "disconnected" | "recovered" | "unreachable" => {
                Some(Self::Waiting)
            }
            "failed" | "lost" | "error" | "dropped" | "gone" | "gone_by_operator" => {
                Some(Self::Bad)
            }
            "finished" | "killed" | "completed" => Some(Self::Faint),
            _ => None,
        }
    }
}

/// The text in a colour, when stdout shows colours.
pub(crate) fn on_stdout(text: &str, paint: Paint) -> String {
    static COLOURS: OnceLock<bool> = OnceLock::new();
    let colours = *COLOURS.get_or_init(|| allowed() && std::io::stdout().is_terminal());
    painted(text, paint, colours)
}

/// The text in a colour, when stderr shows colours.
pub(crate) fn on_stderr(text: &str, paint: Paint) -> String {
    static COLOURS: OnceLock<bool> = OnceLock::new();
    let colours = *COLOURS.get_or_init(|| allowed() && std::io::stderr().is_terminal());
    painted(text, paint, colours)
}

fn painted(text: &str, paint: Paint, colours: bool) -> String {
    if colours {
        format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code())
    } else {
        text.to_owned()
    }
}

/// <https://no-color.org>: any value that is not empty switches colours off.
fn allowed() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

/// What clears a terminal; an empty line where there is none.
pub(crate) fn clear() -> &'static str {
    if std::io::stdout().is_terminal() {
        "\u{1b}[H\u{1b}[2J\u{1b}[3J"
    } else {
        "\n"
    }
}
