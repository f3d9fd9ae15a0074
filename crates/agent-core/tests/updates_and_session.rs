//! Status-update streams and the session with the master.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_agent_core::{Durability, Effect, Event, Record, RegistrationState, StopRequest};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::refused::Action;
use mezz_proto::agent_protocol::{Ping, Refused, ShutdownAgent};
use mezz_proto::v1::TaskState::{TaskFinished, TaskRunning, TaskStarting};
use support::*;

#[test]
fn an_update_is_repeated_after_ten_seconds_then_twice_as_late_each_time() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [command_task("t")]);
    let first = bench.take_updates();
    for wait in [10, 20, 40] {
        keep_alive(&mut bench, wait - 1);
        assert!(bench.take_updates().is_empty());
        keep_alive(&mut bench, 1);
        assert_eq!(bench.take_updates(), first);
    }
    bench.acknowledge(&first[0]);
    keep_alive(&mut bench, 1000);
    assert!(bench.take_updates().is_empty());
}

fn keep_alive(bench: &mut Bench, seconds: u64) {
    for _ in 0..seconds {
        bench.master(Body::Ping(Ping { connected: true }));
        bench.advance(1);
    }
}

#[test]
fn only_one_update_of_a_task_is_in_flight_and_it_tells_the_newest_state() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [command_task("t")]);
    let launch_id = bench.launch_one();
    let first = bench.take_updates();
    bench.event(Event::ContainerStarted { launch_id, pid: 1 });
    bench.exit(launch_id, 0);
    assert!(bench.take_updates().is_empty());
    bench.acknowledge(&first[0]);
    let Some(Body::StatusUpdate(second)) = bench.take_to_master().pop() else {
        panic!("the next update follows the acknowledgement")
    };
    assert_eq!(second.latest_state, Some(TaskFinished.into()));
    assert_eq!(second.status.state, i32::from(TaskRunning));
}

#[test]
fn an_acknowledgement_with_another_uuid_changes_nothing() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [command_task("t")]);
    let mut first = bench.take_updates().remove(0);
    first.uuid = vec![0; 16];
    bench.acknowledge(&first);
    bench.advance(11);
    assert_eq!(states(&bench.take_updates()), [TaskStarting]);
}

#[test]
fn updates_wait_while_no_master_listens_and_go_out_at_registration() {
    let mut bench = Bench::registered();
    bench.run(framework(true, &[]), [command_task("t")]);
    let first = bench.take_updates();
    bench.event(Event::MasterDisconnected {
        reason: "reset".to_owned(),
    });
    let launch_id = bench.launch_one();
    bench.event(Event::ContainerStarted { launch_id, pid: 1 });
    bench.advance(100);
    assert!(bench.take_updates().is_empty());
    bench.event(Event::MasterConnected);
    bench.admit(1);
    let Some(Body::Reregister(reregister)) = bench.take_to_master().pop() else {
        panic!("the agent registers again")
    };
    assert_eq!(reregister.tasks.len(), 1);
    let task: mezz_proto::v1::Task = prost::Message::decode(&*reregister.tasks[0]).unwrap();
    assert_eq!(task.state, i32::from(TaskRunning));
    assert_eq!(task.status_update_state, Some(TaskStarting.into()));
    assert_eq!(task.executor_id, None);
    assert_eq!(reregister.frameworks.len(), 1);
    bench.confirm();
    assert_eq!(bench.take_updates(), first);
}

#[test]
fn the_identity_is_on_disk_before_the_agent_acts_under_it() {
    let mut bench = Bench::fresh();
    bench.event(Event::MasterConnected);
    bench.effects.clear();
    bench.admit(7);
    let synced = |effect: &Effect| matches!(effect, Effect::Checkpoint { durability: Durability::Synced, records } if matches!(records[0], Record::Identity { epoch: 7, .. }));
    let written = bench.effects.iter().position(synced).unwrap();
    let sent = bench
        .effects
        .iter()
        .position(|effect| matches!(effect, Effect::ToMaster(_)))
        .unwrap();
    assert!(written < sent);
    bench.confirm();
    assert_eq!(bench.core.agent_id(), Some("A"));
    assert_eq!(bench.restarted(Vec::new()).core.agent_id(), Some("A"));
}

#[test]
fn a_master_with_a_lower_epoch_or_of_another_cluster_is_not_obeyed() {
    let mut bench = Bench::fresh();
    bench.event(Event::MasterConnected);
    bench.admit(7);
    bench.confirm();
    bench.event(Event::MasterDisconnected {
        reason: String::new(),
    });
    bench.advance(2);
    bench.event(Event::MasterConnected);
    bench.effects.clear();
    bench.admit(6);
    assert!(bench.effects.contains(&Effect::HangUpMaster));
    assert!(bench.take_to_master().is_empty());
    bench.event(Event::MasterDisconnected {
        reason: String::new(),
    });
    bench.advance(10);
    assert!(bench.effects.contains(&Effect::DialMaster));
}

#[test]
fn a_silent_master_is_dialled_again_with_growing_patience() {
    let mut bench = Bench::registered();
    bench.advance(74);
    assert!(!bench.effects.contains(&Effect::HangUpMaster));
    bench.advance(1);
    assert!(bench.effects.contains(&Effect::HangUpMaster));
    bench.event(Event::MasterDisconnected {
        reason: "hung up".to_owned(),
    });
    assert_eq!(
        bench.core.records().registration,
        RegistrationState::Disconnected
    );
    for _ in 0..20 {
        bench.effects.clear();
        bench.advance(60);
        assert!(
            bench.effects.contains(&Effect::DialMaster),
            "never later than a minute"
        );
        bench.event(Event::MasterDisconnected {
            reason: "refused".to_owned(),
        });
    }
}

#[test]
fn a_ping_that_says_disconnected_makes_the_agent_register_again() {
    let mut bench = Bench::registered();
    bench.master(Body::Ping(Ping { connected: false }));
    let sent = bench.take_to_master();
    assert!(matches!(sent[..], [Body::Pong(_), Body::Reregister(_)]));
}

#[test]
fn orders_before_registration_are_ignored() {
    let mut bench = Bench::fresh();
    bench.event(Event::MasterConnected);
    bench.run(framework(true, &[]), [command_task("t")]);
    assert!(bench.take_launches().is_empty());
}

#[test]
fn a_refusal_is_obeyed_as_it_says() {
    let refused = |action: Action| {
        Body::Refused(Refused {
            action: action.into(),
            message: "no".to_owned(),
            retry_after_ms: Some(90_000),
        })
    };
    let mut bench = Bench::fresh();
    bench.event(Event::MasterConnected);
    bench.master(refused(Action::Retry));
    bench.event(Event::MasterDisconnected {
        reason: String::new(),
    });
    bench.effects.clear();
    bench.advance(89);
    assert!(!bench.effects.contains(&Effect::DialMaster));
    bench.advance(2);
    assert!(bench.effects.contains(&Effect::DialMaster));

    let mut bench = Bench::registered();
    bench.running_task(framework(true, &[]), command_task("t"));
    bench.master(refused(Action::Exit));
    assert_eq!(bench.stopped(), Some(1));
    assert!(bench.take_signals().is_empty(), "tasks are left alone");
}

#[test]
fn sigterm_leaves_tasks_alone() {
    let mut bench = Bench::registered();
    bench.running_task(framework(true, &[]), command_task("t"));
    bench.event(Event::Stop(StopRequest::Leave));
    assert!(bench.take_signals().is_empty());
    assert_eq!(bench.stopped(), Some(0));
}

#[test]
fn sigusr1_ends_all_tasks_then_unregisters_and_stops() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
    bench.event(Event::Stop(StopRequest::Drain));
    assert_eq!(bench.take_signals(), ["signal 15"]);
    assert_eq!(bench.stopped(), None);
    bench.exit(launch_id, 15);
    assert!(matches!(bench.take_to_master()[..], [Body::Unregister(_)]));
    assert_eq!(bench.stopped(), Some(0));
    assert_eq!(
        bench.restarted(Vec::new()).core.agent_id(),
        None,
        "it comes back as a new agent"
    );
}

#[test]
fn an_agent_that_is_gone_for_the_master_kills_its_tasks_and_forgets_its_id() {
    let mut bench = Bench::registered();
    let launch_id = bench.running_task(framework(true, &[]), command_task("t"));
    bench.master(Body::ShutdownAgent(ShutdownAgent {
        message: "marked gone".to_owned(),
    }));
    bench.advance(4);
    assert_eq!(bench.take_signals(), ["signal 15", "kill tree"]);
    bench.exit(launch_id, 9);
    assert!(bench.take_to_master().is_empty());
    assert_eq!(bench.stopped(), Some(0));
    assert_eq!(bench.restarted(Vec::new()).core.agent_id(), None);
}
