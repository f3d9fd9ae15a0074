//! Behaviours 85 and 104 to 108: agents that die and come back, and the fetcher.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Lab, SILENCE, executor_task, info, sleeper, task, with, without};
use mezz_testkit::framework::Acknowledging;
use mezz_testkit::wait::eventually;
use mezz_testkit::{Encoding, Executor};
use serde_json::{Value, json};

fn shown(lab: &Lab, task: &str) -> Value {
    let state = lab.client().get("/state").unwrap().json();
    let tasks = state["frameworks"][0]["tasks"].as_array().unwrap().clone();
    tasks
        .into_iter()
        .find(|one| one["id"] == task)
        .unwrap_or_default()
}

/// Behaviour 105.
#[test]
fn an_update_without_acknowledgement_is_sent_again_after_a_restart_of_the_agent() {
    let mut lab = Lab::start();
    let mut framework = lab
        .framework(Encoding::Json)
        .acknowledging(Acknowledging::ByHand);
    let offer = framework.next_offer();
    framework.launch(&offer, &[sleeper(&offer, "t")]);
    let first = framework.wait_for("t", "TASK_STARTING");
    lab.kill_agent();
    lab.start_agent(&[]);
    let again = loop {
        let status = framework.wait_for_event("UPDATE")["update"]["status"].clone();
        if status["source"] == "SOURCE_EXECUTOR" {
            break status;
        }
    };
    assert_eq!(
        (&again["state"], &again["uuid"]),
        (&first["state"], &first["uuid"])
    );
    framework.acknowledge(&again);
    framework.wait_for("t", "TASK_RUNNING");
}

/// Behaviour 105.
#[test]
fn an_executor_comes_back_with_what_it_held_after_a_restart_of_the_agent() {
    let mut lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let task = executor_task(&offer, "t", "e");
        framework.launch(&offer, &[task]);
        let mut executor = lab.executor(encoding, framework.id(), "e");
        let told = executor.wait_for_event("LAUNCH")["launch"]["task"].clone();
        executor.update("t", "TASK_RUNNING");
        executor.wait_for_event("ACKNOWLEDGED");
        framework.wait_for("t", "TASK_RUNNING");
        let held = executor.status("t", "TASK_FINISHED");
        lab.kill_agent();
        lab.start_agent(&["--executor-reregistration-timeout=10secs"]);
        let contents =
            json!({"unacknowledged_tasks": [told], "unacknowledged_updates": [{"status": held}]});
        let agent = lab.agent_client();
        let _back = eventually("the agent takes the executor back", || {
            Executor::subscribe_with(encoding, &agent, framework.id(), "e", &contents).ok()
        });
        framework.wait_for("t", "TASK_FINISHED");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 106.
#[test]
fn a_task_whose_executor_does_not_come_back_gets_a_terminal_update() {
    let mut lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
    let mut executor = lab.executor(Encoding::Json, framework.id(), "e");
    executor.wait_for_event("LAUNCH");
    executor.update("t", "TASK_RUNNING");
    framework.wait_for("t", "TASK_RUNNING");
    lab.kill_agent();
    lab.start_agent(&["--executor-reregistration-timeout=300ms"]);
    let status = loop {
        let status = framework.wait_for_event("UPDATE")["update"]["status"].clone();
        if status["state"] != "TASK_RUNNING" {
            break status;
        }
    };
    assert_eq!(status["state"], "TASK_GONE");
    assert_eq!(status["reason"], "REASON_EXECUTOR_REREGISTRATION_TIMEOUT");
}

/// Behaviour 106: the exit of a command task that nobody saw is told after the restart.
#[test]
fn an_exit_during_the_absence_of_the_agent_is_told_after_its_restart() {
    let mut lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let (go, gone) = (
        lab.cluster.folder().join("go"),
        lab.cluster.folder().join("gone"),
    );
    let command = format!(
        "while [ ! -e {} ]; do sleep 0.02; done; touch {}; exit 7",
        go.display(),
        gone.display()
    );
    framework.launch(&offer, &[task(&offer, "t", &command, 0.1)]);
    framework.wait_for("t", "TASK_RUNNING");
    lab.kill_agent();
    std::fs::write(&go, "").unwrap();
    eventually("the task has ended", || gone.exists().then_some(()));
    lab.start_agent(&[]);
    let status = framework.wait_for("t", "TASK_FAILED");
    assert_eq!(status["message"], "Command exited with status 7");
}

/// Behaviour 107, without a reboot: the id of an agent outlives its process.
#[test]
fn an_agent_keeps_its_id_over_a_restart() {
    let mut lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let agent = lab.agent_client();
    eventually("the agent has heard of its id", || {
        let state = agent.get("/state").unwrap().json();
        (state["id"] == offer["agent_id"]["value"]).then_some(())
    });
    lab.kill_agent();
    lab.start_agent(&[]);
    let again = loop {
        let next = framework.next_offer();
        if next["id"] != offer["id"] {
            break next;
        }
    };
    assert_eq!(again["agent_id"], offer["agent_id"]);
}

/// Behaviour 107. The agents run in mount namespaces of their own, with a boot id that the test has written.
#[test]
fn a_reboot_ends_the_tasks_and_the_agent_keeps_its_id_unless_it_has_changed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can show an agent another boot id");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (program, boot_id) = (folder.path().join("mezz"), folder.path().join("boot_id"));
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {boot_id} /proc/sys/kernel/random/boot_id && exec {mezz} \"$@\"' mezz \"$@\"\n",
        boot_id = boot_id.display(),
        mezz = env!("CARGO_BIN_EXE_mezz"),
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(
        &program,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    std::fs::write(&boot_id, "first\n").unwrap();
    let mut lab = Lab::run_by(&program);
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let agent = offer["agent_id"].clone();
    framework.launch(&offer, &[sleeper(&offer, "t")]);
    framework.wait_for("t", "TASK_RUNNING");

    lab.kill_agent();
    std::fs::write(&boot_id, "second\n").unwrap();
    lab.start_agent(&[]);
    let last = framework.wait_for("t", "TASK_FAILED");
    assert_eq!(last["agent_id"], agent);
    let offer = framework.next_offer();
    assert_eq!(offer["agent_id"], agent, "a reboot alone changes nothing");
    framework.decline(&offer, 0.0);

    lab.kill_agent();
    std::fs::write(&boot_id, "third\n").unwrap();
    lab.start_agent(&["--attributes=rack:b"]);
    let offer = eventually("an offer of the changed agent", || {
        let offer = framework.next_offer();
        (!offer["attributes"].is_null()).then_some(offer)
    });
    assert_ne!(offer["agent_id"], agent, "another agent, for all we know");
}

/// Behaviour 108.
#[test]
fn a_kill_while_the_agent_was_away_is_carried_out_on_its_return() {
    let mut lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        framework.wait_for("t", "TASK_RUNNING");
        lab.kill_agent();
        lab.state_where("the agent is disconnected", |state| {
            state["slaves"]
                .as_array()
                .unwrap()
                .iter()
                .all(|agent| agent["active"] == false)
        });
        framework.kill("t");
        lab.start_agent(&[]);
        framework.wait_for("t", "TASK_KILLED");
        framework.accepted("TEARDOWN", None);
    }
}

/// A task of a checkpointing framework goes on while its agent is away, one of another framework ends with it.
#[test]
fn only_tasks_of_checkpointing_frameworks_survive_their_agent() {
    let mut lab = Lab::start();
    let mut keeps = lab.framework(Encoding::Json);
    let offer = keeps.next_offer();
    keeps.launch(&offer, &[sleeper(&offer, "kept")]);
    keeps.wait_for("kept", "TASK_RUNNING");
    let rest = keeps.next_offer();
    keeps.decline(&rest, 600.0);
    let info = with(without(info("dev"), "checkpoint"), "name", json!("forgets"));
    let mut forgets = lab.framework_with(Encoding::Json, &info);
    let offer = forgets.next_offer();
    forgets.launch(&offer, &[sleeper(&offer, "lost")]);
    forgets.wait_for("lost", "TASK_RUNNING");
    lab.kill_agent();
    let status = loop {
        let status = forgets.wait_for_event("UPDATE")["update"]["status"].clone();
        if status["state"] != "TASK_RUNNING" {
            break status;
        }
    };
    assert_eq!(status["source"], "SOURCE_MASTER");
    assert_eq!(status["reason"], "REASON_AGENT_DISCONNECTED");
    lab.start_agent(&[]);
    keeps.events_within(SILENCE);
    assert_eq!(keeps.states_of("kept"), ["TASK_STARTING", "TASK_RUNNING"]);
    assert_eq!(shown(&lab, "kept")["state"], "TASK_RUNNING");
}

/// A task is fetched its files before it starts.
#[test]
fn files_are_in_the_sandbox_before_the_task_starts() {
    let lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let source = lab.cluster.folder().join("input.txt");
    std::fs::write(&source, "fetched").unwrap();
    let mut one = task(&offer, "t", "grep -q fetched renamed.txt", 0.1);
    one["command"]["uris"] = json!([{"value": source, "output_file": "renamed.txt"}]);
    let mut bad = task(&offer, "bad", "true", 0.1);
    bad["command"]["uris"] = json!([{"value": "/nowhere/to/be/found"}]);
    framework.launch(&offer, &[one, bad]);
    framework.wait_for("t", "TASK_FINISHED");
    let status = framework.wait_for("bad", "TASK_FAILED");
    assert_eq!(status["reason"], "REASON_CONTAINER_LAUNCH_FAILED");
}

/// Behaviour 109.
#[test]
fn resources_and_attributes_may_be_added_while_a_task_runs() {
    let agent = ["--resources=cpus:2;mem:512;disk:0", "--attributes=rack:a"];
    let mut lab = Lab::with(&[], &agent);
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    framework.launch(&offer, &[sleeper(&offer, "t")]);
    framework.wait_for("t", "TASK_RUNNING");
    lab.kill_agent();
    lab.start_agent(&[
        "--resources=cpus:4;mem:512;disk:0;licences:3",
        "--attributes=rack:a;zone:z",
        "--reconfiguration-policy=additive",
    ]);
    let state = lab.state_where("the agent is back with more", |state| {
        state["slaves"][0]["resources"]["cpus"] == 4.0
    });
    assert_eq!(state["slaves"][0]["resources"]["licences"], 3.0);
    assert_eq!(state["slaves"][0]["attributes"]["zone"], "z");
    assert_eq!(shown(&lab, "t")["state"], "TASK_RUNNING");
    // What was added is offered.
    while lab::amount(&framework.next_offer(), "cpus") < 2.0 {}
    framework.kill("t");
    framework.wait_for("t", "TASK_KILLED");
}

/// Behaviour 109.
#[test]
fn an_agent_that_comes_back_with_less_is_refused_by_the_name_of_what_it_lacks() {
    let mut lab = Lab::with(&[], &["--resources=cpus:2;mem:512;disk:0"]);
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    framework.launch(&offer, &[sleeper(&offer, "t")]);
    framework.wait_for("t", "TASK_RUNNING");
    lab.kill_agent();
    let mut agent = lab.another_agent(
        "agent",
        &[
            "--resources=cpus:1;mem:512;disk:0",
            "--reconfiguration-policy=additive",
        ],
    );
    let status = agent.ended_within(mezz_testkit::wait::PATIENCE).unwrap();
    assert_eq!(status.code(), Some(1));
    let said = agent.lines().concat();
    assert!(said.contains("resource 'cpus' became less"), "{said}");
    // The task has not suffered from the attempt.
    lab.start_agent(&["--resources=cpus:2;mem:512;disk:0"]);
    framework.kill("t");
    framework.wait_for("t", "TASK_KILLED");
}
