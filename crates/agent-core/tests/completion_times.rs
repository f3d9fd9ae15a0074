//! The time that a command task may take.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_proto::v1::TaskInfo;
use mezz_proto::v1::TaskState::{TaskFailed, TaskKilled};
use mezz_proto::v1::framework_info::capability::Type as Capability;
use mezz_proto::v1::task_status::Reason;
use support::checks::limited;
use support::{Bench, framework, grace, states};

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
