//! Tasks of users' objects: the command before their end, exact statuses of health checks, secrets.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_agent_core::{Effect, Event, Launch, LaunchId, ProbeOutcome, Role};
use mezz_proto::agent_protocol::{InstanceFile, InstanceTerms, PreStop, SecretValue};
use mezz_proto::v1::environment::Variable;
use mezz_proto::v1::health_check::HttpCheckInfo;
use mezz_proto::v1::secret::Reference;
use mezz_proto::v1::{Environment, HealthCheck, Secret, TaskInfo, environment, health_check};
use support::checks::{answer, command_check, health, healths, probe, with_check, with_health};
use support::{Bench, command, command_task, framework, grace, running};

fn pre_stop() -> InstanceTerms {
    InstanceTerms {
        pre_stop: Some(PreStop {
            command: Some(command("leave")),
            url: None,
            timeout_ns: 10_000_000_000,
        }),
        ..InstanceTerms::default()
    }
}

/// A running instance; with what it was launched.
fn instance(bench: &mut Bench, task: TaskInfo, terms: InstanceTerms) -> Launch {
    bench.run_instances(framework(true, &[]), [(task, Some(terms))]);
    let launch = bench.take_launches().remove(0);
    bench.event(Event::ContainerStarted {
        launch_id: launch.launch_id,
        pid: 77,
    });
    bench.drain_updates();
    launch
}

/// The command that was begun.
fn leaving(bench: &mut Bench) -> LaunchId {
    let launch = bench.take_launches().remove(0);
    assert_eq!(launch.role, Role::Probe);
    bench.event(Event::ContainerStarted {
        launch_id: launch.launch_id,
        pid: 78,
    });
    launch.launch_id
}

#[test]
fn a_task_is_told_to_end_when_the_command_before_has_ended_and_has_its_whole_grace_then() {
    let mut bench = Bench::registered();
    let task = TaskInfo {
        kill_policy: Some(grace(5)),
        ..command_task("t")
    };
    instance(&mut bench, task, pre_stop());
    bench.kill("t", None);
    let leaving = leaving(&mut bench);
    bench.advance(8);
    assert!(bench.take_signals().is_empty());
    bench.exit(leaving, 0);
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.advance(4);
    assert!(bench.take_signals().is_empty());
    bench.advance(1);
    assert_eq!(bench.take_signals(), ["kill tree"]);
}

#[test]
fn a_command_that_does_not_end_or_start_holds_up_nothing() {
    let mut bench = Bench::registered();
    instance(&mut bench, command_task("t"), pre_stop());
    bench.kill("t", None);
    leaving(&mut bench);
    bench.advance(10);
    assert_eq!(bench.take_signals(), ["kill tree", "signal 15"]);

    let mut bench = Bench::registered();
    instance(&mut bench, command_task("t"), pre_stop());
    bench.kill("t", None);
    let launch_id = bench.launch_one();
    let message = "no such user".to_owned();
    bench.event(Event::ContainerLaunchFailed { launch_id, message });
    assert_eq!(bench.take_signals(), ["signal 15"]);
}

#[test]
fn a_get_before_the_end_is_waited_for_whatever_it_is_answered() {
    let of_url = || InstanceTerms {
        pre_stop: Some(PreStop {
            command: None,
            url: Some("http://127.0.0.1:80/leave".to_owned()),
            timeout_ns: 10_000_000_000,
        }),
        ..InstanceTerms::default()
    };
    let mut bench = Bench::registered();
    instance(&mut bench, command_task("t"), of_url());
    bench.kill("t", None);
    assert!(bench.take_signals().is_empty());
    answer(&mut bench, ProbeOutcome::Status(500));
    assert_eq!(bench.take_signals(), ["signal 15"]);

    let mut bench = Bench::registered();
    instance(&mut bench, command_task("t"), of_url());
    bench.kill("t", None);
    let id = probe(&mut bench);
    bench.advance(10);
    assert!(bench.effects.contains(&Effect::CancelProbe { id }));
    assert_eq!(bench.take_signals(), ["signal 15"]);
}

#[test]
fn a_task_that_ends_meanwhile_ends_the_command_and_a_second_kill_only_shortens_the_grace() {
    let mut bench = Bench::registered();
    let task = TaskInfo {
        kill_policy: Some(grace(50)),
        ..command_task("t")
    };
    let launch = instance(&mut bench, task.clone(), pre_stop());
    bench.kill("t", None);
    leaving(&mut bench);
    bench.exit(launch.launch_id, 0);
    assert_eq!(bench.take_signals(), ["kill tree"]);

    let mut bench = Bench::registered();
    instance(&mut bench, task, pre_stop());
    bench.kill("t", None);
    let leaving = leaving(&mut bench);
    bench.kill("t", Some(grace(2)));
    assert!(bench.take_signals().is_empty() && bench.take_launches().is_empty());
    bench.exit(leaving, 0);
    assert_eq!(bench.take_signals(), ["signal 15"]);
    bench.advance(2);
    assert_eq!(bench.take_signals(), ["kill tree"]);
}

#[test]
fn the_next_life_of_the_daemon_runs_the_command_again_and_goes_on_with_the_end() {
    let mut bench = Bench::registered();
    let launch = instance(&mut bench, command_task("t"), pre_stop());
    bench.kill("t", None);
    leaving(&mut bench);
    let mut bench = bench.restarted(vec![running(launch.launch_id)]);
    let leaving = leaving(&mut bench);
    bench.exit(leaving, 0);
    assert_eq!(bench.take_signals(), ["signal 15"]);
}

#[test]
fn only_the_statuses_that_an_instance_names_are_healthy() {
    let mut bench = Bench::registered();
    let check = HealthCheck {
        r#type: Some(health_check::Type::Http.into()),
        http: Some(HttpCheckInfo {
            port: 80,
            statuses: vec![204, 418],
            ..HttpCheckInfo::default()
        }),
        ..health(9)
    };
    let terms = InstanceTerms {
        exact_statuses: Some(true),
        ..InstanceTerms::default()
    };
    instance(&mut bench, with_health(check), terms);
    bench.advance(2);
    let mut seen = Vec::new();
    for code in [418, 200, 204] {
        answer(&mut bench, ProbeOutcome::Status(code));
        seen.extend(healths(&mut bench).into_iter().map(|(_, healthy)| healthy));
        bench.advance(5);
    }
    assert_eq!(seen, [Some(true), Some(false), Some(true)]);
}

fn reference() -> Reference {
    Reference {
        name: "/db@1".to_owned(),
        key: Some("password".to_owned()),
    }
}

#[test]
fn values_of_secrets_go_to_the_launch_and_are_neither_kept_nor_written() {
    let mut bench = Bench::registered();
    let secret = Secret {
        reference: Some(reference()),
        ..Secret::default()
    };
    let mut task = with_check(command_check());
    task.command.as_mut().unwrap().environment = Some(Environment {
        variables: vec![Variable {
            name: "PASSWORD".to_owned(),
            r#type: Some(environment::variable::Type::Secret.into()),
            secret: Some(secret),
            value: None,
        }],
    });
    let terms = InstanceTerms {
        files: vec![InstanceFile {
            path: "conf/password".to_owned(),
            content: None,
            secret: Some(reference()),
        }],
        secrets: vec![SecretValue {
            name: "/db@1".to_owned(),
            key: "password".to_owned(),
            value: "hunter2".into(),
        }],
        ..InstanceTerms::default()
    };
    let launch = instance(&mut bench, task, terms);
    let materials = launch.materials.unwrap();
    assert_eq!(materials.values[0].value, "hunter2");
    assert_eq!(materials.variables, [("PASSWORD".to_owned(), reference())]);
    assert!(
        launch
            .environment
            .iter()
            .all(|(name, _)| name != "PASSWORD")
    );
    let mut written = Vec::new();
    bench
        .journal
        .iter()
        .for_each(|record| record.encode(&mut written));
    assert!(!written.windows(7).any(|bytes| bytes == b"hunter2"));
    let probe = bench.take_launches().remove(0).materials.unwrap();
    assert_eq!(probe.holder, launch.launch_id);
    assert!(probe.values.is_empty() && probe.variables == materials.variables);
}
