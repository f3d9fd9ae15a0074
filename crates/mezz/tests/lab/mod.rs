//! A small cluster for the behaviours of `docs/compatibility.md`: a master, an agent, and shorthands.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses a part of it, and none is a library"
)]

pub mod checks;
pub mod website;

use std::path::Path;
use std::time::Duration;

use mezz_testkit::framework::framework_info;
use mezz_testkit::wait::eventually;
use mezz_testkit::{Client, Daemon, Encoding, Executor, Framework, TempCluster};
use serde_json::{Value, json};

/// How long a test listens for something that must not come.
pub const SILENCE: Duration = Duration::from_millis(400);

/// The resources of an agent unless a test names others.
pub const RESOURCES: &str = "--resources=cpus:8;mem:8000;disk:10000;ports:[31000-32000]";

/// A master with its agents.
pub struct Lab {
    pub agent: Option<Daemon>,
    pub master: Daemon,
    pub cluster: TempCluster,
    master_flags: Vec<String>,
}

impl Lab {
    /// A master and one agent named `agent`.
    pub fn start() -> Self {
        Self::with(&[], &[])
    }

    /// The same with flags of the master and of the agent.
    pub fn with(master: &[&str], agent: &[&str]) -> Self {
        let mut lab = Self::master_alone(master);
        lab.start_agent(agent);
        lab
    }

    /// A master and one agent, both run by a program that becomes `mezz`.
    pub fn run_by(program: &Path) -> Self {
        let mut lab = Self::master_run_by(program, &[]);
        lab.start_agent(&[]);
        lab
    }

    /// A master without agents.
    pub fn master_alone(flags: &[&str]) -> Self {
        Self::master_run_by(Path::new(env!("CARGO_BIN_EXE_mezz")), flags)
    }

    fn master_run_by(program: &Path, flags: &[&str]) -> Self {
        let mut cluster = TempCluster::new(program).unwrap();
        let master = cluster.master(flags).unwrap();
        let master_flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Self {
            agent: None,
            master,
            cluster,
            master_flags,
        }
    }

    /// Starts the agent, which keeps its work folder over restarts.
    pub fn start_agent(&mut self, flags: &[&str]) {
        self.agent = Some(self.another_agent("agent", flags));
    }

    /// Starts an agent under a name of its own.
    pub fn another_agent(&mut self, name: &str, flags: &[&str]) -> Daemon {
        let resources: &[&str] = if flags.iter().any(|flag| flag.starts_with("--resources")) {
            &[]
        } else {
            &[RESOURCES]
        };
        let flags = [resources, &["--registration-backoff-factor=10ms"], flags].concat();
        self.cluster.agent(name, &self.master, &flags).unwrap()
    }

    /// Ends the agent as `kill -9` does.
    pub fn kill_agent(&mut self) {
        self.agent.take().unwrap().kill_9();
    }

    /// Ends the master as `kill -9` does and starts it again on its port and folder.
    pub fn restart_master(&mut self) {
        let port = format!("--port={}", self.master.port());
        self.master.signal(rustix_kill());
        assert!(
            self.master
                .ended_within(mezz_testkit::wait::PATIENCE)
                .is_some()
        );
        let mut flags: Vec<&str> = self.master_flags.iter().map(String::as_str).collect();
        flags.push(&port);
        self.master = self.cluster.master(&flags).unwrap();
    }

    /// A client of the master.
    pub fn client(&self) -> Client {
        self.master.client()
    }

    /// A client of the agent.
    pub fn agent_client(&self) -> Client {
        self.agent.as_ref().unwrap().client()
    }

    /// A partition-aware, checkpointing framework of the role `dev`.
    pub fn framework(&self, encoding: Encoding) -> Framework {
        self.framework_with(encoding, &info("dev"))
    }

    /// A framework with an info of its own.
    pub fn framework_with(&self, encoding: Encoding, info: &Value) -> Framework {
        Framework::subscribe_in(encoding, &self.client(), info)
    }

    /// Subscribes the test as a custom executor once the agent expects it.
    pub fn executor(&self, encoding: Encoding, framework: &str, executor: &str) -> Executor {
        let agent = self.agent_client();
        eventually("the agent expects the executor", || {
            Executor::subscribe(encoding, &agent, framework, executor).ok()
        })
    }

    /// The master's `/state`, once it satisfies a condition.
    pub fn state_where(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let client = self.client();
        eventually(what, || {
            let state = client.get("/state").ok()?.json();
            wanted(&state).then_some(state)
        })
    }
}

fn rustix_kill() -> rustix::process::Signal {
    rustix::process::Signal::KILL
}

/// The info of a framework of one role.
pub fn info(role: &str) -> Value {
    framework_info("behaviour", &[role])
}

/// An info with one field changed.
pub fn with(mut info: Value, field: &str, value: Value) -> Value {
    info[field] = value;
    info
}

/// An info with exactly these capabilities.
pub fn capable(info: Value, capabilities: &[&str]) -> Value {
    let list: Vec<Value> = capabilities
        .iter()
        .map(|name| json!({"type": name}))
        .collect();
    with(info, "capabilities", Value::Array(list))
}

/// An info without fields.
pub fn without(mut info: Value, field: &str) -> Value {
    info.as_object_mut().unwrap().remove(field);
    info
}

/// A scalar resource of the offer's role.
pub fn scalar(offer: &Value, name: &str, value: f64) -> Value {
    let mut resource = json!({"name": name, "type": "SCALAR", "scalar": {"value": value}});
    if let Some(allocation) = offer.get("allocation_info") {
        resource["allocation_info"] = allocation.clone();
    }
    resource
}

/// A command task of the offer with so many cpus.
pub fn task(offer: &Value, id: &str, command: &str, cpus: f64) -> Value {
    json!({
        "name": id,
        "task_id": {"value": id},
        "agent_id": offer["agent_id"],
        "resources": [scalar(offer, "cpus", cpus), scalar(offer, "mem", 32.0)],
        "command": {"shell": true, "value": command},
    })
}

/// A task of the offer that runs until it is killed.
pub fn sleeper(offer: &Value, id: &str) -> Value {
    task(offer, id, "exec sleep 600", 0.1)
}

/// A task of a custom executor, which the test plays; its process only sleeps.
pub fn executor_task(offer: &Value, id: &str, executor: &str) -> Value {
    let mut task = sleeper(offer, id);
    task.as_object_mut().unwrap().remove("command");
    task["executor"] = json!({
        "type": "CUSTOM",
        "executor_id": {"value": executor},
        "resources": [scalar(offer, "cpus", 0.1), scalar(offer, "mem", 32.0)],
        "command": {"shell": true, "value": "env; exec sleep 600"},
    });
    task
}

/// Reads events until a test has seen enough of a task; returns what it made of that.
#[track_caller]
pub fn until<T>(
    framework: &mut Framework,
    what: &str,
    mut enough: impl FnMut(&Framework) -> Option<T>,
) -> T {
    let deadline = std::time::Instant::now() + mezz_testkit::wait::PATIENCE;
    loop {
        if let Some(found) = enough(framework) {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "not seen: {what}");
        framework.next_event();
    }
}

/// The amount of a scalar in an offer.
pub fn amount(offer: &Value, name: &str) -> f64 {
    let resources = offer["resources"].as_array().unwrap();
    resources
        .iter()
        .filter(|resource| resource["name"] == name)
        .filter_map(|resource| resource["scalar"]["value"].as_f64())
        .sum()
}

/// The states of a list of tasks in `/state`, by id.
pub fn ids(tasks: &Value) -> Vec<&str> {
    let tasks = tasks.as_array().unwrap();
    tasks
        .iter()
        .filter_map(|task| task["id"].as_str())
        .collect()
}

/// A master that gives a lost agent up within a fraction of a second.
pub const IMPATIENT: [&str; 3] = [
    "--agent-ping-timeout=100ms",
    "--max-agent-ping-timeouts=2",
    "--agent-reregister-timeout=300ms",
];

/// A framework without the capability to hear of partitions.
pub fn unaware() -> Value {
    capable(info("dev"), &["MULTI_ROLE"])
}

/// Asks for the state of a task and returns the answer.
pub fn reconcile(framework: &mut Framework, task: &str, agent: Option<&Value>) -> Value {
    let mut asked = json!({"task_id": {"value": task}});
    if let Some(agent) = agent {
        asked["agent_id"] = agent.clone();
    }
    framework.accepted("RECONCILE", Some(json!({"tasks": [asked]})));
    answer(framework, task)
}

/// The next answer about a task that the master made by itself.
pub fn answer(framework: &mut Framework, task: &str) -> Value {
    loop {
        let status = framework.wait_for_event("UPDATE")["update"]["status"].clone();
        if status["task_id"]["value"] == task && status["source"] == "SOURCE_MASTER" {
            return status;
        }
    }
}

/// A framework whose task `t` runs, and the offer that it was launched on.
pub fn running(lab: &Lab, info: &Value) -> (Framework, Value) {
    let mut framework = lab.framework_with(Encoding::Json, info);
    let offer = framework.next_offer();
    framework.launch(&offer, &[sleeper(&offer, "t")]);
    framework.wait_for("t", "TASK_RUNNING");
    (framework, offer)
}

/// Stops the agent as a partition does, until it is given up.
pub fn partition(lab: &Lab) {
    lab.agent
        .as_ref()
        .unwrap()
        .signal(rustix::process::Signal::STOP);
}

/// Lets the agent go on.
pub fn heal(lab: &Lab) {
    lab.agent
        .as_ref()
        .unwrap()
        .signal(rustix::process::Signal::CONT);
}
