//! The thread that owns the core: takes inputs, lets the core decide, carries its effects out in order.
//!
//! It decides nothing itself, and nothing here waits for a client, an agent or the store.

use std::sync::Arc;
use std::time::Instant;

use mezz_core::Master;
use mezz_core::effect::{Effect, Effects, Reply};
use mezz_core::event::{Event, TimerKey};
use mezz_core::key::{RequestKey, SessionKey, StreamKey};
use mezz_core::time::Mono;
use mezz_proto::v1;
use mezz_warden::crash_point;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::agent_sessions::SessionSink;
use crate::clock::Clock;
use crate::facts::FactHub;
use crate::inbox::{Inbox, Input};
use crate::open_streams::OpenStreams;
use crate::plan_trial;
use crate::recorder::Recorder;
use crate::release::{Destination, Release};
use crate::scheduler_stream::SchedulerStream;
use crate::secrets::SecretVault;
use crate::timers::Timers;
use crate::timings::Timings;
use crate::view::{ViewCell, Views};
use crate::writes::Writes;

/// Inputs handled before timers, views and replies get their turn.
const BATCH: usize = 256;

/// How long an orderly stop waits for the store.
const LAST_WRITES: std::time::Duration = std::time::Duration::from_secs(2);

/// What the thread is made of.
pub(crate) struct Parts {
    pub(crate) core: Master,
    pub(crate) clock: Clock,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) writes: Writes,
    pub(crate) view: Arc<ViewCell>,
    pub(crate) hub: Arc<FactHub>,
    pub(crate) open_streams: Arc<OpenStreams>,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) timings: Arc<Timings>,
    pub(crate) secrets: Arc<SecretVault>,
}

/// Why the thread ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was asked to.
    Stopped,
    /// A write failed or was fenced: another master leads, or the store is broken.
    SteppedDown(String),
}

/// The running thread's state.
pub(crate) struct CoreThread {
    core: Master,
    clock: Clock,
    inbox: Arc<Inbox>,
    writes: Writes,
    hub: Arc<FactHub>,
    open_streams: Arc<OpenStreams>,
    timings: Arc<Timings>,
    secrets: Arc<SecretVault>,
    /// When the armed run of the allocator is due.
    allocation_due: Mono,
    effects: Effects,
    timers: Timers,
    release: Release,
    views: Views,
    streams: FxHashMap<StreamKey, SchedulerStream>,
    sessions: FxHashMap<SessionKey, SessionSink>,
    requests: FxHashMap<RequestKey, oneshot::Sender<Reply>>,
    /// Sessions with bodies that were not handed over yet.
    unflushed: Vec<SessionKey>,
    recorder: Option<Recorder>,
    ended: Option<Ended>,
}

impl CoreThread {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            core: parts.core,
            clock: parts.clock,
            inbox: parts.inbox,
            writes: parts.writes,
            hub: parts.hub,
            open_streams: parts.open_streams,
            timings: parts.timings,
            secrets: parts.secrets,
            allocation_due: Mono(0),
            effects: Effects::default(),
            timers: Timers::default(),
            release: Release::default(),
            views: Views::new(parts.view),
            streams: FxHashMap::default(),
            sessions: FxHashMap::default(),
            requests: FxHashMap::default(),
            unflushed: Vec::new(),
            recorder: parts.recorder,
            ended: None,
        }
    }

    /// Runs until it is stopped or has to step down.
    pub(crate) fn run(mut self) -> Ended {
        let mut inputs = Vec::new();
        loop {
            let deadline = self.deadline();
            self.inbox.take(deadline, &mut inputs);
            for (index, input) in inputs.drain(..).enumerate() {
                self.take(input);
                if index % BATCH == BATCH - 1 {
                    self.settle();
                }
            }
            self.settle();
            if let Some(ended) = self.ended.take() {
                if ended == Ended::Stopped {
                    self.finish_writes();
                }
                for stream in self.streams.values() {
                    stream.sender.end();
                }
                if let Some(recorder) = self.recorder {
                    recorder.finish(self.core);
                }
                return ended;
            }
        }
    }

    /// What was decided before an orderly stop shall be there after it, or what has ended would be begun again.
    fn finish_writes(&mut self) {
        let end = Instant::now() + LAST_WRITES;
        let mut inputs = Vec::new();
        while self.release.durable() < self.writes.issued() && Instant::now() < end {
            self.inbox.take(Some(end), &mut inputs);
            for input in inputs.drain(..) {
                if let Input::Event(Event::Persisted(token)) = input {
                    let _ = self.release.advance(token);
                }
            }
        }
    }

    fn deadline(&mut self) -> Option<Instant> {
        let timer = self.timers.next_due().map(|mono| self.clock.instant(mono));
        match (timer, self.views.due()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Event(event) => self.on_event(event),
            Input::Call {
                event: Event::Plan {
                    objects, conflict, ..
                },
                reply,
                ..
            } => plan_trial::begin(&self.core, self.clock.now(), (objects, conflict), reply),
            Input::Call {
                request,
                event,
                reply,
            } => {
                self.requests.insert(request, reply);
                self.handle(event);
            }
            Input::Stream { key, stream, event } => {
                self.streams.insert(key, stream);
                self.handle(event);
            }
            Input::Session { key, sink } => {
                self.sessions.insert(key, sink);
            }
            Input::StepDown(reason) => self.ended = Some(Ended::SteppedDown(reason)),
            Input::Stop => self.ended = Some(Ended::Stopped),
        }
    }

    fn on_event(&mut self, event: Event) {
        match &event {
            Event::StreamClosed(stream) => {
                if let Some(closed) = self.streams.remove(stream) {
                    self.open_streams.remove(&closed.id);
                }
            }
            Event::SessionClosed(session) => {
                if let Some(closed) = self.sessions.remove(session) {
                    closed.close();
                }
            }
            Event::Persisted(token) => {
                crash_point("master.durable_before_release");
                // Agents first: an agent should know its id before a framework can use what it has.
                let (to_agents, others): (Vec<Effect>, Vec<Effect>) = self
                    .release
                    .advance(*token)
                    .into_iter()
                    .partition(is_for_agent);
                for effect in to_agents {
                    self.deliver(effect);
                }
                self.flush_sessions();
                for effect in others {
                    self.deliver(effect);
                }
                crash_point("master.released");
            }
            Event::Elected(elected) => {
                crash_point("master.elected");
                self.writes.lead(elected.epoch);
            }
            Event::Agent { .. } => crash_point("master.heard_agent"),
            _ => {}
        }
        self.handle(event);
    }

    fn handle(&mut self, event: Event) {
        if self.ended.is_some() {
            return;
        }
        let now = self.clock.now();
        let mut effects = std::mem::take(&mut self.effects);
        if let Some(recorder) = &mut self.recorder {
            recorder.begin(now, &event);
        }
        let run = is_allocation(&event).then(Instant::now);
        self.core.handle(now, event, &mut effects);
        if let Some(run) = run {
            self.timings.allocation_run.add(run.elapsed());
            let late = now.mono.0.saturating_sub(self.allocation_due.0);
            let late = std::time::Duration::from_nanos(late);
            self.timings.allocation_latency.add(late);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.end(&effects.list);
        }
        self.views.touch();
        for effect in effects.list.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
    }

    fn perform(&mut self, effect: Effect) {
        let (destination, after) = match &effect {
            Effect::Persist { .. } | Effect::SetTimer { .. } | Effect::CancelTimer(_) => {
                return self.internal(effect);
            }
            Effect::Fact { .. } | Effect::StepDown(_) => return self.internal(effect),
            Effect::Reply { request, after, .. } => (Destination::Request(*request), *after),
            Effect::ToFramework { stream, after, .. } | Effect::Offers { stream, after, .. } => {
                (Destination::Stream(*stream), *after)
            }
            Effect::CloseStream(stream) => (Destination::Stream(*stream), None),
            Effect::ToAgent { session, after, .. } | Effect::CloseSession { session, after } => {
                (Destination::Session(*session), *after)
            }
        };
        if let Some(effect) = self.release.admit(destination, after, effect) {
            self.deliver(effect);
        }
    }

    fn internal(&mut self, effect: Effect) {
        match effect {
            Effect::Persist { token, operations } => {
                if let Err(reason) = self.writes.persist(token, operations) {
                    self.ended = Some(Ended::SteppedDown(reason));
                }
            }
            Effect::SetTimer {
                key,
                generation,
                at,
            } => {
                if key == TimerKey::Allocate {
                    self.allocation_due = at;
                }
                self.timers.set(key, generation, at);
            }
            Effect::CancelTimer(key) => self.timers.cancel(key),
            Effect::Fact { sequence, fact } => self.views.add_fact(sequence, fact),
            Effect::StepDown(reason) => self.ended = Some(Ended::SteppedDown(reason)),
            _ => unreachable!("only effects without a destination come here"),
        }
    }

    fn deliver(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { request, reply, .. } => self.reply(request, reply),
            Effect::ToFramework { stream, event, .. } => self.send_event(stream, &event),
            Effect::Offers { stream, event, .. } => self.send_offers(stream, event.0),
            Effect::CloseStream(stream) => {
                if let Some(open) = self.streams.remove(&stream) {
                    self.open_streams.remove(&open.id);
                    open.sender.end();
                }
            }
            Effect::ToAgent {
                session, mut body, ..
            } => {
                self.secrets.fill(&mut body);
                if let Some(sink) = self.sessions.get_mut(&session)
                    && sink.queue(*body)
                {
                    self.unflushed.push(session);
                }
            }
            Effect::CloseSession { session, .. } => {
                if let Some(mut sink) = self.sessions.remove(&session) {
                    sink.flush();
                    sink.close();
                }
            }
            _ => unreachable!("only effects with a destination come here"),
        }
    }

    fn send_event(&mut self, stream: StreamKey, event: &v1::scheduler::Event) {
        let Some(open) = self.streams.get(&stream) else {
            return;
        };
        crash_point("master.before_event");
        if let Some(subscribed) = &event.subscribed {
            self.open_streams
                .add(&open.id, &subscribed.framework_id.value);
        }
        if let Err(error) = open.send(event) {
            tracing::warn!(stream = stream.0, %error, "a scheduler stream lost an event");
        }
    }

    fn send_offers(&mut self, stream: StreamKey, event: bytes::Bytes) {
        let Some(open) = self.streams.get(&stream) else {
            return;
        };
        crash_point("master.before_event");
        if let Err(error) = open.send_encoded::<v1::scheduler::Event>(event) {
            tracing::warn!(stream = stream.0, %error, "a scheduler stream lost offers");
        }
    }

    fn reply(&mut self, request: RequestKey, reply: Reply) {
        let Some(sender) = self.requests.remove(&request) else {
            return;
        };
        if reply == Reply::Accepted {
            // Nobody may conclude anything from 202: it need not wait for its view.
            crash_point("master.before_reply");
            let _ = sender.send(reply);
        } else {
            self.views.add_reply(sender, reply);
        }
    }

    /// Hands agents what was kept for them.
    fn flush_sessions(&mut self) {
        for session in self.unflushed.drain(..) {
            if let Some(sink) = self.sessions.get_mut(&session) {
                crash_point("master.before_agent");
                sink.flush();
                crash_point("master.after_agent");
            }
        }
    }

    /// Ends a batch: timers, bodies for agents, views, replies, facts.
    fn settle(&mut self) {
        while let Some(event) = self.timers.take_due(self.clock.mono()) {
            self.handle(event);
        }
        self.flush_sessions();
        if let Some(recorder) = &mut self.recorder {
            recorder.settle(&self.core);
        }
        let (durable, issued) = (self.release.durable(), self.writes.issued());
        let filters = self.core.filter_counts();
        let core = &self.core;
        while let Some(published) = self.views.settle(core.records(), &filters, durable, issued) {
            if !published.facts.is_empty() {
                self.hub.publish(published.view, published.facts);
            }
            for (sender, reply) in published.replies {
                crash_point("master.before_reply");
                let _ = sender.send(reply);
            }
        }
    }
}

fn is_allocation(event: &Event) -> bool {
    matches!(event, Event::Timer { key, .. } if *key == TimerKey::Allocate)
}

fn is_for_agent(effect: &Effect) -> bool {
    matches!(effect, Effect::ToAgent { .. } | Effect::CloseSession { .. })
}
