//! Demands take their turns in the one order of all: by weight and share, then by priority and arrival.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{Demand, DemandKey, DemandPlacement};
use std::collections::BTreeMap;
use support::{Lab, NATIVE, a, demand, f, of_role, qty};

fn count(placed: &[DemandPlacement]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for own in placed {
        *counts.entry(own.demand.0).or_insert(0) += 1;
    }
    counts
}

fn of_priority(priority: i32, demand: Demand) -> Demand {
    Demand { priority, ..demand }
}

/// A hundred agents of ten cpus, in which whoever has no more demands is offered what is left.
fn cluster(lab: &mut Lab) {
    for index in 0..100 {
        lab.agent(index, "cpus:10;mem:10240");
    }
}

fn share(lab: &Lab, role: &str) -> f64 {
    lab.sched.share_of(role).map_or(0.0, |own| own.share)
}

#[test]
fn a_demand_is_placed_as_often_as_it_says_and_no_more() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:4096;ports:[31000-31009]")
        .want(7, demand("team", "cpus:1;mem:512", 3));
    let placed = lab.place();
    assert_eq!(count(&placed), BTreeMap::from([(7, 3)]));
    assert_eq!(
        placed[0].resources.to_string(),
        "cpus(allocated: team):1; mem(allocated: team):512"
    );
    assert_eq!(lab.sched.wanted(DemandKey(7)), 0);
    assert!(lab.place().is_empty());
    assert_eq!(
        lab.sched.held(NATIVE, a(0)),
        of_role("cpus:3;mem:1536", "team")
    );
}

#[test]
fn a_framework_that_takes_offers_and_native_work_without_end_get_halves() {
    let mut lab = Lab::new();
    lab.framework(0, &["spark"])
        .want(1, demand("native", "cpus:1;mem:1024", 1_000_000));
    cluster(&mut lab);
    lab.cycle();
    let (spark, native) = (share(&lab, "spark"), share(&lab, "native"));
    assert!((spark - native).abs() < 0.011, "{spark} and {native}");
    assert!((spark + native - 1.0).abs() < 1e-9, "nothing is left");
}

#[test]
fn three_consumers_get_thirds_and_weights_count() {
    let mut lab = Lab::new();
    lab.framework(0, &["spark"])
        .want(1, demand("web", "cpus:1;mem:1024", 1_000_000))
        .want(2, demand("batch", "cpus:1;mem:1024", 1_000_000));
    cluster(&mut lab);
    lab.cycle();
    for role in ["spark", "web", "batch"] {
        let share = share(&lab, role);
        assert!((share - 1.0 / 3.0).abs() < 0.02, "{role} has {share}");
    }

    let mut lab = Lab::new();
    lab.sched.set_weight("web", 3.0).unwrap();
    lab.framework(0, &["spark"])
        .want(1, demand("web", "cpus:1;mem:1024", 1_000_000));
    cluster(&mut lab);
    lab.cycle();
    let web = share(&lab, "web");
    assert!((web - 0.75).abs() < 0.02, "web has {web}");
}

#[test]
fn neither_batch_nor_services_starve_where_weights_say_otherwise() {
    for (heavy, light) in [("batch", "services"), ("services", "batch")] {
        let mut lab = Lab::new();
        lab.sched.set_weight(heavy, 4.0).unwrap();
        cluster(&mut lab);
        lab.want(1, of_priority(100, demand(heavy, "cpus:1", 1_000_000)))
            .want(2, of_priority(-100, demand(light, "cpus:1", 1_000_000)));
        let counts = count(&lab.place());
        assert_eq!(counts, BTreeMap::from([(1, 800), (2, 200)]), "{heavy}");
        // What ends is shared out again by the same weights.
        let mut lab = Lab::new();
        lab.sched.set_weight(heavy, 4.0).unwrap();
        cluster(&mut lab);
        lab.want(1, demand(heavy, "cpus:1", 1_000_000));
        let first = lab.place();
        assert_eq!(first.len(), 1000);
        lab.want(2, demand(light, "cpus:1", 1_000_000));
        for placed in first.iter().take(200) {
            lab.end(placed);
        }
        assert_eq!(count(&lab.place()), BTreeMap::from([(2, 200)]));
    }
}

#[test]
fn within_a_role_priority_goes_first_then_arrival_then_in_turns() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:6")
        .want(1, demand("team", "cpus:1", 100))
        .want(2, of_priority(5, demand("team", "cpus:1", 2)))
        .want(3, demand("team", "cpus:1", 100));
    assert_eq!(
        lab.places(),
        ["d2@a0", "d2@a0", "d1@a0", "d3@a0", "d1@a0", "d3@a0"]
    );
    // Of other resources too: a shape is not a demand.
    let mut lab = Lab::new();
    lab.agent(0, "cpus:10;mem:1000")
        .want(1, demand("team", "cpus:1", 100))
        .want(2, demand("team", "cpus:2;mem:1", 100));
    assert_eq!(
        lab.places(),
        [
            "d1@a0", "d2@a0", "d1@a0", "d2@a0", "d1@a0", "d2@a0", "d1@a0"
        ]
    );
}

#[test]
fn whoever_has_the_smaller_share_is_offered_an_agent_before_work_goes_there() {
    let mut lab = Lab::new();
    lab.framework(0, &["spark"]);
    lab.agent(0, "cpus:10").agent(1, "cpus:10");
    // Spark's share is below that of work that runs already, and it wants the one agent that becomes free.
    let grants = lab.cycle();
    assert_eq!(grants.len(), 2);
    lab.decline(&grants[1], 0);
    lab.want(1, demand("native", "cpus:10", 5));
    assert_eq!(lab.places(), ["d1@a1"]);
    lab.pass(support::SECOND);
    lab.decline(&grants[0], 0);
    lab.pass(support::SECOND);
    assert_eq!(lab.offers(), ["f0@a0 spark: cpus:10"]);
}

#[test]
fn work_that_fits_nowhere_is_set_aside_until_something_changes() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4")
        .want(1, demand("team", "cpus:8", 2))
        .want(2, demand("team", "cpus:4", 2));
    assert_eq!(lab.places(), ["d2@a0"]);
    assert!(!lab.sched.is_dirty(), "nothing is tried over and over");
    assert!(lab.places().is_empty());
    lab.agent(1, "cpus:12");
    assert!(lab.sched.is_dirty());
    assert_eq!(lab.places(), ["d1@a1", "d2@a1"]);
    assert_eq!(lab.sched.wanted(DemandKey(1)), 1);
}

#[test]
fn quota_bounds_demands_and_what_ends_makes_room() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:32;mem:16384");
    lab.sched.set_quota("team", &qty(""), &qty("cpus:3"));
    lab.want(1, demand("team/a", "cpus:2", 5))
        .want(2, demand("team/b", "cpus:1", 5))
        .want(3, demand("other", "cpus:4", 1));
    let placed = lab.place();
    let counts = count(&placed);
    assert_eq!(counts, BTreeMap::from([(1, 1), (2, 1), (3, 1)]));
    assert!(!lab.sched.is_dirty());
    let first = placed.iter().find(|own| own.demand.0 == 1).unwrap();
    lab.end(first);
    assert_eq!(lab.place().len(), 1);
    assert!(lab.sched.is_within_limits("team"));
    lab.sched.set_quota("team", &qty(""), &qty(""));
    lab.place();
    assert_eq!(lab.sched.wanted(DemandKey(1)), 0);
    assert_eq!(lab.sched.wanted(DemandKey(2)), 0);
}

#[test]
fn guarantees_of_others_are_kept_from_demands_and_used_by_their_own() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:10");
    lab.sched.set_quota("safe", &qty("cpus:4"), &qty(""));
    lab.want(1, demand("greedy", "cpus:1", 100));
    assert_eq!(lab.place().len(), 6);
    lab.want(2, demand("safe", "cpus:2", 100));
    assert_eq!(count(&lab.place()), BTreeMap::from([(2, 2)]));
}

#[test]
fn a_statement_counts_the_places_that_nobody_has_taken_yet() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4").want(1, demand("team", "cpus:1", 3));
    lab.cycle();
    // The caller takes one place after the other and says each time what it wants still.
    for left in [2, 1, 0] {
        assert!(lab.sched.take_placement().is_some());
        lab.want(1, demand("team", "cpus:1", left));
    }
    assert!(lab.sched.take_placement().is_none());
    assert!(lab.place().is_empty(), "three were wanted in all");
}

#[test]
fn a_demand_that_is_withdrawn_or_whose_framework_goes_is_not_placed() {
    let mut lab = Lab::new();
    lab.want(1, demand("team", "cpus:1", 3))
        .want(2, demand("team", "cpus:1", 3));
    lab.sched.withdraw(DemandKey(1));
    lab.agent(0, "cpus:4");
    assert_eq!(count(&lab.place()), BTreeMap::from([(2, 3)]));
    lab.sched
        .add_framework(NATIVE, support::framework(&[]), true);
    lab.want(3, demand("team", "cpus:1", 3));
    lab.sched.remove_framework(NATIVE);
    assert!(lab.place().is_empty());
    lab.sched.check_integrity().unwrap();
}

#[test]
fn a_framework_may_have_demands_in_a_role_that_it_takes_offers_for() {
    let mut lab = Lab::new();
    lab.framework(0, &["team"]);
    lab.sched
        .set_demand(f(0), DemandKey(1), demand("team", "cpus:1", 2));
    lab.agent(0, "cpus:4;mem:64");
    let grants = lab.cycle();
    assert_eq!(lab.placed().len(), 2);
    assert_eq!(grants[0].resources, of_role("cpus:2;mem:64", "team"));
    lab.sched.suppress(f(0), &[]);
    lab.decline(&grants[0], 0);
    lab.pass(support::SECOND);
    lab.sched
        .set_demand(f(0), DemandKey(1), demand("team", "cpus:1", 1));
    assert!(lab.offers().is_empty());
    assert_eq!(lab.placed().len(), 1);
    lab.sched.revive(f(0), &[]);
    assert_eq!(lab.offers().len(), 1);
    lab.sched
        .update_framework(f(0), support::framework(&["other"]));
    lab.sched.check_integrity().unwrap();
}
