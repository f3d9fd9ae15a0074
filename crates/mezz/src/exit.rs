//! The exit codes of the binary. Owns their meaning; nothing else in the crate names a number.

use std::process::ExitCode;

/// How a verb ended, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Ok,
    /// The work was understood and tried, and failed.
    Failed,
    /// The command line, the environment or a file is wrong.
    Usage,
    /// The object that was named does not exist.
    NotFound,
    /// No master answers.
    NoMaster,
    /// The master understood the request and refuses it.
    Refused,
    /// `mezz plan`: an apply would change something.
    Changes,
    /// `mezz run`: the task was not launched, or was lost.
    NotLaunched,
    /// `mezz run`: the task's own exit code, or 128 + its signal.
    Task(u8),
}

impl Exit {
    /// The number that the process exits with.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage | Self::Changes => 2,
            Self::NotFound => 3,
            Self::NoMaster => 4,
            Self::Refused => 5,
            Self::NotLaunched => 125,
            Self::Task(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
