//! Instances with several checks of one kind: each has its own course, and what they mean is told together.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_agent_core::{Event, Launch, Probe, ProbeOutcome, ProbeTarget};
use mezz_proto::agent_protocol::InstanceTerms;
use mezz_proto::check_labels::{self, HealthFound};
use mezz_proto::v1::TaskState::{TaskKilled, TaskRunning};
use mezz_proto::v1::health_check::TcpCheckInfo;
use mezz_proto::v1::{
    CheckInfo, CheckStatusInfo, HealthCheck, TaskInfo, TaskStatus, check_info, check_status_info,
};
use support::checks::{health, probes, statuses, with_health};
use support::{Bench, command_task, framework, running};

/// A health check of a port.
fn of_port(port: u32, limit: u32) -> HealthCheck {
    HealthCheck {
        tcp: Some(TcpCheckInfo {
            port,
            ..TcpCheckInfo::default()
        }),
        ..health(limit)
    }
}

fn start(bench: &mut Bench, task: TaskInfo, terms: InstanceTerms) -> Launch {
    bench.run_instances(framework(true, &[]), [(task, Some(terms))]);
    let launch = bench.take_launches().remove(0);
    bench.event(Event::ContainerStarted {
        launch_id: launch.launch_id,
        pid: 77,
    });
    bench.drain_updates();
    launch
}

/// An instance with health checks of the ports 80 and 81.
fn two_health_checks(bench: &mut Bench) -> Launch {
    let terms = InstanceTerms {
        health_checks: vec![of_port(81, 2)],
        ..InstanceTerms::default()
    };
    start(bench, with_health(of_port(80, 3)), terms)
}

fn port_of(probe: &Probe) -> &str {
    let (ProbeTarget::Tcp { address: text } | ProbeTarget::Http { url: text }) = &probe.target;
    text
}

/// Answers the probes that were begun: those of the named end so, the others well.
fn answer(bench: &mut Bench, failing: &str) -> Vec<TaskStatus> {
    for probe in probes(bench) {
        let outcome = if port_of(&probe).ends_with(failing) {
            ProbeOutcome::Failed
        } else {
            ProbeOutcome::Connected
        };
        bench.event(Event::Probed {
            id: probe.id,
            outcome,
        });
    }
    statuses(bench)
}

fn told(status: &TaskStatus) -> (Option<bool>, Vec<Option<HealthFound>>) {
    let labels = status.labels.clone().unwrap_or_default();
    (status.healthy, check_labels::health(&labels))
}

const GOOD: Option<HealthFound> = Some(HealthFound {
    alive: true,
    failures: 0,
});

const BAD: Option<HealthFound> = Some(HealthFound {
    alive: false,
    failures: 1,
});

#[test]
fn an_instance_is_healthy_when_all_its_health_checks_pass_and_each_is_told() {
    let mut bench = Bench::registered();
    two_health_checks(&mut bench);
    bench.advance(2);
    let seen: Vec<_> = answer(&mut bench, "none").iter().map(told).collect();
    assert_eq!(
        seen,
        [(None, vec![GOOD, None]), (Some(true), vec![GOOD, GOOD])]
    );
    bench.advance(5);
    let seen: Vec<_> = answer(&mut bench, ":81").iter().map(told).collect();
    assert_eq!(seen, [(Some(false), vec![GOOD, BAD])]);
    bench.advance(5);
    let seen: Vec<_> = answer(&mut bench, "none").iter().map(told).collect();
    assert_eq!(seen, [(Some(true), vec![GOOD, GOOD])]);
}

#[test]
fn an_instance_is_ended_when_one_of_its_health_checks_fails_too_often() {
    let mut bench = Bench::registered();
    let launch = two_health_checks(&mut bench);
    bench.advance(2);
    answer(&mut bench, ":81");
    assert!(bench.take_signals().is_empty());
    bench.advance(5);
    answer(&mut bench, ":81");
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.advance(60);
    assert!(probes(&mut bench).is_empty(), "nothing is probed any more");
    bench.exit(launch.launch_id, 15);
    let last = statuses(&mut bench).pop().unwrap();
    assert_eq!((last.state(), last.healthy), (TaskKilled, Some(false)));
}

#[test]
fn failures_and_verdicts_of_all_checks_survive_a_restart_of_the_agent() {
    let mut bench = Bench::registered();
    let launch = two_health_checks(&mut bench);
    bench.advance(2);
    answer(&mut bench, ":81");
    let mut bench = bench.restarted(vec![running(launch.launch_id)]);
    bench.advance(5);
    answer(&mut bench, ":81");
    assert_eq!(bench.take_signals(), ["signal 15"]);
}

#[test]
fn what_several_checks_find_is_told_of_each_and_over_https_where_that_is_asked() {
    let check = |port| CheckInfo {
        r#type: Some(check_info::Type::Http.into()),
        http: Some(check_info::Http {
            port,
            path: Some("/ready".to_owned()),
        }),
        delay_seconds: Some(1.0),
        interval_seconds: Some(5.0),
        timeout_seconds: Some(3.0),
        ..CheckInfo::default()
    };
    let mut bench = Bench::registered();
    let task = TaskInfo {
        check: Some(Box::new(check(80))),
        ..command_task("t")
    };
    let terms = InstanceTerms {
        checks: vec![check(443)],
        https_checks: vec![1],
        ..InstanceTerms::default()
    };
    start(&mut bench, task, terms);
    bench.advance(1);
    let begun = probes(&mut bench);
    let urls: Vec<&str> = begun.iter().map(port_of).collect();
    assert_eq!(
        urls,
        ["http://127.0.0.1:80/ready", "https://127.0.0.1:443/ready"]
    );
    for (probe, code) in begun.iter().zip([200, 503]) {
        bench.event(Event::Probed {
            id: probe.id,
            outcome: ProbeOutcome::Status(code),
        });
    }
    let last = statuses(&mut bench).pop().unwrap();
    let http = |code| check_status_info::Http {
        status_code: Some(code),
    };
    assert_eq!(last.state(), TaskRunning);
    assert_eq!(last.check_status.unwrap().http, Some(http(200)));
    let second = CheckStatusInfo {
        http: Some(http(503)),
        ..CheckStatusInfo::default()
    };
    let found = check_labels::checks(&last.labels.unwrap());
    assert_eq!(found, [None, Some(second)]);
}
