//! What goes on after the agent itself has died.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_agent_core::{CallOutcome, Config, Effect, Event, LaunchId};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::TaskState::{
    TaskDropped, TaskFailed, TaskFinished, TaskGone, TaskKilled, TaskKilling, TaskRunning,
    TaskStarting,
};
use mezz_proto::v1::executor::event::Type as EventType;
use mezz_proto::v1::framework_info::capability::Type as Capability;
use mezz_proto::v1::task_status::Reason;
use support::*;

#[test]
fn a_running_task_goes_on_and_ends_as_if_nothing_had_happened() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
    let mut next = bench.restarted(vec![running(launch_id)]);
    next.register();
    assert!(next.take_updates().is_empty());
    assert!(next.take_signals().is_empty());
    next.exit(launch_id, 0);
    assert_eq!(states(&next.drain_updates()), [TaskFinished]);
}

#[test]
fn an_exit_that_happened_meanwhile_is_reported() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
    let mut next = bench.restarted(vec![exited(launch_id, 4 << 8)]);
    assert!(
        next.effects
            .contains(&Effect::AcknowledgeExit { launch_id })
    );
    next.register();
    let updates = next.drain_updates();
    assert_eq!(states(&updates), [TaskFailed]);
    assert_eq!(
        updates[0].message.as_deref(),
        Some("Command exited with status 4")
    );
}

#[test]
fn updates_without_acknowledgement_are_sent_again_with_their_uuids() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [command_task("t")]);
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 77 });
    let first = bench.take_updates();
    let mut next = bench.restarted(vec![running(launch_id)]);
    next.register();
    assert_eq!(next.take_updates(), first);
    next.acknowledge(&first[0]);
    assert_eq!(states(&next.drain_updates()), [TaskRunning]);
}

#[test]
fn a_start_that_was_not_written_down_is_reported_after_the_restart() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [command_task("t")]);
    let launch_id = bench.launch_one();
    let mut next = bench.restarted(vec![running(launch_id)]);
    next.register();
    assert_eq!(states(&next.drain_updates()), [TaskStarting, TaskRunning]);
}

#[test]
fn a_task_that_the_warden_does_not_know_ends() {
    let mut bench = Bench::registered();
    let capabilities = [Capability::PartitionAware];
    bench.running_task(framework(true, &capabilities), command_task("ran"));
    bench.run(framework(true, &capabilities), [command_task("never ran")]);
    let mut next = bench.restarted(Vec::new());
    next.register();
    let updates = next.drain_updates();
    let of = |task: &str| {
        updates
            .iter()
            .filter(|update| update.task == task)
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(states(&of("ran")), [TaskFailed]);
    assert_eq!(of("ran")[0].reason, Some(Reason::ExecutorTerminated));
    assert_eq!(states(&of("never ran")), [TaskStarting, TaskDropped]);
    assert_eq!(of("never ran")[1].reason, Some(Reason::AgentRestarted));
}

#[test]
fn a_container_that_the_journal_does_not_know_is_killed_and_its_exit_acknowledged() {
    let bench = Bench::registered();
    let mut next = bench.restarted(vec![running(LaunchId(1)), exited(LaunchId(2), 0)]);
    assert_eq!(next.take_signals(), ["kill tree"]);
    assert!(next.effects.contains(&Effect::AcknowledgeExit {
        launch_id: LaunchId(2)
    }));
    next.exit(LaunchId(1), 9);
    assert!(next.effects.contains(&Effect::AcknowledgeExit {
        launch_id: LaunchId(1)
    }));
}

#[test]
fn a_kill_is_remembered() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(
        framework(true, &[Capability::TaskKillingState]),
        command_task("t"),
    );
    bench.kill("t", None);
    assert_eq!(states(&bench.drain_updates()), [TaskKilling]);
    let mut next = bench.restarted(vec![running(launch_id)]);
    assert_eq!(next.take_signals(), ["signal 15"]);
    next.advance(4);
    assert_eq!(next.take_signals(), ["kill tree"]);
    next.exit(launch_id, 9);
    next.register();
    assert_eq!(states(&next.drain_updates()), [TaskKilled]);
}

#[test]
fn after_a_reboot_all_tasks_have_ended_and_the_id_is_kept() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
    let mut next = Bench::recovered(
        config(),
        bench.journal.clone(),
        vec![running(launch_id)],
        "boot-2",
    );
    next.register();
    assert_eq!(next.core.agent_id(), Some("A"));
    assert_eq!(states(&next.drain_updates()), [TaskFailed]);
}

#[test]
fn a_changed_agent_does_not_start_under_its_old_id_unless_it_was_rebooted() {
    let bench = Bench::registered();
    let mut changed = config();
    changed.agent.hostname = "other".to_owned();
    let next = Bench::recovered(changed.clone(), bench.journal.clone(), Vec::new(), "boot-1");
    assert_eq!(next.stopped(), Some(1));
    let next = Bench::recovered(changed, bench.journal.clone(), Vec::new(), "boot-2");
    assert_eq!((next.stopped(), next.core.agent_id()), (None, None));
}

#[test]
fn the_short_journal_tells_the_same_story() {
    let mut bench = Bench::registered();
    let ran = bench.running_task(framework(true, &[]), command_task("ran"));
    let killed = bench.running_task(framework(true, &[]), command_task("killed"));
    bench.kill("killed", Some(grace(50)));
    let done = bench.running_task(framework(true, &[]), command_task("done"));
    bench.exit(done, 0);
    let executor = bench.running_executor(framework(true, &[]), "custom", "E");
    bench.executor_update("E", executor_status("custom", TaskRunning, 1));
    let containers = vec![running(ran), running(killed), running(executor)];
    let mut long = bench.restarted(containers.clone());
    bench.journal = bench.core.snapshot();
    let mut short = bench.restarted(containers);
    for next in [&mut long, &mut short] {
        next.subscribe("E", Vec::new(), Vec::new());
        next.register();
        next.take_executor_events();
    }
    let (long, short) = (long.core.records(), short.core.records());
    assert_eq!(long.frameworks[0].executors, short.frameworks[0].executors);
}

#[test]
fn the_agent_waits_for_custom_executors_before_it_registers() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_executor(framework(true, &[]), "t", "E");
    bench.executor_update("E", executor_status("t", TaskRunning, 1));
    let mut next = bench.restarted(vec![running(launch_id)]);
    assert!(!next.effects.contains(&Effect::DialMaster));
    next.subscribe(
        "E",
        Vec::new(),
        vec![
            executor_status("t", TaskRunning, 1),
            executor_status("t", TaskFinished, 2),
        ],
    );
    assert!(next.effects.contains(&Effect::DialMaster));
    let kinds: Vec<_> = next
        .take_executor_events()
        .iter()
        .map(mezz_proto::v1::executor::Event::r#type)
        .collect();
    assert_eq!(
        kinds,
        [
            EventType::Acknowledged,
            EventType::Acknowledged,
            EventType::Subscribed
        ]
    );
    next.register();
    assert_eq!(states(&next.drain_updates()), [TaskRunning, TaskFinished]);
}

#[test]
fn an_executor_that_does_not_come_back_is_ended_with_its_tasks() {
    let mut bench = Bench::registered();
    let launch_id =
        bench.running_executor(framework(true, &[Capability::PartitionAware]), "t", "E");
    bench.executor_update("E", executor_status("t", TaskRunning, 1));
    let mut next = bench.restarted(vec![running(launch_id)]);
    next.advance(3);
    assert_eq!(next.take_signals(), ["kill tree"]);
    assert!(next.effects.contains(&Effect::DialMaster));
    next.exit(launch_id, 9);
    next.register();
    let updates = next.drain_updates();
    assert_eq!(states(&updates), [TaskRunning, TaskGone]);
    assert_eq!(
        updates[1].reason,
        Some(Reason::ExecutorReregistrationTimeout)
    );
    assert_eq!(
        updates[1].message.as_deref(),
        Some("Executor did not reregister within 2secs")
    );
}

#[test]
fn a_kill_for_a_custom_executor_reaches_it_when_it_is_back() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_executor(framework(true, &[]), "t", "E");
    bench.executor_update("E", executor_status("t", TaskRunning, 1));
    bench.kill("t", None);
    let mut next = bench.restarted(vec![running(launch_id)]);
    next.subscribe("E", Vec::new(), Vec::new());
    let kinds: Vec<_> = next
        .take_executor_events()
        .iter()
        .map(mezz_proto::v1::executor::Event::r#type)
        .collect();
    assert_eq!(kinds, [EventType::Subscribed, EventType::Kill]);
}

#[test]
fn a_task_that_the_returning_executor_never_got_is_dropped() {
    let mut bench = Bench::registered();
    let launch_id =
        bench.running_executor(framework(true, &[Capability::PartitionAware]), "lost", "E");
    let mut next = bench.restarted(vec![running(launch_id)]);
    next.subscribe("E", Vec::new(), Vec::new());
    next.register();
    let updates = next.drain_updates();
    assert_eq!(states(&updates), [TaskDropped]);
    assert_eq!(
        updates[0].message.as_deref(),
        Some("Task launched during agent restart")
    );
}

#[test]
fn cleanup_ends_everything_and_stops() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
    let cleanup = Config {
        recover: mezz_agent_core::RecoverMode::Cleanup,
        ..config()
    };
    let mut next = Bench::recovered(
        cleanup,
        bench.journal.clone(),
        vec![running(launch_id)],
        "boot-1",
    );
    assert_eq!(next.take_signals(), ["signal 15"]);
    next.exit(launch_id, 15);
    assert_eq!(next.stopped(), Some(0));
}

#[test]
fn a_lost_warden_ends_what_it_ran() {
    let mut bench = Bench::registered();
    bench.running_task(framework(true, &[]), command_task("t"));
    bench.event(Event::WardenLost {
        containers: Vec::new(),
    });
    assert_eq!(states(&bench.drain_updates()), [TaskFailed]);
    assert!(
        !bench
            .take_to_master()
            .iter()
            .any(|body| matches!(body, Body::ExecutorExited(_)))
    );
}

#[test]
fn a_new_masters_launches_count_as_new_after_a_restart_on_a_short_journal() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("old"));
    let reason = "another master leads".to_owned();
    bench.event(Event::MasterDisconnected { reason });
    bench.advance(60);
    bench.event(Event::MasterConnected);
    bench.admit(2);
    bench.confirm();
    bench.journal = bench.core.snapshot();
    let mut next = bench.restarted(vec![running(launch_id)]);
    next.event(Event::MasterConnected);
    next.admit(2);
    next.confirm();
    // It counts its launches from one, as the master before it did.
    next.token = 0;
    next.run(framework(true, &[]), [command_task("new")]);
    assert_eq!(states(&next.drain_updates()), [TaskStarting]);
}

#[test]
fn a_launch_delivered_again_after_a_restart_on_a_short_journal_runs_once() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
    bench.journal = bench.core.snapshot();
    let mut next = bench.restarted(vec![running(launch_id)]);
    next.register();
    next.exit(launch_id, 0);
    assert_eq!(states(&next.drain_updates()), [TaskFinished]);
    next.token = 0;
    next.run(framework(true, &[]), [command_task("t")]);
    assert!(next.take_launches().is_empty());
}

#[test]
fn an_executor_that_is_back_reports_while_the_agent_waits_for_others() {
    let mut bench = Bench::registered();
    let first = bench.running_executor(framework(true, &[]), "t", "E");
    let second = bench.running_executor(framework(true, &[]), "u", "late");
    let mut next = bench.restarted(vec![running(first), running(second)]);
    let claimed = vec![executor_task("t", "E")];
    next.subscribe("E", claimed, Vec::new());
    next.take_replies();
    assert_eq!(
        next.executor_update("E", executor_status("t", TaskStarting, 1)),
        CallOutcome::Accepted
    );
    assert!(!next.effects.contains(&Effect::DialMaster));
    assert_eq!(
        next.executor_update("late", executor_status("u", TaskStarting, 2)),
        CallOutcome::Unavailable("Agent has not finished recovery".to_owned())
    );
    let claimed = vec![executor_task("u", "late")];
    next.subscribe("late", claimed, Vec::new());
    next.register();
    let updates = next.drain_updates();
    assert_eq!(
        (updates[0].task.as_str(), states(&updates)),
        ("t", vec![TaskStarting])
    );
}
