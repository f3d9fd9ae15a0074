//! A master that stands still past its lease (SIGSTOP, a paused machine): another is elected meanwhile, and the old one
//! goes on for a moment with all that it did not read yet, until it learns that its writes are fenced off.

use mezz_core::event::{Event, TimerKey};
use mezz_core::key::Generation;

use crate::master_node::MasterNode;
use crate::network::{Peer, SECOND};
use crate::schedule::{End, Occurrence};
use crate::world::World;

/// A master that is not the newest any more.
#[derive(Debug, Default)]
pub(crate) struct Deposed {
    node: MasterNode,
    standing: Standing,
    /// What it will find when it goes on.
    unread: Vec<Unread>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Gone,
    Still,
    /// It works again, and does not know yet that it is deposed.
    Awake,
}

#[derive(Debug)]
pub(crate) enum Unread {
    Delivery {
        link: u64,
        peer: Peer,
        bytes: Vec<u8>,
    },
    Closed {
        link: u64,
        peer: Peer,
    },
    Timer {
        key: TimerKey,
        generation: Generation,
    },
}

impl World {
    /// The leader stands still; its lease runs out, and peers hear nothing from it.
    pub(crate) fn pause_master(&mut self) {
        if self.master.core.is_none() || self.deposed.standing != Standing::Gone {
            return;
        }
        let life = self.master.life;
        self.note(|| format!("master of life {life} stands still"));
        self.reigns.end(self.now_ns);
        let successor = MasterNode::after(&self.master);
        self.deposed = Deposed {
            node: std::mem::replace(&mut self.master, successor),
            standing: Standing::Still,
            unread: Vec::new(),
        };
        // What it had begun to write is fenced off with it.
        self.disk.crash(&mut self.rng);
        for link in self.network.carrying() {
            let of_it = self
                .network
                .link(link)
                .is_some_and(|entry| entry.master_life == life);
            if of_it {
                let notice = self.rng.span(20 * SECOND, 90 * SECOND);
                let at = End::Peer;
                self.schedule
                    .at(self.now_ns + notice, Occurrence::Closed { link, at });
            }
        }
        self.soon(15 * SECOND, Occurrence::MasterStart);
        let pause = 15 * SECOND + self.rng.below(60 * SECOND);
        self.schedule
            .at(self.now_ns + pause, Occurrence::MasterResumes { life });
    }

    /// Whether a life is that of the master which is not the newest.
    pub(crate) fn is_deposed(&self, life: u64) -> bool {
        self.deposed.standing != Standing::Gone && self.deposed.node.life == life
    }

    /// Whether what is being handled is handled by the deposed master.
    pub(crate) fn acts_deposed(&self) -> bool {
        self.master.life < self.deposed.node.life
    }

    pub(crate) fn tell_deposed(&mut self, unread: Unread) {
        match self.deposed.standing {
            Standing::Gone => {}
            Standing::Still => self.deposed.unread.push(unread),
            Standing::Awake => self.deposed_takes(unread),
        }
    }

    /// It goes on where it stood still, with all that came meanwhile.
    pub(crate) fn master_resumes(&mut self, life: u64) {
        if !self.is_deposed(life) {
            return;
        }
        self.note(|| format!("master of life {life} goes on"));
        self.deposed.standing = Standing::Awake;
        for unread in std::mem::take(&mut self.deposed.unread) {
            if self.deposed.standing == Standing::Awake {
                self.deposed_takes(unread);
            }
        }
        self.soon(2 * SECOND, Occurrence::Fenced { life });
    }

    fn deposed_takes(&mut self, unread: Unread) {
        std::mem::swap(&mut self.master, &mut self.deposed.node);
        match unread {
            Unread::Delivery { link, peer, bytes } => match peer {
                Peer::Agent(agent) => self.master_hears_agent(link, agent, &bytes),
                Peer::Framework(framework) => self.master_hears_framework(link, framework, &bytes),
            },
            Unread::Closed { link, peer } => {
                let life = self.master.life;
                self.master_loses(link, life, peer);
            }
            Unread::Timer { key, generation } => {
                self.master_event(Event::Timer { key, generation });
            }
        }
        std::mem::swap(&mut self.master, &mut self.deposed.node);
    }

    /// A write of it was refused, or the election told it: it steps down.
    pub(crate) fn fenced(&mut self, life: u64) {
        if !self.is_deposed(life) {
            return;
        }
        self.note(|| format!("master of life {life} is deposed"));
        std::mem::swap(&mut self.master, &mut self.deposed.node);
        self.finish_recording();
        std::mem::swap(&mut self.master, &mut self.deposed.node);
        self.deposed = Deposed::default();
        self.network.drop_all(
            self.now_ns,
            End::Master,
            |link| link.master_life == life,
            &mut self.rng,
            &mut self.schedule,
        );
    }
}
