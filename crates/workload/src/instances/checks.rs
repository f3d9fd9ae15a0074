//! Checks of a container as its agent runs them, and what its findings mean.

use mezz_proto::v1;
use mezz_spec::template::{Check, Checks, Container, HttpProbe, Scheme};
use v1::check_info;
use v1::health_check::{self, HttpCheckInfo, TcpCheckInfo};

use crate::event::CheckFound;
use crate::instances::environment::command_info;
use crate::instances::ports;
use crate::records::InstanceRecord;

/// The health checks.
pub(crate) fn health(container: &Container, numbers: &[u16]) -> Vec<v1::HealthCheck> {
    let checks = container.checks.health().iter();
    checks
        .map(|check| health_check(check, container, numbers))
        .collect()
}

fn health_check(check: &Check, container: &Container, numbers: &[u16]) -> v1::HealthCheck {
    let port = |port| ports::number(port, &container.ports, numbers);
    // An agent ends a task at its first failure when none is allowed.
    let failures = match check.failures {
        0 => u32::MAX,
        failures => failures,
    };
    let mut info = v1::HealthCheck {
        delay_seconds: Some(seconds(check.delay.0)),
        interval_seconds: Some(seconds(check.interval.0)),
        timeout_seconds: Some(seconds(check.timeout.0)),
        consecutive_failures: Some(failures),
        grace_period_seconds: Some(seconds(check.grace.0)),
        ..v1::HealthCheck::default()
    };
    if let Some(http) = &check.http {
        info.r#type = Some(health_check::Type::Http as i32);
        info.http = Some(HttpCheckInfo {
            protocol: None,
            scheme: Some(scheme(http.scheme).to_owned()),
            port: port(&http.port),
            path: Some(http.path.clone()),
            statuses: http.statuses.iter().map(|code| u32::from(*code)).collect(),
        });
    } else if let Some(tcp) = &check.tcp {
        info.r#type = Some(health_check::Type::Tcp as i32);
        info.tcp = Some(TcpCheckInfo {
            protocol: None,
            port: port(&tcp.port),
        });
    } else if let Some(command) = &check.command {
        info.r#type = Some(health_check::Type::Command as i32);
        info.command = Some(command_info(command));
    }
    info
}

/// The ready checks, then the one that is only reported.
fn judged_here(checks: &Checks) -> impl Iterator<Item = &Check> {
    checks.ready().iter().chain(&checks.report)
}

/// The checks that the agent does not judge.
pub(crate) fn checks(container: &Container, numbers: &[u16]) -> Vec<v1::CheckInfo> {
    judged_here(&container.checks)
        .map(|check| check_info(check, container, numbers))
        .collect()
}

/// Which of these ask over HTTPS.
pub(crate) fn https(container: &Container) -> Vec<u32> {
    let checks = (0..).zip(judged_here(&container.checks));
    let is_https = |check: &Check| {
        let http = check.http.as_ref();
        http.is_some_and(|http| http.scheme == Scheme::Https)
    };
    checks
        .filter_map(|(index, check)| is_https(check).then_some(index))
        .collect()
}

fn check_info(check: &Check, container: &Container, numbers: &[u16]) -> v1::CheckInfo {
    let port = |port| ports::number(port, &container.ports, numbers);
    let mut info = v1::CheckInfo {
        delay_seconds: Some(seconds(check.delay.0)),
        interval_seconds: Some(seconds(check.interval.0)),
        timeout_seconds: Some(seconds(check.timeout.0)),
        ..v1::CheckInfo::default()
    };
    if let Some(http) = &check.http {
        info.r#type = Some(check_info::Type::Http as i32);
        info.http = Some(check_info::Http {
            port: port(&http.port),
            path: Some(http.path.clone()),
        });
    } else if let Some(tcp) = &check.tcp {
        info.r#type = Some(check_info::Type::Tcp as i32);
        info.tcp = Some(check_info::Tcp {
            port: port(&tcp.port),
        });
    } else if let Some(command) = &check.command {
        info.r#type = Some(check_info::Type::Command as i32);
        info.command = Some(check_info::Command {
            command: command_info(command),
        });
    }
    info
}

/// The ready checks that have not passed yet, or do not pass any more, with what they found.
pub(crate) fn failing<'a>(
    checks: &'a Checks,
    record: &'a InstanceRecord,
) -> impl Iterator<Item = (usize, Option<CheckFound>)> + 'a {
    let all = checks.ready().iter().enumerate();
    all.filter_map(|(index, check)| {
        let found = record.found(index);
        let is_good = found.is_some_and(|found| found.passes(check));
        (!is_good).then_some((index, found))
    })
}

impl CheckFound {
    /// Whether this is good, of this ready check.
    pub fn passes(self, check: &Check) -> bool {
        match self {
            Self::Http(status) => check
                .http
                .as_ref()
                .is_some_and(|http| is_accepted(http, status)),
            Self::Tcp(is_open) => is_open,
            Self::Command(status) => status == 0,
        }
    }
}

fn is_accepted(http: &HttpProbe, status: u32) -> bool {
    if http.statuses.is_empty() {
        (200..400).contains(&status)
    } else {
        http.statuses.iter().any(|code| u32::from(*code) == status)
    }
}

pub(crate) const fn scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1_000.0
}
