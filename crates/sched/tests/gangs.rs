//! All or nothing, room that is kept for those who wait, and work that gives way.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{
    AgentSpec, Config, Demand, DemandKey, FaultDomain, GroupKey, Outstanding, PlaceKey,
    PortsWanted, Preemption, Rules, Spread,
};
use std::sync::Arc;
use support::{Lab, SECOND, a, agent, demand};

fn gang(demand: Demand) -> Demand {
    Demand {
        gang: true,
        ..demand
    }
}

fn agents(lab: &mut Lab, count: u32, text: &str) {
    for index in 0..count {
        let spec = AgentSpec {
            hostname: format!("node-{index}"),
            domain: Some(FaultDomain {
                region: "home".to_owned(),
                zone: format!("z{}", index % 2),
            }),
            ..agent(text)
        };
        lab.sched.add_agent(a(index), spec, &[]);
    }
}

#[test]
fn a_gang_is_placed_as_a_whole_or_not_at_all() {
    let mut lab = Lab::new();
    agents(&mut lab, 4, "cpus:2");
    lab.want(1, gang(demand("team", "cpus:1", 9)));
    assert!(lab.place().is_empty());
    assert!(!lab.sched.is_dirty());
    lab.agent(4, "cpus:1");
    assert_eq!(lab.place().len(), 9);
    assert_eq!(lab.sched.wanted(DemandKey(1)), 0);
}

#[test]
fn the_rules_hold_for_a_gang_too() {
    let spread = Rules {
        spread: vec![Spread {
            key: PlaceKey::Hostname,
            max_per: Some(1),
            max_skew: None,
            expected: None,
        }],
        ..Rules::default()
    };
    let same = Rules {
        same: vec![PlaceKey::Zone],
        ..Rules::default()
    };
    let ruled = |rules: &Rules, count| Demand {
        rules: Arc::new(rules.clone()),
        ..gang(demand("team", "cpus:1", count))
    };
    let mut lab = Lab::new();
    agents(&mut lab, 4, "cpus:2");
    lab.want(1, ruled(&spread, 5));
    assert!(lab.place().is_empty());
    lab.want(1, ruled(&spread, 4));
    assert_eq!(lab.place().len(), 4);

    // The best agent stands in the zone with too little room for all.
    let mut lab = Lab::new();
    agents(&mut lab, 4, "cpus:4");
    lab.sched.update_agent_total(a(0), support::res("cpus:2"));
    lab.want(1, ruled(&same, 8));
    let placed = lab.place();
    assert_eq!(placed.len(), 8);
    assert!(placed.iter().all(|own| own.agent.0 % 2 == 1), "{placed:?}");
    lab.want(
        2,
        Demand {
            ports: PortsWanted::default(),
            group: GroupKey(2),
            ..ruled(&same, 7)
        },
    );
    assert!(
        lab.place().is_empty(),
        "six cpus are left in the other zone"
    );
}

#[test]
fn quota_is_asked_for_the_whole_gang() {
    let mut lab = Lab::new();
    agents(&mut lab, 4, "cpus:2");
    lab.sched
        .set_quota("team", &support::qty(""), &support::qty("cpus:3"));
    lab.want(1, gang(demand("team", "cpus:1", 4)));
    assert!(lab.place().is_empty());
    lab.want(1, gang(demand("team", "cpus:1", 3)));
    assert_eq!(lab.place().len(), 3);
}

/// A ledger that keeps agents for whoever has waited a second, for so many seconds.
fn impatient(seconds: u64) -> Lab {
    Lab::with(Config {
        starving_ns: SECOND,
        earmark_ns: seconds * SECOND,
        ..Config::default()
    })
}

/// Small work without end on a full cluster: each round one of it ends, in a circle.
fn rounds_until(lab: &mut Lab, wanted: u64) -> usize {
    lab.want(9, demand("small", "cpus:1", 1_000_000));
    let mut running = lab.place();
    lab.want(1, gang(demand("large", "cpus:1", wanted)));
    for round in 0..1000 {
        let ended = running.remove(0);
        lab.end(&ended);
        let placed = lab.pass(SECOND / 10).place();
        let (large, small): (Vec<_>, Vec<_>) =
            placed.into_iter().partition(|own| own.demand.0 == 1);
        running.extend(small);
        if !large.is_empty() {
            assert_eq!(large.len() as u64, wanted);
            return round;
        }
        assert!(!running.is_empty());
    }
    panic!("the gang has starved");
}

#[test]
fn small_work_does_not_starve_a_gang_and_goes_on_beside_it() {
    let mut lab = impatient(300);
    agents(&mut lab, 10, "cpus:4");
    assert!(rounds_until(&mut lab, 20) < 200);
}

#[test]
fn one_large_instance_is_not_starved_by_small_work_of_its_own_role() {
    let mut lab = impatient(300);
    agents(&mut lab, 10, "cpus:4");
    lab.want(9, demand("team", "cpus:1", 1_000_000));
    let mut running = lab.place();
    lab.want(
        1,
        Demand {
            priority: 1,
            ..demand("team", "cpus:4", 1)
        },
    );
    lab.cycle();
    let mut rounds = 0;
    while lab.sched.wanted(DemandKey(1)) > 0 {
        let ended = running.remove(0);
        lab.end(&ended);
        running.extend(lab.pass(SECOND / 10).place());
        rounds += 1;
        assert!(rounds < 100, "it starves");
    }
    assert_eq!(lab.sched.earmarks().count(), 0);
}

#[test]
fn agents_are_kept_for_a_limited_time_only() {
    let mut lab = impatient(10);
    agents(&mut lab, 10, "cpus:4");
    lab.want(9, demand("small", "cpus:1", 1_000_000));
    lab.place();
    lab.want(1, gang(demand("large", "cpus:4", 10)));
    lab.cycle();
    lab.pass(SECOND).cycle();
    let kept = |lab: &Lab| {
        let earmarks = lab.sched.earmarks();
        earmarks.filter(|own| &*own.role == "large").count()
    };
    assert!((4..=5).contains(&kept(&lab)), "half of the agents at most");
    lab.pass(10 * SECOND);
    lab.cycle();
    assert_eq!(kept(&lab), 0, "and for as long it waits without");
    lab.sched.withdraw(DemandKey(1));
    lab.pass(20 * SECOND);
    lab.want(2, gang(demand("large", "cpus:5", 10)));
    lab.cycle();
    lab.pass(SECOND).cycle();
    assert_eq!(kept(&lab), 0, "no agent could ever hold it");
}

fn preempting(priority: i32, request: &str, count: u64) -> Demand {
    Demand {
        priority,
        preempts: Preemption::LowerPriority,
        ..demand("team", request, count)
    }
}

fn expendable(priority: i32, request: &str, count: u64) -> Demand {
    Demand {
        priority,
        preemptible: true,
        ..demand("team", request, count)
    }
}

#[test]
fn the_lowest_priority_gives_way_and_the_room_is_kept() {
    let mut lab = Lab::new();
    agents(&mut lab, 2, "cpus:4;mem:400");
    lab.want(1, expendable(1, "cpus:2;mem:1", 2))
        .want(2, expendable(2, "cpus:1;mem:1", 2))
        .want(
            3,
            Demand {
                priority: 3,
                ..demand("team", "cpus:2;mem:1", 1)
            },
        );
    let placed = lab.place();
    assert_eq!(placed.len(), 5);
    lab.framework(0, &["greedy"]);
    let grants = lab.cycle();
    for grant in &grants {
        lab.decline(grant, 3600 * SECOND);
    }
    lab.want(5, preempting(10, "cpus:2;mem:1", 1));
    lab.cycle();
    let eviction = lab.sched.take_eviction().unwrap();
    assert!(lab.sched.take_eviction().is_none());
    let victim = placed
        .iter()
        .find(|own| own.instance == eviction.victims[0])
        .unwrap();
    assert_eq!(eviction.victims.len(), 1);
    assert_eq!(victim.demand, DemandKey(1));
    assert!(lab.sched.is_ending(victim.instance));
    assert!(lab.placed().is_empty());
    // Nobody else gets the room when it comes free, whoever's share is smaller.
    lab.want(6, demand("other", "cpus:1;mem:1", 10));
    lab.end(victim);
    let next = lab.place();
    assert_eq!(next.len(), 1, "{next:?}");
    assert_eq!(
        (next[0].demand, next[0].agent),
        (DemandKey(5), eviction.agent)
    );
    assert!(lab.sched.take_eviction().is_none());
}

#[test]
fn work_that_is_not_preemptible_or_of_another_role_is_left_alone() {
    let mut lab = Lab::new();
    agents(&mut lab, 1, "cpus:4");
    lab.want(1, demand("team", "cpus:1", 2))
        .want(
            2,
            Demand {
                role: "other".into(),
                ..expendable(0, "cpus:1", 1)
            },
        )
        .want(3, expendable(10, "cpus:1", 1));
    lab.place();
    lab.want(5, preempting(10, "cpus:1", 1));
    lab.cycle();
    assert!(
        lab.sched.take_eviction().is_none(),
        "of equal priority is not lower"
    );
    lab.want(5, preempting(11, "cpus:2", 1));
    lab.cycle();
    assert!(
        lab.sched.take_eviction().is_none(),
        "one cpu would not be enough"
    );
    lab.want(5, preempting(11, "cpus:1", 1));
    lab.cycle();
    assert_eq!(lab.sched.take_eviction().unwrap().victims.len(), 1);
}

#[test]
fn room_that_stays_taken_is_let_go_after_a_while() {
    let mut lab = Lab::with(Config {
        eviction_hold_ns: 10 * SECOND,
        ..Config::default()
    });
    agents(&mut lab, 1, "cpus:4");
    lab.want(1, expendable(0, "cpus:2", 2));
    lab.place();
    lab.want(5, preempting(1, "cpus:1", 1));
    lab.cycle();
    assert!(lab.sched.take_eviction().is_some());
    assert_eq!(lab.sched.earmarks().count(), 1);
    lab.pass(10 * SECOND);
    lab.cycle();
    assert_eq!(lab.sched.earmarks().count(), 0);
}

#[test]
fn of_several_victims_only_those_are_ended_whose_end_helps() {
    let mut lab = Lab::new();
    agents(&mut lab, 1, "cpus:10;mem:100");
    lab.want(1, expendable(0, "cpus:1;mem:10", 1))
        .want(2, expendable(1, "cpus:9;mem:10", 1));
    let placed = lab.place();
    assert_eq!(placed.len(), 2);
    lab.want(5, preempting(5, "cpus:5;mem:1", 1));
    lab.cycle();
    let victims = lab.sched.take_eviction().unwrap().victims;
    assert_eq!(
        victims,
        [placed
            .iter()
            .find(|own| own.demand.0 == 2)
            .unwrap()
            .instance]
    );
}

#[test]
fn offers_that_lie_are_taken_back_for_work_that_fits_nowhere_else() {
    let mut lab = Lab::new();
    agents(&mut lab, 2, "cpus:4");
    lab.framework(0, &["idle"]);
    let grants = lab.cycle();
    lab.want(1, demand("team", "cpus:3", 1));
    assert!(lab.place().is_empty());
    assert!(lab.sched.is_any_demand_waiting());
    let offers: Vec<Outstanding<'_>> = grants
        .iter()
        .map(|grant| Outstanding {
            framework: grant.framework,
            agent: grant.agent,
            resources: &grant.resources,
        })
        .collect();
    let recalled = lab.sched.offers_in_the_way_of_demands(lab.now, &offers);
    assert_eq!(recalled.len(), 1);
    let grant = &grants[recalled[0]];
    lab.sched.recover(
        lab.now,
        grant.framework,
        grant.agent,
        &grant.resources,
        None,
    );
    let placed = lab.place();
    assert_eq!((placed.len(), placed[0].agent), (1, grant.agent));
    assert_eq!(
        lab.sched.earmarks().count(),
        0,
        "what is left may go to anybody"
    );
    assert!(!lab.sched.is_any_demand_waiting());
}
