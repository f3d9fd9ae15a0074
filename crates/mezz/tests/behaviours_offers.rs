//! Behaviours 47 to 52: offers.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Lab, SILENCE, amount, capable, info, sleeper, task};
use mezz_testkit::framework::{Framework, framework_info};
use mezz_testkit::{Daemon, Encoding};
use serde_json::{Value, json};

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() < 0.000_5
}

fn launch(tasks: &[Value]) -> Value {
    json!([{"type": "LAUNCH", "launch": {"task_infos": tasks}}])
}

/// Launches a small task on the first offer, so that its rest comes as a second offer of the same agent when the
/// task has ended.
fn two_offers_of_one_agent(framework: &mut Framework) -> [Value; 2] {
    let first = framework.next_offer();
    framework.launch(&first, &[task(&first, "opener", "exit 0", 4.0)]);
    let rest = framework.next_offer();
    framework.wait_for("opener", "TASK_FINISHED");
    let freed = framework.next_offer();
    assert_eq!(rest["agent_id"], freed["agent_id"]);
    [rest, freed]
}

/// Behaviour 47.
#[test]
fn two_offers_of_one_agent_are_used_together() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let [rest, freed] = two_offers_of_one_agent(&mut framework);
        let whole = task(&rest, "t", "exec sleep 600", 8.0);
        framework.accept(&[&rest, &freed], &launch(&[whole]));
        framework.wait_for("t", "TASK_RUNNING");
        framework.accepted("TEARDOWN", None);
    }
}

/// What frameworks with and without partition awareness hear of a launch on bad offers.
fn kinds() -> [(Value, &'static str); 2] {
    [
        (info("dev"), "TASK_DROPPED"),
        (capable(info("dev"), &["MULTI_ROLE"]), "TASK_LOST"),
    ]
}

fn assert_invalid(framework: &mut Framework, offers: &[&Value], state: &str) {
    framework.accept(offers, &launch(&[sleeper(offers[0], "bad")]));
    let status = framework.wait_for("bad", state);
    assert_eq!(status["reason"], "REASON_INVALID_OFFERS");
    assert_eq!(status["source"], "SOURCE_MASTER");
    // The offers are used up, and the resources are offered again.
    let again = framework.next_offer();
    assert!(offers.iter().all(|offer| offer["id"] != again["id"]));
}

/// Behaviour 48.
#[test]
fn offers_of_two_agents_cannot_be_used_together() {
    let mut lab = Lab::start();
    let _other: Daemon = lab.another_agent("other", &[]);
    for encoding in Encoding::BOTH {
        for (info, state) in kinds() {
            let mut framework = lab.framework_with(encoding, &info);
            let (first, second) = (framework.next_offer(), framework.next_offer());
            assert_ne!(first["agent_id"], second["agent_id"]);
            assert_invalid(&mut framework, &[&first, &second], state);
            framework.accepted("TEARDOWN", None);
        }
    }
}

/// Behaviour 49.
#[test]
fn an_offer_cannot_be_named_twice() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        for (info, state) in kinds() {
            let mut framework = lab.framework_with(encoding, &info);
            let offer = framework.next_offer();
            assert_invalid(&mut framework, &[&offer, &offer], state);
            framework.accepted("TEARDOWN", None);
        }
    }
}

/// Behaviour 49.
#[test]
fn offers_of_two_roles_cannot_be_used_together() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework_with(encoding, &framework_info("two", &["dev", "ops"]));
        let first = framework.next_offer();
        framework.launch(&first, &[task(&first, "opener", "exec sleep 600", 4.0)]);
        let second = framework.next_offer();
        framework.kill("opener");
        let third = framework.next_offer();
        assert_ne!(second["allocation_info"], third["allocation_info"]);
        assert_invalid(&mut framework, &[&second, &third], "TASK_DROPPED");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 50.
#[test]
fn an_unanswered_offer_is_rescinded_and_made_again() {
    let lab = Lab::with(&["--offer-timeout=300ms"], &[]);
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let first = framework.next_offer();
        let rescind = framework.wait_for_event("RESCIND");
        assert_eq!(rescind["rescind"]["offer_id"], first["id"]);
        let second = framework.next_offer();
        assert_ne!(second["id"], first["id"]);
        assert_eq!(second["resources"], first["resources"]);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 51.
#[test]
fn an_answered_offer_is_not_rescinded() {
    let lab = Lab::with(&["--offer-timeout=300ms"], &[]);
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        framework.accepted("SUPPRESS", None);
        framework.accepted("REVIVE", None);
        let offer = framework.next_offer();
        framework.accepted("SUPPRESS", None);
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        let events = framework.events_within(2 * SILENCE);
        assert!(
            events.iter().all(|event| event["type"] != "RESCIND"),
            "{events:?}"
        );
        framework.accepted("REVIVE", None);
        let offer = framework.next_offer();
        framework.accepted("SUPPRESS", None);
        framework.decline(&offer, 0.0);
        let events = framework.events_within(2 * SILENCE);
        assert!(
            events.iter().all(|event| event["type"] != "RESCIND"),
            "{events:?}"
        );
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 52.
#[test]
fn the_unused_part_of_an_offer_is_offered_again() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[task(&offer, "t", "exec sleep 600", 2.5)]);
        let rest = framework.next_offer();
        assert!(near(amount(&rest, "cpus"), 5.5), "{rest}");
        assert!(near(amount(&rest, "mem"), 8000.0 - 32.0), "{rest}");
        framework.accepted("TEARDOWN", None);
    }
}
