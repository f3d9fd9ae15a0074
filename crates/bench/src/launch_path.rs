//! A launch's way through the master without its sockets: calls and frames are decoded, the core decides, and what it
//! sends is encoded, for one agent and one framework that acknowledges everything.

use std::collections::BTreeMap;

use mezz_core::Master;
use mezz_core::config::Config;
use mezz_core::effect::{Effect, Effects};
use mezz_core::event::{Elected, Event, SchedulerCall, Subscribe, TimerKey};
use mezz_core::key::{Generation, RequestKey, SessionKey, StreamKey};
use mezz_core::time::{MILLISECOND_NS, Mono, Now, Wall};
use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::{recordio, v1};
use prost::Message;
use v1::scheduler::{Call, call};

use crate::shapes::framework_info;

const STREAM: StreamKey = StreamKey(1);
const STREAM_ID: &str = "7d6ac4c4-9a1c-4e7e-8a06-7b2f8b4f3c11";
const SESSION: SessionKey = SessionKey(2);

/// What arrives, encoded.
#[derive(Debug, Clone)]
enum Arrival {
    Call(Vec<u8>),
    Frame(Vec<u8>),
}

/// What arrives while a number of tasks is launched, runs, ends and is acknowledged.
#[derive(Debug, Clone)]
pub struct Burst(Vec<Arrival>);

/// A master that leads, with its agent and its framework.
#[derive(Debug)]
pub struct LaunchPath {
    master: Master,
    now: Now,
    effects: Effects,
    timers: BTreeMap<TimerKey, (Generation, Mono)>,
    framework_id: v1::FrameworkId,
    agent_id: v1::AgentId,
    offers: Vec<v1::OfferId>,
    launched: u64,
    sent_bytes: usize,
}

impl LaunchPath {
    /// Elects, registers, subscribes and waits for the first offer.
    pub fn new() -> Self {
        let mut path = Self {
            master: Master::new(Config::default()),
            now: Now {
                mono: Mono(1),
                wall: Wall(1_700_000_000_000_000_000),
            },
            effects: Effects::default(),
            timers: BTreeMap::new(),
            framework_id: v1::FrameworkId::default(),
            agent_id: v1::AgentId::default(),
            offers: Vec::new(),
            launched: 0,
            sent_bytes: 0,
        };
        path.handle(Event::Elected(Box::new(Elected {
            epoch: 1,
            master_id: "0c5dd1b2-50a5-4fd1-b2c8-8a7a3a7c2c0e".into(),
            seed: 1,
            snapshot: Vec::new(),
        })));
        path.register_agent();
        path.handle(Event::Subscribe(Box::new(Subscribe {
            stream: STREAM,
            stream_id: STREAM_ID.into(),
            principal: None,
            subscribe: call::Subscribe {
                framework_info: framework_info("bench", true),
                ..call::Subscribe::default()
            },
        })));
        path.allocate();
        path
    }

    fn register_agent(&mut self) {
        let hello = agent::Hello {
            protocol_version: 1,
            mezz_version: "0".into(),
            boot_id: "b".into(),
            ..agent::Hello::default()
        };
        self.on_body(Body::Hello(hello));
        let resources = mezz_resource::parse("cpus:1000;mem:1000000;ports:[31000-32000]", "*")
            .expect("a well-formed text");
        self.on_body(Body::Register(agent::Register {
            agent: v1::AgentInfo {
                hostname: "node-1.example".into(),
                resources: resources.to_proto(),
                ..v1::AgentInfo::default()
            },
            version: "1.11.0".into(),
            capabilities: vec![],
            ip: Some("127.0.0.1".into()),
            token: None,
        }));
    }

    fn on_body(&mut self, body: Body) {
        self.handle(Event::Agent {
            session: SESSION,
            body: Box::new(body),
        });
    }

    /// What will arrive for the next tasks.
    pub fn prepare(&mut self, tasks: usize) -> Burst {
        let ids: Vec<String> = (0..tasks)
            .map(|_| {
                self.launched += 1;
                format!("task-{:08}", self.launched)
            })
            .collect();
        let mut arrivals = vec![Arrival::Call(self.accept(&ids))];
        for (step, state) in [
            v1::TaskState::TaskStarting,
            v1::TaskState::TaskRunning,
            v1::TaskState::TaskFinished,
        ]
        .into_iter()
        .enumerate()
        {
            for (index, id) in ids.iter().enumerate() {
                let uuid = bytes::Bytes::from(vec![
                    u8::try_from(step * 100 + index % 100)
                        .unwrap_or(u8::MAX);
                    16
                ]);
                arrivals.push(Arrival::Frame(self.update(id, state, uuid.clone())));
                arrivals.push(Arrival::Call(self.acknowledge(id, uuid)));
            }
        }
        Burst(arrivals)
    }

    /// Takes everything in; the bytes that were sent.
    #[inline(never)]
    pub fn run(&mut self, burst: &Burst) -> usize {
        self.sent_bytes = 0;
        for arrival in &burst.0 {
            match arrival {
                Arrival::Call(bytes) => {
                    let call: Call = mezz_proto::decode_binary(bytes).expect("a complete call");
                    self.handle(Event::Call(Box::new(SchedulerCall {
                        request: RequestKey(0),
                        stream_id: Some(STREAM_ID.into()),
                        principal: None,
                        call,
                    })));
                }
                Arrival::Frame(bytes) => {
                    let frame =
                        agent::Frame::decode(bytes.as_slice()).expect("a well-formed frame");
                    self.on_body(frame.body.expect("a frame with a body"));
                }
            }
        }
        self.allocate();
        self.sent_bytes
    }

    /// Lets the coalesced allocation happen.
    fn allocate(&mut self) {
        self.now.mono = Mono(self.now.mono.0 + 2 * MILLISECOND_NS);
        self.now.wall = Wall(self.now.wall.0 + 2 * MILLISECOND_NS);
        if let Some((generation, _)) = self.timers.remove(&TimerKey::Allocate) {
            self.handle(Event::Timer {
                key: TimerKey::Allocate,
                generation,
            });
        }
    }

    fn handle(&mut self, event: Event) {
        let mut effects = std::mem::take(&mut self.effects);
        self.master.handle(self.now, event, &mut effects);
        for effect in effects.list.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::ToFramework { event, .. } => {
                self.sent_bytes += recordio::encode_message(&*event).len();
                self.note(*event);
            }
            Effect::Offers { event, .. } => {
                self.sent_bytes += recordio::encode(&event.0).len();
                self.note(Message::decode(event.0).expect("a whole event"));
            }
            Effect::ToAgent { body, .. } => {
                if let Body::Registered(registered) = &*body {
                    self.agent_id = registered.agent_id.clone();
                }
                let frame = agent::Frame {
                    sequence: Some(1),
                    body: Some(*body),
                    ..agent::Frame::default()
                };
                self.sent_bytes += frame.encode_to_vec().len();
            }
            Effect::SetTimer {
                key,
                generation,
                at,
            } => {
                self.timers.insert(key, (generation, at));
            }
            _ => {}
        }
    }

    fn note(&mut self, event: v1::scheduler::Event) {
        if let Some(subscribed) = event.subscribed {
            self.framework_id = subscribed.framework_id;
        }
        if let Some(offers) = event.offers {
            self.offers
                .extend(offers.offers.into_iter().map(|offer| offer.id));
        }
    }

    fn call(&self, kind: call::Type, fill: impl FnOnce(&mut Call)) -> Vec<u8> {
        let mut call = Call {
            framework_id: Some(self.framework_id.clone()),
            r#type: Some(kind as i32),
            ..Call::default()
        };
        fill(&mut call);
        call.encode_to_vec()
    }

    fn accept(&mut self, ids: &[String]) -> Vec<u8> {
        let task_infos = ids.iter().map(|id| self.task(id)).collect();
        let accept = call::Accept {
            offer_ids: std::mem::take(&mut self.offers),
            operations: vec![v1::offer::Operation {
                r#type: Some(v1::offer::operation::Type::Launch as i32),
                launch: Some(v1::offer::operation::Launch { task_infos }),
                ..v1::offer::Operation::default()
            }],
            filters: Some(v1::Filters {
                refuse_seconds: Some(0.0),
            }),
        };
        self.call(call::Type::Accept, |call| call.accept = Some(accept))
    }

    fn task(&self, id: &str) -> v1::TaskInfo {
        let resources = mezz_resource::parse("cpus:0.01;mem:1", "*").expect("a well-formed text");
        v1::TaskInfo {
            name: id.to_owned(),
            task_id: v1::TaskId { value: id.into() },
            agent_id: self.agent_id.clone(),
            resources: resources.to_proto(),
            command: Some(v1::CommandInfo {
                shell: Some(false),
                value: Some("/bin/true".into()),
                arguments: vec!["true".into()],
                ..v1::CommandInfo::default()
            }),
            ..v1::TaskInfo::default()
        }
    }

    fn update(&self, id: &str, state: v1::TaskState, uuid: bytes::Bytes) -> Vec<u8> {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: id.into() },
            state: state as i32,
            source: Some(v1::task_status::Source::Executor as i32),
            agent_id: Some(self.agent_id.clone()),
            executor_id: Some(v1::ExecutorId { value: id.into() }),
            timestamp: Some(1_700_000_000.25),
            uuid: Some(uuid),
            container_status: Some(v1::ContainerStatus {
                network_infos: vec![v1::NetworkInfo {
                    ip_addresses: vec![v1::network_info::IpAddress {
                        ip_address: Some("127.0.0.1".into()),
                        ..v1::network_info::IpAddress::default()
                    }],
                    ..v1::NetworkInfo::default()
                }],
                ..v1::ContainerStatus::default()
            }),
            ..v1::TaskStatus::default()
        };
        agent::Frame {
            sequence: Some(1),
            body: Some(Body::StatusUpdate(agent::StatusUpdate {
                framework_id: self.framework_id.clone(),
                status,
                latest_state: Some(state as i32),
                ..agent::StatusUpdate::default()
            })),
            ..agent::Frame::default()
        }
        .encode_to_vec()
    }

    fn acknowledge(&self, id: &str, uuid: bytes::Bytes) -> Vec<u8> {
        let acknowledge = call::Acknowledge {
            agent_id: self.agent_id.clone(),
            task_id: v1::TaskId { value: id.into() },
            uuid,
        };
        self.call(call::Type::Acknowledge, |call| {
            call.acknowledge = Some(acknowledge);
        })
    }
}

impl Default for LaunchPath {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_of_a_burst_ends_and_what_it_had_is_offered_again() {
        let mut path = LaunchPath::new();
        for _ in 0..3 {
            let burst = path.prepare(50);
            assert!(path.run(&burst) > 50 * 300);
        }
        let records = path.master.records();
        let finished = records
            .tasks
            .iter()
            .filter(|(_, task)| task.state == v1::TaskState::TaskFinished);
        assert_eq!(finished.count(), 150);
        assert!(!path.offers.is_empty());
    }
}
