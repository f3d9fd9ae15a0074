//! Checks, health checks and time limits of command tasks.

#![allow(clippy::unwrap_used)]

mod support;

use TaskState::{TaskFailed, TaskFinished, TaskKilled, TaskKilling, TaskRunning, TaskStarting};
use mezz_agent_core::{
    Effect, Event, LaunchId, Probe, ProbeId, ProbeOutcome, ProbeTarget, Role, Survival,
};
use mezz_proto::v1::environment::Variable;
use mezz_proto::v1::framework_info::capability::Type as Capability;
use mezz_proto::v1::health_check::{HttpCheckInfo, TcpCheckInfo};
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{
    CheckInfo, CheckStatusInfo, DurationInfo, Environment, HealthCheck, TaskInfo, TaskState,
    TaskStatus, check_info, check_status_info, health_check,
};
use support::{Bench, command, command_task, framework, grace, running, states};

fn health(limit: u32) -> HealthCheck {
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

fn with_health(check: HealthCheck) -> TaskInfo {
    TaskInfo {
        health_check: Some(check),
        ..command_task("t")
    }
}

fn command_check() -> CheckInfo {
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

fn with_check(check: CheckInfo) -> TaskInfo {
    TaskInfo {
        check: Some(check),
        ..command_task("t")
    }
}

fn exit_code(code: Option<i32>) -> Option<CheckStatusInfo> {
    Some(CheckStatusInfo {
        r#type: Some(check_info::Type::Command.into()),
        command: Some(check_status_info::Command { exit_code: code }),
        ..CheckStatusInfo::default()
    })
}

/// Probes over the network that were begun.
fn probes(bench: &mut Bench) -> Vec<Probe> {
    bench.take(|effect| match effect {
        Effect::Probe(probe) => Some(Probe::clone(probe)),
        _ => None,
    })
}

fn probe(bench: &mut Bench) -> ProbeId {
    let probes = probes(bench);
    assert_eq!(probes.len(), 1, "exactly one probe");
    probes[0].id
}

fn answer(bench: &mut Bench, outcome: ProbeOutcome) {
    let id = probe(bench);
    bench.event(Event::Probed { id, outcome });
}

/// All updates until nothing more comes, each acknowledged, in full.
fn statuses(bench: &mut Bench) -> Vec<TaskStatus> {
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

fn healths(bench: &mut Bench) -> Vec<(TaskState, Option<bool>)> {
    statuses(bench)
        .iter()
        .map(|status| (status.state(), status.healthy))
        .collect()
}

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

/// The command of a check that was begun.
fn command_probe(bench: &mut Bench) -> LaunchId {
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 99 });
    launch_id
}

#[test]
fn a_command_check_runs_in_the_context_of_its_task() {
    let mut bench = Bench::registered();
    let mut check = command_check();
    let own = &mut check.command.as_mut().unwrap().command;
    own.user = Some("somebody else".to_owned());
    own.environment = Some(Environment {
        variables: vec![Variable {
            name: "A".to_owned(),
            value: Some("check".to_owned()),
            ..Variable::default()
        }],
    });
    bench.run(framework(true, &[]), [with_check(check)]);
    let main = bench.take_launches().remove(0);
    bench.event(Event::ContainerStarted {
        launch_id: main.launch_id,
        pid: 77,
    });
    let probe = bench.take_launches().remove(0);
    assert_eq!(
        (probe.role, probe.survival),
        (Role::Probe, Survival::EndWithAgent)
    );
    assert_eq!((&probe.sandbox, &probe.user), (&main.sandbox, &main.user));
    assert!(probe.environment.starts_with(&main.environment));
    let last = probe.environment.last().unwrap();
    assert_eq!(last, &("A".to_owned(), "check".to_owned()));
}

#[test]
fn a_check_is_told_when_its_result_changes_and_empty_before_the_first() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [with_check(command_check())]);
    let main = bench.launch_one();
    bench.event(Event::ContainerStarted {
        launch_id: main,
        pid: 77,
    });
    let told = statuses(&mut bench);
    assert_eq!(
        told.iter().map(TaskStatus::state).collect::<Vec<_>>(),
        [TaskStarting, TaskRunning]
    );
    assert!(
        told.iter()
            .all(|status| status.check_status == exit_code(None))
    );
    let mut seen = Vec::new();
    for wait_status in [256, 256, 0, 9] {
        let probe = command_probe(&mut bench);
        bench.exit(probe, wait_status);
        assert!(
            bench
                .effects
                .contains(&Effect::AcknowledgeExit { launch_id: probe })
        );
        let told = statuses(&mut bench);
        assert!(told.iter().all(|status| {
            status.reason() == Reason::TaskCheckStatusUpdated && status.state() == TaskRunning
        }));
        seen.push(
            told.into_iter()
                .map(|status| status.check_status)
                .collect::<Vec<_>>(),
        );
        bench.advance(5);
    }
    assert_eq!(
        seen,
        [
            vec![exit_code(Some(1))],
            vec![],
            vec![exit_code(Some(0))],
            vec![exit_code(None)]
        ]
    );
    bench.effects.clear();
    bench.exit(main, 0);
    let told = statuses(&mut bench);
    assert_eq!(
        (told[0].state(), &told[0].check_status),
        (TaskFinished, &exit_code(None))
    );
}

#[test]
fn a_check_and_a_health_check_do_not_hide_each_other() {
    let mut bench = Bench::registered();
    let task = TaskInfo {
        check: Some(command_check()),
        ..with_health(health(3))
    };
    bench.run(framework(true, &[]), [task]);
    let main = bench.launch_one();
    bench.event(Event::ContainerStarted {
        launch_id: main,
        pid: 77,
    });
    let probe = command_probe(&mut bench);
    bench.exit(probe, 0);
    bench.advance(2);
    answer(&mut bench, ProbeOutcome::Connected);
    let last = statuses(&mut bench).pop().unwrap();
    assert_eq!(
        (last.healthy, last.check_status),
        (Some(true), exit_code(Some(0)))
    );
    bench.advance(3);
    let probe = command_probe(&mut bench);
    bench.exit(probe, 512);
    let last = statuses(&mut bench).pop().unwrap();
    assert_eq!(
        (last.healthy, last.check_status),
        (Some(true), exit_code(Some(2)))
    );
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_its_tree_and_tells_an_empty_status() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [with_check(command_check())]);
    let main = bench.launch_one();
    bench.event(Event::ContainerStarted {
        launch_id: main,
        pid: 77,
    });
    let first = command_probe(&mut bench);
    bench.exit(first, 0);
    bench.advance(5);
    statuses(&mut bench);
    let slow = command_probe(&mut bench);
    bench.advance(3);
    assert!(
        bench
            .effects
            .contains(&Effect::KillTree { launch_id: slow })
    );
    let told = statuses(&mut bench);
    assert_eq!(told[0].check_status, exit_code(None));
    bench.exit(slow, 9);
    assert!(statuses(&mut bench).is_empty());
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
fn the_command_of_a_check_ends_with_its_task() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [with_check(command_check())]);
    let main = bench.launch_one();
    bench.event(Event::ContainerStarted {
        launch_id: main,
        pid: 77,
    });
    let probe = command_probe(&mut bench);
    bench.exit(main, 0);
    assert!(
        bench
            .effects
            .contains(&Effect::KillTree { launch_id: probe })
    );
    statuses(&mut bench);
    bench.exit(probe, 9);
    bench.advance(60);
    assert!(bench.take_launches().is_empty());
    assert!(statuses(&mut bench).is_empty());
}

#[test]
fn a_drained_agent_waits_for_the_commands_of_checks() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [with_check(command_check())]);
    let main = bench.launch_one();
    bench.event(Event::ContainerStarted {
        launch_id: main,
        pid: 77,
    });
    let probe = command_probe(&mut bench);
    bench.event(Event::Stop(mezz_agent_core::StopRequest::Drain));
    bench.exit(main, 15);
    assert_eq!(bench.stopped(), None);
    bench.exit(probe, 9);
    assert_eq!(bench.stopped(), Some(0));
}

fn limited(nanoseconds: i64) -> TaskInfo {
    TaskInfo {
        max_completion_time: Some(DurationInfo { nanoseconds }),
        ..command_task("t")
    }
}

#[test]
fn a_task_that_takes_too_long_is_killed_at_once_and_fails_with_that_reason() {
    let mut bench = Bench::registered();
    let aware = framework(true, &[Capability::TaskKillingState]);
    let launch_id = bench.running_task(aware, limited(4_000_000_000));
    bench.advance(3);
    assert!(bench.take_signals().is_empty());
    bench.advance(1);
    assert_eq!(bench.take_signals(), ["signal 15", "kill tree"]);
    bench.exit(launch_id, 9);
    let updates = bench.drain_updates();
    assert_eq!(states(&updates), [TaskFailed]);
    assert_eq!(updates[0].reason, Some(Reason::MaxCompletionTimeReached));
}

#[test]
fn a_task_that_takes_too_long_has_the_grace_that_it_asks_for_unless_a_kill_shortens_it() {
    let mut bench = Bench::registered();
    let task = TaskInfo {
        kill_policy: Some(grace(30)),
        ..limited(4_000_000_000)
    };
    let launch_id = bench.running_task(framework(true, &[]), task);
    bench.advance(4);
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.kill("t", Some(grace(10)));
    bench.advance(9);
    assert!(bench.take_signals().is_empty());
    bench.advance(1);
    assert_eq!(bench.take_signals(), ["kill tree"]);
    bench.exit(launch_id, 9);
    let updates = bench.drain_updates();
    assert_eq!(updates[0].reason, Some(Reason::MaxCompletionTimeReached));
}

#[test]
fn a_kill_before_the_time_is_over_is_a_kill() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), limited(4_000_000_000));
    bench.kill("t", Some(grace(60)));
    bench.advance(10);
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.exit(launch_id, 15);
    assert_eq!(states(&bench.drain_updates()), [TaskKilled]);
}

#[test]
fn what_the_checks_have_found_survives_a_restart_of_the_agent() {
    let mut bench = Bench::registered();
    let task = TaskInfo {
        check: Some(command_check()),
        max_completion_time: limited(60_000_000_000).max_completion_time,
        ..with_health(health(3))
    };
    bench.run(framework(true, &[]), [task]);
    let main = bench.launch_one();
    bench.event(Event::ContainerStarted {
        launch_id: main,
        pid: 77,
    });
    let first = command_probe(&mut bench);
    bench.exit(first, 0);
    bench.advance(2);
    answer(&mut bench, ProbeOutcome::Failed);
    statuses(&mut bench);
    bench.advance(3);
    let orphan = bench.launch_one();
    let mut bench = bench.restarted(vec![running(main), running(orphan)]);
    assert!(
        bench
            .effects
            .contains(&Effect::KillTree { launch_id: orphan })
    );
    bench.register();
    bench.effects.clear();
    bench.exit(orphan, 9);
    assert!(probes(&mut bench).is_empty() && bench.take_launches().is_empty());
    bench.advance(5);
    answer(&mut bench, ProbeOutcome::Failed);
    let again = command_probe(&mut bench);
    bench.exit(again, 0);
    let told = statuses(&mut bench);
    assert_eq!(
        told.len(),
        1,
        "the check says what was told already: {told:?}"
    );
    assert_eq!(
        (told[0].healthy, &told[0].check_status),
        (Some(false), &exit_code(Some(0)))
    );
    let mut later = Bench {
        core: bench.core.clone(),
        ..bench.clone()
    };
    bench.advance(5);
    answer(&mut bench, ProbeOutcome::Failed);
    let signals = bench.take_signals();
    assert!(
        signals.contains(&"signal 15".to_owned()),
        "the third failure: {signals:?}"
    );
    for _ in 0..10 {
        later.advance(5);
        for probe in probes(&mut later) {
            later.event(Event::Probed {
                id: probe.id,
                outcome: ProbeOutcome::Connected,
            });
        }
        for launch in later.take_launches() {
            later.exit(launch.launch_id, 0);
        }
    }
    later.exit(main, 9);
    let last = statuses(&mut later).pop().unwrap();
    assert_eq!(last.reason(), Reason::MaxCompletionTimeReached);
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

#[test]
fn a_lost_warden_says_nothing_about_the_tasks_that_it_was_checking() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [with_check(command_check())]);
    let main = bench.launch_one();
    bench.event(Event::ContainerStarted {
        launch_id: main,
        pid: 77,
    });
    let lost = command_probe(&mut bench);
    statuses(&mut bench);
    bench.event(Event::WardenLost {
        containers: vec![running(main)],
    });
    assert!(
        bench
            .effects
            .contains(&Effect::EndStray { launch_id: lost })
    );
    assert!(statuses(&mut bench).is_empty());
    bench.advance(5);
    command_probe(&mut bench);
}
