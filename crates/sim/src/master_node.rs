//! The master's process: the real core, its timers, its writes, and effects held back until they may go out.

use std::collections::{BTreeMap, VecDeque};

use mezz_core::Master;
use mezz_core::config::Config;
use mezz_core::effect::{Effect, Effects};
use mezz_core::event::{Elected, Event, TimerKey};
use mezz_core::fact::Fact;
use mezz_core::key::{Generation, Token};
use mezz_core::time::{Mono, Now, Wall};
use mezz_proto::agent_protocol::{Frame, frame::Body};
use mezz_proto::{to_json, v1};
use mezz_resource::Resources;
use prost::Message;

use crate::network::{MILLISECOND, Peer, SECOND};
use crate::pauses::Unread;
use crate::recorded::Life;
use crate::schedule::{End, Occurrence};
use crate::world::{Recording, Weather, World};

/// Wall time at the beginning of every run.
pub(crate) const WALL_ZERO_NS: u64 = 1_700_000_000 * SECOND;

/// The process.
#[derive(Debug, Default)]
pub(crate) struct MasterNode {
    pub(crate) core: Option<Box<Master>>,
    pub(crate) life: u64,
    durable: Token,
    /// By link: what waits for a write, and what came after it.
    held: BTreeMap<u64, VecDeque<(Token, Effect)>>,
    pub(crate) next_request: u64,
    /// What is written down of this life.
    pub(crate) recording: Option<Life>,
}

impl MasterNode {
    /// The process that may follow this one.
    pub(crate) fn after(node: &Self) -> Self {
        Self {
            life: node.life + 1,
            next_request: node.next_request,
            ..Self::default()
        }
    }
}

fn config() -> Config {
    Config {
        offer_timeout_ns: 20 * SECOND,
        agent_ping_timeout_ns: 5 * SECOND,
        max_agent_ping_timeouts: 3,
        agent_reregister_timeout_ns: 60 * SECOND,
        max_completed_frameworks: 3,
        max_completed_tasks_per_framework: 10,
        max_unreachable_tasks_per_framework: 10,
        registration_permits: 2,
        ..Config::default()
    }
}

impl World {
    pub(crate) fn start_master(&mut self) {
        if self.master.core.is_some() {
            return;
        }
        self.master.life += 1;
        self.summary.master_lives += 1;
        let life = self.master.life;
        self.note(|| format!("master starts, life {life}"));
        let core = Box::new(Master::new(config()));
        if self.settings.recording == Recording::On {
            self.master.recording = Some(Life::begin(life, &core));
        }
        self.master.core = Some(core);
        self.reigns.begin(self.now_ns);
        let elected = Elected {
            epoch: life,
            master_id: format!("m{life}"),
            seed: self.rng.number(),
            snapshot: self.disk.snapshot(),
        };
        self.master_event(Event::Elected(Box::new(elected)));
    }

    /// The process is killed between two effects.
    pub(crate) fn kill_master(&mut self) {
        self.finish_recording();
        if self.master.core.take().is_none() {
            return;
        }
        self.note(|| "master dies".into());
        self.reigns.end(self.now_ns);
        self.master.held.clear();
        self.master.durable = Token(0);
        self.disk.crash(&mut self.rng);
        let life = self.master.life;
        self.network.drop_all(
            self.now_ns,
            End::Master,
            |link| link.master_life == life,
            &mut self.rng,
            &mut self.schedule,
        );
        self.soon(15 * SECOND, Occurrence::MasterStart);
    }

    pub(crate) fn master_event(&mut self, event: Event) {
        let now = Now {
            mono: Mono(self.now_ns),
            wall: Wall(WALL_ZERO_NS + self.now_ns),
        };
        let Some(core) = self.master.core.as_mut() else {
            return;
        };
        let told = event.clone();
        let before = core.records().work.clone();
        let mut effects = Effects::default();
        if let Some(recording) = &mut self.master.recording {
            recording.before(now, &event);
        }
        core.handle(now, event, &mut effects);
        if let Some(recording) = &mut self.master.recording {
            recording.after(&effects.list, core);
        }
        self.summary.events += 1;
        if let Err(broken) = core.check_invariants() {
            let tasks: Vec<String> = core
                .records()
                .tasks
                .iter()
                .map(|(_, task)| {
                    format!(
                        "{} {:?} {:?} on {:?} with {}",
                        task.id, task.state, task.list, task.agent, task.resources
                    )
                })
                .collect();
            for task in tasks {
                self.note(|| task);
            }
            self.fail(format!("master: {broken}\nafter {told:?}"));
            return;
        }
        self.check_users(&told, &before, &effects);
        let every = self.settings.restore_every;
        if every > 0 && self.summary.events.is_multiple_of(every) {
            self.restore_master();
        }
        for effect in effects.list {
            self.master_effect(effect);
        }
    }

    fn restore_master(&mut self) {
        let Some(core) = self.master.core.as_mut() else {
            return;
        };
        let snapshot = core.snapshot();
        match Master::from_snapshot(&snapshot) {
            Ok(restored) if restored == **core && restored.snapshot() == snapshot => {
                **core = restored;
            }
            Ok(_) => self.fail("a restored master differs from the one that was written".into()),
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn master_effect(&mut self, effect: Effect) {
        let (link, after) =
            match &effect {
                Effect::ToFramework { stream, after, .. }
                | Effect::Offers { stream, after, .. } => (stream.0, *after),
                Effect::CloseStream(stream) => (stream.0, None),
                Effect::ToAgent { session, after, .. }
                | Effect::CloseSession { session, after } => (session.0, *after),
                Effect::Reply { .. } => return,
                _ => return self.own_effect(effect),
            };
        let queue = self.master.held.entry(link).or_default();
        let token = after
            .unwrap_or_default()
            .max(queue.back().map_or(Token(0), |(token, _)| *token));
        if token > self.master.durable {
            queue.push_back((token, effect));
        } else {
            self.release(effect);
        }
    }

    fn own_effect(&mut self, effect: Effect) {
        let life = self.master.life;
        match effect {
            Effect::Persist { .. } | Effect::StepDown(_) if self.acts_deposed() => {
                self.soon(SECOND, Occurrence::Fenced { life });
            }
            Effect::Fact { .. } if self.acts_deposed() => {}
            Effect::Persist { token, operations } => {
                self.disk.write(token, operations);
                let done = self.now_ns + self.rng.span(2 * MILLISECOND, 3 * SECOND);
                self.disk.last_sync_ns = done.max(self.disk.last_sync_ns);
                self.schedule
                    .at(self.disk.last_sync_ns, Occurrence::Synced { life, token });
            }
            Effect::SetTimer {
                key,
                generation,
                at,
            } => {
                let at = at.0.max(self.now_ns);
                self.schedule.at(
                    at,
                    Occurrence::MasterTimer {
                        life,
                        key,
                        generation,
                    },
                );
            }
            Effect::Fact { fact, .. } => self.master_fact(&fact),
            Effect::StepDown(reason) => {
                self.note(|| format!("master steps down: {reason}"));
                self.kill_master();
            }
            _ => {}
        }
    }

    fn master_fact(&mut self, fact: &Fact) {
        match fact {
            Fact::FrameworkRemoved { info, .. } => {
                let id = info
                    .id
                    .as_ref()
                    .map(|id| id.value.clone())
                    .unwrap_or_default();
                self.note(|| format!("master removed framework {id}"));
                self.removed_frameworks.insert(id);
            }
            Fact::AgentRemoved {
                agent_id, reason, ..
            } => {
                self.note(|| format!("master lost agent {agent_id}: {reason:?}"));
            }
            Fact::TaskUpdated { .. }
            | Fact::OfferSent { .. }
            | Fact::OfferEnded { .. }
            | Fact::TaskAdded { .. } => {}
            fact => self.note(|| format!("fact {fact:?}")),
        }
    }

    fn release(&mut self, effect: Effect) {
        match effect {
            Effect::ToFramework { stream, event, .. } => {
                let json = self.speaks_json(stream.0);
                let bytes = if json {
                    to_json(&*event)
                } else {
                    event.encode_to_vec()
                };
                self.send(stream.0, End::Peer, bytes);
            }
            Effect::Offers { stream, event, .. } => {
                let bytes = if self.speaks_json(stream.0) {
                    let event: v1::scheduler::Event =
                        Message::decode(event.0).expect("the core encodes whole events");
                    to_json(&event)
                } else {
                    event.0.to_vec()
                };
                self.send(stream.0, End::Peer, bytes);
            }
            Effect::CloseStream(stream) => self.close(stream.0, End::Master),
            Effect::ToAgent { session, body, .. } => {
                self.note_orders(&body);
                let frame = Frame {
                    body: Some(*body),
                    ..Frame::default()
                };
                self.send(session.0, End::Peer, frame.encode_to_vec());
            }
            Effect::CloseSession { session, .. } => {
                self.close(session.0, End::Master);
                // The shell reports the end of what it closed as well.
                self.master_event(Event::SessionClosed(session));
            }
            _ => {}
        }
    }

    /// What an agent is told to start and to end.
    fn note_orders(&mut self, body: &Body) {
        match body {
            Body::RunTasks(run) => {
                for task in &run.tasks {
                    let info = &task.task;
                    let taken = Resources::from_proto(&info.resources).unwrap_or_default();
                    let (id, agent) = (&info.task_id.value, &info.agent_id.value);
                    self.note(|| format!("launch of {id} on {agent} with {taken}"));
                }
            }
            Body::RunGroup(run) => {
                for task in &run.tasks {
                    let (id, pod) = (&task.task.task_id.value, &run.executor.executor_id.value);
                    self.note(|| format!("launch of {id} in the pod {pod}"));
                }
            }
            Body::KillTask(kill) => {
                self.note(|| format!("kill of {}", kill.task_id.value));
            }
            _ => {}
        }
    }

    fn speaks_json(&self, link: u64) -> bool {
        match self.network.link(link).map(|link| link.peer) {
            Some(Peer::Framework(framework)) => self.frameworks[framework].json,
            _ => false,
        }
    }

    pub(crate) fn send(&mut self, link: u64, to: End, bytes: Vec<u8>) {
        let of_agent = matches!(
            self.network.link(link).map(|link| link.peer),
            Some(Peer::Agent(_))
        );
        if of_agent && self.settings.recording == Recording::On {
            self.recorded.frames.push((to, bytes.clone()));
        }
        self.network.send(
            self.now_ns,
            link,
            to,
            bytes,
            &mut self.rng,
            &mut self.schedule,
        );
    }

    pub(crate) fn close(&mut self, link: u64, by: End) {
        self.network
            .close(self.now_ns, link, by, &mut self.rng, &mut self.schedule);
    }

    pub(crate) fn synced(&mut self, life: u64, token: Token) {
        if life != self.master.life || self.master.core.is_none() {
            return;
        }
        if std::mem::take(&mut self.disk.fails) && self.weather == Weather::Stormy {
            return self.master_event(Event::PersistFailed(token));
        }
        self.disk.sync(token);
        self.master.durable = token;
        self.master_event(Event::Persisted(token));
        let links: Vec<u64> = self.master.held.keys().copied().collect();
        for link in links {
            while let Some(queue) = self.master.held.get_mut(&link)
                && queue
                    .front()
                    .is_some_and(|(token, _)| *token <= self.master.durable)
            {
                let (_, effect) = queue.pop_front().expect("just seen");
                self.release(effect);
            }
        }
        self.master.held.retain(|_, queue| !queue.is_empty());
    }

    pub(crate) fn fire_master_timer(&mut self, life: u64, key: TimerKey, generation: Generation) {
        if life == self.master.life {
            self.master_event(Event::Timer { key, generation });
        } else if self.is_deposed(life) {
            self.tell_deposed(Unread::Timer { key, generation });
        }
    }
}
