//! Behaviours 53 to 64: the checks of a launch.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Lab, amount, executor_task, scalar, sleeper, task, with, without};
use mezz_testkit::framework::{Acknowledging, Framework, framework_info};
use mezz_testkit::wait::eventually;
use mezz_testkit::{Daemon, Encoding};
use serde_json::{Value, json};

/// Refuses the task, and checks that its resources come back whole.
#[track_caller]
fn assert_refused(framework: &mut Framework, task: &Value, words: &str) {
    let offer = framework.next_offer();
    let id = task["task_id"]["value"].as_str().unwrap().to_owned();
    let mut task = task.clone();
    task["agent_id"] = offer["agent_id"].clone();
    framework.launch(&offer, &[task]);
    let status = framework.wait_for(&id, "TASK_ERROR");
    assert_eq!(status["reason"], "REASON_TASK_INVALID");
    assert_eq!(status["source"], "SOURCE_MASTER");
    assert_eq!(status.get("uuid"), None);
    let message = status["message"].as_str().unwrap();
    assert!(message.contains(words), "{message}");
    let again = framework.next_offer();
    assert_eq!(again["resources"], offer["resources"]);
    framework.decline(&again, 0.0);
}

/// Behaviours 53, 54, 55 and 57.
#[test]
fn a_task_that_breaks_a_rule_is_refused_and_its_resources_come_back() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.decline(&offer, 0.0);
        let good = |id: &str| sleeper(&offer, id);
        let with_executor = executor_task(&offer, "bad", "e")["executor"].clone();
        let both = "should have at least one (but not both) of CommandInfo or ExecutorInfo present";
        let cases = [
            (
                with(good("a"), "resources", json!([])),
                "Task uses no resources",
            ),
            (task(&offer, "b", "true", 9999.0), "more than available"),
            (without(good("c"), "command"), both),
            (with(good("d"), "executor", with_executor), both),
            (good("a/b"), "contains invalid characters"),
            (good(".."), "'..' is disallowed"),
            (good(&"x".repeat(256)), "255"),
            (
                with(
                    good("e"),
                    "resources",
                    json!([scalar(&offer, "cpus", -1.0)]),
                ),
                "invalid resources",
            ),
        ];
        for (task, words) in &cases {
            assert_refused(&mut framework, task, words);
        }
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 55: a task for another agent than the offer's.
#[test]
fn a_task_for_another_agent_is_refused() {
    let lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let other = with(sleeper(&offer, "t"), "agent_id", json!({"value": "other"}));
    framework.launch(&offer, &[other]);
    let status = framework.wait_for("t", "TASK_ERROR");
    assert_eq!(status["reason"], "REASON_TASK_INVALID");
}

/// Behaviour 56.
#[test]
fn a_second_task_of_the_same_id_is_refused_and_the_first_goes_on() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        framework.wait_for("t", "TASK_RUNNING");
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        let status = framework.wait_for("t", "TASK_ERROR");
        assert_eq!(status["message"], "Task has duplicate ID: t");
        let asked = json!({"tasks": [{"task_id": {"value": "t"}}]});
        framework.accepted("RECONCILE", Some(asked));
        let answer = framework.wait_for_event("UPDATE")["update"]["status"].clone();
        assert_eq!(answer["state"], "TASK_RUNNING");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 58.
#[test]
fn an_executor_id_in_use_on_an_agent_cannot_come_with_other_contents() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[executor_task(&offer, "one", "e")]);
        let mut executor = lab.executor(encoding, framework.id(), "e");
        executor.wait_for_event("LAUNCH");
        let offer = framework.next_offer();
        let mut other = executor_task(&offer, "two", "e");
        other["executor"]["command"]["value"] = json!("exit 1");
        framework.launch(&offer, &[other]);
        let status = framework.wait_for("two", "TASK_ERROR");
        assert_eq!(status["reason"], "REASON_TASK_INVALID");
        let offer = framework.next_offer();
        framework.launch(&offer, &[executor_task(&offer, "three", "e")]);
        let launch = executor.wait_for_event("LAUNCH");
        assert_eq!(launch["launch"]["task"]["task_id"]["value"], "three");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 59.
#[test]
fn the_id_of_an_unreachable_task_cannot_be_used_again() {
    let mut lab = Lab::with(
        &[
            "--agent-ping-timeout=100ms",
            "--max-agent-ping-timeouts=2",
            "--agent-reregister-timeout=200ms",
        ],
        &[],
    );
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    framework.launch(&offer, &[sleeper(&offer, "t")]);
    framework.wait_for("t", "TASK_RUNNING");
    lab.kill_agent();
    framework.wait_for("t", "TASK_UNREACHABLE");
    let _other: Daemon = lab.another_agent("other", &[]);
    let offer = loop {
        let next = framework.next_offer();
        if next["agent_id"] != offer["agent_id"] {
            break next;
        }
    };
    framework.launch(&offer, &[sleeper(&offer, "t")]);
    let status = framework.wait_for("t", "TASK_ERROR");
    assert_eq!(status["reason"], "REASON_TASK_INVALID");
}

/// Behaviour 62.
#[test]
fn thousandths_are_counted_exactly() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let tasks: Vec<Value> = (0..3)
            .map(|number| task(&offer, &format!("t{number}"), "exec sleep 600", 0.001))
            .collect();
        framework.launch(&offer, &tasks);
        for task in ["t0", "t1", "t2"] {
            framework.wait_for(task, "TASK_RUNNING");
        }
        let rest = framework.next_offer();
        assert!((amount(&rest, "cpus") - 7.997).abs() < 1e-9, "{rest}");
        let used = lab.state_where("the use is shown", |state| {
            state["slaves"][0]["used_resources"]["cpus"] == 0.003
        });
        assert_eq!(used["slaves"][0]["used_resources"]["mem"], 96.0);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 63.
#[test]
fn each_role_of_a_framework_is_served_with_one_role_to_an_offer() {
    let mut lab = Lab::start();
    let _other: Daemon = lab.another_agent("other", &[]);
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework_with(encoding, &framework_info("two", &["dev", "ops"]));
        let mut roles = Vec::new();
        for _ in 0..2 {
            let offer = framework.next_offer();
            let role = offer["allocation_info"]["role"]
                .as_str()
                .unwrap()
                .to_owned();
            for resource in offer["resources"].as_array().unwrap() {
                assert_eq!(resource["allocation_info"]["role"], role.as_str());
            }
            roles.push(role);
        }
        roles.sort();
        assert_eq!(roles, ["dev", "ops"]);
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 64.
#[test]
fn a_terminal_update_frees_the_resources_without_its_acknowledgement() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding).acknowledging(Acknowledging::ByHand);
        let offer = framework.next_offer();
        framework.launch(&offer, &[task(&offer, "t", "exit 0", 4.0)]);
        for state in ["TASK_STARTING", "TASK_RUNNING"] {
            let status = framework.wait_for("t", state);
            framework.acknowledge(&status);
        }
        framework.wait_for("t", "TASK_FINISHED");
        let agent = lab.client();
        eventually("everything is offered or free", || {
            let state = agent.get("/state").unwrap().json();
            (state["slaves"][0]["used_resources"]["cpus"] == 0.0).then_some(())
        });
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 64: the totals of a framework come back to nothing although both agents give the same ports.
#[test]
fn the_same_ports_of_two_agents_are_given_back() {
    let mut lab = Lab::start();
    let _other: Daemon = lab.another_agent("other", &[]);
    let mut framework = lab.framework(Encoding::Json);
    let offers = [framework.next_offer(), framework.next_offer()];
    for (number, offer) in offers.iter().enumerate() {
        let mut task = sleeper(offer, &format!("t{number}"));
        let ports = json!({
            "name": "ports", "type": "RANGES", "allocation_info": offer["allocation_info"],
            "ranges": {"range": [{"begin": 31000, "end": 31001}]},
        });
        task["resources"].as_array_mut().unwrap().push(ports);
        framework.launch(offer, &[task]);
    }
    for task in ["t0", "t1"] {
        framework.wait_for(task, "TASK_RUNNING");
        framework.kill(task);
    }
    for task in ["t0", "t1"] {
        framework.wait_for(task, "TASK_KILLED");
    }
    lab.state_where("nothing is used", |state| {
        state["frameworks"][0]["used_resources"]["cpus"] == 0.0
    });
}
