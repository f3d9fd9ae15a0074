//! Work near others or away from them, on ports, reservations and agents that are for it.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{Config, Demand, GroupKey, PlaceKey, PortsWanted, Rules, RunningInstance};
use std::sync::Arc;
use support::{Lab, NATIVE, a, agents, demand, of_role, per, res, ruled, six};

#[test]
fn instances_go_near_others_or_away_from_them() {
    let group = |key, demand| Demand {
        group: GroupKey(key),
        ..demand
    };
    let mut lab = Lab::new();
    six(&mut lab, "cpus:4");
    let near = Rules {
        near: vec![vec![GroupKey(1), GroupKey(7)]],
        ..Rules::default()
    };
    let away = Rules {
        away: vec![GroupKey(1), GroupKey(3)],
        ..Rules::default()
    };
    lab.want(2, group(2, ruled(near, demand("team", "cpus:1", 2))))
        .want(3, group(3, ruled(away, demand("team", "cpus:1", 50))));
    let placed = lab.place();
    assert_eq!(agents(&placed), [0, 1, 2, 3, 4, 5], "away from itself too");
    assert!(placed.iter().all(|own| own.demand.0 == 3));
    // Another comes to run, known from before: near it is room now.
    let instance = lab.sched.instance_added(RunningInstance {
        framework: NATIVE,
        role: "team".into(),
        agent: a(4),
        group: GroupKey(1),
        priority: 0,
        preemptible: false,
        resources: Arc::new(res("cpus:1")),
    });
    lab.sched.charge(NATIVE, a(4), &of_role("cpus:1", "team"));
    assert_eq!(agents(&lab.place()), [4, 4]);
    assert_eq!(lab.sched.instances_on(GroupKey(1), a(4)), 1);
    lab.sched.instance_removed(instance);
    assert_eq!(lab.sched.instances_on(GroupKey(1), a(4)), 0);
}

#[test]
fn all_instances_go_where_a_key_has_one_value() {
    let mut lab = Lab::new();
    six(&mut lab, "cpus:3");
    let rules = Rules {
        same: vec![PlaceKey::Zone],
        ..Rules::default()
    };
    lab.want(1, ruled(rules, demand("team", "cpus:1", 50)));
    let placed = lab.place();
    assert_eq!(placed.len(), 6);
    assert_eq!(per(&placed, |agent| agent % 3).len(), 1);
}

#[test]
fn fixed_ports_are_free_where_they_are_wanted_and_others_are_picked() {
    let mut lab = Lab::new();
    for index in 0..3 {
        lab.agent(index, "cpus:4;ports:[8000-8010,31000-31004]");
    }
    let ported = |any, fixed: &[u16], count| Demand {
        ports: PortsWanted {
            any,
            fixed: fixed.iter().copied().collect(),
        },
        ..demand("team", "cpus:0.5", count)
    };
    lab.want(1, ported(2, &[8001, 31000], 9));
    let placed = lab.place();
    assert_eq!(agents(&placed), [0, 1, 2]);
    assert_eq!(placed[0].ports, [8000, 8001, 8002, 31000]);
    lab.want(2, ported(7, &[], 9));
    let placed = lab.place();
    assert_eq!(agents(&placed), [0, 1, 2]);
    lab.want(3, ported(0, &[9000], 1));
    assert!(lab.place().is_empty(), "no agent offers that port");
}

#[test]
fn reservations_of_the_role_are_used_before_what_is_for_all() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:1;cpus(team):2;cpus(other):8")
        .want(1, demand("team/x", "cpus:1", 9));
    let placed = lab.place();
    assert_eq!(placed.len(), 3);
    assert_eq!(
        placed[0].resources.unallocated().to_string(),
        "cpus(reservations: [(STATIC,team)]):1"
    );
    assert_eq!(placed[2].resources.unallocated(), res("cpus:1"));
}

#[test]
fn agents_of_another_region_and_ones_that_are_closed_get_no_work() {
    let mut lab = Lab::with(Config {
        home_region: Some("elsewhere".to_owned()),
        ..Config::default()
    });
    six(&mut lab, "cpus:1");
    lab.agent(6, "cpus:1").agent(7, "cpus:1");
    lab.sched.deactivate_agent(a(7));
    lab.want(1, demand("team", "cpus:1", 9));
    assert_eq!(agents(&lab.place()), [6]);
    lab.sched.activate_agent(a(7));
    assert_eq!(agents(&lab.place()), [7]);
}
