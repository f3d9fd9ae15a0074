//! What is offered to whom, and what keeps it from them.
#![allow(clippy::unwrap_used)]

mod support;

use support::{FLOOR, Lab, SECOND, a, agent, f, framework, of_role, res, with_minimum};

#[test]
fn a_new_framework_is_offered_every_free_agent_whole() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024;ports:[31000-32000]")
        .agent(1, "cpus:2;mem:512")
        .framework(0, &["*"]);
    assert!(lab.sched.is_dirty());
    assert_eq!(
        lab.offers(),
        [
            "f0@a0 *: cpus:4; mem:1024; ports:[31000-32000]",
            "f0@a1 *: cpus:2; mem:512"
        ]
    );
    assert!(!lab.sched.is_dirty());
    assert!(lab.offers().is_empty());
}

#[test]
fn a_declined_offer_returns_after_its_filter() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    let grant = lab.cycle().remove(0);
    lab.decline(&grant, 5 * SECOND);
    assert!(lab.offers().is_empty());
    let deadline = lab.sched.next_deadline().unwrap();
    assert_eq!(deadline, lab.now + 5 * SECOND);
    lab.pass(5 * SECOND - 1);
    assert!(lab.offers().is_empty());
    lab.pass(1);
    assert_eq!(lab.offers().len(), 1);
    assert_eq!(lab.sched.next_deadline(), None);
}

#[test]
fn a_decline_for_zero_seconds_still_holds_for_the_floor() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    let grant = lab.cycle().remove(0);
    lab.decline(&grant, 0);
    assert!(lab.offers().is_empty());
    assert_eq!(lab.sched.next_deadline(), Some(lab.now + FLOOR));
    lab.pass(FLOOR);
    assert_eq!(lab.offers().len(), 1);
}

#[test]
fn others_see_declined_resources_at_once() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    let grant = lab.cycle().remove(0);
    lab.framework(1, &["s"]);
    lab.decline(&grant, 60 * SECOND);
    assert_eq!(lab.offers(), ["f1@a0 s: cpus:4; mem:1024"]);
}

#[test]
fn a_refused_set_does_not_hide_a_bigger_one() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024")
        .framework(0, &["r"])
        .framework(1, &["s"]);
    let grant = lab.cycle().remove(0);
    assert_eq!(grant.framework, f(0));
    lab.accept(&grant, "cpus:1;mem:256");
    let rest = lab.cycle().remove(0);
    assert_eq!(rest.framework, f(1));
    lab.decline(&rest, 60 * SECOND);
    let again = lab.cycle().remove(0);
    lab.decline(&again, 60 * SECOND);
    assert!(lab.offers().is_empty(), "both have refused what is left");
    lab.sched
        .release(lab.now, f(0), a(0), &of_role("cpus:1;mem:256", "r"));
    assert_eq!(lab.offers().len(), 1, "more is free now than was refused");
}

#[test]
fn leftovers_of_an_accept_are_offered_at_once() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    let grant = lab.cycle().remove(0);
    lab.accept(&grant, "cpus:1;mem:256");
    assert_eq!(lab.offers(), ["f0@a0 r: cpus:3; mem:768"]);
}

#[test]
fn reviving_ends_refusals_and_suppression() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    let grant = lab.cycle().remove(0);
    lab.decline(&grant, 3600 * SECOND);
    lab.sched.suppress(f(0), &[]);
    assert!(lab.offers().is_empty());
    lab.sched.revive(f(0), &["other".to_owned()]);
    assert!(lab.offers().is_empty(), "that role is not the framework's");
    lab.sched.revive(f(0), &["r".to_owned()]);
    assert_eq!(lab.offers().len(), 1);
    assert_eq!(lab.sched.next_deadline(), None);
}

#[test]
fn each_role_is_suppressed_and_revived_by_itself() {
    let mut lab = Lab::new();
    lab.framework(0, &["r", "s"]);
    lab.sched.suppress(f(0), &["r".to_owned()]);
    lab.agent(0, "cpus:4;mem:1024");
    assert_eq!(lab.offers(), ["f0@a0 s: cpus:4; mem:1024"]);
    lab.sched.suppress(f(0), &["s".to_owned()]);
    lab.agent(1, "cpus:4;mem:1024");
    assert!(lab.offers().is_empty());
    lab.sched.revive(f(0), &["r".to_owned()]);
    assert_eq!(lab.offers(), ["f0@a1 r: cpus:4; mem:1024"]);
}

#[test]
fn every_role_of_a_framework_is_served() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024")
        .agent(1, "cpus:4;mem:1024")
        .framework(0, &["r", "s"]);
    assert_eq!(
        lab.offers(),
        ["f0@a0 r: cpus:4; mem:1024", "f0@a1 s: cpus:4; mem:1024"]
    );
}

#[test]
fn a_suppressed_role_in_the_subscription_gets_nothing_until_an_update() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024");
    let mut spec = framework(&["r"]);
    spec.suppressed.insert("r".to_owned());
    lab.sched.add_framework(f(0), spec, true);
    assert!(lab.offers().is_empty());
    lab.sched.update_framework(f(0), framework(&["r"]));
    assert_eq!(lab.offers().len(), 1);
}

#[test]
fn a_deactivated_framework_gets_nothing_and_forgets_its_refusals() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    let grant = lab.cycle().remove(0);
    lab.decline(&grant, 3600 * SECOND);
    lab.sched.deactivate_framework(f(0));
    assert!(lab.offers().is_empty());
    lab.sched.activate_framework(f(0));
    assert_eq!(lab.offers().len(), 1);
}

#[test]
fn an_inactive_framework_gets_nothing_until_it_is_activated() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024");
    lab.sched.add_framework(f(0), framework(&["r"]), false);
    assert!(lab.offers().is_empty());
    lab.sched.activate_framework(f(0));
    assert_eq!(lab.offers().len(), 1);
}

#[test]
fn adding_a_role_brings_offers_for_it_and_leaving_one_ends_them() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    let grant = lab.cycle().remove(0);
    lab.decline(&grant, 3600 * SECOND);
    lab.sched.update_framework(f(0), framework(&["r", "s"]));
    assert_eq!(lab.offers(), ["f0@a0 s: cpus:4; mem:1024"]);
    lab.sched.update_framework(f(0), framework(&["r"]));
    lab.sched
        .recover(lab.now, f(0), a(0), &of_role("cpus:4;mem:1024", "s"), None);
    assert!(
        lab.offers().is_empty(),
        "role r has refused it and role s is left"
    );
}

#[test]
fn a_change_of_an_agent_ends_refusals_on_it() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    let grant = lab.cycle().remove(0);
    lab.decline(&grant, 3600 * SECOND);
    lab.sched.update_agent_total(a(0), res("cpus:4;mem:1000"));
    assert_eq!(lab.offers(), ["f0@a0 r: cpus:4; mem:1000"]);
}

#[test]
fn crumbs_are_not_offered() {
    let mut lab = Lab::new();
    lab.framework(0, &["r"])
        .agent(0, "cpus:0.009;mem:31;disk:1000");
    assert!(lab.offers().is_empty());
    lab.agent(1, "cpus:0.01;mem:1")
        .agent(2, "cpus:0.001;mem:32");
    assert_eq!(lab.offers().len(), 2);
}

#[test]
fn a_framework_sets_its_own_minimum() {
    let mut lab = Lab::new();
    lab.sched.add_framework(
        f(0),
        with_minimum(framework(&["r"]), "r", &["cpus:4", "mem:4096"]),
        true,
    );
    lab.agent(0, "cpus:2;mem:1024")
        .agent(1, "cpus:4;mem:1024")
        .agent(2, "cpus:1;mem:4096");
    assert_eq!(
        lab.offers(),
        ["f0@a1 r: cpus:4; mem:1024", "f0@a2 r: cpus:1; mem:4096"]
    );
}

#[test]
fn an_empty_minimum_takes_crumbs_and_no_more_than_crumbs() {
    let mut lab = Lab::new();
    lab.sched
        .add_framework(f(0), with_minimum(framework(&["r"]), "r", &[]), true);
    lab.agent(0, "disk:1").agent(1, "ports:[1-2]");
    assert_eq!(lab.offers(), ["f0@a0 r: disk:1", "f0@a1 r: ports:[1-2]"]);
}

#[test]
fn a_deactivated_agent_is_not_offered_until_it_is_activated() {
    let mut lab = Lab::new();
    lab.framework(0, &["r"]).agent(0, "cpus:4;mem:1024");
    lab.sched.deactivate_agent(a(0));
    assert!(lab.offers().is_empty());
    lab.sched.activate_agent(a(0));
    assert_eq!(lab.offers().len(), 1);
}

#[test]
fn an_agent_comes_back_with_what_is_used_of_it() {
    let mut lab = Lab::new();
    lab.framework(0, &["r"]).framework(1, &["s"]);
    lab.sched.add_agent(
        a(0),
        agent("cpus:4;mem:1024"),
        &[(f(0), of_role("cpus:1;mem:256", "r"))],
    );
    assert_eq!(
        lab.offers(),
        ["f1@a0 s: cpus:3; mem:768"],
        "what runs counts in the shares"
    );
    lab.sched.remove_agent(a(0));
    assert!(lab.offers().is_empty());
    assert!(lab.sched.totals().is_empty());
    let role = lab.sched.share_of("r").unwrap();
    assert!(role.held.is_empty() && role.consumed.is_empty());
}

#[test]
fn an_overcommitted_agent_offers_nothing_until_enough_is_free() {
    let mut lab = Lab::new();
    lab.framework(0, &["r"]).agent(0, "cpus:4;mem:1024");
    let grant = lab.cycle().remove(0);
    lab.accept(&grant, "cpus:4;mem:1024");
    lab.sched.update_agent_total(a(0), res("cpus:2;mem:1024"));
    assert!(lab.offers().is_empty());
    lab.sched
        .release(lab.now, f(0), a(0), &of_role("cpus:1", "r"));
    assert!(lab.offers().is_empty());
    lab.sched
        .release(lab.now, f(0), a(0), &of_role("cpus:3;mem:1024", "r"));
    assert_eq!(lab.offers(), ["f0@a0 r: cpus:2; mem:1024"]);
}

#[test]
fn what_a_removed_framework_held_is_offered_to_others() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    assert_eq!(lab.offers().len(), 1);
    lab.framework(1, &["s"]);
    lab.sched.remove_framework(f(0));
    assert_eq!(lab.offers(), ["f1@a0 s: cpus:4; mem:1024"]);
    lab.sched
        .recover(lab.now, f(0), a(0), &of_role("cpus:4;mem:1024", "r"), None);
    assert!(
        lab.offers().is_empty(),
        "a late return of what is gone changes nothing"
    );
    assert_eq!(lab.sched.stats().mismatches, 1);
}

#[test]
fn operators_see_consumption_without_offers() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024").framework(0, &["r"]);
    let grant = lab.cycle().remove(0);
    assert!(lab.sched.share_of("r").unwrap().consumed.is_empty());
    assert_eq!(
        lab.sched.share_of("r").unwrap().held.to_string(),
        "cpus:4; mem:1024"
    );
    lab.accept(&grant, "cpus:1;mem:256");
    assert_eq!(
        lab.sched.share_of("r").unwrap().consumed.to_string(),
        "cpus:1; mem:256"
    );
    lab.sched
        .recover(lab.now, f(0), a(0), &of_role("cpus:1;mem:256", "r"), None);
    assert!(
        lab.sched.share_of("r").unwrap().consumed.is_empty(),
        "what is not held is not used"
    );
}

#[test]
fn tiny_amounts_are_accounted_exactly() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:1;mem:1024").framework(0, &["r"]);
    for _ in 0..50 {
        let grant = lab.cycle().remove(0);
        lab.accept(&grant, "cpus:0.001;mem:1");
    }
    assert_eq!(lab.offers(), ["f0@a0 r: cpus:0.95; mem:974"]);
}

#[test]
fn a_copy_of_the_ledger_goes_the_same_way() {
    let mut lab = Lab::new();
    lab.agent(0, "cpus:4;mem:1024")
        .agent(1, "cpus:4;mem:1024")
        .framework(0, &["r"])
        .framework(1, &["s"]);
    let mut copy = lab.sched.clone();
    let mut grants = Vec::new();
    copy.allocate(lab.now, &mut grants);
    assert_eq!(grants, lab.cycle());
    assert_eq!(copy, lab.sched);
}
