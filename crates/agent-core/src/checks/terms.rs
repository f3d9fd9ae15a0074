//! What a task's checks ask for, read from the wire: pace, target, and the status that a result becomes.

use crate::probe::{ProbeOutcome, ProbeTarget};
use crate::status::Exit;
use mezz_proto::v1::network_info::Protocol;
use mezz_proto::v1::{
    CheckInfo, CheckStatusInfo, CommandInfo, HealthCheck, TaskInfo, check_info, check_status_info,
    health_check,
};

/// Between two probes lies at least this: an interval of zero must not keep the agent busy.
const SHORTEST_INTERVAL_NS: u64 = 50_000_000;

/// When probes happen, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Before the first.
    pub(crate) delay: u64,
    /// From the end of one to the beginning of the next.
    pub(crate) interval: u64,
    /// None: a probe may take for ever.
    pub(crate) timeout: Option<u64>,
}

impl Pace {
    /// From what checks on the wire say, in seconds.
    pub(super) fn of(delay: f64, interval: f64, timeout: f64) -> Self {
        Self {
            delay: nanoseconds(delay),
            interval: nanoseconds(interval).max(SHORTEST_INTERVAL_NS),
            timeout: Some(nanoseconds(timeout)).filter(|timeout| *timeout > 0),
        }
    }
}

/// The time after a start in which failures of a health check do not count.
pub(crate) fn grace_ns(check: &HealthCheck) -> u64 {
    nanoseconds(check.grace_period_seconds())
}

/// How long the task may run, if that is limited.
pub(crate) fn completion_ns(info: &TaskInfo) -> Option<u64> {
    let limit = info.max_completion_time?.nanoseconds;
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

/// What a probe tries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target<'a> {
    /// Run this in the task's context.
    Command(&'a CommandInfo),
    /// Reach the task.
    Network(ProbeTarget),
}

impl<'a> Target<'a> {
    /// None for a check that says no kind or lacks its content, which masters refuse.
    pub(super) fn of_health_check(check: &'a HealthCheck) -> Option<Self> {
        use health_check::Type;
        match check.r#type() {
            Type::Command => check.command.as_ref().map(Self::Command),
            Type::Http => {
                let http = check.http.as_ref()?;
                let scheme = http.scheme.as_deref().unwrap_or("http");
                let host = loopback(http.protocol());
                Some(get(scheme, host, http.port, http.path()))
            }
            Type::Tcp => {
                let tcp = check.tcp.as_ref()?;
                Some(connect(loopback(tcp.protocol()), tcp.port))
            }
            Type::Unknown => None,
        }
    }

    pub(super) fn of_check(check: &'a CheckInfo, scheme: &str) -> Option<Self> {
        use check_info::Type;
        match check.r#type() {
            Type::Command => check
                .command
                .as_ref()
                .map(|command| Self::Command(&command.command)),
            Type::Http => {
                let http = check.http.as_ref()?;
                Some(get(scheme, IPV4_LOOPBACK, http.port, http.path()))
            }
            Type::Tcp => Some(connect(IPV4_LOOPBACK, check.tcp.as_ref()?.port)),
            Type::Unknown => None,
        }
    }
}

const IPV4_LOOPBACK: &str = "127.0.0.1";

fn loopback(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::IPv4 => IPV4_LOOPBACK,
        Protocol::IPv6 => "[::1]",
    }
}

fn get<'a>(scheme: &str, host: &str, port: u32, path: &str) -> Target<'a> {
    let url = format!("{scheme}://{host}:{port}{path}");
    Target::Network(ProbeTarget::Http { url })
}

fn connect<'a>(host: &str, port: u32) -> Target<'a> {
    let address = format!("{host}:{port}");
    Target::Network(ProbeTarget::Tcp { address })
}

/// What one probe found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The command's exit code.
    ExitCode(i32),
    /// The status code of the answer.
    StatusCode(u16),
    /// Whether a connection could be made.
    Connection(bool),
    /// Nothing: too late, ended by a signal, not answered.
    Nothing,
}

impl Found {
    pub(crate) fn by_command(wait_status: i32) -> Self {
        match Exit::from_wait_status(wait_status) {
            Exit::Code(code) => Self::ExitCode(code),
            Exit::Signal { .. } => Self::Nothing,
        }
    }

    /// A connection that fails is a finding; an answer that does not come is none.
    pub(crate) fn by_network(target: Option<&Target<'_>>, outcome: ProbeOutcome) -> Self {
        match (outcome, target) {
            (ProbeOutcome::Status(code), _) => Self::StatusCode(code),
            (ProbeOutcome::Connected, _) => Self::Connection(true),
            (ProbeOutcome::Failed, Some(Target::Network(ProbeTarget::Tcp { .. }))) => {
                Self::Connection(false)
            }
            (ProbeOutcome::Failed, _) => Self::Nothing,
        }
    }

    /// As a health check sees it. `statuses` of an HTTP check have no effect, as in Mesos, unless the task asks for it.
    pub(crate) fn is_healthy(self, only: &[u32]) -> bool {
        match self {
            Self::StatusCode(code) if !only.is_empty() => only.contains(&u32::from(code)),
            Self::ExitCode(code) => code == 0,
            Self::StatusCode(code) => (200..400).contains(&code),
            Self::Connection(stood) => stood,
            Self::Nothing => false,
        }
    }
}

/// What a framework is told of its check. Without a finding the part of its kind is there and empty.
pub(crate) fn check_status(check: &CheckInfo, found: Found) -> CheckStatusInfo {
    use check_info::Type;
    let mut status = CheckStatusInfo {
        r#type: check.r#type,
        ..CheckStatusInfo::default()
    };
    match check.r#type() {
        Type::Command => {
            let exit_code = match found {
                Found::ExitCode(code) => Some(code),
                _ => None,
            };
            status.command = Some(check_status_info::Command { exit_code });
        }
        Type::Http => {
            let status_code = match found {
                Found::StatusCode(code) => Some(u32::from(code)),
                _ => None,
            };
            status.http = Some(check_status_info::Http { status_code });
        }
        Type::Tcp => {
            let succeeded = match found {
                Found::Connection(stood) => Some(stood),
                _ => None,
            };
            status.tcp = Some(check_status_info::Tcp { succeeded });
        }
        Type::Unknown => {}
    }
    status
}

/// Of a wire duration in seconds; what is negative or no number counts as zero, what is too long as for ever.
fn nanoseconds(seconds: f64) -> u64 {
    // The cast saturates, which is what is wanted.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let nanoseconds = (seconds * 1e9) as u64;
    nanoseconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use mezz_proto::v1::health_check::HttpCheckInfo;

    #[test]
    fn durations_saturate() {
        assert_eq!(nanoseconds(0.25), 250_000_000);
        assert_eq!(nanoseconds(-1.0), 0);
        assert_eq!(nanoseconds(f64::NAN), 0);
        assert_eq!(nanoseconds(f64::INFINITY), u64::MAX);
    }

    #[test]
    fn an_http_check_goes_to_the_loopback_of_its_protocol() {
        let check = |http| HealthCheck {
            r#type: Some(health_check::Type::Http.into()),
            http: Some(http),
            ..HealthCheck::default()
        };
        let plain = check(HttpCheckInfo {
            port: 80,
            ..HttpCheckInfo::default()
        });
        let secure = check(HttpCheckInfo {
            protocol: Some(Protocol::IPv6.into()),
            scheme: Some("https".to_owned()),
            port: 443,
            path: Some("/a?b".to_owned()),
            ..HttpCheckInfo::default()
        });
        let url = |check: &HealthCheck| match Target::of_health_check(check) {
            Some(Target::Network(ProbeTarget::Http { url })) => url,
            other => panic!("{other:?}"),
        };
        assert_eq!(url(&plain), "http://127.0.0.1:80");
        assert_eq!(url(&secure), "https://[::1]:443/a?b");
    }
}
