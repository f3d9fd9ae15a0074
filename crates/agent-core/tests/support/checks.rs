//! Tasks with checks, and what becomes of their probes.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use super::{Bench, command, command_task};
use mezz_agent_core::{Effect, Event, LaunchId, Probe, ProbeId, ProbeOutcome};
use mezz_proto::v1::health_check::TcpCheckInfo;
use mezz_proto::v1::{
    CheckInfo, CheckStatusInfo, DurationInfo, HealthCheck, TaskInfo, TaskState, TaskStatus,
    check_info, check_status_info, health_check,
};

pub(crate) fn health(limit: u32) -> HealthCheck {
    HealthCheck {
        r#type: Some(health_check::Type::Tcp.into()),
        tcp: Some(TcpCheckInfo {
            port: 80,
            ..TcpCheckInfo::default()
        }),
        delay_seconds: Some(2.0),
        interval_seconds: Some(5.0),
        timeout_seconds: Some(3.0),
        consecutive_failures: Some(limit),
        grace_period_seconds: Some(0.0),
        ..HealthCheck::default()
    }
}

pub(crate) fn with_health(check: HealthCheck) -> TaskInfo {
    TaskInfo {
        health_check: Some(Box::new(check)),
        ..command_task("t")
    }
}

pub(crate) fn command_check() -> CheckInfo {
    CheckInfo {
        r#type: Some(check_info::Type::Command.into()),
        command: Some(check_info::Command {
            command: command("test -e ready"),
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(5.0),
        timeout_seconds: Some(3.0),
        ..CheckInfo::default()
    }
}

pub(crate) fn with_check(check: CheckInfo) -> TaskInfo {
    TaskInfo {
        check: Some(Box::new(check)),
        ..command_task("t")
    }
}

pub(crate) fn exit_code(code: Option<i32>) -> CheckStatusInfo {
    CheckStatusInfo {
        r#type: Some(check_info::Type::Command.into()),
        command: Some(check_status_info::Command { exit_code: code }),
        ..CheckStatusInfo::default()
    }
}

/// Probes over the network that were begun.
pub(crate) fn probes(bench: &mut Bench) -> Vec<Probe> {
    bench.take(|effect| match effect {
        Effect::Probe(probe) => Some(Probe::clone(probe)),
        _ => None,
    })
}

pub(crate) fn probe(bench: &mut Bench) -> ProbeId {
    let probes = probes(bench);
    assert_eq!(probes.len(), 1, "exactly one probe");
    probes[0].id
}

pub(crate) fn answer(bench: &mut Bench, outcome: ProbeOutcome) {
    let id = probe(bench);
    bench.event(Event::Probed { id, outcome });
}

/// All updates until nothing more comes, each acknowledged, in full.
pub(crate) fn statuses(bench: &mut Bench) -> Vec<TaskStatus> {
    let mut all = Vec::new();
    loop {
        let sent = bench.take_statuses();
        if sent.is_empty() {
            return all;
        }
        for status in sent {
            bench.acknowledge_status(&status);
            all.push(status);
        }
    }
}

pub(crate) fn healths(bench: &mut Bench) -> Vec<(TaskState, Option<bool>)> {
    statuses(bench)
        .iter()
        .map(|status| (status.state(), status.healthy))
        .collect()
}

/// The command of a check that was begun.
pub(crate) fn command_probe(bench: &mut Bench) -> LaunchId {
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 99 });
    launch_id
}

pub(crate) fn limited(nanoseconds: i64) -> TaskInfo {
    TaskInfo {
        max_completion_time: Some(DurationInfo { nanoseconds }),
        ..command_task("t")
    }
}
