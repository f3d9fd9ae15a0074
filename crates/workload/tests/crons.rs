//! Crons, as a user sees them: each fire-time is decided upon once.

#![allow(clippy::unwrap_used)]

mod cluster;

use cluster::{Cluster, Death, START, job, run};
use mezz_spec::{Kind, Name};
use mezz_state::time::{SECOND_NS, Wall};
use mezz_workload::call::{Call, Conflict, Lasting, Refusal, Reply};
use mezz_workload::event::{Event, TimerKey};
use mezz_workload::records::{Cause, CronStatus, Missed, RunState, Status};
use serde_json::{Value, json};

const MINUTE: u64 = 60;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A cron that runs a job of its own every minute.
fn every_minute(more: Value) -> Value {
    let mut spec = json!({ "schedules": ["* * * * *"], "run": { "job": job(json!({})) } });
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    spec
}

fn cron(c: &mut Cluster, more: Value) {
    let reply = c.apply(Kind::Cron, "/cron", every_minute(more));
    assert!(matches!(reply, Reply::Applied(_)), "{reply:?}");
}

fn state(c: &Cluster) -> CronStatus {
    match &c.w.object(Kind::Cron, &name("/cron")).unwrap().status {
        Status::Cron(status) => status.clone(),
        other => panic!("{other:?}"),
    }
}

/// The minutes after the start for which there are runs.
fn fired(c: &Cluster) -> Vec<u64> {
    let runs = c.runs(Kind::Cron, "/cron");
    let mut fired: Vec<u64> = runs
        .iter()
        .filter_map(|run| match run.cause {
            Cause::Cron { fire_at, .. } => Some((fire_at.0 - START) / SECOND_NS / MINUTE),
            _ => None,
        })
        .collect();
    fired.sort_unstable();
    fired
}

#[test]
fn a_cron_runs_its_job_at_its_times_and_says_when_the_next_is() {
    let mut c = Cluster::new(1, 4);
    cron(&mut c, json!({}));
    c.pass(59);
    assert!(c.ids().is_empty());
    c.pass(1);
    assert_eq!(c.ids(), ["cron.20260101T000100.0.0"]);
    assert_eq!(state(&c).next_at, Some(Wall(START + 120 * SECOND_NS)));
    assert!(
        c.why(Kind::Cron, "/cron")
            .contains("fires next at 2026-01-01T00:02:00Z")
    );
    c.succeed_all();
    c.pass(5 * MINUTE);
    assert_eq!(fired(&c), [1, 2, 3, 4, 5, 6]);
    assert_eq!(state(&c).runs.active, 5);
    assert_eq!(state(&c).runs.succeeded, 1);
}

#[test]
fn the_record_of_a_run_and_the_mark_of_its_fire_time_are_one_write_before_the_launch() {
    let mut c = Cluster::new(1, 4);
    cron(&mut c, json!({}));
    c.pass(50);
    c.writes.clear();
    c.pass(10);
    let write = &c.writes[0];
    assert!(write.iter().any(|key| key.starts_with("work/run/")));
    assert!(write.iter().any(|key| key.starts_with("work/status/")));
}

#[test]
fn a_master_that_dies_before_the_write_leaves_the_fire_time_to_the_next_one() {
    for death in [Death::BeforeWrite, Death::AfterWrite] {
        let mut c = Cluster::new(1, 4);
        cron(&mut c, json!({}));
        let key = c.w.object(Kind::Cron, &name("/cron")).unwrap().key;
        c.pass(50);
        c.wall += 10 * SECOND_NS;
        c.die(Event::Timer(TimerKey::Cron(key)), death);
        assert_eq!(fired(&c), [1], "{death:?}");
        assert_eq!(c.launched.len(), 1);
    }
}

#[test]
fn a_master_that_dies_just_after_a_cron_was_applied_decides_nothing_from_before() {
    let mut c = Cluster::new(1, 100);
    cron(
        &mut c,
        json!({ "catch_up": "all", "starting_deadline": "30d" }),
    );
    c.restart();
    c.pass(MINUTE);
    assert_eq!(fired(&c), [1]);
}

#[test]
fn fire_times_during_an_absence_are_made_up_for_as_the_cron_says() {
    let absent = |catch_up: &str| {
        let mut c = Cluster::new(1, 100);
        cron(
            &mut c,
            json!({ "catch_up": catch_up, "starting_deadline": 240 }),
        );
        c.pass(90);
        c.wall += 600 * SECOND_NS;
        c.restart();
        (
            fired(&c),
            state(&c).missed,
            state(&c).last_missed.map(|(_, why)| why),
        )
    };
    assert_eq!(absent("none"), (vec![1], 10, Some(Missed::NotCaughtUp)));
    assert_eq!(absent("last"), (vec![1, 11], 9, Some(Missed::NotCaughtUp)));
    assert_eq!(
        absent("all"),
        (vec![1, 8, 9, 10, 11], 6, Some(Missed::Deadline))
    );
}

#[test]
fn overlap_allow_starts_another_run_beside_the_first() {
    let mut c = Cluster::new(1, 4);
    cron(&mut c, json!({ "overlap": "allow" }));
    c.pass(2 * MINUTE);
    assert_eq!(c.ids().len(), 2);
}

#[test]
fn overlap_forbid_skips_a_fire_time_and_says_so() {
    let mut c = Cluster::new(1, 4);
    cron(&mut c, json!({ "overlap": "forbid" }));
    c.pass(2 * MINUTE);
    assert_eq!(fired(&c), [1]);
    assert_eq!(state(&c).missed, 1);
    assert!(c.why(Kind::Cron, "/cron").contains("overlap is forbid"));
    c.succeed_all();
    c.pass(MINUTE);
    assert_eq!(fired(&c), [1, 3]);
}

#[test]
fn overlap_replace_ends_the_old_run_before_the_new_one_begins() {
    let mut c = Cluster::new(1, 4);
    c.obeys = false;
    cron(&mut c, json!({ "overlap": "replace" }));
    c.pass(3 * MINUTE);
    assert_eq!(c.launched.len(), 1);
    assert_eq!(c.killed[0], "cron.20260101T000100.0.0");
    c.end(
        "cron.20260101T000100.0.0",
        mezz_proto::v1::TaskState::TaskKilled,
        None,
    );
    assert_eq!(c.ids(), ["cron.20260101T000300.0.0"]);
    let states = c.states(Kind::Cron, "/cron");
    assert_eq!(
        states,
        [RunState::Stopped, RunState::Stopped, RunState::Running]
    );
}

#[test]
fn overlap_queue_lets_runs_wait_for_each_other_also_across_masters() {
    let mut c = Cluster::new(1, 4);
    cron(&mut c, json!({ "overlap": "queue" }));
    c.pass(3 * MINUTE);
    assert_eq!(fired(&c), [1, 2, 3]);
    assert_eq!(c.ids().len(), 1);
    assert!(
        c.why(Kind::Cron, "/cron")
            .contains("waits for an earlier run")
    );
    c.restart();
    for minute in 1..=3 {
        assert_eq!(c.ids(), [format!("cron.20260101T000{minute}00.0.0")]);
        let id = c.ids()[0].to_owned();
        c.succeed(&id);
    }
    assert!(c.ids().is_empty());
}

#[test]
fn jitter_delays_a_start_by_the_same_time_for_every_master() {
    let starts = |restart: bool| {
        let mut c = Cluster::new(1, 100);
        cron(&mut c, json!({ "jitter": 30 }));
        let mut starts = Vec::new();
        for second in 0..300 {
            c.pass(1);
            if restart && second % 7 == 0 {
                c.restart();
            }
            if c.launched.len() > starts.len() {
                starts.push(second);
            }
        }
        starts
    };
    let calm = starts(false);
    assert_eq!(calm.len(), 4);
    assert!(calm.iter().any(|second| second % 60 != 59));
    assert_eq!(calm, starts(true));
}

#[test]
fn a_paused_or_disabled_cron_fires_nothing_and_makes_up_for_nothing() {
    let mut c = Cluster::new(1, 100);
    cron(&mut c, json!({ "catch_up": "all" }));
    c.pass(MINUTE);
    assert_eq!(
        c.call(Call::Pause {
            name: name("/cron"),
            lasts: Lasting::UntilLetGo,
        }),
        Reply::Done
    );
    assert!(c.why(Kind::Cron, "/cron").contains("paused"));
    c.pass(3 * MINUTE);
    c.restart();
    c.pass(MINUTE);
    assert_eq!(
        c.call(Call::Resume {
            name: name("/cron")
        }),
        Reply::Done
    );
    c.pass(MINUTE);
    assert_eq!(fired(&c), [1, 6]);
    cron(&mut c, json!({ "catch_up": "all", "enabled": false }));
    c.pass(2 * MINUTE);
    assert!(c.why(Kind::Cron, "/cron").contains("enabled: false"));
    cron(&mut c, json!({ "catch_up": "all" }));
    c.pass(MINUTE);
    assert_eq!(fired(&c), [1, 6, 9]);
}

#[test]
fn a_clock_that_goes_back_fires_nothing_twice_and_one_that_goes_forward_catches_up() {
    let mut c = Cluster::new(1, 100);
    cron(&mut c, json!({ "catch_up": "last" }));
    c.pass(3 * MINUTE);
    c.set_clock(START + 30 * SECOND_NS);
    c.pass(2 * MINUTE);
    c.restart();
    assert_eq!(fired(&c), [1, 2, 3]);
    assert!(c.why(Kind::Cron, "/cron").contains("the clock went back"));
    c.pass(2 * MINUTE);
    assert_eq!(fired(&c), [1, 2, 3, 4]);
    c.set_clock(START + (10 * MINUTE + 30) * SECOND_NS);
    assert_eq!(fired(&c), [1, 2, 3, 4, 10]);
}

#[test]
fn a_cron_runs_an_existing_job_or_dag_with_parameters() {
    let mut c = Cluster::new(1, 100);
    let reply = c.apply(
        Kind::Cron,
        "/cron",
        json!({ "schedules": ["* * * * *"], "run": { "job_ref": { "name": "/job" } } }),
    );
    let Reply::Refused(Refusal::Invalid { path, .. }) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(path, "/spec/run/job_ref/name");
    c.apply_job(
        "/job",
        json!({ "start": "manual", "parameters": { "day": {} } }),
    );
    let by_ref = |parameters: Value| {
        let reference = json!({ "name": "/job", "parameters": parameters });
        json!({ "schedules": ["* * * * *"], "run": { "job_ref": reference } })
    };
    let reply = c.apply(Kind::Cron, "/cron", by_ref(json!({})));
    let Reply::Refused(Refusal::Invalid { path, .. }) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(path, "/spec/run/job_ref/parameters/day");
    c.apply(Kind::Cron, "/cron", by_ref(json!({ "day": "friday" })));
    c.pass(MINUTE);
    assert_eq!(c.ids(), ["job.cron-20260101T000100.0.0"]);
    assert_eq!(
        c.env("job.cron-20260101T000100.0.0", "PARAM_DAY")
            .as_deref(),
        Some("friday")
    );
    let delete = Call::Delete {
        kind: Kind::Job,
        name: name("/job"),
        generation: None,
        conflict: Conflict::Supersede,
    };
    c.call(delete);
    c.pass(MINUTE);
    assert_eq!(state(&c).last_missed.unwrap().1, Missed::Target);
}

#[test]
fn somebody_may_run_a_crons_job_now() {
    let mut c = Cluster::new(1, 100);
    cron(&mut c, json!({}));
    let reply = c.call(run("/cron", &[], Some("now")));
    assert_eq!(
        reply,
        Reply::Started {
            run: "now".into(),
            is_new: true
        }
    );
    assert_eq!(c.ids(), ["cron.now.0.0"]);
    assert_eq!(fired(&c), [0_u64; 0]);
}

#[test]
fn a_changed_job_keeps_the_fire_times_and_a_changed_schedule_begins_anew() {
    let mut c = Cluster::new(1, 100);
    cron(&mut c, json!({ "catch_up": "all" }));
    c.pass(90);
    c.wall += 120 * SECOND_NS;
    let changed = job(json!({ "retries": 1 }));
    cron(
        &mut c,
        json!({ "catch_up": "all", "run": { "job": changed } }),
    );
    assert_eq!(fired(&c), [1, 2, 3]);
    c.wall += 120 * SECOND_NS;
    cron(
        &mut c,
        json!({ "catch_up": "all", "schedules": ["*/2 * * * *"] }),
    );
    c.pass(MINUTE);
    assert_eq!(fired(&c), [1, 2, 3, 6]);
}

#[test]
fn a_deleted_cron_fires_no_more_and_takes_its_runs_with_it() {
    let mut c = Cluster::new(1, 100);
    cron(&mut c, json!({}));
    c.pass(MINUTE);
    let delete = Call::Delete {
        kind: Kind::Cron,
        name: name("/cron"),
        generation: None,
        conflict: Conflict::Supersede,
    };
    c.call(delete);
    c.pass(5 * MINUTE);
    assert_eq!(c.launched.len(), 1);
    assert!(c.ids().is_empty());
    assert!(c.store.keys().eq(["work/known"]), "{:?}", c.store.keys());
}

#[test]
fn a_schedule_or_zone_that_cannot_be_read_is_refused_with_its_path() {
    let mut c = Cluster::new(1, 4);
    for (more, at) in [
        (json!({ "schedules": ["61 * * * *"] }), "/spec/schedules"),
        (json!({ "time_zone": "Europe/Atlantis" }), "/spec/time_zone"),
    ] {
        let reply = c.apply(Kind::Cron, "/cron", every_minute(more));
        let Reply::Refused(Refusal::Invalid { path, .. }) = reply else {
            panic!("{reply:?}");
        };
        assert_eq!(path, at);
    }
}

#[test]
fn an_interval_without_a_start_counts_from_the_cron_and_ends_after_its_last_time() {
    let mut c = Cluster::new(1, 100);
    c.pass(30);
    cron(&mut c, json!({ "schedules": ["R3//PT1M"] }));
    assert_eq!(c.launched, ["cron.20260101T000030.0.0"]);
    c.pass(10 * MINUTE);
    assert_eq!(c.launched.len(), 3);
    assert!(
        c.why(Kind::Cron, "/cron")
            .contains("does not fire any more")
    );
}
