//! Crons that somebody fires by hand: a run outside of the schedule, which keeps the cron's own rule of overlap.

#![allow(clippy::unwrap_used)]

mod cluster;

use std::collections::BTreeMap;

use cluster::{Cluster, START, job};
use mezz_spec::{Kind, Name};
use mezz_state::time::{SECOND_NS, Wall};
use mezz_workload::call::{Call, Lasting, Refusal, Reply};
use mezz_workload::records::{Cause, RunState, Status};
use serde_json::json;

/// A cron that fires once a minute, with one run fired by hand.
fn fired(overlap: &str) -> Cluster {
    let mut c = Cluster::new(1, 10);
    let spec =
        json!({ "schedules": ["* * * * *"], "overlap": overlap, "run": { "job": job(json!({})) } });
    let reply = c.apply(Kind::Cron, "/cron", spec);
    assert!(matches!(reply, Reply::Applied(_)), "{reply:?}");
    assert_eq!(fire(&mut c, Some("first")), started("first"));
    c
}

fn fire(c: &mut Cluster, id: Option<&str>) -> Reply {
    c.call(Call::Fire {
        name: Name::new("/cron").unwrap(),
        parameters: BTreeMap::new(),
        id: id.map(str::to_owned),
    })
}

fn started(id: &str) -> Reply {
    Reply::Started {
        run: id.to_owned(),
        is_new: true,
    }
}

#[test]
fn it_is_recorded_as_asked_for_and_no_fire_time_counts_as_honoured() {
    let mut c = fired("allow");
    let cron =
        c.w.object(Kind::Cron, &Name::new("/cron").unwrap())
            .unwrap();
    let object = cron.key;
    let Status::Cron(status) = &cron.status else {
        panic!("{:?}", cron.status);
    };
    assert_eq!(status.last_run.as_deref(), Some("first"));
    assert_eq!(status.next_at, Some(Wall(START + 60 * SECOND_NS)));
    let at = Wall(START);
    assert_eq!(
        c.runs(Kind::Cron, "/cron")[0].cause,
        Cause::Fired { object, at }
    );
    c.pass(60);
    assert_eq!(c.ids(), ["cron.20260101T000100.0.0", "cron.first.0.0"]);
}

#[test]
fn a_second_call_with_the_same_id_begins_nothing() {
    let mut c = fired("forbid");
    let again = Reply::Started {
        run: "first".to_owned(),
        is_new: false,
    };
    assert_eq!(fire(&mut c, Some("first")), again);
    assert_eq!(c.ids(), ["cron.first.0.0"]);
}

#[test]
fn overlap_forbid_refuses_it_by_the_run_that_goes_on_and_skips_fire_times_for_it() {
    let mut c = fired("forbid");
    let reply = fire(&mut c, None);
    let Reply::Refused(Refusal::Conflict { message, .. }) = reply else {
        panic!("{reply:?}");
    };
    assert!(message.contains("run first of cron /cron"), "{message}");
    c.pass(60);
    assert_eq!(c.ids(), ["cron.first.0.0"]);
    c.succeed_all();
    assert!(matches!(
        fire(&mut c, None),
        Reply::Started { is_new: true, .. }
    ));
}

#[test]
fn overlap_queue_lets_it_wait_also_across_masters() {
    let mut c = fired("queue");
    assert_eq!(fire(&mut c, Some("second")), started("second"));
    assert_eq!(c.ids(), ["cron.first.0.0"]);
    c.restart();
    c.succeed("cron.first.0.0");
    c.pass(1);
    assert_eq!(c.ids(), ["cron.second.0.0"]);
}

#[test]
fn overlap_replace_ends_the_run_before_it() {
    let mut c = fired("replace");
    assert_eq!(fire(&mut c, Some("second")), started("second"));
    c.pass(1);
    let states = c.states(Kind::Cron, "/cron");
    assert!(states.contains(&RunState::Stopped), "{states:?}");
    assert_eq!(c.ids(), ["cron.second.0.0"]);
}

#[test]
fn a_paused_cron_may_be_fired() {
    let mut c = fired("allow");
    let name = Name::new("/cron").unwrap();
    assert_eq!(
        c.call(Call::Pause {
            name,
            lasts: Lasting::UntilLetGo
        }),
        Reply::Done
    );
    assert_eq!(fire(&mut c, Some("by-hand")), started("by-hand"));
    c.pass(120);
    assert_eq!(c.ids(), ["cron.by-hand.0.0", "cron.first.0.0"]);
}
