//! Reads the records of a task's output and writes them where they belong. It knows how far each stream has come, so
//! that a broken connection costs nothing.

use std::io::{self, BufRead, Write};

use base64::Engine as _;
use serde::Deserialize;

use crate::exit::Exit;

/// Where the two outputs of a task go.
pub(crate) struct Sinks<'a> {
    pub(crate) stdout: &'a mut dyn Write,
    pub(crate) stderr: &'a mut dyn Write,
}

/// How far both outputs have been written, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    stdout: u64,
    stderr: u64,
}

/// How a task ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) message: Option<String>,
    /// As wait(2) gives it; absent when no process of the task has ended.
    #[serde(default)]
    pub(crate) wait_status: Option<i32>,
}

/// Why the output cannot be followed further.
#[derive(Debug)]
pub(crate) enum FollowError {
    /// The stream from the master broke.
    Input(io::Error),
    /// What came is no record.
    Record(serde_json::Error),
    /// Our own output is closed or full.
    Output(io::Error),
}

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    end: Option<End>,
}

impl End {
    /// The exit code of a command that ended so.
    pub(crate) fn exit(&self) -> Exit {
        match self.wait_status {
            Some(status) => {
                let signal = status & 0x7f;
                let code = if signal == 0 {
                    (status >> 8) & 0xff
                } else {
                    128 + signal
                };
                u8::try_from(code).map_or(Exit::Failed, Exit::Task)
            }
            None if self.state == "TASK_FINISHED" => Exit::Task(0),
            None => Exit::NotLaunched,
        }
    }
}

/// Copies records until the stream ends; the end of the task, when it was told.
pub(crate) fn copy(
    input: &mut impl BufRead,
    progress: &mut Progress,
    sinks: &mut Sinks<'_>,
) -> Result<Option<End>, FollowError> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = input
            .read_until(b'\n', &mut line)
            .map_err(FollowError::Input)?;
        if count == 0 {
            return Ok(None);
        }
        if !line.ends_with(b"\n") {
            return Err(FollowError::Input(io::ErrorKind::UnexpectedEof.into()));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record: Record = serde_json::from_slice(&line).map_err(FollowError::Record)?;
        if let Some(end) = record.end {
            return Ok(Some(end));
        }
        write(record, progress, sinks)?;
    }
}

fn write(
    record: Record,
    progress: &mut Progress,
    sinks: &mut Sinks<'_>,
) -> Result<(), FollowError> {
    let bytes = match (record.base64, record.data) {
        (Some(encoded), _) => base64::engine::general_purpose::STANDARD
            .decode(encoded)
            .map_err(|error| {
                FollowError::Record(serde::de::Error::custom(format!("base64: {error}")))
            })?,
        (None, Some(text)) => text.into_bytes(),
        (None, None) => return Ok(()),
    };
    let (position, sink) = match record.stream.as_deref() {
        Some("stderr") => (&mut progress.stderr, &mut *sinks.stderr),
        _ => (&mut progress.stdout, &mut *sinks.stdout),
    };
    let seen = usize::try_from(position.saturating_sub(record.offset)).unwrap_or(usize::MAX);
    let Some(fresh) = bytes.get(seen..).filter(|fresh| !fresh.is_empty()) else {
        return Ok(());
    };
    *position = record.offset + bytes.len() as u64;
    sink.write_all(fresh)
        .and_then(|()| sink.flush())
        .map_err(FollowError::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(progress: &mut Progress, input: &str) -> (String, String, Option<End>) {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let mut sinks = Sinks {
            stdout: &mut stdout,
            stderr: &mut stderr,
        };
        let end = copy(&mut input.as_bytes(), progress, &mut sinks).expect("records");
        (
            String::from_utf8(stdout).expect("text"),
            String::from_utf8(stderr).expect("text"),
            end,
        )
    }

    #[test]
    fn both_outputs_go_where_they_belong_until_the_end() {
        let input = "{\"stream\":\"stdout\",\"offset\":0,\"data\":\"a\\n\"}\n{\"stream\":\"stderr\",\"offset\":0,\"data\":\"b\"}\n\
                     {\"stream\":\"stdout\",\"offset\":2,\"data\":\"\",\"base64\":\"Yw==\"}\n\
                     {\"end\":{\"state\":\"TASK_FAILED\",\"wait_status\":768}}\n";
        let (stdout, stderr, end) = followed(&mut Progress::default(), input);
        assert_eq!((stdout.as_str(), stderr.as_str()), ("a\nc", "b"));
        assert_eq!(end.expect("an end").exit(), Exit::Task(3));
    }

    #[test]
    fn what_was_written_before_a_broken_connection_is_not_written_again() {
        let mut progress = Progress::default();
        followed(
            &mut progress,
            "{\"stream\":\"stdout\",\"offset\":0,\"data\":\"abc\"}\n",
        );
        let (stdout, ..) = followed(
            &mut progress,
            "{\"stream\":\"stdout\",\"offset\":0,\"data\":\"abcdef\"}\n",
        );
        assert_eq!(stdout, "def");
    }

    #[test]
    fn the_exit_code_is_that_of_the_command() {
        let exit = |state: &str, wait_status| {
            End {
                state: state.to_owned(),
                message: None,
                wait_status,
            }
            .exit()
        };
        assert_eq!(exit("TASK_FINISHED", Some(0)), Exit::Task(0));
        assert_eq!(exit("TASK_KILLED", Some(9)), Exit::Task(137));
        assert_eq!(exit("TASK_FINISHED", None), Exit::Task(0));
        assert_eq!(exit("TASK_LOST", None), Exit::NotLaunched);
    }
}
