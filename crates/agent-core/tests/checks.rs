//! Checks of command tasks, commands as checks, and what survives the agent.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_agent_core::{Effect, Event, LaunchId, ProbeOutcome, Role, Survival};
use mezz_proto::v1::TaskState::{TaskFinished, TaskRunning, TaskStarting};
use mezz_proto::v1::environment::Variable;
use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{Environment, TaskInfo, TaskStatus};
use support::checks::{
    answer, command_check, command_probe, exit_code, health, limited, probes, statuses, with_check,
    with_health,
};
use support::{Bench, framework, running};

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
            .all(|status| status.check_status == Some(exit_code(None)))
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
            vec![Some(exit_code(Some(1)))],
            vec![],
            vec![Some(exit_code(Some(0)))],
            vec![Some(exit_code(None))]
        ]
    );
    bench.effects.clear();
    bench.exit(main, 0);
    let told = statuses(&mut bench);
    assert_eq!(
        (told[0].state(), &told[0].check_status),
        (TaskFinished, &Some(exit_code(None)))
    );
}

#[test]
fn a_check_and_a_health_check_do_not_hide_each_other() {
    let mut bench = Bench::registered();
    let task = TaskInfo {
        check: Some(Box::new(command_check())),
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
        (Some(true), Some(exit_code(Some(0))))
    );
    bench.advance(3);
    let probe = command_probe(&mut bench);
    bench.exit(probe, 512);
    let last = statuses(&mut bench).pop().unwrap();
    assert_eq!(
        (last.healthy, last.check_status),
        (Some(true), Some(exit_code(Some(2))))
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
    assert_eq!(told[0].check_status, Some(exit_code(None)));
    bench.exit(slow, 9);
    assert!(statuses(&mut bench).is_empty());
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

#[test]
fn what_the_checks_have_found_survives_a_restart_of_the_agent() {
    let mut bench = Bench::registered();
    let task = TaskInfo {
        check: Some(Box::new(command_check())),
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
        (Some(false), &Some(exit_code(Some(0))))
    );
    let later = bench.clone();
    bench.advance(5);
    answer(&mut bench, ProbeOutcome::Failed);
    let signals = bench.take_signals();
    assert!(
        signals.contains(&"signal 15".to_owned()),
        "the third failure: {signals:?}"
    );
    goes_on_until_its_time_is_over(later, main);
}

/// All its checks pass; the time that it may take has run on while the agent was away.
fn goes_on_until_its_time_is_over(mut bench: Bench, main: LaunchId) {
    for _ in 0..10 {
        bench.advance(5);
        for probe in probes(&mut bench) {
            bench.event(Event::Probed {
                id: probe.id,
                outcome: ProbeOutcome::Connected,
            });
        }
        for launch in bench.take_launches() {
            bench.exit(launch.launch_id, 0);
        }
    }
    bench.exit(main, 9);
    let last = statuses(&mut bench).pop().unwrap();
    assert_eq!(last.reason(), Reason::MaxCompletionTimeReached);
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
