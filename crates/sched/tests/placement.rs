//! Placement with the full view, and why something is not placed.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_resource::Scalar;
use mezz_sched::Reason;
use support::{FLOOR, Lab, SECOND, a, f, of_role, qty, res};

#[test]
fn work_goes_to_the_agent_that_it_fits_best() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:16;mem:16384;ports:[31000-31009]")
        .agent(1, "cpus:2;mem:2048;ports:[31000-31009]");
    let placed = lab.one(f(0), "team", &res("cpus:1;mem:1024"), 2).unwrap();
    assert_eq!(placed.agent, a(1));
    assert_eq!(placed.ports, [31000, 31001]);
    assert_eq!(
        placed.resources.to_string(),
        "cpus(allocated: team):1; mem(allocated: team):1024; ports(allocated: team):[31000-31001]"
    );
    let next = lab.one(f(0), "team", &res("cpus:1;mem:1024"), 1).unwrap();
    assert_eq!((next.agent, next.ports), (a(1), vec![31002]));
    let third = lab.one(f(0), "team", &res("cpus:1;mem:1024"), 1).unwrap();
    assert_eq!(third.agent, a(0), "the small agent is full");
    lab.sched.check_integrity().unwrap();
    assert_eq!(
        lab.sched.share_of("team").unwrap().consumed.get("cpus"),
        Scalar(3000)
    );
}

#[test]
fn placed_work_counts_in_the_shares() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:4096");
    lab.one(f(9), "native", &res("cpus:2;mem:2048"), 0).unwrap();
    lab.framework(0, &["native"]).framework(1, &["other"]);
    assert_eq!(lab.cycle()[0].framework, f(1));
}

#[test]
fn reservations_of_the_role_are_used_first() {
    let mut lab = Lab::new();
    lab.agent(
        0,
        "cpus:4;mem:4096;cpus(team):1;mem(team):512;cpus(other):8",
    );
    let placed = lab.one(f(0), "team/x", &res("cpus:2;mem:512"), 0).unwrap();
    assert_eq!(
        placed.resources.unallocated().to_string(),
        "cpus:1; cpus(reservations: [(STATIC,team)]):1; mem(reservations: [(STATIC,team)]):512"
    );
    let refused = lab.one(f(0), "team/x", &res("cpus:4"), 0).unwrap_err();
    assert_eq!(
        refused.0,
        [Reason::Lacking {
            agents: 1,
            name: mezz_resource::Name::Cpus,
            wanted: Scalar(4000)
        }]
    );
}

#[test]
fn work_that_fits_nowhere_says_what_is_lacking() {
    let mut lab = Lab::new();
    assert_eq!(
        lab.one(f(0), "r", &res("cpus:1"), 0)
            .unwrap_err()
            .to_string(),
        "there are no agents"
    );
    for index in 0..8 {
        lab.agent(index, "cpus:4;mem:1024");
    }
    lab.agent(8, "cpus:4;mem:64;gpus:1")
        .agent(9, "cpus:4;mem:1024;gpus:1");
    lab.sched.deactivate_agent(a(9));
    let refused = lab.one(f(0), "r", &res("mem:128;gpus:1"), 0).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "8 agents lack gpus:1; 1 agent is deactivated or not on the list of agents; 1 agent lacks mem:128"
    );
    let ports = lab.one(f(0), "r", &res("cpus:1"), 3).unwrap_err();
    assert!(
        ports.to_string().contains("9 agents lack ports:3"),
        "{ports}"
    );
    lab.sched.check_integrity().unwrap();
}

#[test]
fn quota_bounds_placements() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:8;mem:8192");
    lab.sched.set_quota("team", &qty(""), &qty("cpus:2"));
    lab.one(f(0), "team/a", &res("cpus:2"), 0).unwrap();
    let refused = lab.one(f(0), "team/b", &res("cpus:1"), 0).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the quota of role team leaves cpus:0; without it 1 agent could be offered"
    );
}

#[test]
fn agents_with_gpus_are_left_for_work_that_needs_them() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:1;mem:1024;gpus:1")
        .agent(1, "cpus:32;mem:65536");
    assert_eq!(lab.one(f(0), "r", &res("cpus:1"), 0).unwrap().agent, a(1));
    assert_eq!(
        lab.one(f(0), "r", &res("cpus:1;gpus:1"), 0).unwrap().agent,
        a(0)
    );
}

#[test]
fn certain_ports_can_be_asked_for() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:1;mem:10;ports:[80-90]")
        .agent(1, "cpus:9;mem:10;ports:[100-200]");
    let placed = lab
        .one(f(0), "r", &res("cpus:0.5;ports:[150-150]"), 1)
        .unwrap();
    assert_eq!((placed.agent, placed.ports), (a(1), vec![100]));
    assert!(placed.resources.contains(&of_role("ports:[150-150]", "r")));
}

#[test]
fn every_refusal_of_an_offer_has_a_reason() {
    let mut lab = Lab::new();
    let say = |lab: &Lab, role: &str| -> Vec<String> {
        lab.sched
            .explain(lab.now, f(0), role)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(say(&lab, "r"), ["the framework is not known"]);
    lab.framework(0, &["r"]);
    assert_eq!(say(&lab, "r"), ["there are no agents"]);
    assert_eq!(
        say(&lab, "s"),
        ["the framework has not subscribed with role s"]
    );
    lab.agent(0, "cpus:1;mem:1024")
        .agent(1, "cpus:0.001;mem:1")
        .agent(2, "cpus(x):1;mem(x):64")
        .agent(3, "cpus:1;gpus:1");
    lab.agent(4, "cpus:1;mem:1024").agent(5, "cpus:1;mem:1024");
    lab.sched.deactivate_agent(a(5));
    lab.sched
        .charge(f(7), a(4), &of_role("cpus:1;mem:1024", "x"));
    assert_eq!(say(&lab, "r")[0], "1 agent is ready to be offered");
    let grant = lab.cycle().remove(0);
    lab.decline(&grant, 5 * SECOND);
    lab.pass(10 * FLOOR);
    lab.cycle();
    assert_eq!(
        say(&lab, "r"),
        [
            "1 agent is filtered by a decline, the first for another 4secs",
            "1 agent has less free than the smallest offer (cpus:0.01 or mem:32)",
            "1 agent has only resources that others have reserved",
            "1 agent has GPUs, which the framework has not asked for (GPU_RESOURCES)",
            "1 agent has nothing free",
            "1 agent is deactivated or not on the list of agents",
        ]
    );
    lab.sched.suppress(f(0), &[]);
    assert_eq!(
        say(&lab, "r"),
        ["the framework has suppressed offers for role r"]
    );
    lab.sched.deactivate_framework(f(0));
    assert_eq!(say(&lab, "r"), ["the framework is not active"]);
}
