//! Room that is made for gangs: as a whole or not at all, and no more than it takes.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{
    AgentSpec, Config, Demand, DemandKey, DemandPlacement, Eviction, Grant, GroupKey,
    InstanceHandle, Outstanding, PlaceKey, Preemption, Rules, Spread,
};
use std::sync::Arc;
use support::{Lab, SECOND, a, agent, demand};

fn agents(lab: &mut Lab, count: u32, text: &str) {
    for index in 0..count {
        let spec = AgentSpec {
            hostname: format!("node-{index}"),
            ..agent(text)
        };
        lab.sched.add_agent(a(index), spec, &[]);
    }
}

/// A gang that may have others end.
fn gang(priority: i32, request: &str, count: u64) -> Demand {
    Demand {
        priority,
        gang: true,
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

fn evictions(lab: &mut Lab) -> Vec<Eviction> {
    std::iter::from_fn(|| lab.sched.take_eviction()).collect()
}

/// The demands of those that were told to end.
fn victims(evictions: &[Eviction], running: &[DemandPlacement]) -> Vec<u64> {
    let told = evictions.iter().flat_map(|eviction| &eviction.victims);
    let owner =
        |victim: &InstanceHandle| running.iter().find(|own| own.instance == *victim).unwrap();
    let mut owners: Vec<u64> = told.map(|victim| owner(victim).demand.0).collect();
    owners.sort_unstable();
    owners
}

/// All that were told to end do so.
fn end_all(lab: &mut Lab, evictions: &[Eviction], running: &[DemandPlacement]) {
    for victim in evictions.iter().flat_map(|eviction| &eviction.victims) {
        let own = running.iter().find(|own| own.instance == *victim).unwrap();
        lab.end(own);
    }
}

fn outstanding(grants: &[Grant]) -> Vec<Outstanding<'_>> {
    let offer = |grant| {
        let Grant {
            framework,
            agent,
            resources,
            ..
        }: &Grant = grant;
        Outstanding {
            framework: *framework,
            agent: *agent,
            resources,
        }
    };
    grants.iter().map(offer).collect()
}

fn why(lab: &Lab, key: u64) -> String {
    lab.sched.why_demand(DemandKey(key)).unwrap().to_string()
}

#[test]
fn the_fewest_of_the_lowest_priority_end_for_a_gang_and_their_room_is_kept_for_it() {
    let mut lab = Lab::new();
    agents(&mut lab, 4, "cpus:4");
    lab.want(1, expendable(1, "cpus:2", 4))
        .want(2, expendable(2, "cpus:1", 4));
    let running = lab.place();
    assert_eq!(running.len(), 8);
    // Four cpus are free, and two of the first make room for two each.
    lab.want(5, gang(5, "cpus:1", 8));
    lab.cycle();
    let told = evictions(&mut lab);
    assert_eq!(victims(&told, &running), [1, 1]);
    assert_eq!(
        why(&lab, 5),
        "all 8 instances have to find room at once, and there is room for 4; \
         2 instances of lower priority are ending to make room for it; \
         3 agents lack cpus:1; 1 agent is ready to be offered"
    );
    lab.want(6, demand("other", "cpus:1", 20));
    assert!(lab.place().is_empty(), "nobody else gets what is free");
    let ended = told.iter().flat_map(|eviction| &eviction.victims);
    let ended: Vec<&DemandPlacement> = ended
        .filter_map(|victim| running.iter().find(|own| own.instance == *victim))
        .collect();
    lab.end(ended[0]);
    assert!(lab.place().is_empty(), "not before all of it is there");
    assert!(evictions(&mut lab).is_empty(), "nor is more ended");
    lab.end(ended[1]);
    let placed = lab.place();
    let whole = placed.iter().filter(|own| own.demand.0 == 5).count();
    assert_eq!((whole, placed.len()), (8, 8), "{placed:?}");
    assert_eq!(lab.sched.earmarks().count(), 0);
}

#[test]
fn nothing_ends_for_a_gang_that_would_not_fit_afterwards() {
    let mut lab = Lab::new();
    agents(&mut lab, 3, "cpus:4");
    lab.want(1, expendable(0, "cpus:4", 2))
        .want(2, demand("team", "cpus:2", 1));
    lab.place();
    lab.want(5, gang(5, "cpus:2", 6));
    lab.cycle();
    assert!(evictions(&mut lab).is_empty());
    assert_eq!(
        why(&lab, 5),
        "all 6 instances have to find room at once, and there is room for 1; without the work of lower priority \
         that may be ended for them it would be 5, so none is ended; 2 agents lack cpus:2; 1 agent is ready to be offered"
    );
    lab.want(5, gang(0, "cpus:2", 5)).cycle();
    assert!(
        evictions(&mut lab).is_empty(),
        "of equal priority is not lower"
    );
    lab.sched
        .set_quota("team", &support::qty(""), &support::qty("cpus:14"));
    lab.want(5, gang(5, "cpus:2", 5)).cycle();
    assert!(evictions(&mut lab).is_empty(), "its quota is too small");
    lab.sched
        .set_quota("team", &support::qty(""), &support::qty("cpus:30"));
    lab.cycle();
    assert_eq!(evictions(&mut lab).len(), 2);
}

#[test]
fn the_rules_of_a_gang_decide_whose_end_would_help() {
    let mut lab = Lab::new();
    agents(&mut lab, 4, "cpus:4");
    let spread = Rules {
        spread: vec![Spread {
            key: PlaceKey::Hostname,
            max_per: Some(1),
            max_skew: None,
            expected: None,
        }],
        ..Rules::default()
    };
    let ruled = |count| Demand {
        rules: Arc::new(spread.clone()),
        group: GroupKey(5),
        ..gang(5, "cpus:1", count)
    };
    lab.want(1, expendable(0, "cpus:1", 16));
    let running = lab.place();
    lab.want(5, ruled(5)).cycle();
    assert!(evictions(&mut lab).is_empty(), "five hosts are not there");
    lab.want(5, ruled(3)).cycle();
    let told = evictions(&mut lab);
    assert_eq!(told.len(), 3, "one on each of three agents: {told:?}");
    assert_eq!(victims(&told, &running).len(), 3);
    end_all(&mut lab, &told, &running);
    assert_eq!(lab.place().len(), 3);
}

#[test]
fn offers_that_lie_make_way_for_a_gang_before_work_does() {
    let mut lab = Lab::new();
    agents(&mut lab, 4, "cpus:4");
    lab.want(1, expendable(0, "cpus:4", 1));
    let running = lab.place();
    lab.framework(0, &["idle"]);
    let grants = lab.cycle();
    assert_eq!(grants.len(), 3);
    lab.want(5, gang(5, "cpus:4", 2)).cycle();
    assert!(evictions(&mut lab).is_empty(), "offers may be enough");
    let offers = outstanding(&grants);
    let recalled = lab.sched.offers_in_the_way_of_demands(lab.now, &offers);
    assert_eq!(recalled.len(), 2, "as many as it takes");
    for nth in &recalled {
        let Grant {
            framework,
            agent,
            resources,
            ..
        } = &grants[*nth];
        lab.sched
            .recover(lab.now, *framework, *agent, resources, None);
    }
    assert_eq!(lab.place().len(), 2);
    assert!(evictions(&mut lab).is_empty());

    // Where one offer is left, work has to end as well; as long as that may help, it waits for the offer.
    lab.want(6, gang(5, "cpus:4", 2)).cycle();
    let left = [grants[(0..3).find(|nth| !recalled.contains(nth)).unwrap()].clone()];
    let offers = outstanding(&left);
    let recalled = lab.sched.offers_in_the_way_of_demands(lab.now, &offers);
    assert_eq!(recalled, [0]);
    let told = evictions(&mut lab);
    assert_eq!(victims(&told, &running), [1]);
}

#[test]
fn offers_that_nobody_recalls_hold_a_gang_up_for_two_seconds_only() {
    let mut lab = Lab::new();
    agents(&mut lab, 2, "cpus:4");
    lab.want(1, expendable(0, "cpus:2", 2));
    let running = lab.place();
    lab.framework(0, &["idle"]);
    assert_eq!(lab.cycle().len(), 1);
    lab.want(5, gang(5, "cpus:2", 2)).cycle();
    assert!(evictions(&mut lab).is_empty());
    let due = lab.sched.next_deadline().unwrap();
    assert_eq!(due, lab.now + 2 * SECOND, "a cycle is asked for");
    lab.pass(2 * SECOND).cycle();
    let told = evictions(&mut lab);
    assert_eq!(victims(&told, &running), [1, 1]);
}

#[test]
fn when_an_agent_is_lost_meanwhile_room_is_made_elsewhere() {
    let mut lab = Lab::new();
    agents(&mut lab, 3, "cpus:4");
    lab.want(1, expendable(0, "cpus:4", 3));
    let running = lab.place();
    lab.want(5, gang(5, "cpus:4", 2)).cycle();
    let told = evictions(&mut lab);
    assert_eq!(told.len(), 2);
    end_all(&mut lab, &told[..1], &running);
    lab.cycle();
    let lost = told[1].agent;
    lab.sched.instance_removed(told[1].victims[0]);
    lab.sched.remove_agent(lost);
    lab.pass(SECOND).cycle();
    let again = evictions(&mut lab);
    assert_eq!(again.len(), 1, "one more, for what was lost");
    end_all(&mut lab, &again, &running);
    assert_eq!(lab.place().len(), 2);
}

#[test]
fn room_for_a_gang_that_does_not_come_free_is_let_go_after_a_while() {
    let mut lab = Lab::with(Config {
        eviction_hold_ns: 10 * SECOND,
        ..Config::default()
    });
    agents(&mut lab, 2, "cpus:4");
    lab.want(1, expendable(0, "cpus:2", 3));
    lab.place();
    lab.want(5, gang(1, "cpus:3", 2)).cycle();
    assert!(!evictions(&mut lab).is_empty());
    assert_eq!(lab.sched.earmarks().count(), 2);
    // A little longer for each that has to end.
    lab.pass(11 * SECOND).cycle();
    assert_eq!(lab.sched.earmarks().count(), 0);
    let free =
        lab.sched.available(a(0)).scalar("cpus").0 + lab.sched.available(a(1)).scalar("cpus").0;
    assert_eq!(free, 2000, "what is free may go to anybody");
}
