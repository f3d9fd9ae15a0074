//! A cluster in the state in which the dialogues of Apache Mesos were recorded, as far as it can be reached.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses a part of it, and none is a library"
)]

use mezz_testkit::captures::Capture;
use mezz_testkit::replay::{Replay, recorded};
use mezz_testkit::wait::eventually;
use mezz_testkit::{Client, Daemon, Framework, TempCluster};
use serde_json::Value;

const AGENT_FLAGS: [&str; 4] = [
    "--resources=cpus:16;mem:16000;disk:50000;ports:[31000-32000]",
    "--attributes=rack:r1;zone:west;num:3",
    "--hostname=localhost",
    "--advertise-ip=127.0.0.1",
];

/// One master, one agent, and the framework `capture`.
pub struct Recorded {
    pub framework: Framework,
    pub agent: Daemon,
    pub master: Daemon,
    pub cluster: TempCluster,
    pub agent_id: String,
}

impl Recorded {
    /// A master and an agent as in the recording, and the framework with its first offer.
    pub fn subscribed() -> (Self, Value) {
        let mut cluster = TempCluster::new(env!("CARGO_BIN_EXE_mezz")).unwrap();
        let master = cluster.master(&["--hostname=localhost"]).unwrap();
        let agent = cluster.agent("agent", &master, &AGENT_FLAGS).unwrap();
        let subscription = Capture::Scheduler.dialogue("The whole stream of the framework");
        let call: Value = serde_json::from_slice(&subscription.request.body.unwrap()).unwrap();
        let info = &call["subscribe"]["framework_info"];
        let mut framework = Framework::subscribe(&master.client(), info);
        let offer = framework.next_offer();
        let agent_id = offer["agent_id"]["value"].as_str().unwrap().to_owned();
        let recorded = Self {
            framework,
            agent,
            master,
            cluster,
            agent_id,
        };
        (recorded, offer)
    }

    /// The same with the task `run-1` running and `fin-1` failed and acknowledged, as in the recording.
    pub fn with_tasks() -> Self {
        let (mut recorded, offer) = Self::subscribed();
        recorded.launch(&offer, "ACCEPT with two command tasks, one with a health check");
        recorded.framework.wait_for("run-1", "TASK_RUNNING");
        recorded.framework.wait_for("fin-1", "TASK_FAILED");
        let client = recorded.client();
        eventually("the end of fin-1 is acknowledged", || {
            let state = client.get("/state").unwrap().json();
            let completed = &state["frameworks"][0]["completed_tasks"];
            (!completed.as_array()?.is_empty()).then_some(())
        });
        recorded
    }

    /// Sends a recorded ACCEPT on an offer of this cluster, without the health checks in it.
    pub fn launch(&self, offer: &Value, title: &str) {
        let dialogue = Capture::Scheduler.dialogue(title);
        let request = self.replay().request(&dialogue);
        let mut call: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        let mut accept = call["accept"].take();
        if accept["offer_ids"][0]["value"] != "nope-O1" {
            accept["offer_ids"] = serde_json::json!([offer["id"]]);
        }
        for operation in accept["operations"].as_array_mut().unwrap() {
            for task in operation["launch"]["task_infos"]
                .as_array_mut()
                .into_iter()
                .flatten()
            {
                task.as_object_mut().unwrap().remove("health_check");
            }
        }
        self.framework.accepted("ACCEPT", Some(accept));
    }

    /// A client of the master.
    pub fn client(&self) -> Client {
        self.master.client()
    }

    /// Puts the ids of this cluster in the place of the recorded ones.
    pub fn replay(&self) -> Replay {
        Replay::default()
            .with(recorded::STREAM, self.framework.stream_id())
            .with(recorded::FRAMEWORK, self.framework.id())
            .with(recorded::AGENT, &self.agent_id)
    }
}
