//! Rules about where the instances of a demand may and should go.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{
    AgentSpec, Config, Demand, DemandPlacement, FaultDomain, GroupKey, Packing, PlaceKey,
    PlaceTest, PortsWanted, Rule, Rules, RunningInstance, Spread,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{Lab, NATIVE, a, agent, demand, of_role, res};

fn located(text: &str, index: u32, attributes: &str) -> AgentSpec {
    AgentSpec {
        id: format!("S{index}"),
        hostname: format!("node-{index}"),
        attributes: mezz_resource::attributes::parse(attributes).unwrap(),
        domain: Some(FaultDomain {
            region: "home".to_owned(),
            zone: format!("z{}", index % 3),
        }),
        ..agent(text)
    }
}

fn ruled(rules: Rules, demand: Demand) -> Demand {
    Demand {
        rules: Arc::new(rules),
        ..demand
    }
}

fn attribute(name: &str) -> PlaceKey {
    PlaceKey::Attribute(name.into())
}

fn rule(key: PlaceKey, test: PlaceTest) -> Rule {
    Rule { key, test }
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|own| (*own).to_owned()).collect()
}

/// Six agents in three zones; even ones have fast disks, and each has a number.
fn six(lab: &mut Lab, each: &str) {
    for index in 0..6 {
        let disk = if index % 2 == 0 { "ssd" } else { "hdd" };
        let attributes = if index == 5 {
            String::new()
        } else {
            format!("disk:{disk};level:{index}.5")
        };
        lab.sched
            .add_agent(a(index), located(each, index, &attributes), &[]);
    }
}

fn agents(placed: &[DemandPlacement]) -> Vec<u32> {
    let mut agents: Vec<u32> = placed.iter().map(|own| own.agent.0).collect();
    agents.sort_unstable();
    agents
}

fn per(placed: &[DemandPlacement], key: impl Fn(u32) -> u32) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for own in placed {
        *counts.entry(key(own.agent.0)).or_insert(0) += 1;
    }
    counts
}

#[test]
fn requirements_keep_work_to_the_agents_that_pass_all_of_them() {
    let cases: Vec<(Rule, &[u32])> = vec![
        (
            rule(attribute("disk"), PlaceTest::In(texts(&["ssd", "nvme"]))),
            &[0, 2, 4],
        ),
        (
            rule(attribute("disk"), PlaceTest::NotIn(texts(&["ssd"]))),
            &[1, 3, 5],
        ),
        (
            rule(attribute("disk"), PlaceTest::Matches(texts(&["h.*", "x"]))),
            &[1, 3],
        ),
        (
            rule(attribute("disk"), PlaceTest::Matches(texts(&["s"]))),
            &[],
        ),
        (
            rule(attribute("disk"), PlaceTest::NotMatches(texts(&["h.d"]))),
            &[0, 2, 4, 5],
        ),
        (rule(attribute("disk"), PlaceTest::Exists), &[0, 1, 2, 3, 4]),
        (rule(attribute("disk"), PlaceTest::Absent), &[5]),
        (
            rule(attribute("level"), PlaceTest::AtLeast(2_500)),
            &[2, 3, 4],
        ),
        (rule(attribute("level"), PlaceTest::AtMost(1_500)), &[0, 1]),
        (
            rule(PlaceKey::Hostname, PlaceTest::In(texts(&["node-3"]))),
            &[3],
        ),
        (
            rule(
                PlaceKey::Agent,
                PlaceTest::NotIn(texts(&["S0", "S1", "S2"])),
            ),
            &[3, 4, 5],
        ),
        (rule(PlaceKey::Zone, PlaceTest::In(texts(&["z1"]))), &[1, 4]),
        (
            rule(PlaceKey::Region, PlaceTest::Matches(texts(&["ho?me"]))),
            &[0, 1, 2, 3, 4, 5],
        ),
    ];
    for (required, expected) in cases {
        let mut lab = Lab::new();
        six(&mut lab, "cpus:1");
        let rules = Rules {
            require: vec![required.clone()],
            ..Rules::default()
        };
        lab.want(1, ruled(rules, demand("team", "cpus:1", 10)));
        assert_eq!(agents(&lab.place()), expected, "{required:?}");
    }
}

#[test]
fn a_rule_is_asked_again_when_an_agent_is_no_longer_what_it_was() {
    let mut lab = Lab::new();
    six(&mut lab, "cpus:1");
    let rules = Rules {
        require: vec![rule(attribute("disk"), PlaceTest::In(texts(&["nvme"])))],
        ..Rules::default()
    };
    lab.want(1, ruled(rules, demand("team", "cpus:1", 10)));
    assert!(lab.place().is_empty());
    lab.sched
        .update_agent(a(3), located("cpus:1", 3, "disk:nvme"));
    lab.sched
        .add_agent(a(9), located("cpus:1", 9, "disk:nvme"), &[]);
    assert_eq!(agents(&lab.place()), [3, 9]);
}

#[test]
fn preferences_weigh_more_than_packing_and_less_than_room() {
    let mut lab = Lab::new();
    six(&mut lab, "cpus:2");
    let rules = Rules {
        prefer: vec![
            (rule(attribute("disk"), PlaceTest::In(texts(&["hdd"]))), 5),
            (rule(PlaceKey::Zone, PlaceTest::In(texts(&["z0"]))), 3),
            (
                rule(PlaceKey::Hostname, PlaceTest::In(texts(&["node-0"]))),
                -9,
            ),
        ],
        ..Rules::default()
    };
    lab.want(1, ruled(rules, demand("team", "cpus:1", 12)));
    let order: Vec<u32> = lab.place().iter().map(|own| own.agent.0).collect();
    // node-3 has both, node-1 the disk, node-2, 4 and 5 nothing, node-0 is avoided.
    assert_eq!(order, [3, 3, 1, 1, 2, 2, 4, 4, 5, 5, 0, 0]);
}

#[test]
fn work_fills_agents_up_or_is_spread_as_its_role_is_set_or_as_it_says() {
    let spread = |lab: &mut Lab, packing, role| {
        six(lab, "cpus:6;mem:6000");
        let rules = Rules {
            packing,
            ..Rules::default()
        };
        lab.want(1, ruled(rules, demand(role, "cpus:1;mem:100", 6)));
        per(&lab.place(), |agent| agent).len()
    };
    assert_eq!(spread(&mut Lab::new(), Packing::Inherit, "team/x"), 1);
    assert_eq!(spread(&mut Lab::new(), Packing::Spread, "team/x"), 6);
    let config = || Config {
        packing: BTreeMap::from([("team".to_owned(), Packing::Spread)]),
        ..Config::default()
    };
    assert_eq!(
        spread(&mut Lab::with(config()), Packing::Inherit, "team/x"),
        6
    );
    assert_eq!(
        spread(&mut Lab::with(config()), Packing::Inherit, "teams"),
        1
    );
    assert_eq!(
        spread(&mut Lab::with(config()), Packing::Binpack, "team"),
        1
    );
}

fn spread(key: PlaceKey, max_per: Option<u32>, max_skew: Option<u32>) -> Rules {
    Rules {
        spread: vec![Spread {
            key,
            max_per,
            max_skew,
            expected: None,
        }],
        ..Rules::default()
    }
}

#[test]
fn at_most_so_many_run_at_one_value() {
    for key in [PlaceKey::Hostname, PlaceKey::Agent] {
        let mut lab = Lab::new();
        six(&mut lab, "cpus:10");
        lab.want(
            1,
            ruled(spread(key, Some(2), None), demand("team", "cpus:1", 50)),
        );
        let placed = lab.place();
        assert_eq!(agents(&placed), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert!(!lab.sched.is_dirty());
        // Only where one ends there is room again.
        lab.end(&placed[0]);
        assert_eq!(agents(&lab.place()), [placed[0].agent.0]);
    }
    let mut lab = Lab::new();
    six(&mut lab, "cpus:10");
    lab.want(
        1,
        ruled(
            spread(PlaceKey::Zone, Some(3), None),
            demand("team", "cpus:1", 50),
        ),
    );
    let placed = lab.place();
    assert_eq!(
        per(&placed, |agent| agent % 3),
        BTreeMap::from([(0, 3), (1, 3), (2, 3)])
    );
    // Other agents of the zone profit when one of its instances ends.
    lab.end(&placed[0]);
    assert_eq!(lab.place().len(), 1);
    // Who has no such attribute cannot be counted.
    let mut lab = Lab::new();
    six(&mut lab, "cpus:10");
    lab.want(
        1,
        ruled(
            spread(attribute("disk"), Some(4), None),
            demand("team", "cpus:1", 50),
        ),
    );
    assert_eq!(
        per(&lab.place(), |agent| agent % 2),
        BTreeMap::from([(0, 4), (1, 4)])
    );
}

#[test]
fn two_agents_of_one_host_count_as_one() {
    let mut lab = Lab::new();
    for index in 0..4 {
        let spec = AgentSpec {
            hostname: format!("node-{}", index / 2),
            ..located("cpus:4", index, "")
        };
        lab.sched.add_agent(a(index), spec, &[]);
    }
    let rules = spread(PlaceKey::Hostname, Some(1), None);
    lab.want(1, ruled(rules, demand("team", "cpus:1", 9)));
    assert_eq!(
        per(&lab.place(), |agent| agent / 2),
        BTreeMap::from([(0, 1), (1, 1)])
    );
}

#[test]
fn the_fullest_value_has_at_most_so_many_more_than_the_emptiest() {
    for (key, values) in [(PlaceKey::Zone, 3), (PlaceKey::Hostname, 6)] {
        let mut lab = Lab::new();
        six(&mut lab, "cpus:100");
        // One agent is too small for more than one instance: it bounds its zone's share only as far as others do not.
        lab.sched.update_agent_total(a(5), res("cpus:1"));
        lab.want(
            1,
            ruled(
                spread(key.clone(), None, Some(1)),
                demand("team", "cpus:1", 1),
            ),
        );
        for wanted in 1..20 {
            lab.want(
                1,
                ruled(
                    spread(key.clone(), None, Some(1)),
                    demand("team", "cpus:1", wanted),
                ),
            );
            let placed = lab.place();
            let counts = per(&placed, |agent| agent % values);
            let most = counts.values().max().unwrap();
            let least = if counts.len() < values as usize {
                &0
            } else {
                counts.values().min().unwrap()
            };
            assert!(most - least <= 1, "{key:?}: {counts:?}");
            for own in &placed {
                lab.end(own);
            }
            lab.sched.withdraw(mezz_sched::DemandKey(1));
        }
    }
}

#[test]
fn values_that_are_still_expected_count_as_empty() {
    let mut lab = Lab::new();
    six(&mut lab, "cpus:10");
    let mut rules = spread(PlaceKey::Zone, None, Some(2));
    rules.spread[0].expected = Some(4);
    lab.want(1, ruled(rules, demand("team", "cpus:1", 50)));
    assert_eq!(
        lab.place().len(),
        6,
        "two in each zone until the fourth is there"
    );
    let mut fourth = located("cpus:10", 9, "");
    fourth.domain.as_mut().unwrap().zone = "z9".to_owned();
    lab.sched.add_agent(a(9), fourth, &[]);
    // Two go to the new zone, and each that it has lets the others have one more.
    assert!(lab.place().len() > 20);
}

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
