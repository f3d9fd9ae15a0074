//! The way back of agents to a master that has just started, without sockets: their frames are decoded and taken in,
//! with the tasks that they run.

use std::collections::BTreeMap;

use bytes::Bytes;
use mezz_core::Master;
use mezz_core::config::Config;
use mezz_core::effect::{Effect, Effects, StoreOperation};
use mezz_core::event::{Elected, Event};
use mezz_core::key::SessionKey;
use mezz_core::time::{MILLISECOND_NS, Mono, Now, Wall};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{Frame, Hello};
use prost::Message;

use crate::shapes::{Burden, TaskShape, register, reregister};

/// What an agent brings back.
const BURDEN: Burden = Burden {
    shape: TaskShape::Usual,
    frameworks: 5,
    running_per_framework: 2,
    completed_frameworks: 0,
    finished_per_framework: 0,
};

/// A master that leads and knows agents of which none is back.
#[derive(Debug)]
pub struct ReturnPath {
    core: Core,
    frames: Vec<Bytes>,
}

impl ReturnPath {
    /// Registers agents with a first master; what it stored is what the second one starts from.
    pub fn new(agents: u32) -> Self {
        let mut first = Core::elected(1, Vec::new());
        for number in 0..agents {
            first.take_in(number, &register(number as usize, TaskShape::Usual));
        }
        let ids = first.master.records().agents.iter();
        let frames = ids
            .map(|(number, agent)| reregister(number, &agent.id, &BURDEN))
            .collect();
        let core = Core::elected(2, first.stored.into_iter().collect());
        Self { core, frames }
    }

    /// Takes in every agent's registration; how many agents are connected then.
    #[inline(never)]
    pub fn run(&mut self) -> usize {
        for (number, frame) in (0..).zip(&self.frames) {
            self.core.take_in(number, frame);
        }
        let agents = self.core.master.records().agents.iter();
        agents.filter(|(_, agent)| agent.is_active()).count()
    }
}

#[derive(Debug)]
struct Core {
    master: Master,
    now: Now,
    effects: Effects,
    stored: BTreeMap<String, Bytes>,
}

impl Core {
    fn elected(epoch: u64, snapshot: Vec<(String, Bytes)>) -> Self {
        let mut core = Self {
            master: Master::new(Config::default()),
            now: Now {
                mono: Mono(1),
                wall: Wall(1_700_000_000_000_000_000),
            },
            effects: Effects::default(),
            stored: BTreeMap::new(),
        };
        core.handle(Event::Elected(Box::new(Elected {
            epoch,
            master_id: format!("0c5dd1b2-50a5-4fd1-b2c8-8a7a3a7c2c0{epoch}"),
            seed: 1,
            snapshot,
        })));
        core
    }

    /// An agent says who it is and, once it is let in, registers.
    fn take_in(&mut self, number: u32, registration: &[u8]) {
        let hello = Body::Hello(Hello {
            protocol_version: 1,
            mezz_version: "0".into(),
            boot_id: "b".into(),
            ..Hello::default()
        });
        let frame = Frame::decode(registration).expect("a well-formed frame");
        for body in [hello, frame.body.expect("a frame with a body")] {
            self.now.mono = Mono(self.now.mono.0 + MILLISECOND_NS / 10);
            self.now.wall = Wall(self.now.wall.0 + MILLISECOND_NS / 10);
            self.handle(Event::Agent {
                session: SessionKey(u64::from(number) + 1),
                body: Box::new(body),
            });
        }
    }

    fn handle(&mut self, event: Event) {
        self.master.handle(self.now, event, &mut self.effects);
        for effect in self.effects.list.drain(..) {
            let Effect::Persist { operations, .. } = effect else {
                continue;
            };
            for operation in operations {
                match operation {
                    StoreOperation::Put { key, value } => self.stored.insert(key, value),
                    StoreOperation::Delete { key } => self.stored.remove(&key),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_agent_comes_back_with_its_tasks() {
        let mut path = ReturnPath::new(30);
        assert_eq!(path.run(), 30);
        assert_eq!(path.core.master.records().tasks.len(), 300);
    }
}
