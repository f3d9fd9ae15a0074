//! What somebody stops for a time goes on by itself, whatever happens to masters meanwhile.
#![allow(clippy::unwrap_used)]

mod cluster;
mod kernel;

use cluster::{Cluster, START, job};
use kernel::{Kernel, SECOND, name, service};
use mezz_proto::v1::TaskState;
use mezz_spec::Kind;
use mezz_state::time::{SECOND_NS, Wall};
use mezz_workload::call::{Call, Lasting, Refusal, Reply};
use mezz_workload::records::{CronStatus, Pause, RolloutState, Status};
use serde_json::{Value, json};

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

fn for_seconds(seconds: u64) -> Lasting {
    Lasting::For {
        ns: seconds * SECOND_NS,
    }
}

fn pause(path: &str, lasts: Lasting) -> Call {
    Call::Pause {
        name: name(path),
        lasts,
    }
}

/// A service whose rollout to a second generation has just been paused.
fn paused(lasts: Lasting) -> Kernel {
    let mut kernel = Kernel::new(4);
    let spec = json!({ "replicas": 4, "update": { "ready_for": "30s" } });
    kernel.apply(service("/web", "v1", spec.clone()));
    kernel.pass(MINUTE);
    kernel.apply(service("/web", "v2", spec));
    assert_eq!(kernel.call(pause("/web", lasts)), Reply::Done);
    kernel
}

fn why(kernel: &Kernel) -> String {
    let now = Wall(kernel.now);
    let why = kernel.workloads.why(Kind::Service, &name("/web"), now);
    why.unwrap().join("\n")
}

#[test]
fn a_rollout_paused_for_two_hours_goes_on_after_two_hours() {
    let mut kernel = paused(for_seconds(2 * HOUR));
    kernel.pass(2 * HOUR - 1);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Paused);
    let why = why(&kernel);
    assert!(
        why.contains("was paused by somebody until 1970-01-12T15:47:40Z, which is in 1s"),
        "{why}"
    );
    kernel.pass(10 * MINUTE);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
}

#[test]
fn a_pause_that_ran_out_while_no_master_led_is_over_when_the_next_one_leads() {
    let mut kernel = paused(for_seconds(HOUR));
    kernel.restart();
    kernel.pass(MINUTE);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Paused);
    kernel.now += HOUR * SECOND;
    kernel.restart();
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Rolling);
    kernel.pass(10 * MINUTE);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
}

#[test]
fn a_later_pause_takes_the_place_of_an_earlier_one_and_resuming_ends_either() {
    let mut kernel = paused(for_seconds(HOUR));
    kernel.call(pause("/web", for_seconds(3 * HOUR)));
    kernel.pass(2 * HOUR);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Paused);
    kernel.call(pause("/web", Lasting::UntilLetGo));
    kernel.pass(100 * HOUR);
    let rollout = kernel.last_rollout("/web");
    assert!(matches!(
        rollout.pause,
        Some(Pause::Asked { until: None, .. })
    ));
    kernel.call(pause("/web", for_seconds(HOUR)));
    kernel.call(Call::Resume { name: name("/web") });
    kernel.pass(10 * MINUTE);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
    kernel.pass(HOUR);
    assert_eq!(kernel.rollouts("/web").len(), 2, "nothing came of it later");
}

#[test]
fn a_time_that_has_passed_already_is_refused_and_changes_nothing() {
    let mut kernel = paused(for_seconds(HOUR));
    let past = Lasting::Until(Wall(kernel.now - 1));
    let calls = [pause("/web", past), Call::Freeze { lasts: past }];
    for call in calls {
        let refused = kernel.refused(call);
        let Refusal::Conflict { message, .. } = refused else {
            panic!("{refused:?}");
        };
        assert!(message.contains("has passed already"), "{message}");
    }
    assert!(!kernel.workloads.records().is_frozen());
    kernel.pass(2 * HOUR);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
}

#[test]
fn a_rollout_that_waited_for_others_still_waits_for_them_after_its_pause() {
    let mut kernel = Kernel::new(4);
    kernel.manners.starts = false;
    kernel.apply(service("/db", "v1", json!({})));
    kernel.apply(service("/web", "v1", json!({ "after": ["/db"] })));
    kernel.call(pause("/web", for_seconds(MINUTE)));
    kernel.pass(2 * MINUTE);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Waiting);
    assert!(kernel.ids("/web").is_empty());
    kernel.manners.starts = true;
    let id = kernel.ids("/db").remove(0);
    kernel.run(&id);
    kernel.pass(MINUTE);
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
}

#[test]
fn everything_frozen_for_a_time_goes_on_after_it_also_under_another_master() {
    let mut kernel = Kernel::new(1);
    let spec = json!({ "replicas": 3 });
    kernel.apply(service("/web", "v1", spec.clone()));
    kernel.call(Call::Freeze {
        lasts: for_seconds(2 * HOUR),
    });
    kernel.apply(service("/web", "v2", spec));
    let id = kernel.ids("/web").remove(0);
    kernel.end(&id, TaskState::TaskFailed, "");
    kernel.pass(HOUR);
    kernel.restart();
    kernel.pass(HOUR - 2_000);
    assert_eq!((kernel.launches.len(), kernel.kills.len()), (3, 0));
    let why = why(&kernel);
    assert!(why.contains("rolled until 1970-01-12T15:46:40Z"), "{why}");
    kernel.pass(HOUR);
    assert!(!kernel.workloads.records().is_frozen());
    assert_eq!(kernel.last_rollout("/web").state, RolloutState::Succeeded);
    assert!(kernel.store.keys().all(|key| !key.contains("frozen")));
}

#[test]
fn a_freeze_that_ran_out_while_no_master_led_is_over_and_one_without_an_end_is_not() {
    for (lasts, goes_on) in [(for_seconds(HOUR), true), (Lasting::UntilLetGo, false)] {
        let mut kernel = Kernel::new(1);
        kernel.call(Call::Freeze { lasts });
        kernel.apply(service("/web", "v1", json!({})));
        kernel.now += 2 * HOUR * SECOND;
        kernel.restart();
        assert_eq!(kernel.launches.len(), usize::from(goes_on));
        assert_eq!(kernel.workloads.records().is_frozen(), !goes_on);
    }
}

#[test]
fn freezing_again_replaces_the_end_and_thawing_forgets_it() {
    let mut kernel = Kernel::new(1);
    kernel.call(Call::Freeze {
        lasts: for_seconds(HOUR),
    });
    kernel.call(Call::Freeze {
        lasts: Lasting::UntilLetGo,
    });
    kernel.pass(2 * HOUR);
    assert!(kernel.workloads.records().is_frozen());
    kernel.call(Call::Freeze {
        lasts: for_seconds(HOUR),
    });
    kernel.call(Call::Thaw);
    kernel.call(Call::Freeze {
        lasts: Lasting::UntilLetGo,
    });
    kernel.pass(2 * HOUR);
    assert!(kernel.workloads.records().is_frozen());
}

/// A cron that fires every minute.
fn cron(more: Value) -> Cluster {
    let mut c = Cluster::new(1, 100);
    let mut spec = json!({ "schedules": ["* * * * *"], "run": { "job": job(json!({})) } });
    let more = more.as_object().unwrap().clone();
    spec.as_object_mut().unwrap().extend(more);
    let reply = c.apply(Kind::Cron, "/cron", spec);
    assert!(matches!(reply, Reply::Applied(_)), "{reply:?}");
    c
}

fn state(c: &Cluster) -> CronStatus {
    match &c.w.object(Kind::Cron, &name("/cron")).unwrap().status {
        Status::Cron(status) => status.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cron_paused_for_a_time_fires_again_after_it_and_makes_up_for_nothing() {
    let mut c = cron(json!({ "catch_up": "all" }));
    c.pass(MINUTE + 1);
    assert_eq!(c.call(pause("/cron", for_seconds(3 * MINUTE))), Reply::Done);
    let why = c.why(Kind::Cron, "/cron");
    assert!(
        why.contains("somebody paused it until 2026-01-01T00:04:01Z; resume ends that sooner"),
        "{why}"
    );
    c.pass(MINUTE);
    c.restart();
    c.pass(2 * MINUTE - 1);
    assert_eq!(c.runs(Kind::Cron, "/cron").len(), 1);
    c.pass(1);
    let status = state(&c);
    assert_eq!((status.paused, status.missed), (None, 0));
    assert_eq!(status.next_at, Some(Wall(START + 5 * MINUTE * SECOND_NS)));
    c.pass(MINUTE);
    assert_eq!(c.runs(Kind::Cron, "/cron").len(), 2);
}

#[test]
fn fire_times_after_a_pause_that_ran_out_without_a_master_are_caught_up_as_the_cron_says() {
    let mut c = cron(json!({ "catch_up": "all" }));
    c.call(pause("/cron", for_seconds(2 * MINUTE + 1)));
    c.wall += 5 * MINUTE * SECOND_NS;
    c.restart();
    let runs = c.runs(Kind::Cron, "/cron");
    assert_eq!(runs.len(), 3, "of the third, fourth and fifth minute");
}
