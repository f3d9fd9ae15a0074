//! Why a demand waits, in counts, and where its instances would go.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{
    AgentSpec, Demand, DemandKey, PlaceKey, PlaceTest, PortsWanted, Rule, Rules, Scheduler, Spread,
};
use std::sync::Arc;
use support::{Lab, NATIVE, a, agent, demand, qty};

fn why(sched: &Scheduler, key: u64) -> String {
    sched.why_demand(DemandKey(key)).unwrap().to_string()
}

fn in_racks(lab: &mut Lab, count: u32, text: &str) {
    for index in 0..count {
        let attributes = if index < 3 { "rack:r1" } else { "" };
        let spec = AgentSpec {
            hostname: format!("node-{index}"),
            attributes: mezz_resource::attributes::parse(attributes).unwrap(),
            ..agent(text)
        };
        lab.sched.add_agent(a(index), spec, &[]);
    }
}

#[test]
fn each_cause_is_named_with_how_many_agents_it_concerns() {
    let mut lab = Lab::new();
    lab.want(1, demand("team", "cpus:1;gpus:1", 1));
    lab.cycle();
    assert_eq!(why(&lab.sched, 1), "there are no agents");
    in_racks(&mut lab, 8, "cpus:2;mem:64;ports:[8080-8080]");
    lab.cycle();
    assert_eq!(why(&lab.sched, 1), "8 agents lack gpus:1");
    lab.sched.deactivate_agent(a(7));

    let racked = Rules {
        require: vec![Rule {
            key: PlaceKey::Attribute("rack".into()),
            test: PlaceTest::In(vec!["r1".to_owned(), "r2".to_owned()]),
        }],
        spread: vec![Spread {
            key: PlaceKey::Hostname,
            max_per: Some(1),
            max_skew: None,
            expected: None,
        }],
        ..Rules::default()
    };
    lab.want(
        2,
        Demand {
            rules: Arc::new(racked),
            ..demand("team", "cpus:1", 5)
        },
    );
    assert_eq!(lab.place().len(), 3);
    assert_eq!(
        why(&lab.sched, 2),
        "4 agents fail rack in [r1, r2]; 3 agents have as many instances as may share a hostname (max_per 1); \
         1 agent is deactivated or not on the list of agents"
    );
    let ported = Demand {
        ports: PortsWanted {
            any: 0,
            fixed: [8080].into(),
        },
        rules: Arc::new(Rules {
            same: vec![PlaceKey::Attribute("rack".into())],
            ..Rules::default()
        }),
        ..demand("team", "cpus:0.1", 4)
    };
    lab.want(3, ported);
    assert_eq!(lab.place().len(), 3);
    assert_eq!(
        why(&lab.sched, 3),
        "4 agents have no rack; 3 agents lack port 8080 free; \
         1 agent is deactivated or not on the list of agents"
    );
    assert!(lab.sched.why_demand(DemandKey(9)).is_none());
}

#[test]
fn quota_priority_and_gangs_are_named() {
    let mut lab = Lab::new();
    in_racks(&mut lab, 2, "cpus:2");
    lab.sched.set_quota("team", &qty(""), &qty("cpus:1"));
    lab.want(1, demand("team/x", "cpus:1", 3));
    lab.cycle();
    assert_eq!(
        why(&lab.sched, 1),
        "the quota of role team leaves cpus:0; without it 2 agents could be offered"
    );
    lab.want(
        2,
        Demand {
            priority: 7,
            ..demand("free", "cpus:9", 1)
        },
    )
    .want(3, demand("free", "cpus:9", 1))
    .want(
        4,
        Demand {
            gang: true,
            ..demand("free", "cpus:1", 4)
        },
    );
    lab.cycle();
    assert_eq!(
        why(&lab.sched, 3),
        "it waits its turn behind work of priority 7; 2 agents lack cpus:9"
    );
    assert_eq!(
        why(&lab.sched, 4),
        "all 4 instances have to find room at once, and there is room for 3; 2 agents are ready to be offered"
    );
}

#[test]
fn a_trial_says_where_each_instance_would_go_and_changes_nothing() {
    let mut lab = Lab::new();
    in_racks(&mut lab, 3, "cpus:2;mem:64");
    let before = lab.sched.clone();
    let trial = lab
        .sched
        .try_place(NATIVE, &demand("new/role", "cpus:1", 9), 9);
    assert_eq!(trial.agents, [a(0), a(0), a(1), a(1), a(2), a(2)]);
    assert_eq!(trial.refusals.unwrap().to_string(), "3 agents lack cpus:1");
    assert!(lab.sched == before);

    let gang = Demand {
        gang: true,
        ..demand("new/role", "cpus:1", 9)
    };
    assert!(lab.sched.try_place(NATIVE, &gang, 9).agents.is_empty());
    let trial = lab.sched.try_place(NATIVE, &gang, 6);
    assert_eq!((trial.agents.len(), trial.refusals), (6, None));

    lab.sched.set_quota("team", &qty(""), &qty("cpus:3"));
    let spread = Demand {
        rules: Arc::new(Rules {
            spread: vec![Spread {
                key: PlaceKey::Hostname,
                max_per: None,
                max_skew: Some(1),
                expected: None,
            }],
            ..Rules::default()
        }),
        ..demand("team", "cpus:0.9", 9)
    };
    let trial = lab.sched.try_place(NATIVE, &spread, 9);
    assert_eq!(trial.agents, [a(0), a(1), a(2)]);
    assert!(
        trial
            .refusals
            .unwrap()
            .to_string()
            .starts_with("the quota of role team leaves cpus:3")
    );
    let unknown = demand("team", "unobtainium:1", 1);
    let trial = lab.sched.try_place(NATIVE, &unknown, 1);
    assert_eq!(
        trial.refusals.unwrap().to_string(),
        "3 agents lack unobtainium:1"
    );
}
