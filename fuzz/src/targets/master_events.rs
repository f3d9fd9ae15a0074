//! Sequences of events into the master's core; its invariants hold after each.

use std::collections::{BTreeMap, BTreeSet};

use mezz_core::Master;
use mezz_core::config::Config;
use mezz_core::effect::{Effect, Effects};
use mezz_core::event::{
    Elected, Event, OperatorAction, OperatorCall, SchedulerCall, Subscribe, TimerKey,
};
use mezz_core::key::{Generation, RequestKey, SessionKey, StreamKey};
use mezz_core::time::{MILLISECOND_NS, Mono, Now, SECOND_NS, Wall};
use mezz_core::validation;
use mezz_proto::agent_protocol::Frame;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::scheduler::{Call, call};
use mezz_proto::{decode_binary, v1};
use prost::Message as _;

use super::script::{self, Step};

const SUBSCRIBE: u8 = 0;
const CALL: u8 = 1;
const AGENT: u8 = 2;
const TIME: u8 = 5;

struct World {
    master: Master,
    now: Now,
    timers: BTreeMap<TimerKey, (Generation, Mono)>,
    /// Streams that are open, by their numbers.
    streams: BTreeSet<u64>,
    /// The framework that each stream was given.
    frameworks: BTreeMap<u64, String>,
    next: u64,
}

pub(crate) fn check(data: &[u8]) {
    played(data);
}

fn played(data: &[u8]) -> World {
    let mut world = World::new();
    for step in script::steps(data).take(200) {
        world.step(step);
    }
    world
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            master: Master::new(Config::default()),
            now: Now {
                mono: Mono(1),
                wall: Wall(1_700_000_000_000_000_000),
            },
            timers: BTreeMap::new(),
            streams: BTreeSet::new(),
            frameworks: BTreeMap::new(),
            next: 1000,
        };
        world.feed(Event::Elected(Box::new(Elected {
            epoch: 1,
            master_id: "m".into(),
            seed: 1,
            snapshot: Vec::new(),
        })));
        world
    }

    fn feed(&mut self, event: Event) {
        let mut effects = Effects::default();
        self.master.handle(self.now, event, &mut effects);
        if let Err(broken) = self.master.check_invariants() {
            panic!("{broken}");
        }
        for effect in effects.list {
            match effect {
                Effect::SetTimer {
                    key,
                    generation,
                    at,
                } => drop(self.timers.insert(key, (generation, at))),
                Effect::CancelTimer(key) => drop(self.timers.remove(&key)),
                Effect::CloseStream(stream) => drop(self.streams.remove(&stream.0)),
                Effect::ToFramework { stream, event, .. } => {
                    if let Some(subscribed) = &event.subscribed {
                        let id = subscribed.framework_id.value.clone();
                        self.frameworks.insert(stream.0, id);
                    }
                }
                _ => {}
            }
        }
    }

    fn step(&mut self, step: Step<'_>) {
        let session = SessionKey(u64::from(step.number % 8));
        let stream = u64::from(step.number % 8);
        match step.kind % 8 {
            SUBSCRIBE => self.subscribe(stream, step.body),
            CALL => self.call(stream, step.body),
            // The shell puts parts together before the core sees them.
            AGENT => match Frame::decode(step.body).ok().and_then(|frame| frame.body) {
                Some(Body::Part(_)) | None => {}
                Some(body) => self.feed(Event::Agent {
                    session,
                    body: Box::new(body),
                }),
            },
            3 => {
                if self.streams.remove(&stream) {
                    self.feed(Event::StreamClosed(StreamKey(stream)));
                }
            }
            4 => self.feed(Event::SessionClosed(session)),
            TIME => self.pass(u64::from(step.number) * 100 * MILLISECOND_NS),
            6 => self.pass(u64::from(step.number) * 10 * SECOND_NS),
            _ => self.operate(step),
        }
    }

    fn request(&mut self) -> RequestKey {
        self.next += 1;
        RequestKey(self.next)
    }

    fn subscribe(&mut self, stream: u64, body: &[u8]) {
        let Some(call) = valid(body) else { return };
        let Some(subscribe) = call.subscribe else {
            return;
        };
        // The shell never gives a number twice.
        if self.streams.insert(stream) && !self.frameworks.contains_key(&stream) {
            self.feed(Event::Subscribe(Box::new(Subscribe {
                stream: StreamKey(stream),
                stream_id: stream.to_string(),
                principal: None,
                subscribe: *subscribe,
            })));
        }
    }

    /// A framework's call; it says its own id, whatever the bytes say.
    fn call(&mut self, stream: u64, body: &[u8]) {
        let Some(mut call) = valid(body) else { return };
        if call.r#type() == call::Type::Subscribe {
            return;
        }
        if let Some(id) = self.frameworks.get(&stream) {
            call.framework_id = Some(v1::FrameworkId { value: id.clone() });
        }
        let request = self.request();
        self.feed(Event::Call(Box::new(SchedulerCall {
            request,
            stream_id: Some(stream.to_string()),
            principal: None,
            call,
        })));
    }

    fn operate(&mut self, step: Step<'_>) {
        let text = String::from_utf8_lossy(step.body).into_owned();
        let action = match step.number % 4 {
            0 => OperatorAction::Teardown { framework_id: text },
            1 => OperatorAction::MarkAgentGone { agent_id: text },
            2 => OperatorAction::DeactivateAgent { agent_id: text },
            _ => OperatorAction::ReactivateAgent { agent_id: text },
        };
        let request = self.request();
        self.feed(Event::Operator(Box::new(OperatorCall {
            request,
            principal: None,
            action,
        })));
    }

    /// Lets time pass; what becomes due fires in order, a bounded number of times.
    fn pass(&mut self, span_ns: u64) {
        let end = self.now.mono.after(span_ns);
        for _ in 0..200 {
            let due = self.timers.iter().map(|(key, (_, at))| (*at, *key)).min();
            let Some((at, key)) = due.filter(|(at, _)| *at <= end) else {
                break;
            };
            let (generation, _) = self.timers.remove(&key).expect("it was just seen");
            self.advance(at.max(self.now.mono));
            self.feed(Event::Timer { key, generation });
        }
        self.advance(end);
    }

    fn advance(&mut self, at: Mono) {
        self.now.wall = Wall(self.now.wall.0 + (at.0 - self.now.mono.0));
        self.now.mono = at;
    }
}

/// A call as it passes the shell.
fn valid(body: &[u8]) -> Option<Call> {
    let call = decode_binary::<Call>(body).ok()?;
    validation::scheduler_call(&call).is_ok().then_some(call)
}

/// Conversations that make sense.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let golden = crate::seeds::golden("scheduler-call");
    let conversation = conversation();
    let mut seeds = vec![conversation.clone()];
    for call in golden {
        let mut seed = conversation.clone();
        script::write(&mut seed, CALL, 1, &call);
        script::write(&mut seed, TIME, 50, &[]);
        seeds.push(seed);
    }
    seeds
}

/// A framework and an agent meet; a task is launched, runs, and is asked for.
fn conversation() -> Vec<u8> {
    let mut data = Vec::new();
    for body in crate::seeds::agent_greeting() {
        script::write(&mut data, AGENT, 1, &body);
    }
    let call = |json: &str| {
        let call = mezz_proto::from_json::<Call>(json.as_bytes());
        call.expect("a seed is well formed").encode_to_vec()
    };
    let subscribe = call(
        r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"f","roles":["dev"],
        "failover_timeout":60,"checkpoint":true,"capabilities":[{"type":"MULTI_ROLE"},{"type":"PARTITION_AWARE"}]}}}"#,
    );
    script::write(&mut data, SUBSCRIBE, 1, &subscribe);
    script::write(&mut data, TIME, 10, &[]);
    let accept = call(
        r#"{"framework_id":{"value":"m-0000"},"type":"ACCEPT","accept":{"offer_ids":[{"value":"m-O0"}],
        "operations":[{"type":"LAUNCH","launch":{"task_infos":[{"name":"t","task_id":{"value":"t"},
        "agent_id":{"value":"m-S0"},"command":{"value":"true"},"resources":[{"name":"cpus","type":"SCALAR",
        "scalar":{"value":1},"allocation_info":{"role":"dev"}},{"name":"mem","type":"SCALAR",
        "scalar":{"value":32},"allocation_info":{"role":"dev"}}]}]}}],"filters":{"refuse_seconds":1}}}"#,
    );
    script::write(&mut data, CALL, 1, &accept);
    script::write(&mut data, AGENT, 1, &crate::seeds::agent_update());
    script::write(&mut data, TIME, 30, &[]);
    let reconcile =
        call(r#"{"framework_id":{"value":"m-0000"},"type":"RECONCILE","reconcile":{"tasks":[]}}"#);
    script::write(&mut data, CALL, 1, &reconcile);
    script::write(&mut data, 4, 1, &[]);
    script::write(&mut data, 6, 90, &[]);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conversation_launches_a_task() {
        let world = played(&conversation());
        let mut tasks = world.master.records().tasks.iter();
        let (_, task) = tasks.next().expect("a task was launched");
        assert_eq!(task.state, v1::TaskState::TaskUnreachable);
    }
}
