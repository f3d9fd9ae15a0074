//! The queries recorded from Apache Mesos, sent again to a master and an agent in a comparable state.

#![allow(clippy::unwrap_used)]

mod recorded;

use mezz_testkit::Client;
use mezz_testkit::captures::Capture;
use mezz_testkit::compare::{self, Intended};
use recorded::Recorded;
use serde_json::json;

const LATER_QUOTA: &str = "quota cannot be set yet: the calls answer 501 and name themselves";
const LATER_MAINTENANCE: &str =
    "maintenance cannot be scheduled yet: the calls answer 501 and name themselves";
const LATER_RESERVATIONS: &str =
    "resources cannot be reserved yet: the calls answer 501 and name themselves";
const OURS: &str = "our own version stands beside that of Mesos";
const NO_EXECUTOR_PROCESS: &str =
    "a command task has no executor process, so no command and no resources of one";
const CUSTOM_EXECUTOR: &str = "here a custom executor runs in the place of the recorded pod";
const OFFERED: &str = "freed resources are offered at once, so here an offer is outstanding";
const OWN_FLAGS: &str = "the flags are those of this program";

const fn intended(dialogue: &'static str, at: &'static str, reason: &'static str) -> Intended {
    Intended {
        dialogue,
        at,
        reason,
    }
}

/// What differs from Mesos on purpose in the answers of a master to operators.
const MASTER_CALLS: &[Intended] = &[
    intended("UPDATE_QUOTA*", "*", LATER_QUOTA),
    intended("GET_QUOTA after", "/get_quota/status/*", LATER_QUOTA),
    intended("UPDATE_MAINTENANCE_SCHEDULE", "*", LATER_MAINTENANCE),
    intended("GET_MAINTENANCE_* after", "*", LATER_MAINTENANCE),
    intended("RESERVE_RESOURCES too much", "*", LATER_RESERVATIONS),
    intended("master GET_*", "*/executor_info/command", CUSTOM_EXECUTOR),
];

/// What differs from Mesos on purpose at the endpoints of a master.
const MASTER_ENDPOINTS: &[Intended] = &[
    intended("*", "/mezz_version", OURS),
    intended("*", "/flags/*", OWN_FLAGS),
    intended("*", "*/executors/*/command/value", CUSTOM_EXECUTOR),
    intended("*", "*/offered_resources/ports", OFFERED),
    intended("*", "/frameworks/*/resources/ports", OFFERED),
    intended("* /roles", "/roles/*/offered/*", OFFERED),
    intended("* /roles", "/roles/*/quota/*", LATER_QUOTA),
    intended("* /quota", "/*", LATER_QUOTA),
    intended(
        "* /metrics/snapshot",
        "/allocator/mesos/quota/*",
        LATER_QUOTA,
    ),
    intended("* /maintenance/*", "/*", LATER_MAINTENANCE),
    intended(
        "* /state.json",
        "*",
        "the old names are served too: clients still ask for them",
    ),
];

/// What differs from Mesos on purpose in the answers of an agent to operators.
const AGENT_CALLS: &[Intended] = &[
    intended(
        "agent GET_*",
        "*/executor_info/command/arguments",
        NO_EXECUTOR_PROCESS,
    ),
    intended(
        "agent GET_*",
        "*/executor_info/command/value",
        NO_EXECUTOR_PROCESS,
    ),
    intended(
        "agent GET_*",
        "*/executor_info/command/environment",
        CUSTOM_EXECUTOR,
    ),
    intended(
        "agent GET_*",
        "*/executor_info/resources",
        NO_EXECUTOR_PROCESS,
    ),
    intended(
        "agent GET_CONTAINERS",
        "*/resource_statistics/processes",
        PROCESSES,
    ),
];

/// What differs from Mesos on purpose at the endpoints of an agent.
const AGENT_ENDPOINTS: &[Intended] = &[
    intended("*", "/mezz_version", OURS),
    intended("agent GET /state", "/flags/*", OWN_FLAGS),
    intended("agent GET /*", "*/statistics/processes", PROCESSES),
    intended("agent GET /files/download*", "text", CUSTOM_EXECUTOR),
    intended(
        "agent GET /files/debug",
        "*",
        "sandboxes lie in folders of our own; the paths of Mesos are served for them",
    ),
];
const PROCESSES: &str = "processes are counted, as Mesos does with one of its isolators";

/// The sandbox of the executor in the recording.
const SANDBOX: &str = "/var/lib/mesos/slaves/a39dd3da-cd7f-4149-b87f-7094cad0fdc8-S0/frameworks/a39dd3da-cd7f-4149-b87f-7094cad0fdc8-0000/executors/pod-exec/runs/5ce2ac49-c3e3-4974-8547-1f127fc8843d";

fn replay(capture: Capture, intended: &[Intended], client: impl Fn(&Recorded) -> Client) {
    let recorded = Recorded::with_tasks();
    let client = client(&recorded);
    let (slaves, runs) = (recorded.sandbox_root(), recorded.containers());
    let replay = recorded
        .replay()
        .with(SANDBOX, &recorded.sandbox())
        .with(
            "/var/lib/mesos/slaves/a39dd3da-cd7f-4149-b87f-7094cad0fdc8-S0",
            &slaves,
        )
        .with("11c0bb12-ce0b-4870-9416-74a5048a8947", &runs[0])
        .with("092f0245-fd9c-4aab-8be1-bf1d351a6307", &runs[1]);
    if capture == Capture::MasterUnversioned {
        // The endpoints were recorded after the weight was set, the calls before.
        let weights = json!({"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "dev", "weight": 2.5}]}});
        let answer = recorded.client().post_json("/api/v1", &weights).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let mut found = Vec::new();
    for dialogue in capture.dialogues() {
        found.extend(replay.differences(&client, &dialogue).unwrap());
    }
    compare::judge(found, intended).assert_clean();
}

#[test]
fn calls_of_operators_are_answered_as_by_a_mesos_master() {
    replay(Capture::MasterOperator, MASTER_CALLS, Recorded::client);
}

#[test]
fn endpoints_answer_as_those_of_a_mesos_master() {
    replay(
        Capture::MasterUnversioned,
        MASTER_ENDPOINTS,
        Recorded::client,
    );
}

#[test]
fn calls_of_operators_are_answered_as_by_a_mesos_agent() {
    replay(Capture::AgentOperator, AGENT_CALLS, |recorded| {
        recorded.agent.client()
    });
}

#[test]
fn endpoints_answer_as_those_of_a_mesos_agent() {
    replay(Capture::AgentUnversioned, AGENT_ENDPOINTS, |recorded| {
        recorded.agent.client()
    });
}
