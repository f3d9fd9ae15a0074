//! Behaviours 17, 20, 61, 100 and 101: task groups, whose executor is the agent itself.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Lab, info, scalar, task, with, without};
use mezz_testkit::framework::Framework;
use mezz_testkit::wait::eventually;
use mezz_testkit::{Client, Encoding};
use serde_json::{Value, json};

fn pod(framework: &Framework, offer: &Value, id: &str) -> Value {
    json!({
        "type": "DEFAULT", "executor_id": {"value": id},
        "framework_id": {"value": framework.id()},
        "resources": [
            scalar(offer, "cpus", 0.1), scalar(offer, "mem", 32.0), scalar(offer, "disk", 32.0),
        ],
    })
}

fn launch(framework: &Framework, offer: &Value, executor: &Value, tasks: &[Value]) {
    let group = json!({"executor": executor, "task_group": {"tasks": tasks}});
    let operation = json!([{"type": "LAUNCH_GROUP", "launch_group": group}]);
    framework.accept(&[offer], &operation);
}

fn sleeper(offer: &Value, id: &str) -> Value {
    task(offer, id, "exec sleep 600", 0.1)
}

/// A volume that is one for all of the pod.
fn sharing(mut task: Value) -> Value {
    task["container"] = json!({"type": "MESOS", "volumes": [{
        "mode": "RW", "container_path": "shared",
        "source": {"type": "SANDBOX_PATH", "sandbox_path": {"type": "PARENT", "path": "data"}},
    }]});
    task
}

fn states(framework: &Framework, task: &str) -> Vec<String> {
    let states = framework.states_of(task);
    states.into_iter().map(str::to_owned).collect()
}

fn read(agent: &Client, path: &str) -> String {
    let url = format!("/files/download?path={}", path.replace('/', "%2F"));
    agent.get(&url).unwrap().text()
}

fn executors(agent: &Client, field: &str) -> Vec<Value> {
    let state = agent.get("/state").unwrap().json();
    let frameworks = ["frameworks", "completed_frameworks"];
    let frameworks = frameworks
        .iter()
        .flat_map(|list| state[list].as_array().unwrap().clone());
    frameworks
        .flat_map(|framework| framework[field].as_array().unwrap().clone())
        .collect()
}

/// Behaviour 17: three tasks, one folder, and what clients see of it.
#[test]
fn a_pod_of_three_shares_a_volume_and_is_shown_with_its_tasks() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let executor = pod(&framework, &offer, "pod");
        let say = |id: &str| {
            let script = format!(
                "echo {id} > shared/{id}; until [ -e shared/a ] && [ -e shared/b ] && [ -e shared/c ]; do sleep 0.02; done; cat shared/a shared/b shared/c; exec sleep 600"
            );
            sharing(task(&offer, id, &script, 0.1))
        };
        launch(&framework, &offer, &executor, &["a", "b", "c"].map(say));
        for id in ["a", "b", "c"] {
            let status = framework.wait_for(id, "TASK_RUNNING");
            assert_eq!(status["executor_id"]["value"], "pod");
            assert_eq!(status["source"], "SOURCE_EXECUTOR");
            let container = &status["container_status"]["container_id"];
            assert!(container["parent"]["value"].is_string(), "{container}");
            assert_eq!(states(&framework, id), ["TASK_STARTING", "TASK_RUNNING"]);
        }
        let agent = lab.agent_client();
        let shown = executors(&agent, "executors");
        assert_eq!(shown.len(), 1);
        assert_eq!(
            (&shown[0]["id"], &shown[0]["type"]),
            (&json!("pod"), &json!("DEFAULT"))
        );
        assert_eq!(shown[0]["tasks"].as_array().unwrap().len(), 3);
        assert!((shown[0]["resources"]["cpus"].as_f64().unwrap() - 0.4).abs() < 1e-9);
        let directory = shown[0]["directory"].as_str().unwrap().to_owned();
        eventually("all three have met", || {
            let said =
                ["a", "b", "c"].map(|id| read(&agent, &format!("{directory}/tasks/{id}/stdout")));
            said.iter().all(|said| said == "a\nb\nc\n").then_some(())
        });
        let container = framework.updates_of("a")[0]["container_status"]["container_id"].clone();
        let own = container["value"].as_str().unwrap();
        assert_eq!(
            read(&agent, &format!("{directory}/containers/{own}/stdout")),
            "a\nb\nc\n"
        );
        assert_eq!(read(&agent, &format!("{directory}/data/b")), "b\n");

        let state = lab.client().get("/state").unwrap().json();
        let tasks = &state["frameworks"][0]["tasks"];
        assert!(
            tasks
                .as_array()
                .unwrap()
                .iter()
                .all(|task| task["executor_id"] == "pod")
        );
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviours 100 and 101.
#[test]
fn killing_or_failing_one_task_of_a_group_ends_the_group_and_spares_the_others() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let executor = pod(&framework, &offer, "pod");
        launch(
            &framework,
            &offer,
            &executor,
            &[sleeper(&offer, "a"), sleeper(&offer, "b")],
        );
        framework.wait_for("b", "TASK_RUNNING");
        let offer = framework.next_offer();
        let gate = lab.cluster.folder().join(format!("gate-{encoding:?}"));
        let script = format!(
            "until [ -e {} ]; do sleep 0.02; done; exit 3",
            gate.display()
        );
        let failing = task(&offer, "c", &script, 0.1);
        launch(
            &framework,
            &offer,
            &executor,
            &[failing, sleeper(&offer, "d")],
        );
        framework.wait_for("d", "TASK_RUNNING");
        let offer = framework.next_offer();
        launch(&framework, &offer, &executor, &[sleeper(&offer, "e")]);
        framework.wait_for("e", "TASK_RUNNING");
        framework.kill("a");
        framework.wait_for("a", "TASK_KILLED");
        framework.wait_for("b", "TASK_KILLED");
        std::fs::write(gate, "").unwrap();
        let failed = framework.wait_for("c", "TASK_FAILED");
        assert_eq!(failed["message"], "Command exited with status 3");
        framework.wait_for("d", "TASK_KILLED");
        assert_eq!(states(&framework, "e"), ["TASK_STARTING", "TASK_RUNNING"]);
        framework.kill("e");
        let ended = framework.wait_for_event("FAILURE")["failure"].clone();
        assert_eq!(
            (&ended["executor_id"]["value"], &ended["status"]),
            (&json!("pod"), &json!(0))
        );
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviours 20 and 61.
#[test]
fn a_group_that_breaks_a_rule_is_refused_whole_and_its_resources_come_back() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let mut offer = framework.next_offer();
        let group = json!({
            "executor": pod(&framework, &offer, "pod"),
            "task_group": {"tasks": [sleeper(&offer, "with-id")]},
        });
        let operation =
            json!([{"type": "LAUNCH_GROUP", "id": {"value": "x"}, "launch_group": group}]);
        framework.accept(&[&offer], &operation);
        framework.wait_for("with-id", "TASK_ERROR");
        offer = framework.next_offer();
        let executor = pod(&framework, &offer, "pod");
        let docker = json!({"type": "DOCKER", "docker": {"image": "busybox"}});
        let other = with(executor.clone(), "name", json!("other"));
        let good = sleeper(&offer, "b");
        let cases = [
            (
                executor.clone(),
                with(good.clone(), "container", docker),
                "Docker ContainerInfo is not supported on the task",
            ),
            (
                executor.clone(),
                with(good.clone(), "executor", other),
                "is different from executor 'pod'",
            ),
            (
                without(executor.clone(), "resources"),
                good.clone(),
                "uses less CPUs (None) than the minimum required (0.01)",
            ),
            (
                without(executor.clone(), "type"),
                good,
                "'ExecutorInfo.type' must be set",
            ),
        ];
        for (number, (executor, second, words)) in cases.into_iter().enumerate() {
            let ids = ["a", "b"].map(|id| format!("{id}{number}"));
            let second = with(second, "task_id", json!({"value": ids[1]}));
            launch(
                &framework,
                &offer,
                &executor,
                &[sleeper(&offer, &ids[0]), second],
            );
            for id in &ids {
                let status = framework.wait_for(id, "TASK_ERROR");
                assert_eq!(status["reason"], "REASON_TASK_GROUP_INVALID");
                let message = status["message"].as_str().unwrap();
                assert!(message.contains(words), "{message}");
            }
            let again = framework.next_offer();
            assert_eq!(again["resources"], offer["resources"]);
            offer = again;
        }
        framework.accepted("TEARDOWN", None);
    }
}

#[test]
fn a_pod_outlives_its_agent_and_still_ends_as_one() {
    let mut lab = Lab::start();
    let checkpointing = with(info("test"), "checkpoint", json!(true));
    let mut framework = lab.framework_with(Encoding::Json, &checkpointing);
    let offer = framework.next_offer();
    let executor = pod(&framework, &offer, "pod");
    let gate = lab.cluster.folder().join("gate");
    let script = format!(
        "until [ -e {} ]; do sleep 0.02; done; exit 4",
        gate.display()
    );
    let tasks = [sleeper(&offer, "a"), task(&offer, "b", &script, 0.1)];
    launch(&framework, &offer, &executor, &tasks);
    framework.wait_for("a", "TASK_RUNNING");
    framework.wait_for("b", "TASK_RUNNING");
    lab.kill_agent();
    lab.start_agent(&[]);
    let shown = eventually("the agent knows its pod again", || {
        let shown = executors(&lab.agent_client(), "executors");
        (shown.len() == 1).then(|| shown[0].clone())
    });
    assert_eq!(shown["tasks"].as_array().unwrap().len(), 2);
    std::fs::write(gate, "").unwrap();
    let failed = framework.wait_for("b", "TASK_FAILED");
    assert_eq!(failed["executor_id"]["value"], "pod");
    framework.wait_for("a", "TASK_KILLED");
    eventually("the pod is gone", || {
        executors(&lab.agent_client(), "executors")
            .is_empty()
            .then_some(())
    });
}
