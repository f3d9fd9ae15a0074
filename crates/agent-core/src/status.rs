//! The words of task statuses: terminal states, exit texts, signal names, and the statuses the agent makes itself.

use mezz_proto::v1::task_status::{Reason, Source};
use mezz_proto::v1::{Resource, TaskId, TaskResourceLimitation, TaskState, TaskStatus};
use std::sync::Arc;
use std::time::Duration;

/// Whether nothing can follow this state.
pub(crate) fn is_terminal(state: TaskState) -> bool {
    use TaskState::{
        TaskDropped, TaskError, TaskFailed, TaskFinished, TaskGone, TaskGoneByOperator, TaskKilled,
        TaskLost,
    };
    matches!(
        state,
        TaskFinished
            | TaskFailed
            | TaskKilled
            | TaskError
            | TaskLost
            | TaskDropped
            | TaskGone
            | TaskGoneByOperator
    )
}

/// The state field, decoded; an unknown number counts as unset and thus as the first, as in proto2.
pub(crate) fn state_of(status: &TaskStatus) -> TaskState {
    TaskState::try_from(status.state).unwrap_or(TaskState::TaskStarting)
}

/// A status to be completed by the stream it goes into.
#[derive(Clone, Debug)]
pub(crate) struct NewStatus {
    pub(crate) state: TaskState,
    pub(crate) source: Source,
    pub(crate) reason: Option<Reason>,
    pub(crate) message: Option<String>,
    pub(crate) healthy: Option<bool>,
    /// Resources of which too much was used.
    pub(crate) limited: Vec<Resource>,
}

impl NewStatus {
    /// As an executor says it.
    pub(crate) fn of_executor(state: TaskState) -> Self {
        Self {
            state,
            source: Source::Executor,
            reason: None,
            message: None,
            healthy: None,
            limited: Vec::new(),
        }
    }

    /// As the agent says it.
    pub(crate) fn of_agent(state: TaskState, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            state,
            source: Source::Agent,
            reason: Some(reason),
            message: Some(message.into()),
            healthy: None,
            limited: Vec::new(),
        }
    }

    pub(crate) fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    pub(crate) fn into_status(self, task_id: &Arc<str>) -> TaskStatus {
        TaskStatus {
            task_id: TaskId {
                value: task_id.as_ref().to_owned(),
            },
            state: self.state.into(),
            message: self.message,
            source: Some(self.source.into()),
            reason: self.reason.map(Into::into),
            healthy: self.healthy,
            limitation: (!self.limited.is_empty()).then_some(TaskResourceLimitation {
                resources: self.limited,
            }),
            ..TaskStatus::default()
        }
    }
}

/// How a process ended, decoded from a wait(2) status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal { number: i32, core_dumped: bool },
}

impl Exit {
    pub(crate) fn from_wait_status(status: i32) -> Self {
        match status & 0x7f {
            0 => Self::Code((status >> 8) & 0xff),
            number => Self::Signal {
                number,
                core_dumped: status & 0x80 != 0,
            },
        }
    }

    /// As Mesos's executors word it; `what` is what has ended.
    pub(crate) fn describe(self, what: &str) -> String {
        match self {
            Self::Code(code) => format!("{what} exited with status {code}"),
            Self::Signal {
                number,
                core_dumped,
            } => {
                let suffix = if core_dumped { " (core dumped)" } else { "" };
                format!(
                    "{what} terminated with signal {}{suffix}",
                    signal_name(number)
                )
            }
        }
    }
}

/// The words of glibc's strsignal(3).
fn signal_name(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "Hangup",
        "Interrupt",
        "Quit",
        "Illegal instruction",
        "Trace/breakpoint trap",
        "Aborted",
        "Bus error",
        "Floating point exception",
        "Killed",
        "User defined signal 1",
        "Segmentation fault",
        "User defined signal 2",
        "Broken pipe",
        "Alarm clock",
        "Terminated",
        "Stack fault",
        "Child exited",
        "Continued",
        "Stopped (signal)",
        "Stopped",
        "Stopped (tty input)",
        "Stopped (tty output)",
        "Urgent I/O condition",
        "CPU time limit exceeded",
        "File size limit exceeded",
        "Virtual timer expired",
        "Profiling timer expired",
        "Window changed",
        "I/O possible",
        "Power failure",
        "Bad system call",
    ];
    let known = usize::try_from(number - 1)
        .ok()
        .and_then(|index| NAMES.get(index));
    match known {
        Some(name) => (*name).to_owned(),
        None if (34..=64).contains(&number) => format!("Real-time signal {}", number - 34),
        None => format!("Unknown signal {number}"),
    }
}

/// A duration in the words that Mesos's own parser reads (`5secs`, `1mins`, `250ms`).
pub(crate) fn duration_text(duration: Duration) -> String {
    const UNITS: [(u128, &str); 8] = [
        (604_800_000_000_000, "weeks"),
        (86_400_000_000_000, "days"),
        (3_600_000_000_000, "hrs"),
        (60_000_000_000, "mins"),
        (1_000_000_000, "secs"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let nanoseconds = duration.as_nanos();
    let exact = UNITS
        .iter()
        .find(|(unit, _)| nanoseconds >= *unit && nanoseconds.is_multiple_of(*unit));
    match exact {
        Some((unit, name)) => format!("{}{name}", nanoseconds / unit),
        None => "0ns".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_worded_as_mesos_words_them() {
        assert_eq!(
            Exit::from_wait_status(3 << 8).describe("Command"),
            "Command exited with status 3"
        );
        assert_eq!(
            Exit::from_wait_status(9).describe("Command"),
            "Command terminated with signal Killed"
        );
        assert_eq!(
            Exit::from_wait_status(15).describe("Command"),
            "Command terminated with signal Terminated"
        );
        assert_eq!(
            Exit::from_wait_status(0x8b).describe("Command"),
            "Command terminated with signal Segmentation fault (core dumped)"
        );
    }

    #[test]
    fn durations_are_worded_as_mesos_reads_them() {
        assert_eq!(duration_text(Duration::from_secs(5)), "5secs");
        assert_eq!(duration_text(Duration::from_mins(15)), "15mins");
        assert_eq!(duration_text(Duration::from_millis(250)), "250ms");
        assert_eq!(duration_text(Duration::from_millis(1500)), "1500ms");
        assert_eq!(duration_text(Duration::ZERO), "0ns");
    }
}
