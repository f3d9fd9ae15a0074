//! Which agents and resources are for whom: capabilities, regions, reservations, lists.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_resource::Resources;
use mezz_sched::{AgentSpec, Capability, Config, FaultDomain, GpuPolicy};
use support::{Lab, SECOND, a, agent, f, framework, res};

#[test]
fn agents_with_gpus_wait_for_frameworks_that_want_them() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024;gpus:1").framework(0, &["r"]);
    assert!(lab.offers().is_empty());
    let mut spec = framework(&["r"]);
    spec.capabilities = spec.capabilities.with(Capability::GpuResources);
    lab.sched.add_framework(f(1), spec, true);
    assert_eq!(lab.offers(), ["f1@a0 r: cpus:4; gpus:1; mem:1024"]);
    let mut open = Lab::with(Config {
        gpus: GpuPolicy::Open,
        ..Config::default()
    });
    open.agent(0, "cpus:4;mem:1024;gpus:1").framework(0, &["r"]);
    assert_eq!(open.offers().len(), 1);
}

#[test]
fn agents_of_another_region_wait_for_region_aware_frameworks() {
    let mut lab = Lab::with(Config {
        home_region: Some("here".to_owned()),
        ..Config::default()
    });
    let away = FaultDomain {
        region: "there".to_owned(),
        zone: "z".to_owned(),
    };
    let spec = AgentSpec {
        domain: Some(away),
        ..agent("cpus:4;mem:1024")
    };
    lab.sched.add_agent(a(0), spec, &[]);
    lab.framework(0, &["r"]);
    assert!(lab.offers().is_empty());
    let mut aware = framework(&["r"]);
    aware.capabilities = aware.capabilities.with(Capability::RegionAware);
    lab.sched.update_framework(f(0), aware);
    assert_eq!(lab.offers().len(), 1);
}

#[test]
fn reservations_go_to_their_role_and_its_descendants_only() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus(eng):4;mem(eng):1024;disk:10");
    lab.framework(0, &["sales"]);
    assert!(
        lab.offers().is_empty(),
        "the disk alone is not worth an offer"
    );
    lab.framework(1, &["eng/web"]);
    assert_eq!(
        lab.offers(),
        ["f1@a0 eng/web: cpus(reservations: [(STATIC,eng)]):4; \
          mem(reservations: [(STATIC,eng)]):1024; disk:10"]
    );
    lab.agent(1, "cpus(eng/web):4;mem(eng/web):1024")
        .framework(2, &["eng"]);
    assert_eq!(
        lab.cycle()[0].framework,
        f(1),
        "an ancestor does not use a descendant's reservation"
    );
}

#[test]
fn the_rest_of_a_mixed_agent_goes_to_the_next() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:2;mem:512;cpus(a):2;mem(a):512")
        .framework(0, &["b"])
        .framework(1, &["a"]);
    let grants = lab.cycle();
    assert_eq!(
        grants[0].framework,
        f(1),
        "role a comes first and takes its own and the common part"
    );
    lab.decline(&grants[0], 3600 * SECOND);
    assert_eq!(lab.offers(), ["f0@a0 b: cpus:2; mem:512"]);
}

#[test]
fn revocable_resources_go_to_those_who_take_them() {
    let mut lab = Lab::new();
    let mut slack = res("cpus:2").to_proto();
    slack[0].revocable = Some(mezz_proto::v1::resource::RevocableInfo {});
    let slack = Resources::from_proto(&slack).unwrap();
    let total = res("mem:512") + slack;
    lab.sched.add_agent(
        a(0),
        AgentSpec {
            total,
            ..AgentSpec::default()
        },
        &[],
    );
    lab.framework(0, &["r"]);
    assert_eq!(lab.offers(), ["f0@a0 r: mem:512"]);
    let mut takes = framework(&["s"]);
    takes.capabilities = takes.capabilities.with(Capability::RevocableResources);
    lab.sched.add_framework(f(1), takes, true);
    assert_eq!(lab.offers(), ["f1@a0 s: cpus{REV}:2"]);
}

#[test]
fn only_roles_and_hosts_on_the_lists_are_served() {
    let mut lab = Lab::with(Config {
        role_whitelist: Some(["good".to_owned()].into()),
        agent_whitelist: Some(["one".to_owned()].into()),
        ..Config::default()
    });
    for (index, host) in ["one", "two"].into_iter().enumerate() {
        let spec = AgentSpec {
            hostname: host.to_owned(),
            ..agent("cpus:1;mem:100")
        };
        lab.sched
            .add_agent(a(u32::try_from(index).unwrap()), spec, &[]);
    }
    lab.framework(0, &["bad"]).framework(1, &["good"]);
    assert_eq!(lab.offers(), ["f1@a0 good: cpus:1; mem:100"]);
    lab.sched.set_agent_whitelist(None);
    assert_eq!(lab.offers(), ["f1@a1 good: cpus:1; mem:100"]);
}
