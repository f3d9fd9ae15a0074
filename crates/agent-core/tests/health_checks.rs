//! Health checks of command tasks: what is told, what is killed.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_agent_core::{Effect, Event, ProbeOutcome, ProbeTarget};
use mezz_proto::v1::TaskState::{TaskKilled, TaskKilling, TaskRunning};
use mezz_proto::v1::framework_info::capability::Type as Capability;
use mezz_proto::v1::health_check::HttpCheckInfo;
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{HealthCheck, TaskInfo, health_check};
use support::checks::{answer, health, healths, probe, probes, statuses, with_health};
use support::{Bench, framework, grace, running};

#[test]
fn a_health_check_begins_after_its_delay_and_tells_of_changes_and_of_each_failure() {
    let mut bench = Bench::registered();
    bench.running_task(framework(true, &[]), with_health(health(3)));
    bench.advance(1);
    assert!(probes(&mut bench).is_empty());
    bench.advance(1);
    answer(&mut bench, ProbeOutcome::Connected);
    let told = statuses(&mut bench);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].state(), told[0].reason(), told[0].healthy),
        (
            TaskRunning,
            Reason::TaskHealthCheckStatusUpdated,
            Some(true)
        )
    );
    assert!(told[0].container_status.is_some() && told[0].message.is_none());
    let mut seen = Vec::new();
    for outcome in [
        ProbeOutcome::Connected,
        ProbeOutcome::Failed,
        ProbeOutcome::Failed,
        ProbeOutcome::Connected,
        ProbeOutcome::Connected,
    ] {
        bench.advance(5);
        answer(&mut bench, outcome);
        seen.push(healths(&mut bench));
    }
    let (healthy, unhealthy) = (
        vec![(TaskRunning, Some(true))],
        vec![(TaskRunning, Some(false))],
    );
    assert_eq!(
        seen,
        [vec![], unhealthy.clone(), unhealthy, healthy, vec![]]
    );
}

#[test]
fn a_task_whose_check_fails_too_often_is_killed_and_said_to_be_unhealthy() {
    let mut bench = Bench::registered();
    let task = TaskInfo {
        kill_policy: Some(grace(60)),
        ..with_health(health(2))
    };
    let aware = framework(true, &[Capability::TaskKillingState]);
    let launch_id = bench.running_task(aware, task);
    bench.advance(2);
    answer(&mut bench, ProbeOutcome::Failed);
    assert!(bench.take_signals().is_empty());
    bench.advance(5);
    answer(&mut bench, ProbeOutcome::Failed);
    assert_eq!(bench.take_signals(), ["signal 15"]);
    assert_eq!(
        healths(&mut bench),
        [
            (TaskRunning, Some(false)),
            (TaskRunning, Some(false)),
            (TaskKilling, None)
        ]
    );
    bench.advance(30);
    assert!(probes(&mut bench).is_empty(), "nothing is probed any more");
    bench.exit(launch_id, 15);
    let told = statuses(&mut bench);
    assert_eq!(
        (told[0].state(), told[0].healthy),
        (TaskKilled, Some(false))
    );
    assert_eq!(told[0].reason, None);
}

#[test]
fn failures_in_the_grace_period_are_ignored_until_the_first_success() {
    let mut bench = Bench::registered();
    let check = HealthCheck {
        grace_period_seconds: Some(8.0),
        ..health(1)
    };
    bench.running_task(framework(true, &[]), with_health(check));
    bench.advance(2);
    answer(&mut bench, ProbeOutcome::Failed);
    bench.advance(5);
    answer(&mut bench, ProbeOutcome::Failed);
    assert!(healths(&mut bench).is_empty());
    bench.advance(5);
    answer(&mut bench, ProbeOutcome::Failed);
    assert_eq!(healths(&mut bench), [(TaskRunning, Some(false))]);
    assert_eq!(bench.take_signals(), ["signal 15"]);
}

#[test]
fn a_probe_that_takes_too_long_is_given_up_and_counts_as_a_failure() {
    let mut bench = Bench::registered();
    bench.running_task(framework(true, &[]), with_health(health(3)));
    bench.advance(2);
    let id = probe(&mut bench);
    bench.advance(3);
    assert!(bench.effects.contains(&Effect::CancelProbe { id }));
    assert_eq!(healths(&mut bench), [(TaskRunning, Some(false))]);
    bench.event(Event::Probed {
        id,
        outcome: ProbeOutcome::Connected,
    });
    assert!(healths(&mut bench).is_empty(), "what comes late is nothing");
    bench.advance(5);
    assert_eq!(probes(&mut bench).len(), 1);
}

#[test]
fn an_http_answer_is_healthy_from_200_to_399() {
    let mut bench = Bench::registered();
    let check = HealthCheck {
        r#type: Some(health_check::Type::Http.into()),
        http: Some(HttpCheckInfo {
            port: 8080,
            path: Some("/health".to_owned()),
            statuses: vec![418],
            ..HttpCheckInfo::default()
        }),
        ..health(9)
    };
    bench.running_task(framework(true, &[]), with_health(check));
    bench.advance(2);
    let begun = probes(&mut bench);
    let url = "http://127.0.0.1:8080/health".to_owned();
    assert_eq!(begun[0].target, ProbeTarget::Http { url });
    bench.event(Event::Probed {
        id: begun[0].id,
        outcome: ProbeOutcome::Status(399),
    });
    assert_eq!(healths(&mut bench), [(TaskRunning, Some(true))]);
    for outcome in [ProbeOutcome::Status(418), ProbeOutcome::Failed] {
        bench.advance(5);
        answer(&mut bench, outcome);
        assert_eq!(healths(&mut bench), [(TaskRunning, Some(false))]);
    }
}

#[test]
fn a_failing_check_during_a_kill_changes_nothing() {
    let mut bench = Bench::registered();
    let aware = framework(true, &[Capability::TaskKillingState]);
    let launch_id = bench.running_task(aware, with_health(health(1)));
    bench.advance(2);
    let id = probe(&mut bench);
    bench.kill("t", Some(grace(60)));
    assert!(bench.effects.contains(&Effect::CancelProbe { id }));
    bench.event(Event::Probed {
        id,
        outcome: ProbeOutcome::Failed,
    });
    assert_eq!(healths(&mut bench), [(TaskKilling, None)]);
    bench.advance(50);
    assert!(probes(&mut bench).is_empty());
    bench.exit(launch_id, 15);
    assert_eq!(healths(&mut bench), [(TaskKilled, None)]);
}

#[test]
fn the_reason_of_a_kill_survives_a_restart_of_the_agent() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), with_health(health(1)));
    bench.advance(2);
    answer(&mut bench, ProbeOutcome::Failed);
    statuses(&mut bench);
    let mut bench = bench.restarted(vec![running(launch_id)]);
    bench.register();
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.exit(launch_id, 15);
    assert_eq!(healths(&mut bench), [(TaskKilled, Some(false))]);
}

#[test]
fn the_shortest_journal_knows_what_the_checks_have_found() {
    let mut bench = Bench::registered();
    bench.running_task(framework(true, &[]), with_health(health(3)));
    bench.advance(2);
    answer(&mut bench, ProbeOutcome::Failed);
    statuses(&mut bench);
    let snapshot = bench.core.snapshot();
    let found = bench.journal.iter().rev().find_map(|record| match record {
        checked @ mezz_agent_core::Record::Checked { .. } => Some(checked.clone()),
        _ => None,
    });
    assert!(snapshot.contains(&found.unwrap()));
}
