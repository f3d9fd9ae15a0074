//! Custom executors: the executor API and their life.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_agent_core::{CallOutcome, Effect, Event, StreamId};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{FrameworkMessage, ShutdownExecutor};
use mezz_proto::v1::TaskState::{
    self, TaskFailed, TaskFinished, TaskKilled, TaskLost, TaskRunning,
};
use mezz_proto::v1::executor::call;
use mezz_proto::v1::executor::event::Type as EventType;
use mezz_proto::v1::task_status::{Reason, Source};
use mezz_proto::v1::{ExecutorId, FrameworkId, TaskStatus};
use support::*;

fn kinds(bench: &mut Bench) -> Vec<EventType> {
    bench
        .take_executor_events()
        .iter()
        .map(mezz_proto::v1::executor::Event::r#type)
        .collect()
}

#[test]
fn tasks_wait_for_the_subscription_then_are_delivered_in_order() {
    let mut bench = Bench::registered();
    bench.run(
        framework(true, &[]),
        [executor_task("a", "E"), executor_task("b", "E")],
    );
    let launch = bench.take_launches().remove(0);
    let value = |name: &str| {
        launch
            .environment
            .iter()
            .rfind(|(key, _)| key == name)
            .map_or("unset", |(_, value)| value.as_str())
    };
    assert_eq!(value("MESOS_CHECKPOINT"), "1");
    assert_eq!(value("MESOS_RECOVERY_TIMEOUT"), "15mins");
    assert_eq!(value("MESOS_SUBSCRIPTION_BACKOFF_MAX"), "2secs");
    assert_eq!(value("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"), "5secs");
    assert_eq!(value("MESOS_SLAVE_PID"), "slave(1)@10.0.0.1:5051");
    bench.event(Event::ContainerStarted {
        launch_id: launch.launch_id,
        pid: 9,
    });
    bench.subscribe("E", Vec::new(), Vec::new());
    assert_eq!(bench.take_replies(), [CallOutcome::Stream]);
    let events = bench.take_executor_events();
    let subscribed = events[0].subscribed.as_ref().unwrap();
    assert_eq!(
        subscribed.framework_info.id.as_ref().unwrap().value,
        FRAMEWORK
    );
    assert_eq!(
        subscribed
            .executor_info
            .framework_id
            .as_ref()
            .unwrap()
            .value,
        FRAMEWORK
    );
    assert_eq!(subscribed.agent_info.id.as_ref().unwrap().value, "A");
    let tasks: Vec<_> = events[1..]
        .iter()
        .map(|event| event.launch.as_ref().unwrap().task.task_id.value.as_str())
        .collect();
    assert_eq!(tasks, ["a", "b"]);
    bench.run(framework(true, &[]), [executor_task("c", "E")]);
    assert_eq!(kinds(&mut bench), [EventType::Launch]);
}

#[test]
fn an_update_is_acknowledged_to_the_executor_when_held_and_completed_for_the_framework() {
    let mut bench = Bench::registered();
    bench.running_executor(framework(true, &[]), "t", "E");
    assert_eq!(
        bench.executor_update("E", executor_status("t", TaskRunning, 1)),
        CallOutcome::Accepted
    );
    assert_eq!(kinds(&mut bench), [EventType::Acknowledged]);
    let Some(Body::StatusUpdate(update)) = bench.take_to_master().pop() else {
        panic!("the update is sent")
    };
    assert_eq!(update.executor_id.as_ref().unwrap().value, "E");
    let container = update.status.container_status.as_ref().unwrap();
    assert_eq!(container.executor_pid, Some(88));
    assert_eq!(update.status.uuid.as_ref().unwrap()[..], [1; 16]);
    let written = bench
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::Checkpoint { .. }));
    assert!(written);
}

#[test]
fn a_duplicate_is_dropped_and_nothing_follows_a_terminal_update() {
    let mut bench = Bench::registered();
    bench.running_executor(framework(true, &[]), "t", "E");
    for status in [
        executor_status("t", TaskRunning, 1),
        executor_status("t", TaskRunning, 1),
        executor_status("t", TaskFinished, 2),
        executor_status("t", TaskFailed, 3),
        executor_status("t", TaskRunning, 4),
    ] {
        bench.executor_update("E", status);
    }
    assert_eq!(
        kinds(&mut bench).len(),
        5,
        "the executor may forget each of them"
    );
    assert_eq!(states(&bench.drain_updates()), [TaskRunning, TaskFinished]);
}

#[test]
fn calls_are_refused_in_mesos_words() {
    let mut bench = Bench::registered();
    bench.run(
        framework(true, &[]),
        [executor_task("t", "E"), command_task("c")],
    );
    let forbidden = bench.executor_update("E", executor_status("t", TaskRunning, 1));
    assert_eq!(
        forbidden,
        CallOutcome::Forbidden("Executor is not subscribed".to_owned())
    );
    for unknown in ["nobody", "c"] {
        let missing = bench.executor_update(unknown, executor_status("t", TaskRunning, 1));
        assert_eq!(
            missing,
            CallOutcome::BadRequest("Executor cannot be found".to_owned())
        );
    }
    bench.subscribe("E", Vec::new(), Vec::new());
    bench.take_replies();
    let good = executor_status("t", TaskRunning, 1);
    let prefix = "Failed to validate Executor::Call: ";
    let cases = [
        (TaskStatus { uuid: None, ..good.clone() }, "Expecting 'uuid' to be present".to_owned()),
        (
            TaskStatus { source: Some(Source::Agent.into()), ..good.clone() },
            "Received Call from executor E of framework F with invalid source, expecting 'SOURCE_EXECUTOR'".to_owned(),
        ),
        (
            executor_status("t", TaskState::TaskStaging, 1),
            "Received TASK_STAGING from executor E of framework F which is not allowed".to_owned(),
        ),
        (
            TaskStatus { executor_id: Some(ExecutorId { value: "X".to_owned() }), ..good },
            "ExecutorID in Call: E does not match ExecutorID in TaskStatus: X".to_owned(),
        ),
    ];
    for (status, message) in cases {
        assert_eq!(
            bench.executor_update("E", status),
            CallOutcome::BadRequest(format!("{prefix}{message}"))
        );
    }
    bench.call("nobody", call::Type::Heartbeat, |_| {});
    assert_eq!(bench.take_replies(), [CallOutcome::Accepted]);
}

#[test]
fn messages_pass_both_ways() {
    let mut bench = Bench::registered();
    bench.running_executor(framework(true, &[]), "t", "E");
    bench.call("E", call::Type::Message, |call| {
        call.message = Some(call::Message {
            data: vec![1, 2].into(),
        });
    });
    assert!(
        matches!(&bench.take_to_master()[..], [Body::ExecutorMessage(message)] if message.data[..] == [1, 2])
    );
    bench.master(Body::FrameworkMessage(FrameworkMessage {
        framework_id: FrameworkId {
            value: FRAMEWORK.to_owned(),
        },
        executor_id: ExecutorId {
            value: "E".to_owned(),
        },
        data: vec![3].into(),
    }));
    assert_eq!(
        bench.take_executor_events()[0]
            .message
            .as_ref()
            .unwrap()
            .data[..],
        [3]
    );
}

#[test]
fn an_executor_that_never_subscribes_fails_its_tasks() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [executor_task("t", "E")]);
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 9 });
    bench.advance(61);
    assert_eq!(bench.take_signals(), ["kill tree"]);
    bench.exit(launch_id, 9);
    let updates = bench.drain_updates();
    assert_eq!(states(&updates), [TaskFailed]);
    assert_eq!(updates[0].reason, Some(Reason::ExecutorRegistrationTimeout));
    assert_eq!(
        updates[0].message.as_deref(),
        Some("Executor did not register within 1mins")
    );
}

#[test]
fn the_exit_of_an_executor_fails_its_tasks_and_is_told() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_executor(framework(true, &[]), "t", "E");
    bench.exit(launch_id, 1 << 8);
    let sent = bench.take_to_master();
    assert!(
        matches!(&sent[..], [Body::StatusUpdate(_), Body::ExecutorExited(exited)] if exited.status == 1 << 8)
    );
    let Body::StatusUpdate(update) = sent[0].clone() else {
        unreachable!()
    };
    let update = seen(update);
    assert_eq!(
        (update.state, update.reason),
        (TaskFailed, Some(Reason::ExecutorTerminated))
    );
    bench.run(framework(true, &[]), [executor_task("late", "E")]);
    let late = bench.take_updates();
    assert_eq!(
        (late[0].state, late[0].message.as_deref()),
        (TaskLost, Some("Executor terminated"))
    );
    bench.acknowledge(&update);
    bench.acknowledge(&late[0]);
    bench.run(framework(true, &[]), [executor_task("again", "E")]);
    bench.launch_one();
}

#[test]
fn a_shutdown_is_asked_for_then_forced() {
    let mut bench = Bench::registered();
    bench.running_executor(framework(true, &[]), "t", "E");
    bench.master(Body::ShutdownExecutor(ShutdownExecutor {
        framework_id: FrameworkId {
            value: FRAMEWORK.to_owned(),
        },
        executor_id: ExecutorId {
            value: "E".to_owned(),
        },
    }));
    assert_eq!(kinds(&mut bench), [EventType::Shutdown]);
    bench.advance(4);
    assert!(bench.take_signals().is_empty());
    bench.advance(2);
    assert_eq!(bench.take_signals(), ["kill tree"]);
}

#[test]
fn an_executor_whose_first_tasks_were_all_killed_is_shut_down_when_it_subscribes() {
    let mut bench = Bench::registered();
    bench.run(
        framework(true, &[]),
        [executor_task("a", "E"), executor_task("b", "E")],
    );
    bench.kill("a", None);
    bench.kill("b", None);
    let updates = bench.drain_updates();
    assert_eq!(states(&updates), [TaskKilled, TaskKilled]);
    assert_eq!(updates[0].reason, Some(Reason::TaskKilledDuringLaunch));
    bench.subscribe("E", Vec::new(), Vec::new());
    assert_eq!(kinds(&mut bench), [EventType::Shutdown]);
}

#[test]
fn a_kill_is_handed_to_the_executor() {
    let mut bench = Bench::registered();
    bench.running_executor(framework(true, &[]), "t", "E");
    bench.kill("t", Some(grace(7)));
    let kill = bench.take_executor_events().remove(0).kill.unwrap();
    assert_eq!(kill.kill_policy, Some(grace(7)));
    assert!(bench.take_signals().is_empty());
}

#[test]
fn a_new_stream_closes_the_old_one_and_heartbeats_go_to_the_new() {
    let mut bench = Bench::registered();
    bench.running_executor(framework(true, &[]), "t", "E");
    bench.executor_update("E", executor_status("t", TaskRunning, 1));
    let old = StreamId(1);
    let request = bench.subscribe("E", Vec::new(), Vec::new());
    assert!(
        bench
            .effects
            .contains(&Effect::CloseExecutorStream { stream: old })
    );
    bench.event(Event::ExecutorStreamClosed { stream: old });
    bench.take_executor_events();
    bench.advance(30 * 60);
    let beats = bench.take(|effect| match effect {
        Effect::ToExecutor { stream, event } if event.r#type() == EventType::Heartbeat => {
            Some(*stream)
        }
        _ => None,
    });
    assert_eq!(beats, [StreamId::from(request)]);
}

#[test]
fn a_task_that_comes_while_the_stream_is_down_is_delivered_at_the_next_subscription() {
    let mut bench = Bench::registered();
    bench.running_executor(framework(true, &[]), "t", "E");
    bench.executor_update("E", executor_status("t", TaskRunning, 1));
    bench.event(Event::ExecutorStreamClosed {
        stream: StreamId(1),
    });
    bench.take_executor_events();
    bench.run(framework(true, &[]), [executor_task("u", "E")]);
    assert!(kinds(&mut bench).is_empty());
    bench.subscribe("E", Vec::new(), Vec::new());
    assert_eq!(
        kinds(&mut bench),
        [EventType::Subscribed, EventType::Launch]
    );
}

#[test]
fn before_recovery_executors_are_told_to_wait() {
    let mut bench = Bench::registered();
    bench.core = mezz_agent_core::AgentCore::new(config());
    bench.subscribe("E", Vec::new(), Vec::new());
    assert_eq!(
        bench.take_replies(),
        [CallOutcome::Unavailable(
            "Agent has not finished recovery".to_owned()
        )]
    );
}
