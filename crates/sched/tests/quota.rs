//! Limits over a whole subtree of roles, and guarantees that keep headroom.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_resource::{Name, Resources, Scalar};
use mezz_sched::{AgentSpec, Limits};
use support::{Lab, SECOND, a, f, of_role, qty};

fn limit(lab: &mut Lab, role: &str, limits: &str) {
    lab.sched.set_quota(role, &qty(""), &qty(limits));
}

fn guarantee(lab: &mut Lab, role: &str, guarantees: &str) {
    lab.sched
        .set_quota(role, &qty(guarantees), Limits::default());
}

#[test]
fn a_limit_cuts_an_offer_down() {
    let mut lab = Lab::new();
    limit(&mut lab, "r", "cpus:2;mem:512");
    lab.framework(0, &["r"])
        .agent(0, "cpus:4;mem:4096;disk:100;ports:[1-9]")
        .agent(1, "cpus:4;mem:4096");
    assert_eq!(
        lab.offers(),
        ["f0@a0 r: cpus:2; mem:512; disk:100; ports:[1-9]"]
    );
    assert!(lab.sched.is_within_limits("r"));
    lab.framework(1, &["s"]);
    assert_eq!(
        lab.offers(),
        ["f1@a0 s: cpus:2; mem:3584", "f1@a1 s: cpus:4; mem:4096"]
    );
}

#[test]
fn a_limit_holds_over_the_whole_subtree() {
    let mut lab = Lab::new();
    limit(&mut lab, "eng", "cpus:3");
    lab.framework(0, &["eng/a"])
        .framework(1, &["eng/b/c"])
        .framework(2, &["eng"]);
    for index in 0..4 {
        lab.agent(index, "cpus:2;mem:100");
    }
    let cpus: i64 = lab
        .cycle()
        .iter()
        .map(|grant| grant.resources.scalar("cpus").0)
        .sum();
    assert_eq!(cpus, 3000);
    assert!(lab.sched.is_within_limits("eng"));
}

#[test]
fn a_limit_of_zero_lets_nothing_through() {
    let mut lab = Lab::new();
    let none: Limits = [(Name::Cpus, Scalar::ZERO), (Name::Mem, Scalar::ZERO)]
        .into_iter()
        .collect();
    lab.sched.set_quota("r", &qty(""), none);
    lab.framework(0, &["r"]).agent(0, "cpus:4;mem:4096");
    assert!(lab.offers().is_empty());
    let why = lab.sched.explain(lab.now, f(0), "r");
    assert_eq!(
        why[0].to_string(),
        "the quota of role r leaves cpus:0; without it 1 agent could be offered"
    );
    lab.sched.set_quota("r", &qty(""), Limits::default());
    assert_eq!(
        lab.offers().len(),
        1,
        "without the quota it is offered at once"
    );
}

#[test]
fn what_a_limited_role_gives_back_lets_it_have_more_elsewhere() {
    let mut lab = Lab::new();
    limit(&mut lab, "r", "cpus:2");
    lab.framework(0, &["r"]).agent(0, "cpus:2;mem:100");
    let grant = lab.cycle().remove(0);
    lab.accept(&grant, "cpus:2;mem:100");
    lab.agent(1, "cpus:2;mem:10");
    assert!(lab.offers().is_empty());
    lab.sched.deactivate_agent(a(0));
    lab.sched
        .release(lab.now, f(0), a(0), &of_role("cpus:2;mem:100", "r"));
    assert_eq!(lab.offers(), ["f0@a1 r: cpus:2; mem:10"]);
}

#[test]
fn reservations_count_against_the_limit_whether_used_or_not() {
    let mut lab = Lab::new();
    limit(&mut lab, "r", "cpus:3");
    lab.agent(0, "cpus(r):2;mem(r):100")
        .agent(1, "cpus:4;mem:100")
        .framework(0, &["r"]);
    assert_eq!(
        lab.offers(),
        [
            "f0@a0 r: cpus(reservations: [(STATIC,r)]):2; mem(reservations: [(STATIC,r)]):100",
            "f0@a1 r: cpus:1; mem:100"
        ]
    );
}

#[test]
fn what_cannot_be_cut_is_left_out() {
    let mut lab = Lab::new();
    limit(&mut lab, "r", "disk:50");
    let json = r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1}},
        {"name":"disk","type":"SCALAR","scalar":{"value":100},"disk":{"source":{"type":"MOUNT","mount":{"root":"/m"}}}},
        {"name":"disk","type":"SCALAR","scalar":{"value":100}}]"#;
    let total: Resources = mezz_resource::parse(json, "*").unwrap();
    lab.sched.add_agent(
        a(0),
        AgentSpec {
            total,
            ..AgentSpec::default()
        },
        &[],
    );
    lab.framework(0, &["r"]);
    assert_eq!(lab.offers(), ["f0@a0 r: cpus:1; disk:50"]);
}

#[test]
fn a_guarantee_is_kept_free_for_its_role() {
    let mut lab = Lab::new();
    guarantee(&mut lab, "g", "cpus:3;mem:300");
    lab.framework(0, &["r"])
        .agent(0, "cpus:4;mem:400")
        .agent(1, "cpus:4;mem:400");
    let cpus: i64 = lab
        .cycle()
        .iter()
        .map(|grant| grant.resources.scalar("cpus").0)
        .sum();
    assert_eq!(cpus, 5000, "3 of 8 cpus stay free");
    lab.framework(1, &["g"]);
    let cpus: i64 = lab
        .cycle()
        .iter()
        .map(|grant| grant.resources.scalar("cpus").0)
        .sum();
    assert_eq!(cpus, 3000);
}

#[test]
fn a_role_below_its_guarantee_is_served_before_fair_shares() {
    let mut lab = Lab::new();
    guarantee(&mut lab, "g", "cpus:6");
    lab.framework(0, &["g"]).agent(0, "cpus:4;mem:400");
    assert_eq!(lab.cycle()[0].framework, f(0));
    lab.framework(1, &["r"]).agent(1, "cpus:2;mem:200");
    assert_eq!(
        lab.cycle()[0].framework,
        f(0),
        "r has nothing, yet g lacks 2 cpus"
    );
    lab.agent(2, "cpus:2;mem:200");
    assert_eq!(lab.cycle()[0].framework, f(1));
}

#[test]
fn a_guarantee_of_a_parent_covers_its_children() {
    let mut lab = Lab::new();
    guarantee(&mut lab, "eng", "cpus:4");
    guarantee(&mut lab, "eng/a", "cpus:3");
    lab.framework(0, &["r"]).agent(0, "cpus:10;mem:1000");
    assert_eq!(lab.cycle()[0].resources.scalar("cpus"), Scalar(6000));
}

#[test]
fn held_back_resources_are_offered_when_the_guarantee_is_met() {
    let mut lab = Lab::new();
    guarantee(&mut lab, "g", "cpus:4");
    lab.framework(0, &["r"]).agent(0, "cpus:4;mem:400");
    assert!(lab.offers().iter().all(|offer| !offer.contains("cpus")));
    lab.framework(1, &["g"]);
    let grant = lab.cycle().remove(0);
    assert_eq!(
        (grant.framework, grant.resources.scalar("cpus")),
        (f(1), Scalar(4000))
    );
    lab.sched.suppress(f(1), &[]);
    lab.sched.set_quota("g", &qty(""), Limits::default());
    lab.decline(&grant, 5 * SECOND);
    let cpus: Vec<_> = lab
        .cycle()
        .iter()
        .map(|grant| (grant.framework, grant.resources.scalar("cpus")))
        .collect();
    assert_eq!(cpus, [(f(0), Scalar(4000))]);
}
