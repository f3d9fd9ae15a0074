//! A master with recorded effects: what the scenario tests are told in.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::collections::BTreeMap;

use mezz_core::Master;
use mezz_core::config::Config;
use mezz_core::effect::{Effect, Effects, Reply, StoreOperation};
use mezz_core::event::{Elected, Event, SchedulerCall, Subscribe, TimerKey};
use mezz_core::key::{Generation, RequestKey, SessionKey, StreamKey, Token};
use mezz_core::time::{MILLISECOND_NS, Mono, Now, Wall};
use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use v1::framework_info::capability::Type as Capability;
use v1::scheduler::{Call, call};

pub const MASTER_ID: &str = "m";

pub struct World {
    pub master: Master,
    pub now: Now,
    timers: BTreeMap<TimerKey, (Generation, Mono)>,
    pub to_frameworks: BTreeMap<StreamKey, Vec<v1::scheduler::Event>>,
    pub closed_streams: Vec<StreamKey>,
    pub to_agents: BTreeMap<SessionKey, Vec<Body>>,
    pub replies: BTreeMap<RequestKey, Reply>,
    pub store: BTreeMap<String, bytes::Bytes>,
    pub facts: Vec<mezz_core::fact::Fact>,
    /// The newest write.
    pub written: Token,
    /// Tasks whose updates were acknowledged to agents, and the write that each waits for.
    pub acknowledged: Vec<(String, Option<Token>)>,
    next: u64,
}

pub struct Framework {
    pub id: String,
    pub stream: StreamKey,
    pub stream_id: String,
}

pub struct Agent {
    pub id: String,
    pub session: SessionKey,
}

/// Tasks as an agent reports them.
pub fn encoded(tasks: &[v1::Task]) -> Vec<prost::bytes::Bytes> {
    tasks
        .iter()
        .map(|task| prost::Message::encode_to_vec(task).into())
        .collect()
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self::restarted(config, MASTER_ID, 1, BTreeMap::new())
    }

    pub fn restarted(
        config: Config,
        master_id: &str,
        epoch: u64,
        store: BTreeMap<String, bytes::Bytes>,
    ) -> Self {
        let mut world = Self {
            master: Master::new(config),
            now: Now {
                mono: Mono(1),
                wall: Wall(1_700_000_000_000_000_000),
            },
            timers: BTreeMap::new(),
            to_frameworks: BTreeMap::new(),
            closed_streams: Vec::new(),
            to_agents: BTreeMap::new(),
            replies: BTreeMap::new(),
            store,
            facts: Vec::new(),
            written: Token::default(),
            acknowledged: Vec::new(),
            next: 0,
        };
        let snapshot = world.store.clone().into_iter().collect();
        world.feed(Event::Elected(Box::new(Elected {
            epoch,
            master_id: master_id.into(),
            seed: 1,
            snapshot,
        })));
        world
    }

    pub fn feed(&mut self, event: Event) {
        let mut effects = Effects::default();
        let told = format!("{event:?}");
        self.master.handle(self.now, event, &mut effects);
        if let Err(broken) = self.master.check_invariants() {
            panic!("{broken}\nafter {told}");
        }
        for effect in effects.list {
            self.apply(effect);
        }
        // As at the end of each batch of a shell.
        if let Some((generation, _)) = self.timers.remove(&TimerKey::TellWork) {
            let key = TimerKey::TellWork;
            self.feed(Event::Timer { key, generation });
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { request, reply, .. } => drop(self.replies.insert(request, reply)),
            Effect::ToFramework { stream, event, .. } => {
                self.to_frameworks.entry(stream).or_default().push(*event);
            }
            Effect::Offers { stream, event, .. } => {
                let event = prost::Message::decode(event.0).expect("a whole event");
                self.to_frameworks.entry(stream).or_default().push(event);
            }
            Effect::CloseStream(stream) => self.closed_streams.push(stream),
            Effect::ToAgent {
                session,
                body,
                after,
            } => {
                if let Body::AcknowledgeUpdate(update) = &*body {
                    let task = update.task_id.value.clone();
                    self.acknowledged.push((task, after));
                }
                self.to_agents.entry(session).or_default().push(*body);
            }
            Effect::CloseSession { .. } => {}
            Effect::Persist { token, operations } => {
                self.written = token;
                for operation in operations {
                    match operation {
                        StoreOperation::Put { key, value } => drop(self.store.insert(key, value)),
                        StoreOperation::Delete { key } => drop(self.store.remove(&key)),
                    }
                }
            }
            Effect::SetTimer {
                key,
                generation,
                at,
            } => drop(self.timers.insert(key, (generation, at))),
            Effect::CancelTimer(key) => drop(self.timers.remove(&key)),
            Effect::Fact { fact, .. } => self.facts.push((*fact).clone()),
            Effect::StepDown(reason) => panic!("stepped down: {reason}"),
        }
    }

    /// Lets time pass, firing what becomes due in order.
    pub fn pass(&mut self, span_ns: u64) {
        let end = self.now.mono.after(span_ns);
        while let Some((key, (generation, at))) = self
            .timers
            .iter()
            .map(|(k, v)| (*k, *v))
            .filter(|(_, (_, at))| *at <= end)
            .min_by_key(|(_, (_, at))| *at)
        {
            self.timers.remove(&key);
            self.advance_to(at.max(self.now.mono));
            self.feed(Event::Timer { key, generation });
        }
        self.advance_to(end);
    }

    fn advance_to(&mut self, at: Mono) {
        self.now.wall = Wall(self.now.wall.0 + (at.0 - self.now.mono.0));
        self.now.mono = at;
    }

    /// Lets coalesced work happen.
    pub fn settle(&mut self) {
        self.pass(5 * MILLISECOND_NS);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn agent(&mut self, resources: &str) -> Agent {
        let session = SessionKey(self.number());
        self.hello(session, None);
        let info = agent_info(resources);
        self.feed(Event::Agent {
            session,
            body: Box::new(Body::Register(agent::Register {
                agent: info,
                version: "1.11.0".into(),
                capabilities: vec![],
                ip: Some("127.0.0.1".into()),
                token: None,
            })),
        });
        let id = self.registered_id(session);
        Agent { id, session }
    }

    pub fn hello(&mut self, session: SessionKey, agent_id: Option<&str>) {
        let hello = agent::Hello {
            protocol_version: 1,
            mezz_version: "0".into(),
            boot_id: "b".into(),
            agent_id: agent_id.map(|id| v1::AgentId { value: id.into() }),
            ..agent::Hello::default()
        };
        self.feed(Event::Agent {
            session,
            body: Box::new(Body::Hello(hello)),
        });
    }

    pub fn registered_id(&self, session: SessionKey) -> String {
        self.to_agents[&session]
            .iter()
            .rev()
            .find_map(|body| {
                if let Body::Registered(registered) = body {
                    Some(registered.agent_id.value.clone())
                } else {
                    None
                }
            })
            .expect("the agent was registered")
    }

    /// The agent comes back on a new session with these tasks.
    pub fn reregister(
        &mut self,
        id: &str,
        resources: &str,
        frameworks: Vec<v1::FrameworkInfo>,
        tasks: Vec<v1::Task>,
    ) -> Agent {
        let body = agent::Reregister {
            tasks: encoded(&tasks),
            frameworks,
            ..agent::Reregister::default()
        };
        self.reregister_with(id, resources, body)
    }

    /// The agent comes back on a new session with what the body says besides itself.
    pub fn reregister_with(&mut self, id: &str, resources: &str, body: agent::Reregister) -> Agent {
        let session = SessionKey(self.number());
        self.hello(session, Some(id));
        let mut info = agent_info(resources);
        info.id = Some(v1::AgentId { value: id.into() });
        let body = agent::Reregister {
            agent: info,
            version: "1.11.0".into(),
            ip: Some("127.0.0.1".into()),
            ..body
        };
        self.feed(Event::Agent {
            session,
            body: Box::new(Body::Reregister(body)),
        });
        Agent {
            id: id.into(),
            session,
        }
    }

    pub fn subscribe(&mut self, info: v1::FrameworkInfo) -> Framework {
        let stream = StreamKey(self.number());
        let stream_id = format!("stream-{}", stream.0);
        let subscribe = call::Subscribe {
            framework_info: info,
            ..call::Subscribe::default()
        };
        self.feed(Event::Subscribe(Box::new(Subscribe {
            stream,
            stream_id: stream_id.clone(),
            principal: None,
            subscribe,
        })));
        let id = self
            .events(stream)
            .iter()
            .find_map(|event| event.subscribed.as_ref())
            .map_or(String::new(), |s| s.framework_id.value.clone());
        Framework {
            id,
            stream,
            stream_id,
        }
    }

    pub fn call(
        &mut self,
        framework: &Framework,
        kind: call::Type,
        fill: impl FnOnce(&mut Call),
    ) -> Option<Reply> {
        let mut call = Call {
            framework_id: Some(v1::FrameworkId {
                value: framework.id.clone(),
            }),
            r#type: Some(kind as i32),
            ..Call::default()
        };
        fill(&mut call);
        let request = RequestKey(self.number());
        let stream_id = Some(framework.stream_id.clone());
        self.feed(Event::Call(Box::new(SchedulerCall {
            request,
            stream_id,
            principal: None,
            call,
        })));
        self.replies.get(&request).cloned()
    }

    pub fn accept(
        &mut self,
        framework: &Framework,
        offers: &[v1::Offer],
        tasks: Vec<v1::TaskInfo>,
    ) {
        let operation = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch as i32),
            launch: Some(v1::offer::operation::Launch { task_infos: tasks }),
            ..v1::offer::Operation::default()
        };
        let accept = call::Accept {
            offer_ids: offers.iter().map(|offer| offer.id.clone()).collect(),
            operations: vec![operation],
            filters: None,
        };
        self.call(framework, call::Type::Accept, |call| {
            call.accept = Some(accept);
        });
    }

    pub fn decline(&mut self, framework: &Framework, offers: &[v1::Offer], seconds: f64) {
        let decline = call::Decline {
            offer_ids: offers.iter().map(|offer| offer.id.clone()).collect(),
            filters: Some(v1::Filters {
                refuse_seconds: Some(seconds),
            }),
        };
        self.call(framework, call::Type::Decline, |call| {
            call.decline = Some(decline);
        });
    }

    pub fn events(&self, stream: StreamKey) -> &[v1::scheduler::Event] {
        self.to_frameworks.get(&stream).map_or(&[], Vec::as_slice)
    }

    /// Takes the events that came since the last look.
    pub fn take_events(&mut self, framework: &Framework) -> Vec<v1::scheduler::Event> {
        self.to_frameworks
            .remove(&framework.stream)
            .unwrap_or_default()
    }

    pub fn take_offers(&mut self, framework: &Framework) -> Vec<v1::Offer> {
        self.settle();
        self.take_events(framework)
            .into_iter()
            .filter_map(|event| event.offers)
            .flat_map(|offers| offers.offers)
            .collect()
    }

    pub fn take_updates(&mut self, framework: &Framework) -> Vec<v1::TaskStatus> {
        self.take_events(framework)
            .into_iter()
            .filter_map(|event| event.update)
            .map(|update| update.status)
            .collect()
    }

    pub fn take_bodies(&mut self, agent: &Agent) -> Vec<Body> {
        self.to_agents.remove(&agent.session).unwrap_or_default()
    }

    pub fn update(
        &mut self,
        agent: &Agent,
        framework: &Framework,
        task: &str,
        state: v1::TaskState,
        uuid: u8,
    ) {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: task.into() },
            state: state as i32,
            source: Some(v1::task_status::Source::Executor as i32),
            agent_id: Some(v1::AgentId {
                value: agent.id.clone(),
            }),
            uuid: Some(bytes::Bytes::from(vec![uuid; 16])),
            ..v1::TaskStatus::default()
        };
        let body = agent::StatusUpdate {
            framework_id: v1::FrameworkId {
                value: framework.id.clone(),
            },
            status,
            latest_state: Some(state as i32),
            executor_id: None,
        };
        self.feed(Event::Agent {
            session: agent.session,
            body: Box::new(Body::StatusUpdate(body)),
        });
    }

    pub fn acknowledge(&mut self, agent: &Agent, framework: &Framework, task: &str, uuid: u8) {
        let acknowledge = call::Acknowledge {
            agent_id: v1::AgentId {
                value: agent.id.clone(),
            },
            task_id: v1::TaskId { value: task.into() },
            uuid: bytes::Bytes::from(vec![uuid; 16]),
        };
        self.call(framework, call::Type::Acknowledge, |call| {
            call.acknowledge = Some(acknowledge);
        });
    }
}

pub fn agent_info(resources: &str) -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: "localhost".into(),
        port: Some(5051),
        resources: mezz_resource::parse_text(resources, "*")
            .unwrap()
            .to_proto(),
        ..v1::AgentInfo::default()
    }
}

pub fn framework_info(
    name: &str,
    roles: &[&str],
    capabilities: &[Capability],
) -> v1::FrameworkInfo {
    let kinds = capabilities.iter().copied().chain([Capability::MultiRole]);
    v1::FrameworkInfo {
        user: "u".into(),
        name: name.into(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        capabilities: kinds
            .map(|kind| v1::framework_info::Capability {
                r#type: Some(kind as i32),
            })
            .collect(),
        failover_timeout: Some(60.0),
        checkpoint: Some(true),
        ..v1::FrameworkInfo::default()
    }
}

pub fn task(id: &str, agent_id: &v1::AgentId, resources: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: agent_id.clone(),
        resources: mezz_resource::parse_text(resources, "*")
            .unwrap()
            .to_proto(),
        command: Some(v1::CommandInfo {
            value: Some("true".into()),
            ..v1::CommandInfo::default()
        }),
        ..v1::TaskInfo::default()
    }
}
