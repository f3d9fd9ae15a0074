//! Behaviours 88 to 104: executors, tasks and the fetcher.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Lab, SILENCE, capable, executor_task, info, sleeper, task, with};
use mezz_proto::v1::executor::Call;
use mezz_testkit::wait::eventually;
use mezz_testkit::{Client, Encoding, Executor, Framework, Request};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/executor";

fn subscribe() -> Value {
    json!({"type": "SUBSCRIBE", "framework_id": {"value": "f"}, "executor_id": {"value": "e"}, "subscribe": {}})
}

fn status(client: &Client, headers: &[(&str, &str)], body: &[u8]) -> u16 {
    let request = Request::new("POST", PATH).body(body.to_vec());
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    client.send(&request).unwrap().status
}

/// Behaviour 88.
#[test]
fn the_executor_api_refuses_bad_requests_like_the_scheduler_api() {
    let lab = Lab::start();
    let agent = lab.agent_client();
    for encoding in Encoding::BOTH {
        let kind = ("Content-Type", encoding.content_type());
        let body = encoding.encode::<Call>(&subscribe());
        assert_eq!(status(&agent, &[], &body), 400);
        assert_eq!(status(&agent, &[kind], b"garbage"), 400);
        assert_eq!(status(&agent, &[("Content-Type", "text/x")], &body), 415);
        let get = agent.get(PATH).unwrap();
        assert_eq!((get.status, get.header("Allow")), (405, Some("POST")));
    }
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
    for encoding in Encoding::BOTH {
        let _live = lab.executor(encoding, framework.id(), "e");
        let mut call = subscribe();
        call["framework_id"]["value"] = json!(framework.id());
        let kind = ("Content-Type", encoding.content_type());
        let body = encoding.encode::<Call>(&call);
        assert_eq!(status(&agent, &[kind, ("Accept", "foo")], &body), 406);
    }
}

/// Behaviour 89.
#[test]
fn the_executor_api_refuses_strangers_and_bad_updates() {
    let lab = Lab::start();
    let agent = lab.agent_client();
    for encoding in Encoding::BOTH {
        for (kind, field, contents) in [
            ("SUBSCRIBE", "subscribe", json!({})),
            ("MESSAGE", "message", json!({"data": "aGk="})),
        ] {
            let call = json!({"type": kind, field: contents, "framework_id": {"value": "f"}, "executor_id": {"value": "e"}});
            let answer = agent.send(&encoding.post::<Call>(PATH, &call)).unwrap();
            assert_eq!(answer.status, 400, "{kind}");
        }
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
        let mut executor = lab.executor(encoding, framework.id(), "e");
        executor.wait_for_event("LAUNCH");
        let good = executor.status("t", "TASK_RUNNING");
        let bad = [
            ("state", json!("TASK_STAGING")),
            ("source", json!("SOURCE_MASTER")),
            ("source", json!("SOURCE_AGENT")),
            ("executor_id", json!({"value": "other"})),
            ("uuid", json!("aGk=")),
        ];
        for (field, value) in bad {
            let update = with(good.clone(), field, value);
            let answer = executor.call("UPDATE", &json!({"status": update})).unwrap();
            assert_eq!(answer.status, 400, "{field}: {}", answer.text());
        }
        let answer = executor.call("UPDATE", &json!({"status": good})).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 90.
#[test]
fn executors_are_sent_heartbeats_on_their_newest_stream() {
    let lab = Lab::with(&[], &["--http-heartbeat-interval=100ms"]);
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
        let mut old = lab.executor(encoding, framework.id(), "e");
        for _ in 0..3 {
            old.wait_for_event("HEARTBEAT");
        }
        let mut new = lab.executor(encoding, framework.id(), "e");
        new.wait_for_event("HEARTBEAT");
        eventually("the old stream ends", || {
            matches!(old.try_next_event(), Ok(None) | Err(_)).then_some(())
        });
        new.wait_for_event("HEARTBEAT");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 91.
#[test]
fn task_killing_goes_only_to_frameworks_that_asked_for_it() {
    let lab = Lab::start();
    let asked = capable(info("dev"), &["MULTI_ROLE", "TASK_KILLING_STATE"]);
    for encoding in Encoding::BOTH {
        for (info, expected) in [
            (
                asked.clone(),
                vec![
                    "TASK_STARTING",
                    "TASK_RUNNING",
                    "TASK_KILLING",
                    "TASK_KILLED",
                ],
            ),
            (
                info("dev"),
                vec!["TASK_STARTING", "TASK_RUNNING", "TASK_KILLED"],
            ),
        ] {
            let mut framework = lab.framework_with(encoding, &info);
            let offer = framework.next_offer();
            framework.launch(&offer, &[sleeper(&offer, "t")]);
            framework.wait_for("t", "TASK_RUNNING");
            framework.kill("t");
            framework.wait_for("t", "TASK_KILLED");
            assert_eq!(framework.states_of("t"), expected);
            framework.accepted("TEARDOWN", None);
        }
    }
}

/// A network without a name is the host's, with or without a mapping of ports.
#[test]
fn a_container_on_the_hosts_network_is_launched() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let mapping = json!([{"host_port": 31_000, "container_port": 8888}]);
        let container = json!({"type": "MESOS", "network_infos": [{"port_mappings": mapping}]});
        let task = with(task(&offer, "t", "exit 0", 0.1), "container", container);
        framework.launch(&offer, &[task]);
        framework.wait_for("t", "TASK_FINISHED");
        let offer = framework.next_offer();
        let named = json!({"type": "MESOS", "network_infos": [{"name": "blue"}]});
        framework.launch(&offer, &[with(sleeper(&offer, "u"), "container", named)]);
        let status = framework.wait_for("u", "TASK_FAILED");
        let message = status["message"].as_str().unwrap();
        assert!(message.contains("container.network_infos"), "{message}");
        framework.accepted("TEARDOWN", None);
    }
}

/// Makes an archive of an image as `docker save` does.
const SAVE: &str = r#"
set -e
mkdir -p root/bin images
cp /bin/busybox root/bin/busybox
ln -s busybox root/bin/sh
tar -C root -cf layer.tar .
id=$(sha256sum layer.tar | cut -d' ' -f1)
printf '{"architecture":"amd64","os":"linux","config":{"Env":["COLOUR=blue"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$id" > config.json
printf '[{"Config":"config.json","RepoTags":["busybox:latest"],"Layers":["layer.tar"]}]' > manifest.json
tar --force-local -cf images/busybox:latest.tar manifest.json config.json layer.tar
"#;

/// Behaviour 120: a command task in an image.
#[test]
fn a_framework_runs_a_task_in_an_image() {
    if !rustix::process::geteuid().is_root() || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut script = std::process::Command::new("sh");
    let made = script
        .arg("-c")
        .arg(SAVE)
        .current_dir(folder.path())
        .status();
    assert!(made.unwrap().success());
    let registry = format!(
        "--docker-registry={}",
        folder.path().join("images").display()
    );
    let lab = Lab::with(&[], &["--image-providers=docker", &registry]);
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let image = json!({"type": "DOCKER", "docker": {"name": "busybox"}});
        let container = json!({"type": "MESOS", "mesos": {"image": image}});
        let command =
            "test $COLOUR = blue && test ! -e /usr && test $MESOS_SANDBOX = /mnt/mesos/sandbox";
        let task = with(task(&offer, "t", command, 0.1), "container", container);
        framework.launch(&offer, &[task]);
        framework.wait_for("t", "TASK_FINISHED");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 94.
#[test]
fn a_long_grace_does_not_delay_a_task_that_obeys() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let grace = json!({"grace_period": {"nanoseconds": 3_600_000_000_000_i64}});
        let task = with(sleeper(&offer, "t"), "kill_policy", grace);
        framework.launch(&offer, &[task]);
        framework.wait_for("t", "TASK_RUNNING");
        framework.kill("t");
        framework.wait_for("t", "TASK_KILLED");
        framework.accepted("TEARDOWN", None);
    }
}

/// A task that ignores SIGTERM is killed after its grace, with all that it started.
#[test]
fn a_task_that_ignores_sigterm_is_killed_after_its_grace() {
    let lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let grace = json!({"grace_period": {"nanoseconds": 200_000_000}});
    let stubborn = task(
        &offer,
        "t",
        "trap '' TERM; sleep 600 & while :; do sleep 1; done",
        0.1,
    );
    framework.launch(&offer, &[with(stubborn, "kill_policy", grace)]);
    framework.wait_for("t", "TASK_RUNNING");
    framework.kill("t");
    framework.wait_for("t", "TASK_KILLED");
}

fn stdout_of(lab: &Lab, framework: &Framework, task: &str) -> String {
    let path = format!(
        "/frameworks/{}/executors/{task}/runs/latest/stdout",
        framework.id()
    );
    let client = lab.agent_client();
    let answer = client.get(&format!("/files/download?path={path}")).unwrap();
    if answer.status == 200 {
        answer.text()
    } else {
        String::new()
    }
}

/// Behaviour 95.
#[test]
fn arguments_reach_a_task_without_a_shell_unchanged() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let arguments = ["printf", "%s\n", "$HOME", "a  b", "\"'", "ü", ""];
        let command = json!({"shell": false, "value": "/usr/bin/printf", "arguments": arguments});
        framework.launch(&offer, &[with(sleeper(&offer, "t"), "command", command)]);
        framework.wait_for("t", "TASK_FINISHED");
        assert_eq!(stdout_of(&lab, &framework, "t"), "$HOME\na  b\n\"'\nü\n\n");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 96.
#[test]
fn an_unknown_user_fails_the_task_and_not_the_agent() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let mut task = sleeper(&offer, "t");
        task["command"]["user"] = json!("no-such-user");
        framework.launch(&offer, &[task]);
        let status = framework.wait_for("t", "TASK_FAILED");
        assert!(
            status["message"].as_str().unwrap().contains("no-such-user"),
            "{status}"
        );
        let offer = framework.next_offer();
        framework.launch(&offer, &[lab::task(&offer, "u", "exit 0", 0.1)]);
        framework.wait_for("u", "TASK_FINISHED");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 97.
#[test]
fn an_executors_own_shutdown_grace_is_told_to_it_and_used() {
    let lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    let mut task = executor_task(&offer, "t", "e");
    task["executor"]["shutdown_grace_period"] = json!({"nanoseconds": 250_000_000});
    task["executor"]["command"]["value"] = json!("env; trap '' TERM; while :; do sleep 1; done");
    framework.launch(&offer, &[task]);
    let mut executor = lab.executor(Encoding::Json, framework.id(), "e");
    executor.wait_for_event("LAUNCH");
    let told = eventually("the executor has told its environment", || {
        let text = stdout_of(&lab, &framework, "e");
        text.contains("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD")
            .then_some(text)
    });
    assert!(
        told.contains("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=250ms"),
        "{told}"
    );
    let contents = json!({"executor_id": {"value": "e"}, "agent_id": offer["agent_id"]});
    framework.accepted("SHUTDOWN", Some(contents));
    executor.wait_for_event("SHUTDOWN");
    framework.wait_for_event("FAILURE");
}

/// The environment of a custom executor holds what Mesos sets.
#[test]
fn an_executor_finds_all_variables_of_mesos_in_its_environment() {
    let lab = Lab::start();
    let mut framework = lab.framework(Encoding::Json);
    let offer = framework.next_offer();
    framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
    let _executor = lab.executor(Encoding::Json, framework.id(), "e");
    let told = eventually("the executor has told its environment", || {
        let text = stdout_of(&lab, &framework, "e");
        text.contains("MESOS_CHECKPOINT").then_some(text)
    });
    for expected in [
        format!("MESOS_FRAMEWORK_ID={}", framework.id()),
        "MESOS_EXECUTOR_ID=e".to_owned(),
        format!("MESOS_AGENT_ENDPOINT={}", lab.agent_client().address()),
        format!("MESOS_SLAVE_PID=slave(1)@{}", lab.agent_client().address()),
        format!(
            "MESOS_SLAVE_ID={}",
            offer["agent_id"]["value"].as_str().unwrap()
        ),
        "MESOS_CHECKPOINT=1".to_owned(),
        "MESOS_RECOVERY_TIMEOUT=15mins".to_owned(),
        "MESOS_SUBSCRIPTION_BACKOFF_MAX=2secs".to_owned(),
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD=5secs".to_owned(),
        "MESOS_DIRECTORY=/".to_owned(),
        "MESOS_SANDBOX=/".to_owned(),
        "LIBPROCESS_PORT=0".to_owned(),
    ] {
        assert!(told.contains(&expected), "{expected} is not in\n{told}");
    }
}

/// Behaviour 98.
#[test]
fn an_executor_that_does_not_register_in_time_is_ended_with_that_reason() {
    let lab = Lab::with(&[], &["--executor-registration-timeout=300ms"]);
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
        let status = framework.wait_for("t", "TASK_FAILED");
        assert_eq!(status["reason"], "REASON_EXECUTOR_REGISTRATION_TIMEOUT");
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 99.
#[test]
fn a_kill_before_delivery_gives_task_killed_and_leaves_no_executor() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        let tasks = ["one", "two"].map(|id| executor_task(&offer, id, "e"));
        framework.launch(&offer, &tasks);
        framework.kill("one");
        framework.kill("two");
        for id in ["one", "two"] {
            let status = framework.wait_for(id, "TASK_KILLED");
            assert_eq!(status["reason"], "REASON_TASK_KILLED_DURING_LAUNCH");
        }
        let agent = lab.agent_client();
        if let Ok(mut executor) = Executor::subscribe(encoding, &agent, framework.id(), "e") {
            executor.wait_for_event("SHUTDOWN");
        }
        eventually("the executor has ended", || {
            let state = agent.get("/state").unwrap().json();
            let frameworks = state["frameworks"].as_array()?;
            let live = |one: &Value| !one["executors"].as_array().is_none_or(Vec::is_empty);
            (!frameworks.iter().any(live)).then_some(())
        });
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 88: the subscription of an executor tells it all that it must know.
#[test]
fn an_executor_is_told_its_framework_its_agent_and_its_task() {
    let lab = Lab::start();
    for encoding in Encoding::BOTH {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[executor_task(&offer, "t", "e")]);
        let mut executor = lab.executor(encoding, framework.id(), "e");
        let subscribed = executor.wait_for_event("SUBSCRIBED")["subscribed"].clone();
        assert_eq!(subscribed["framework_info"]["id"]["value"], framework.id());
        assert_eq!(subscribed["executor_info"]["executor_id"]["value"], "e");
        assert_eq!(subscribed["agent_info"]["id"], offer["agent_id"]);
        assert!(subscribed["container_id"]["value"].is_string());
        let launch = executor.wait_for_event("LAUNCH");
        assert_eq!(launch["launch"]["task"]["task_id"]["value"], "t");
        executor.update("t", "TASK_RUNNING");
        let acknowledged = executor.wait_for_event("ACKNOWLEDGED");
        assert_eq!(acknowledged["acknowledged"]["task_id"]["value"], "t");
        framework.wait_for("t", "TASK_RUNNING");
        framework.kill("t");
        let kill = executor.wait_for_event("KILL");
        assert_eq!(kill["kill"]["task_id"]["value"], "t");
        executor.update("t", "TASK_KILLED");
        framework.wait_for("t", "TASK_KILLED");
        let answer = executor.call("HEARTBEAT", &json!({})).unwrap();
        assert_eq!(answer.status, 202);
        framework.accepted("TEARDOWN", None);
        framework.events_within(SILENCE / 8);
    }
}
