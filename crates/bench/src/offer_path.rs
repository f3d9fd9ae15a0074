//! An offer's way through the master without its sockets: the ledger grants, the core makes offers, which are encoded;
//! frameworks decline all that they got, and their calls are decoded.

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

/// A master that leads, with agents of which everything is offered, and frameworks that decline everything.
#[derive(Debug)]
pub struct OfferPath {
    master: Master,
    now: Now,
    effects: Effects,
    allocation: Option<Generation>,
    frameworks: BTreeMap<StreamKey, Decliner>,
    sent_bytes: usize,
}

#[derive(Debug, Default)]
struct Decliner {
    id: Option<v1::FrameworkId>,
    /// The bytes of its last event, which holds its offers.
    offers: bytes::Bytes,
}

impl OfferPath {
    /// Elects, registers, subscribes and makes the first offers.
    pub fn new(agents: u32, frameworks: u32) -> Self {
        let mut path = Self {
            master: Master::new(Config::default()),
            now: Now {
                mono: Mono(1),
                wall: Wall(1_700_000_000_000_000_000),
            },
            effects: Effects::default(),
            allocation: None,
            frameworks: BTreeMap::new(),
            sent_bytes: 0,
        };
        path.handle(Event::Elected(Box::new(Elected {
            epoch: 1,
            master_id: "0c5dd1b2-50a5-4fd1-b2c8-8a7a3a7c2c0e".into(),
            seed: 1,
            snapshot: Vec::new(),
        })));
        for number in 0..agents {
            path.register_agent(number);
        }
        for number in 0..frameworks {
            path.subscribe(number);
        }
        path.allocate();
        path
    }

    fn register_agent(&mut self, number: u32) {
        let resources = "cpus:24;mem:65536;disk:100000;ports:[31000-32000]";
        let resources = mezz_resource::parse(resources, "*").expect("a well-formed text");
        let hello = Body::Hello(agent::Hello {
            protocol_version: 1,
            mezz_version: "0".into(),
            boot_id: "b".into(),
            ..agent::Hello::default()
        });
        let register = Body::Register(agent::Register {
            agent: v1::AgentInfo {
                hostname: format!("node-{number}.example"),
                resources: resources.to_proto(),
                ..v1::AgentInfo::default()
            },
            version: "1.11.0".into(),
            capabilities: vec![],
            ip: Some("127.0.0.1".into()),
            token: None,
        });
        for body in [hello, register] {
            self.handle(Event::Agent {
                session: SessionKey(u64::from(number) + 1),
                body: Box::new(body),
            });
        }
    }

    fn subscribe(&mut self, number: u32) {
        let stream = StreamKey(u64::from(number));
        self.frameworks.insert(stream, Decliner::default());
        self.handle(Event::Subscribe(Box::new(Subscribe {
            stream,
            stream_id: stream_id(stream),
            principal: None,
            subscribe: call::Subscribe {
                framework_info: framework_info(&format!("decliner-{number}"), false),
                ..call::Subscribe::default()
            },
        })));
    }

    /// The calls with which the frameworks decline what they have.
    pub fn declines(&mut self) -> Vec<(StreamKey, Vec<u8>)> {
        let mut calls = Vec::new();
        for (stream, framework) in &mut self.frameworks {
            let event = v1::scheduler::Event::decode(std::mem::take(&mut framework.offers));
            let offers = event.expect("a whole event").offers.unwrap_or_default();
            let call = Call {
                framework_id: framework.id.clone(),
                r#type: Some(call::Type::Decline as i32),
                decline: Some(call::Decline {
                    offer_ids: offers.offers.into_iter().map(|offer| offer.id).collect(),
                    filters: Some(v1::Filters {
                        refuse_seconds: Some(0.0),
                    }),
                }),
                ..Call::default()
            };
            calls.push((*stream, call.encode_to_vec()));
        }
        calls
    }

    /// Takes the calls in and offers everything again; the bytes that were sent.
    #[inline(never)]
    pub fn run(&mut self, calls: &[(StreamKey, Vec<u8>)]) -> usize {
        self.sent_bytes = 0;
        for (stream, bytes) in calls {
            let call: Call = mezz_proto::decode_binary(bytes).expect("a complete call");
            self.handle(Event::Call(Box::new(SchedulerCall {
                request: RequestKey(0),
                stream_id: Some(stream_id(*stream)),
                principal: None,
                call,
            })));
        }
        self.allocate();
        self.sent_bytes
    }

    /// Lets the coalesced allocation happen.
    fn allocate(&mut self) {
        self.now.mono = Mono(self.now.mono.0 + 200 * MILLISECOND_NS);
        self.now.wall = Wall(self.now.wall.0 + 200 * MILLISECOND_NS);
        if let Some(generation) = self.allocation.take() {
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
            Effect::ToFramework { stream, event, .. } => {
                if let Some(subscribed) = event.subscribed {
                    self.frameworks.entry(stream).or_default().id = Some(subscribed.framework_id);
                }
            }
            Effect::Offers { stream, event, .. } => {
                self.sent_bytes += recordio::encode(&event.0).len();
                self.frameworks.entry(stream).or_default().offers = event.0;
            }
            Effect::SetTimer {
                key: TimerKey::Allocate,
                generation,
                ..
            } => self.allocation = Some(generation),
            _ => {}
        }
    }
}

fn stream_id(stream: StreamKey) -> String {
    format!("7d6ac4c4-9a1c-4e7e-8a06-{:012}", stream.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_is_offered_again_after_its_offer_was_declined() {
        let mut path = OfferPath::new(20, 4);
        for _ in 0..3 {
            assert_eq!(path.master.records().offers.len(), 20);
            let calls = path.declines();
            assert_eq!(calls.len(), 4);
            assert!(path.run(&calls) > 20 * 200);
        }
    }
}
