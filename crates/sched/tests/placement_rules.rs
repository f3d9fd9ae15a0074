//! Rules about where the instances of a demand may and should go.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{AgentSpec, Config, DemandKey, Packing, PlaceKey, PlaceTest, Rule, Rules, Spread};
use std::collections::BTreeMap;
use support::{Lab, a, agents, attribute, demand, located, per, res, rule, ruled, six, texts};

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
            lab.sched.withdraw(DemandKey(1));
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
