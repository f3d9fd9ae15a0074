//! The command line of the warden, read by hand: it is decided before anything big is set up.
//!
//! Must never read files or the environment.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// How a warden is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WardenOptions {
    /// Its socket, in a directory that it makes with mode 0700.
    pub socket: PathBuf,
    /// Where the exit log lies; with it the warden outlives its connections, without it ends with the first.
    pub work_dir: Option<PathBuf>,
    /// A folder that it removes when it ends: that of an agent which keeps nothing and may be killed.
    pub scratch: Option<PathBuf>,
    /// What else it is started for.
    pub start: Start,
}

/// What a warden process is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// To serve from nothing.
    Fresh,
    /// To say whether the state in this descriptor can be taken over.
    ValidateState(RawFd),
    /// To go on with the state in this descriptor, after a re-execution.
    ResumeState(RawFd),
}

/// Why the command line is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// An unknown word.
    #[error("unknown argument {0:?}")]
    Unknown(OsString),
    /// A flag without its value.
    #[error("{0} needs a value")]
    MissingValue(&'static str),
    /// A descriptor that is not a number.
    #[error("{flag} {value:?} is not a file descriptor")]
    Descriptor {
        /// The flag.
        flag: &'static str,
        /// Its value.
        value: OsString,
    },
    /// No socket.
    #[error("--socket is missing")]
    NoSocket,
}

impl WardenOptions {
    /// Reads the arguments that follow the verb.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, OptionsError> {
        let (mut socket, mut work_dir, mut scratch, mut start) = (None, None, None, Start::Fresh);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = |flag| arguments.next().ok_or(OptionsError::MissingValue(flag));
            match argument.to_str() {
                Some("--socket") => socket = Some(PathBuf::from(value("--socket")?)),
                Some("--work-dir" | "--work_dir") => {
                    work_dir = Some(PathBuf::from(value("--work-dir")?));
                }
                Some("--scratch") => scratch = Some(PathBuf::from(value("--scratch")?)),
                Some("--validate-state") => {
                    start = Start::ValidateState(descriptor(
                        "--validate-state",
                        &value("--validate-state")?,
                    )?);
                }
                Some("--resume-state") => {
                    start =
                        Start::ResumeState(descriptor("--resume-state", &value("--resume-state")?)?);
                }
                _ => return Err(OptionsError::Unknown(argument)),
            }
        }
        let socket = match (socket, start) {
            (Some(socket), _) => socket,
            // The state itself names the socket.
            (None, Start::ValidateState(_) | Start::ResumeState(_)) => PathBuf::new(),
            (None, Start::Fresh) => return Err(OptionsError::NoSocket),
        };
        Ok(Self {
            socket,
            work_dir,
            scratch,
            start,
        })
    }
}

fn descriptor(flag: &'static str, value: &OsStr) -> Result<RawFd, OptionsError> {
    let parsed = value
        .to_str()
        .and_then(|text| text.parse().ok())
        .filter(|fd| *fd >= 0);
    parsed.ok_or_else(|| OptionsError::Descriptor {
        flag,
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<WardenOptions, OptionsError> {
        WardenOptions::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn a_socket_is_needed_and_a_work_dir_is_not() {
        assert_eq!(parse(&[]), Err(OptionsError::NoSocket));
        let options = parse(&["--socket", "/run/w"]).expect("valid");
        assert_eq!((options.work_dir, options.start), (None, Start::Fresh));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert_eq!(
            parse(&["--sokcet"]).unwrap_err().to_string(),
            "unknown argument \"--sokcet\""
        );
        assert_eq!(
            parse(&["--socket"]).unwrap_err().to_string(),
            "--socket needs a value"
        );
        assert_eq!(
            parse(&["--resume-state", "x"]).unwrap_err().to_string(),
            "--resume-state \"x\" is not a file descriptor"
        );
    }
}
