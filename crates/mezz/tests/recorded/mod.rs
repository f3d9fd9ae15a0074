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
use mezz_testkit::{Client, Daemon, Encoding, Executor, Framework, TempCluster};
use serde_json::{Value, json};

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
    executor: Option<Executor>,
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
            executor: None,
        };
        (recorded, offer)
    }

    /// The same with the task `run-1` running, `fin-1` failed and acknowledged, and `pod-a` running in a
    /// custom executor in the place of the recorded pod.
    pub fn with_tasks() -> Self {
        let (mut recorded, offer) = Self::subscribed();
        recorded.launch(
            &offer,
            "ACCEPT with two command tasks, one with a health check",
        );
        recorded.framework.wait_for("run-1", "TASK_RUNNING");
        recorded.framework.wait_for("fin-1", "TASK_FAILED");
        let client = recorded.client();
        eventually("the end of fin-1 is acknowledged", || {
            let state = client.get("/state").unwrap().json();
            let completed = &state["frameworks"][0]["completed_tasks"];
            (!completed.as_array()?.is_empty()).then_some(())
        });
        recorded.start_executor();
        recorded
    }

    fn start_executor(&mut self) {
        let offer = self.framework.next_offer();
        let title = "ACCEPT with LAUNCH_GROUP on the default executor";
        let request = self.replay().request(&Capture::Scheduler.dialogue(title));
        let call: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        let group = &call["accept"]["operations"][0]["launch_group"];
        let mut task = group["task_group"]["tasks"][0].clone();
        let fields = task.as_object_mut().unwrap();
        fields.remove("command");
        fields.insert("executor".into(), group["executor"].clone());
        task["executor"]["type"] = json!("CUSTOM");
        task["executor"]["command"] = json!({"value": "echo a; sleep 600"});
        self.framework.launch(&offer, &[task]);
        let agent = self.agent.client();
        let mut executor = eventually("the executor is expected", || {
            Executor::subscribe(Encoding::Json, &agent, self.framework.id(), "pod-exec").ok()
        });
        executor.wait_for_event("LAUNCH");
        executor.update("pod-a", "TASK_RUNNING");
        self.framework.wait_for("pod-a", "TASK_RUNNING");
        self.executor = Some(executor);
        // Two refused launches, for the metrics that count them.
        let offer = self.framework.next_offer();
        self.launch(&offer, "ACCEPT of an unknown offer");
        self.launch(&offer, "ACCEPT asking more than the offer");
        self.framework.wait_for("lost-1", "TASK_DROPPED");
        self.framework.wait_for("big-1", "TASK_ERROR");
        self.framework.next_offer();
    }

    /// The path of the sandbox of `pod-exec`.
    pub fn sandbox(&self) -> String {
        self.executor_directory("pod-exec")
    }

    /// The folder of the agent's sandboxes, up to the agent's id.
    pub fn sandbox_root(&self) -> String {
        let sandbox = self.sandbox();
        let (root, _) = sandbox.split_once("/frameworks/").unwrap();
        root.to_owned()
    }

    /// The container ids of `run-1` and `fin-1`.
    pub fn containers(&self) -> [String; 2] {
        ["run-1", "fin-1"].map(|task| {
            let directory = self.executor_directory(task);
            directory.rsplit('/').next().unwrap().to_owned()
        })
    }

    fn executor_directory(&self, id: &str) -> String {
        let state = self.agent.client().get("/state").unwrap().json();
        let framework = &state["frameworks"][0];
        let executors = ["executors", "completed_executors"]
            .into_iter()
            .flat_map(|list| framework[list].as_array().unwrap());
        let is_wanted = |executor: &&Value| executor["id"] == id;
        let executor = executors.into_iter().find(is_wanted).unwrap();
        executor["directory"].as_str().unwrap().to_owned()
    }

    /// Sends a recorded ACCEPT on an offer of this cluster.
    pub fn launch(&self, offer: &Value, title: &str) {
        let dialogue = Capture::Scheduler.dialogue(title);
        let request = self.replay().request(&dialogue);
        let mut call: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
        let mut accept = call["accept"].take();
        if accept["offer_ids"][0]["value"] != "nope-O1" {
            accept["offer_ids"] = serde_json::json!([offer["id"]]);
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
