//! The recorded dialogues of Apache Mesos replayed against the master: same status, headers, texts, keys and types.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_proto::v1::TaskState;
use mezz_testkit::captures::{Capture, Dialogue, RecordedBody};
use mezz_testkit::compare::{Difference, Intended, judge};
use mezz_testkit::framework::{Framework, framework_info};
use mezz_testkit::replay::{Replay, recorded};
use serde_json::json;
use support::{FakeAgent, TestMaster};

/// A cluster in the state of the recording: one task that runs, one that failed.
struct Stage {
    framework: Framework,
    agent: FakeAgent,
    master: TestMaster,
}

impl Stage {
    fn new() -> Self {
        let master = TestMaster::start();
        let agent =
            FakeAgent::register(&master, "cpus:16;mem:16000;disk:50000;ports:[31000-32000]");
        let mut info = framework_info("capture", &["dev"]);
        info["labels"] = json!({"labels": [{"key": "k", "value": "v"}]});
        info["webui_url"] = json!("http://x/");
        let mut framework = Framework::subscribe(&master.client(), &info);
        let offer = framework.next_offer();
        let mut accept =
            Capture::Scheduler.dialogue("ACCEPT with two command tasks, one with a health check");
        let mut body: serde_json::Value =
            serde_json::from_slice(accept.request.body.as_ref().unwrap()).unwrap();
        body["accept"]["offer_ids"] = json!([offer["id"]]);
        accept.request.body = Some(body.to_string().into_bytes());
        let stage = Self {
            framework,
            agent,
            master,
        };
        let found = stage
            .replay()
            .differences(&stage.master.client(), &accept)
            .unwrap();
        assert_eq!(found, []);
        stage
    }

    fn with_tasks() -> Self {
        let mut stage = Self::new();
        let run = stage.agent.expect_run();
        assert_eq!(run.tasks.len(), 2);
        let framework = stage.framework.id().to_owned();
        for (task, state) in [
            ("run-1", TaskState::TaskRunning),
            ("fin-1", TaskState::TaskRunning),
            ("fin-1", TaskState::TaskFailed),
        ] {
            stage.agent.update(&framework, task, state);
            while stage.framework.next_event()["update"]["status"]["state"] != state.as_str_name() {
            }
        }
        stage.master.wait_for("/state", |state| {
            state["frameworks"][0]["completed_tasks"]
                .as_array()
                .is_some_and(|tasks| tasks.len() == 1)
        });
        stage.master.wait_for("/v1/offers", |offers| {
            !offers.as_array().unwrap().is_empty()
        });
        stage
    }

    fn replay(&self) -> Replay {
        Replay::default()
            .with(recorded::FRAMEWORK, self.framework.id())
            .with(recorded::AGENT, &self.agent.id)
            .with(recorded::STREAM, self.framework.stream_id())
    }

    fn differences(&self, dialogues: impl IntoIterator<Item = Dialogue>) -> Vec<Difference> {
        let client = self.master.client();
        dialogues
            .into_iter()
            .flat_map(|dialogue| {
                let title = dialogue.title.clone();
                self.replay()
                    .differences(&client, &dialogue)
                    .unwrap_or_else(|error| panic!("{title}: {error}"))
            })
            .collect()
    }
}

/// A difference that is meant to be.
const fn intended(dialogue: &'static str, at: &'static str, reason: &'static str) -> Intended {
    Intended {
        dialogue,
        at,
        reason,
    }
}

const PODS: &str = "the recording has a pod with an executor of its own; pods come later";
const QUOTA: &str = "the recording has set a quota; quota comes later";
const MAINTENANCE: &str = "the recording has a maintenance schedule; maintenance comes later";
const OFFERED: &str =
    "freed resources are offered within milliseconds, so an offer is outstanding here";
const FLAGS: &str = "flags of mechanisms that do not exist here are not shown";
const VERSION: &str = "the version of the daemon stands beside the Mesos version";

const OPERATOR: &[Intended] = &[
    intended(
        "master GET_STATE",
        "/get_state/get_executors/executors",
        PODS,
    ),
    intended("master GET_STATE", "*/executor_ids", PODS),
    intended("master GET_FRAMEWORKS", "*/executor_ids", PODS),
    intended("master GET_EXECUTORS", "/get_executors/executors", PODS),
    intended("UPDATE_QUOTA*", "*", QUOTA),
    intended("GET_QUOTA after", "*", QUOTA),
    intended("UPDATE_MAINTENANCE_SCHEDULE", "*", MAINTENANCE),
    intended("GET_MAINTENANCE_* after", "*", MAINTENANCE),
    intended("RESERVE_RESOURCES too much", "*", "reservations come later"),
];

const UNVERSIONED: &[Intended] = &[
    intended("*", "/mezz_version", VERSION),
    intended("*", "/flags/*", FLAGS),
    intended("*", "*/executors", PODS),
    intended("*", "*/offered_resources/ports", OFFERED),
    intended("*", "/frameworks/*/resources/ports", OFFERED),
    intended("*", "/roles/*/offered/*", OFFERED),
    intended("*", "/roles/*/disk", PODS),
    intended("*", "*/resources/disk/consumed", PODS),
    intended("master GET /roles", "/roles/*/quota/*", QUOTA),
    intended("master GET /weights", "/", "the recording has set a weight"),
    intended("master GET /quota", "*", QUOTA),
    intended(
        "master GET /metrics/snapshot",
        "/allocator/mesos/quota/roles/dev/*",
        QUOTA,
    ),
    intended(
        "master GET /metrics/snapshot",
        "/master/task_*/source_master/*",
        "the recording has refused tasks",
    ),
    intended("master GET /maintenance/*", "*", MAINTENANCE),
    intended(
        "master GET /state.json",
        "*",
        "the old alias is served as a courtesy to old clients",
    ),
];

#[test]
fn the_scheduler_api_answers_as_recorded() {
    let stage = Stage::new();
    let dialogues = Capture::Scheduler
        .dialogues()
        .into_iter()
        .filter(|one| !one.title.starts_with("The whole stream"));
    judge(stage.differences(dialogues), &[]).assert_clean();
}

#[test]
fn the_operator_api_answers_as_recorded() {
    let stage = Stage::with_tasks();
    judge(
        stage.differences(Capture::MasterOperator.dialogues()),
        OPERATOR,
    )
    .assert_clean();
}

#[test]
fn the_unversioned_endpoints_answer_as_recorded() {
    let stage = Stage::with_tasks();
    // Ids are part of the names of metrics.
    let id = stage.framework.id().to_owned();
    let dialogues = Capture::MasterUnversioned
        .dialogues()
        .into_iter()
        .map(|mut dialogue| {
            if let RecordedBody::Whole(body) = &mut dialogue.body {
                *body = body.replace(recorded::FRAMEWORK, &id);
            }
            dialogue
        });
    judge(stage.differences(dialogues), UNVERSIONED).assert_clean();
}
