//! Large clusters: many agents on one connection, and answers that are sent while they are being rendered.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use mezz_http::session::{Sender, Session, SessionConfig, dial};
use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_testkit::framework::{Framework, command_task, framework_info};
use mezz_testkit::http_client::Request;
use prost::Message as _;
use serde_json::{Value, json};
use support::TestMaster;

type Bodies = std::sync::mpsc::Receiver<(u32, Body)>;

/// A connection of simulated agents, each on a channel of its own.
struct Relay {
    sender: Sender,
    bodies: Bodies,
}

impl Relay {
    fn dial(master: &TestMaster) -> Self {
        let (sender, bodies) = master.runtime.block_on(async {
            let carrier = dial(&master.address).await.unwrap();
            let (sender, mut receiver) = Session::new(carrier, SessionConfig::default());
            let (push, bodies) = std::sync::mpsc::channel();
            tokio::spawn(async move {
                while let Ok(Some(body)) = receiver.next().await {
                    if push.send(body).is_err() {
                        break;
                    }
                }
            });
            (sender, bodies)
        });
        Self { sender, bodies }
    }

    fn send(&self, channel: u32, body: Body) {
        self.sender.send(channel, body).unwrap();
    }

    fn next(&self) -> (u32, Body) {
        self.bodies
            .recv_timeout(std::time::Duration::from_secs(20))
            .unwrap()
    }

    fn greet(&self, channel: u32) {
        self.send(
            channel,
            Body::Hello(agent::Hello {
                protocol_version: 1,
                mezz_version: "0.1.0".into(),
                boot_id: "boot".into(),
                ..agent::Hello::default()
            }),
        );
    }

    /// Registers on these channels; the ids by channel.
    fn register(
        &self,
        channels: std::ops::RangeInclusive<u32>,
        body: impl Fn(u32) -> Body,
    ) -> BTreeMap<u32, String> {
        channels.clone().for_each(|channel| self.greet(channel));
        let mut ids = BTreeMap::new();
        while ids.len() < channels.clone().count() {
            match self.next() {
                (channel, Body::Admitted(_)) => self.send(channel, body(channel)),
                (channel, Body::Registered(registered)) => {
                    ids.insert(channel, registered.agent_id.value);
                }
                _ => {}
            }
        }
        ids
    }
}

fn agent_info(channel: u32) -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: format!("host-{channel}"),
        resources: mezz_resource::parse_text("cpus:1000;mem:100000", "*")
            .unwrap()
            .to_proto(),
        ..v1::AgentInfo::default()
    }
}

fn newcomer(channel: u32) -> Body {
    Body::Register(agent::Register {
        agent: agent_info(channel),
        version: "1.11.0".into(),
        capabilities: vec!["MULTI_ROLE".into()],
        ..agent::Register::default()
    })
}

fn active(slaves: &Value) -> usize {
    let slaves = slaves["slaves"].as_array().unwrap().iter();
    slaves
        .filter(|agent| agent["active"] == json!(true))
        .count()
}

#[test]
fn many_agents_on_one_connection_are_told_apart() {
    let master = TestMaster::start();
    let relay = Relay::dial(&master);
    let ids = relay.register(1..=300, newcomer);
    assert_eq!(ids.values().collect::<BTreeSet<_>>().len(), 300);
    master.wait_for("/slaves", |slaves| active(slaves) == 300);
    let info = framework_info("one", &["*"]);
    let mut framework = Framework::subscribe(&master.client(), &info);
    let offer = framework.next_offer();
    framework.launch(&offer, &[command_task(&offer, "t1", "true")]);
    let (channel, run) = loop {
        if let (channel, Body::RunTasks(run)) = relay.next() {
            break (channel, run);
        }
    };
    assert_eq!(ids[&channel], offer["agent_id"]["value"].as_str().unwrap());
    assert_eq!(run.tasks[0].task.task_id.value, "t1");
    // Together they are lost with their connection.
    relay.sender.close();
    master.wait_for("/slaves", |slaves| active(slaves) == 0);
}

#[test]
fn an_agent_that_greets_again_on_its_channel_begins_anew_beside_the_others() {
    let master = TestMaster::start();
    let relay = Relay::dial(&master);
    let ids = relay.register(1..=3, newcomer);
    let again = relay.register(2..=2, |channel| {
        let mut info = agent_info(channel);
        info.id = Some(v1::AgentId {
            value: ids[&channel].clone(),
        });
        Body::Reregister(agent::Reregister {
            agent: info,
            version: "1.11.0".into(),
            ..agent::Reregister::default()
        })
    });
    assert_eq!(again[&2], ids[&2]);
    master.wait_for("/slaves", |slaves| active(slaves) == 3);
}

fn reported_task(agent_id: &str, framework: &str, number: u32) -> v1::Task {
    let cpus = v1::Resource {
        allocation_info: Some(v1::resource::AllocationInfo {
            role: Some("*".into()),
        }),
        ..mezz_resource::parse_text("cpus:0.1", "*")
            .unwrap()
            .to_proto()
            .remove(0)
    };
    v1::Task {
        name: format!("näme \"{number}\""),
        task_id: v1::TaskId {
            value: format!("old-{number}"),
        },
        framework_id: v1::FrameworkId {
            value: framework.into(),
        },
        agent_id: v1::AgentId {
            value: agent_id.into(),
        },
        state: v1::TaskState::TaskRunning as i32,
        resources: vec![cpus],
        labels: Some(v1::Labels {
            labels: vec![v1::Label {
                key: "k".into(),
                value: Some(number.to_string()),
            }],
        }),
        ..v1::Task::default()
    }
}

/// An agent that brings 3,000 tasks of a framework that the master has not heard of.
fn with_old_tasks(master: &TestMaster) -> Relay {
    let relay = Relay::dial(master);
    relay.register(1..=1, |channel| {
        let mut info = agent_info(channel);
        info.id = Some(v1::AgentId {
            value: "former-S1".into(),
        });
        let framework: v1::FrameworkInfo = mezz_proto::from_value(
            &json!({"user": "u", "name": "old", "id": {"value": "old-F"}, "checkpoint": true}),
        )
        .unwrap();
        Body::Reregister(agent::Reregister {
            agent: info,
            version: "1.11.0".into(),
            capabilities: vec!["MULTI_ROLE".into()],
            frameworks: vec![framework],
            tasks: (0..3_000)
                .map(|number| {
                    let task = reported_task("former-S1", "old-F", number);
                    task.encode_to_vec().into()
                })
                .collect(),
            ..agent::Reregister::default()
        })
    });
    master.wait_for("/frameworks", |answer| {
        let tasks = answer["frameworks"][0]["tasks"].as_array();
        tasks.is_some_and(|tasks| tasks.len() == 3_000)
    });
    relay
}

#[test]
fn a_large_state_is_consistent_in_itself_while_tasks_are_launched() {
    let master = TestMaster::start();
    let relay = with_old_tasks(&master);
    let info = framework_info("busy", &["*"]);
    let mut framework = Framework::subscribe(&master.client(), &info);
    for round in 0..10 {
        let offer = framework.next_offer();
        let tasks: Vec<Value> = (0..20)
            .map(|number| command_task(&offer, &format!("t{round}-{number}"), "true"))
            .collect();
        framework.launch(&offer, &tasks);
        let answer = master.client().get("/state").unwrap();
        assert_eq!(answer.header("Transfer-Encoding"), Some("chunked"));
        let state = answer.json();
        let frameworks = state["frameworks"].as_array().unwrap();
        let mut used = 0.0;
        for framework in frameworks {
            let tasks = framework["tasks"].as_array().unwrap();
            let cpus: f64 = tasks
                .iter()
                .map(|task| task["resources"]["cpus"].as_f64().unwrap())
                .sum();
            let told = framework["used_resources"]["cpus"].as_f64().unwrap();
            assert!((cpus - told).abs() < 1e-6, "{cpus} and {told}");
            used += told;
        }
        let agents = state["slaves"][0]["used_resources"]["cpus"].as_f64();
        assert!((agents.unwrap() - used).abs() < 1e-6);
    }
    drop(relay);
}

#[test]
fn the_whole_state_is_the_same_in_json_and_in_protobuf_streamed_or_compressed() {
    let master = TestMaster::start();
    let relay = with_old_tasks(&master);
    let call = json!({"type": "GET_STATE"});
    let text = master.client().post_json("/api/v1", &call).unwrap();
    assert_eq!(text.header("Transfer-Encoding"), Some("chunked"));
    let call = v1::master::Call {
        r#type: Some(v1::master::call::Type::GetState as i32),
        ..v1::master::Call::default()
    };
    let request = Request::protobuf("/api/v1", &call);
    let binary: v1::master::Response = master.client().send(&request).unwrap().message();
    let expected = String::from_utf8(mezz_proto::to_json(&binary)).unwrap();
    let place = expected
        .bytes()
        .zip(text.text().bytes())
        .position(|(a, b)| a != b);
    assert!(expected == text.text(), "the texts differ at {place:?}");
    let tasks = binary.get_state.unwrap().get_tasks.unwrap().tasks;
    assert_eq!(tasks.len(), 3_000);
    assert_eq!(tasks[7], reported_task("former-S1", "old-F", 7));
    let compressed = request.header("Accept-Encoding", "gzip");
    let compressed = master.client().send(&compressed).unwrap();
    assert_eq!(compressed.header("Content-Encoding"), Some("gzip"));
    drop(relay);
}
