//! The machine itself: its state, the dispatch of events, and the small steps that all parts share.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_sched::Scheduler;

use crate::config::Config;
use crate::effect::{Effect, Effects, Reply, StoreOperation};
use crate::event::{Event, TimerKey};
use crate::fact::Fact;
use crate::key::{AgentKey, FrameworkKey, Generation, RequestKey, StreamKey, Token};
use crate::records::{AgentRecord, FrameworkRecord, Records};
use crate::state::{AgentLive, FrameworkLive, Free, Index, NativeState, Numbers, Timers};
use crate::time::{Mono, Now};

/// The master of a cluster.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Master {
    pub(crate) config: Arc<Config>,
    pub(crate) records: Records,
    pub(crate) sched: Scheduler,
    pub(crate) index: Index,
    pub(crate) free: Free,
    pub(crate) frameworks: BTreeMap<FrameworkKey, FrameworkLive>,
    pub(crate) agents: BTreeMap<AgentKey, AgentLive>,
    pub(crate) agent_states: crate::agent_states::AgentStates,
    pub(crate) timers: Timers,
    pub(crate) numbers: Numbers,
    pub(crate) native: NativeState,
    /// What restored native tasks asked for, until their agents report them.
    pub(crate) native_specs: BTreeMap<Box<str>, crate::native::NativeTask>,
    pub(crate) work: crate::work::WorkState,
    pub(crate) now: Now,
    /// Sessions that hold a registration permit, and those that wait for one.
    pub(crate) permits_taken: u32,
    pub(crate) waiting_sessions: std::collections::VecDeque<crate::key::SessionKey>,
    pub(crate) completed_frameworks: std::collections::VecDeque<FrameworkKey>,
    /// Saves work only: a restored core learns it again.
    #[serde(skip)]
    pub(crate) known_resources: crate::reported::KnownResources,
}

impl Master {
    /// A master that does not lead yet.
    pub fn new(config: Config) -> Self {
        let sched = Scheduler::new(mezz_sched::Config {
            min_allocatable: config.min_allocatable.clone(),
            excluded_fair_share_names: config.fair_sharing_excluded_resource_names.clone(),
            role_whitelist: config.role_whitelist.clone(),
            packing: config.packing.clone(),
            gpus: config.gpus,
            home_region: config.domain.as_ref().map(|domain| domain.region.clone()),
            role_sorter: config.role_sorter,
            framework_sorter: config.framework_sorter,
            ..mezz_sched::Config::default()
        });
        Self {
            config: Arc::new(config),
            records: Records::default(),
            sched,
            index: Index::default(),
            free: Free::default(),
            frameworks: BTreeMap::new(),
            agents: BTreeMap::new(),
            agent_states: crate::agent_states::AgentStates::default(),
            timers: Timers::default(),
            numbers: Numbers::default(),
            native: NativeState::default(),
            native_specs: BTreeMap::new(),
            work: crate::work::WorkState::default(),
            now: Now::default(),
            permits_taken: 0,
            waiting_sessions: std::collections::VecDeque::new(),
            completed_frameworks: std::collections::VecDeque::new(),
            known_resources: crate::reported::KnownResources::default(),
        }
    }

    /// What readers may see; clone it to keep it.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// How many refusals stand in each role.
    pub fn filter_counts(&mut self) -> mezz_sched::FilterCounts {
        self.sched.filter_counts()
    }

    /// Takes one event in and appends what has to be done, in order.
    pub fn handle(&mut self, now: Now, event: Event, effects: &mut Effects) {
        self.now = now;
        let statuses = self.work.statuses();
        match event {
            Event::Elected(elected) => self.on_elected(*elected, effects),
            Event::Subscribe(subscribe) => self.on_subscribe(*subscribe, effects),
            Event::Call(call) => self.on_call(*call, effects),
            Event::StreamClosed(stream) => self.on_stream_closed(stream, effects),
            Event::Operator(call) => self.on_operator(*call, effects),
            Event::Native { request, call } => self.on_native(request, *call, effects),
            Event::Work { request, call, by } => self.on_work(request, *call, by, effects),
            Event::Plan {
                request,
                objects,
                conflict,
            } => self.on_plan(request, objects, conflict, effects),
            Event::Metrics { object, averages } => {
                let event = mezz_workload::event::Event::Metrics { object, averages };
                self.tell_work(event, None, effects);
            }
            Event::Explain { request, id } => self.on_explain(request, &id, effects),
            Event::FindNoPlace { request, service } => {
                let found = Reply::NoPlaces(Box::new(self.no_places(&service)));
                effects.reply(request, found);
            }
            Event::Agent { session, body } => self.on_agent_body(session, *body, effects),
            Event::SessionClosed(session) => self.on_session_closed(session, effects),
            Event::Timer { key, generation } => self.on_timer(key, generation, effects),
            Event::Persisted(_) => {}
            Event::PersistFailed(token) => {
                effects.list.push(Effect::StepDown(format!(
                    "the write with token {} did not become durable",
                    token.0
                )));
            }
        }
        self.settle_work_soon(statuses, effects);
        self.request_allocation(effects);
        self.request_recall(effects);
    }

    fn on_explain(&self, request: RequestKey, id: &str, effects: &mut Effects) {
        let reply = match self.explain(id) {
            Some(reasons) => Reply::Explained(reasons),
            None => Reply::NotFound(format!(
                "no object, run, rollout, task, framework, role or agent is called '{id}'"
            )),
        };
        effects.reply(request, reply);
    }

    fn on_timer(&mut self, key: TimerKey, generation: Generation, effects: &mut Effects) {
        match self.timers.armed.get(&key) {
            Some((armed, _)) if *armed == generation => self.timers.armed.remove(&key),
            _ => return,
        };
        match key {
            TimerKey::Allocate => self.allocate(effects),
            TimerKey::TellWork => self.tell_statuses(effects),
            TimerKey::Heartbeat(stream) => self.on_heartbeat_due(stream, effects),
            TimerKey::Failover(framework) => self.on_failover_timeout(framework, effects),
            TimerKey::Ping(agent) => self.on_ping_due(agent, effects),
            TimerKey::Reregister(agent) => self.on_reregister_timeout(agent, effects),
            TimerKey::OfferTimeout => self.on_offer_timeout(effects),
            TimerKey::Removal(agent) => self.on_removal_due(agent, effects),
            TimerKey::Recall => self.on_recall_due(effects),
            TimerKey::RegistryCollection => self.collect_lost_agents(effects),
            TimerKey::Work(timer) => self.on_work_timer(timer, effects),
        }
    }

    pub(crate) fn set_timer(&mut self, key: TimerKey, at: Mono, effects: &mut Effects) {
        self.timers.next_generation += 1;
        let generation = Generation(self.timers.next_generation);
        self.timers.armed.insert(key, (generation, at));
        effects.list.push(Effect::SetTimer {
            key,
            generation,
            at,
        });
    }

    pub(crate) fn cancel_timer(&mut self, key: TimerKey, effects: &mut Effects) {
        if self.timers.armed.remove(&key).is_some() {
            effects.list.push(Effect::CancelTimer(key));
        }
    }

    pub(crate) fn persist(
        &mut self,
        operations: Vec<StoreOperation>,
        effects: &mut Effects,
    ) -> Token {
        self.numbers.token += 1;
        let token = Token(self.numbers.token);
        effects.list.push(Effect::Persist { token, operations });
        token
    }

    pub(crate) fn emit(&mut self, fact: Fact, effects: &mut Effects) {
        self.note_for_work(&fact);
        self.records.fact_sequence += 1;
        effects.list.push(Effect::Fact {
            sequence: self.records.fact_sequence,
            fact: Arc::new(fact),
        });
    }

    pub(crate) fn master_id(&self) -> &str {
        &self.records.master.info.id
    }

    pub(crate) fn framework(&self, key: FrameworkKey) -> &Arc<FrameworkRecord> {
        self.records
            .frameworks
            .get(key.index())
            .expect("a framework key stays valid as long as anything refers to it")
    }

    pub(crate) fn framework_mut(&mut self, key: FrameworkKey) -> &mut FrameworkRecord {
        self.records
            .frameworks
            .get_mut(key.index())
            .expect("a framework key stays valid as long as anything refers to it")
    }

    pub(crate) fn framework_live(&mut self, key: FrameworkKey) -> &mut FrameworkLive {
        self.frameworks.entry(key).or_default()
    }

    pub(crate) fn agent(&self, key: AgentKey) -> &Arc<AgentRecord> {
        self.records
            .agents
            .get(key.index())
            .expect("an agent key stays valid as long as anything refers to it")
    }

    pub(crate) fn agent_mut(&mut self, key: AgentKey) -> &mut AgentRecord {
        self.records
            .agents
            .get_mut(key.index())
            .expect("an agent key stays valid as long as anything refers to it")
    }

    pub(crate) fn agent_live(&mut self, key: AgentKey) -> &mut AgentLive {
        self.agents.entry(key).or_default()
    }

    /// Sends an event to a framework if it is connected; counts it.
    pub(crate) fn send_event(
        &mut self,
        framework: FrameworkKey,
        event: v1::scheduler::Event,
        effects: &mut Effects,
    ) -> bool {
        self.send_event_after(framework, event, None, effects)
    }

    pub(crate) fn send_event_after(
        &mut self,
        framework: FrameworkKey,
        event: v1::scheduler::Event,
        after: Option<Token>,
        effects: &mut Effects,
    ) -> bool {
        let Some(stream) = self.count_event(framework, event.r#type()) else {
            return false;
        };
        effects.list.push(Effect::ToFramework {
            stream,
            event: Box::new(event),
            after,
        });
        true
    }

    /// Counts an event that goes to a framework and tells its stream, if it is connected.
    pub(crate) fn count_event(
        &mut self,
        framework: FrameworkKey,
        kind: v1::scheduler::event::Type,
    ) -> Option<StreamKey> {
        let stream = self.stream_of(framework)?;
        let metrics = &mut self.framework_mut(framework).metrics;
        if let Some(count) = metrics.events.get_mut(kind as usize) {
            *count += 1;
        }
        Some(stream)
    }

    pub(crate) fn stream_of(&self, framework: FrameworkKey) -> Option<StreamKey> {
        Some(self.frameworks.get(&framework)?.connection.as_ref()?.stream)
    }

    /// Sends a body to an agent if it is connected.
    pub(crate) fn send_agent(
        &mut self,
        agent: AgentKey,
        body: Body,
        after: Option<Token>,
        effects: &mut Effects,
    ) -> bool {
        let Some(session) = self.agents.get(&agent).and_then(|live| live.session) else {
            return false;
        };
        effects.list.push(Effect::ToAgent {
            session,
            body: Box::new(body),
            after,
        });
        true
    }
}
