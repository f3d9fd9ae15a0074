//! Checks of a container as its agent runs them, and what its findings mean.

use mezz_proto::v1;
use mezz_spec::template::{Check, Container, HttpProbe, Scheme};
use v1::check_info;
use v1::health_check::{self, HttpCheckInfo, TcpCheckInfo};

use crate::event::CheckFound;
use crate::instances::environment::command_info;
use crate::instances::ports;

/// The health check, when there is one.
pub(crate) fn health(container: &Container, numbers: &[u16]) -> Option<v1::HealthCheck> {
    let check = container.checks.health.as_ref()?;
    let port = |port| ports::number(port, &container.ports, numbers);
    let mut info = v1::HealthCheck {
        delay_seconds: Some(seconds(check.delay.0)),
        interval_seconds: Some(seconds(check.interval.0)),
        timeout_seconds: Some(seconds(check.timeout.0)),
        consecutive_failures: Some(check.failures),
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
    Some(info)
}

/// The ready check or, without one, the check that is only reported.
pub(crate) fn check(container: &Container, numbers: &[u16]) -> Option<v1::CheckInfo> {
    let checks = &container.checks;
    let check = checks.ready.as_ref().or(checks.report.as_ref())?;
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
    Some(info)
}

/// Whether what a ready check found is good.
pub(crate) fn passes(check: &Check, found: CheckFound) -> bool {
    match found {
        CheckFound::Http(status) => check
            .http
            .as_ref()
            .is_some_and(|http| is_accepted(http, status)),
        CheckFound::Tcp(is_open) => is_open,
        CheckFound::Command(status) => status == 0,
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
