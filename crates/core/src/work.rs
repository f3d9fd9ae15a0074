//! Between the kernel and the controllers of users' objects: their events in, their effects out. It decides nothing: what
//! is wanted comes from the controllers, where it goes from the ledger.

mod explain;
mod instances;
mod no_places;
mod plan;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;

use mezz_spec::Spec;
use mezz_workload as work;
use work::call::Call;
use work::event::AgentNews;

use crate::durable::PREFIX;
use crate::effect::{Effect, Effects, Reply, StoreOperation};
use crate::event::TimerKey;
use crate::fact::Fact;
use crate::key::{AgentKey, RequestKey, TaskKey, Token};
use crate::master::Master;
use crate::records::AgentState;

pub(crate) use instances::Place;

/// What the kernel keeps of the controllers' work beside their own state.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct WorkState {
    pub(crate) controllers: work::Workloads,
    /// When each of their timers is due, in wall time.
    timers: std::collections::BTreeMap<work::event::TimerKey, crate::time::Wall>,
    /// Tasks of instances, as the ledger counts them.
    handles: std::collections::BTreeMap<TaskKey, mezz_sched::InstanceHandle>,
    /// Statuses of the built-in framework's tasks that the controllers have not heard.
    touched: Vec<Unheard>,
    /// Agents whose news they have not heard.
    agents: Vec<AgentKey>,
    /// Whether their records differ from those that readers see.
    changed: bool,
    /// Whether they were told that every agent has reported or was given up.
    reconciled: bool,
}

/// A status that the controllers have not heard.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Unheard {
    event: work::event::Event,
    /// The last of a task is acknowledged when what the controllers made of it is durable: its agent forgets it then.
    acknowledge: Option<LastUpdate>,
}

/// What names the last update of a task.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct LastUpdate {
    pub(crate) agent: AgentKey,
    pub(crate) task_id: Box<str>,
    pub(crate) uuid: bytes::Bytes,
}

impl WorkState {
    /// How many statuses the controllers have yet to hear.
    pub(crate) fn statuses(&self) -> usize {
        self.touched.len()
    }

    /// The timers that must be armed.
    pub(crate) fn timer_keys(&self) -> impl Iterator<Item = TimerKey> {
        self.timers.keys().copied().map(TimerKey::Work)
    }
}

impl Master {
    pub(crate) fn on_work(
        &mut self,
        request: RequestKey,
        call: Call,
        by: Option<Arc<str>>,
        effects: &mut Effects,
    ) {
        if let Some(refusal) = has_values(&call) {
            let reply = Reply::Work(Box::new(work::call::Reply::Refused(refusal)));
            return effects.reply(request, reply);
        }
        let event = work::event::Event::Call {
            request: work::key::RequestKey(request.0),
            call: Box::new(call),
            by,
        };
        self.tell_work(event, None, effects);
    }

    /// Hands an event to the controllers and does what they want; `place` is what a `Launch` takes.
    pub(crate) fn tell_work(
        &mut self,
        event: work::event::Event,
        place: Option<Place>,
        effects: &mut Effects,
    ) {
        self.tell_work_all(vec![event], place.into_iter().collect(), effects);
    }

    /// Hands events to the controllers at once, so that what has to be written for all of them is written once. Each
    /// `Placed` among them is answered in its turn, with the place at the front.
    pub(crate) fn tell_work_all(
        &mut self,
        events: Vec<work::event::Event>,
        mut places: VecDeque<Place>,
        effects: &mut Effects,
    ) {
        let mut wanted = work::effect::Effects::default();
        let mut ended = Vec::new();
        let heard = std::mem::take(&mut self.work.touched).into_iter();
        let heard = heard.map(|unheard| {
            ended.extend(unheard.acknowledge);
            unheard.event
        });
        let all = heard.chain(events);
        self.work.controllers.handle_all(self.now, all, &mut wanted);
        self.work.changed = true;
        // What is frozen does not end for the sake of tasks of which the controllers know nothing either.
        let is_frozen = self.work.controllers.records().is_frozen();
        self.sched.let_evict(!is_frozen);
        for effect in wanted.list {
            self.do_work(effect, &mut places, effects);
        }
        for place in places {
            self.give_back(place);
        }
        let after = self.last_token();
        for update in ended {
            self.acknowledge_last(&update, after, effects);
        }
    }

    fn do_work(
        &mut self,
        effect: work::effect::Effect,
        places: &mut VecDeque<Place>,
        effects: &mut Effects,
    ) {
        use work::effect::Effect as Wanted;
        match effect {
            Wanted::Reply { request, reply } => {
                let after = self.last_token();
                effects.list.push(Effect::Reply {
                    request: RequestKey(request.0),
                    reply: Reply::Work(Box::new(reply)),
                    after,
                });
            }
            Wanted::Persist(operations) => {
                let operations = operations.into_iter().map(operation).collect();
                self.persist(operations, effects);
            }
            Wanted::Demand { key, demand } => self.state_demand(key, *demand, effects),
            Wanted::Withdraw(key) => self.sched.withdraw(key),
            Wanted::Launch(launch) => {
                if let Some(place) = places.pop_front() {
                    self.launch_instance(*launch, place, effects);
                }
            }
            Wanted::Decline => {
                if let Some(place) = places.pop_front() {
                    self.give_back(place);
                }
            }
            Wanted::Expect { task, .. } => self.expect_instance(*task, effects),
            Wanted::Kill {
                instance,
                grace_period_ns,
            } => self.kill_instance(&instance, grace_period_ns, effects),
            Wanted::SetTimer { key, at } => self.set_work_timer(key, at, effects),
            Wanted::CancelTimer(key) => self.cancel_work_timer(key, effects),
            Wanted::Fact(fact) => self.emit(Fact::Work(fact), effects),
        }
    }

    /// The newest write: what is released after it is released after all that was written before.
    fn last_token(&self) -> Option<Token> {
        (self.numbers.token > 0).then_some(Token(self.numbers.token))
    }

    /// What the store held goes to the controllers under their own keys.
    pub(crate) fn restore_work(
        &mut self,
        snapshot: Vec<(String, bytes::Bytes)>,
        effects: &mut Effects,
    ) {
        let own = snapshot
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?.to_owned(), value)))
            .collect();
        self.tell_work(work::event::Event::Restored(own), None, effects);
    }

    /// What an instance needs to know of its agent.
    fn work_agent(&self, agent: AgentKey) -> work::event::AgentInfo {
        let record = self.agent(agent);
        let domain = record.info.domain.as_ref();
        let fault = domain.and_then(|domain| domain.fault_domain.as_ref());
        work::event::AgentInfo {
            id: Arc::clone(&record.id),
            hostname: record.info.hostname.as_str().into(),
            ip: Arc::clone(&record.ip),
            region: fault.map(|fault| fault.region.name.as_str().into()),
            zone: fault.map(|fault| fault.zone.name.as_str().into()),
        }
    }

    /// Keeps what concerns the controllers of a fact until the event is done.
    pub(crate) fn note_for_work(&mut self, fact: &Fact) {
        if let Fact::AgentAdded { agent }
        | Fact::AgentReregistered { agent }
        | Fact::AgentUnreachable { agent }
        | Fact::AgentRemoved { agent, .. } = fact
        {
            self.work.agents.push(*agent);
        }
    }

    /// Keeps an agent that was forgotten until the event is done.
    pub(crate) fn tell_of_loss(&mut self, agent: AgentKey) {
        self.work.agents.push(agent);
    }

    /// Tells the controllers what became of an agent.
    fn tell_of_agent(&mut self, agent: AgentKey, effects: &mut Effects) {
        let id = Arc::clone(&self.agent(agent).id);
        let news = match self.agent(agent).state {
            AgentState::Connected => AgentNews::Up(self.work_agent(agent)),
            AgentState::Unreachable => AgentNews::Unreachable(id),
            AgentState::Gone | AgentState::Removed => AgentNews::Gone(id),
            AgentState::Recovered | AgentState::Disconnected => return,
        };
        self.tell_work(work::event::Event::Agent(news), None, effects);
    }

    /// Tells the controllers the statuses that they have not heard.
    pub(crate) fn tell_statuses(&mut self, effects: &mut Effects) {
        if !self.work.touched.is_empty() {
            self.tell_work_all(Vec::new(), VecDeque::new(), effects);
        }
    }

    /// After each event. Statuses may wait for those that arrive with them, since the controllers look at an object once
    /// for all that is told together; `before` is how many waited before the event. What became of an agent does not
    /// wait: it comes after older statuses, and before those that the agent brought with it.
    pub(crate) fn settle_work_soon(&mut self, before: usize, effects: &mut Effects) {
        let waits = self.work.reconciled || self.records.master.elected_at.is_none();
        if !waits {
            return self.settle_work(effects);
        }
        if !self.work.agents.is_empty() {
            // Something else may have had them told already.
            let before = before.min(self.work.touched.len());
            let own = self.work.touched.split_off(before);
            self.tell_statuses(effects);
            self.tell_of_agents(effects);
            self.work.touched.extend(own);
        }
        let is_armed = self.timers.armed.contains_key(&TimerKey::TellWork);
        if !self.work.touched.is_empty() && !is_armed {
            self.set_timer(TimerKey::TellWork, self.now.mono, effects);
        }
        self.show_work();
    }

    fn tell_of_agents(&mut self, effects: &mut Effects) {
        for agent in std::mem::take(&mut self.work.agents) {
            self.tell_of_agent(agent, effects);
        }
    }

    /// All that the controllers have not heard, and the end of the wait for agents.
    pub(crate) fn settle_work(&mut self, effects: &mut Effects) {
        while !self.work.agents.is_empty() || !self.work.touched.is_empty() {
            let touched = std::mem::take(&mut self.work.touched);
            self.tell_of_agents(effects);
            self.work.touched.splice(0..0, touched);
            self.tell_statuses(effects);
        }
        let leads = self.records.master.elected_at.is_some();
        let waits = self.agent_states.of(AgentState::Recovered) > 0;
        if leads && !waits && !self.work.reconciled {
            self.work.reconciled = true;
            self.tell_work(work::event::Event::Reconciled, None, effects);
        }
        self.show_work();
    }

    /// Readers see what the controllers have come to.
    fn show_work(&mut self) {
        if std::mem::take(&mut self.work.changed) {
            self.records.work = self.work.controllers.records().clone();
        }
    }
}

/// The core keeps which keys a secret has, and a digest; values must have been taken out on the way here.
fn has_values(call: &Call) -> Option<work::call::Refusal> {
    let (Call::Apply { objects, .. } | Call::Replace { objects, .. }) = call else {
        return None;
    };
    let has_values = |object: &&mezz_spec::Object| match &object.spec {
        Spec::Secret(secret) => secret.data.values().any(Option::is_some),
        _ => false,
    };
    let object = objects.iter().find(has_values)?;
    Some(work::call::Refusal::Invalid {
        kind: object.spec.kind(),
        name: object.name.to_string(),
        path: "/spec/data".into(),
        message: "secrets are applied by POST /v1/apply".into(),
    })
}

fn operation((key, value): (String, Option<bytes::Bytes>)) -> StoreOperation {
    let key = format!("{PREFIX}{key}");
    match value {
        Some(value) => StoreOperation::Put { key, value },
        None => StoreOperation::Delete { key },
    }
}
