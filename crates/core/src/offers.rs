//! Offers: made from what the ledger grants, ended by accept, decline, rescind or time-out.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_proto::v1;

use crate::accounts::{agent_sched_key, discharge, discharge_merged};
use crate::effect::{Effect, Effects, EncodedEvent};
use crate::event::TimerKey;
use crate::fact::{Fact, OfferEnd};
use crate::frameworks::sched_key;
use crate::key::{AgentKey, FrameworkKey, OfferKey, Token};
use crate::master::Master;
use crate::metrics::Counter;
use crate::offer_wire::{Offer, Offers};
use crate::recall::Search;
use crate::records::OfferRecord;
use crate::time::{Mono, SECOND_NS};
use crate::wire;

/// What a decline without `filters` refuses for.
const DEFAULT_REFUSE_SECONDS: f64 = 5.0;
/// How long the advice of a REQUEST holds.
const REQUEST_NS: u64 = 60 * SECOND_NS;
const MAX_REFUSE_SECONDS: f64 = 365.0 * 24.0 * 3600.0;

/// The span of a refusal in nanoseconds: negative and NaN count as the default, more than a year as a year.
pub(crate) fn refuse_ns(filters: Option<&v1::Filters>) -> u64 {
    let seconds = filters
        .and_then(|filters| filters.refuse_seconds)
        .unwrap_or(DEFAULT_REFUSE_SECONDS);
    let seconds = if seconds >= 0.0 {
        seconds.min(MAX_REFUSE_SECONDS)
    } else {
        DEFAULT_REFUSE_SECONDS
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let nanoseconds = (seconds * SECOND_NS as f64) as u64;
    nanoseconds
}

impl Master {
    /// Arms the allocation timer when the ledger has something to decide.
    pub(crate) fn request_allocation(&mut self, effects: &mut Effects) {
        if self.records.master.elected_at.is_none() {
            return;
        }
        let at_once = std::mem::take(&mut self.timers.allocate_now);
        let due = if self.sched.is_dirty() {
            let wait_ns = if at_once {
                0
            } else {
                self.config.allocation_coalescing_ns
            };
            Some(self.now.mono.after(wait_ns))
        } else {
            self.sched.next_deadline().map(Mono)
        };
        let Some(due) = due else { return };
        match self.timers.armed.get(&TimerKey::Allocate) {
            Some((_, at)) if *at <= due => {}
            _ => self.set_timer(TimerKey::Allocate, due, effects),
        }
    }

    pub(crate) fn allocate(&mut self, effects: &mut Effects) {
        self.records.metrics.count(Counter::AllocationRuns);
        self.timers.recall = Search::Due;
        let mut grants = Vec::new();
        self.sched.allocate(self.now.mono.0, &mut grants);
        self.place_instances(effects);
        self.evict_instances(effects);
        self.offer_grants(grants, effects);
    }

    /// Makes offers of what the ledger has granted, and sends them, one event to a framework.
    pub(crate) fn offer_grants(&mut self, grants: Vec<mezz_sched::Grant>, effects: &mut Effects) {
        let mut by_framework: BTreeMap<FrameworkKey, (Token, Offers)> = BTreeMap::new();
        for grant in grants {
            let framework = FrameworkKey(grant.framework.0);
            let registered = self.agent_live(AgentKey(grant.agent.0)).registered;
            let (after, offers) = by_framework.entry(framework).or_default();
            *after = registered.max(*after);
            self.make_offer(grant, offers, effects);
        }
        // A master that dies before an agent is durable must not have offered it: its tasks would be lost.
        for (framework, (after, offers)) in by_framework {
            let after = Some(after).filter(|token| *token > Token::default());
            self.send_offers(framework, &offers, after, effects);
        }
        self.arm_offer_timeout(effects);
    }

    fn make_offer(&mut self, grant: mezz_sched::Grant, offers: &mut Offers, effects: &mut Effects) {
        let (framework, agent) = (FrameworkKey(grant.framework.0), AgentKey(grant.agent.0));
        let (role, resources) = (grant.role, grant.resources);
        let id: Arc<str> = format!("{}-O{}", self.master_id(), self.numbers.offer).into();
        self.numbers.offer += 1;
        let key = OfferKey(self.free.offers.take());
        self.index.offers.insert(Arc::clone(&id), key);
        self.timers
            .offers
            .push_back((self.now.mono, Arc::clone(&id)));
        self.framework_live(framework).offers.insert(key);
        self.agent_live(agent).offers.insert(key);
        self.agent_mut(agent).offered += &resources;
        let record = self.framework_mut(framework);
        record.offered += &resources;
        record.metrics.offers_sent += 1;
        let offer = Offer {
            id: &id,
            framework: self.framework(framework),
            agent: self.agent(agent),
            role: &role,
            resources: &resources,
        };
        offers.add(&offer, self.executor_ids(framework, agent));
        let created_at = self.now.wall;
        let record = OfferRecord {
            key,
            id: Arc::clone(&id),
            framework,
            agent,
            role,
            resources: Arc::new(resources),
            created_at,
        };
        self.records.offers.insert(key.index(), record);
        self.emit(
            Fact::OfferSent {
                offer: key,
                offer_id: id,
                framework,
                agent,
            },
            effects,
        );
    }

    fn executor_ids(&self, framework: FrameworkKey, agent: AgentKey) -> impl Iterator<Item = &str> {
        let live = self.agents.get(&agent).into_iter();
        live.flat_map(|live| &live.executors)
            .filter_map(|key| self.records.executors.get(key.index()))
            .filter(move |executor| executor.framework == framework)
            .map(|executor| &*executor.id)
    }

    fn send_offers(
        &mut self,
        framework: FrameworkKey,
        offers: &Offers,
        after: Option<Token>,
        effects: &mut Effects,
    ) {
        let Some(stream) = self.count_event(framework, v1::scheduler::event::Type::Offers) else {
            return;
        };
        effects.list.push(Effect::Offers {
            stream,
            event: EncodedEvent(offers.event()),
            after,
        });
    }

    /// Takes an offer out of every list; its resources stay charged in the ledger for the caller to use or return.
    pub(crate) fn take_offer(
        &mut self,
        key: OfferKey,
        end: OfferEnd,
        effects: &mut Effects,
    ) -> Option<Arc<OfferRecord>> {
        let offer = self.records.offers.remove(key.index())?;
        self.index.offers.remove(&offer.id);
        self.free.offers.give(key.0);
        let offers = &mut self.framework_live(offer.framework).offers;
        offers.remove(&key);
        if offers.is_empty() {
            self.sched.offers_ended(sched_key(offer.framework));
            self.timers.recall = Search::Due;
        }
        self.agent_live(offer.agent).offers.remove(&key);
        discharge(&mut self.agent_mut(offer.agent).offered, &offer.resources);
        let record = self.framework_mut(offer.framework);
        discharge_merged(&mut record.offered, &offer.resources);
        match end {
            OfferEnd::Accepted => record.metrics.offers_accepted += 1,
            OfferEnd::Declined => record.metrics.offers_declined += 1,
            OfferEnd::Rescinded => record.metrics.offers_rescinded += 1,
            OfferEnd::Discarded => {}
        }
        let (offer_id, framework, agent) = (Arc::clone(&offer.id), offer.framework, offer.agent);
        self.emit(
            Fact::OfferEnded {
                offer_id,
                framework,
                agent,
                end,
            },
            effects,
        );
        Some(offer)
    }

    /// Ends an offer and gives its resources back.
    pub(crate) fn return_offer(
        &mut self,
        key: OfferKey,
        end: OfferEnd,
        filter_ns: Option<u64>,
        effects: &mut Effects,
    ) {
        let Some(offer) = self.take_offer(key, end, effects) else {
            return;
        };
        self.recover(offer.framework, offer.agent, &offer.resources, filter_ns);
    }

    /// Ends an offer, gives its resources back and tells the framework.
    pub(crate) fn rescind_offer(&mut self, key: OfferKey, effects: &mut Effects) {
        let Some(offer) = self.take_offer(key, OfferEnd::Rescinded, effects) else {
            return;
        };
        self.recover(offer.framework, offer.agent, &offer.resources, None);
        self.send_event(offer.framework, wire::rescind(&offer.id), effects);
    }

    pub(crate) fn rescind_agent_offers(&mut self, agent: AgentKey, effects: &mut Effects) {
        let offers: Vec<_> = self.agent_live(agent).offers.iter().copied().collect();
        for offer in offers {
            self.rescind_offer(offer, effects);
        }
    }

    pub(crate) fn recover(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: &mezz_resource::Resources,
        filter_ns: Option<u64>,
    ) {
        if !resources.is_empty() {
            self.sched.recover(
                self.now.mono.0,
                sched_key(framework),
                agent_sched_key(agent),
                resources,
                filter_ns,
            );
        }
    }

    pub(crate) fn on_decline(
        &mut self,
        framework: FrameworkKey,
        decline: v1::scheduler::call::Decline,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesDeclineOffers);
        let refuse = refuse_ns(decline.filters.as_ref());
        self.sched.declined(sched_key(framework));
        for id in &decline.offer_ids {
            if let Some(key) = self.own_offer(framework, &id.value) {
                self.return_offer(key, OfferEnd::Declined, Some(refuse), effects);
            }
        }
    }

    /// Advice on which agents the framework would like next: those that it names, and those that have what it names.
    ///
    /// Requests for unknown agents and malformed resources say nothing.
    pub(crate) fn on_request(
        &mut self,
        framework: FrameworkKey,
        request: &v1::scheduler::call::Request,
    ) {
        self.records.metrics.count(Counter::MessagesResourceRequest);
        let (mut agents, mut wanted) = (Vec::new(), Vec::new());
        for one in &request.requests {
            match &one.agent_id {
                Some(id) => {
                    let known = self.index.agents.get(id.value.as_str());
                    agents.extend(known.copied().map(agent_sched_key));
                }
                None => wanted.extend(mezz_resource::Resources::from_proto(&one.resources).ok()),
            }
        }
        let until = self.now.mono.after(REQUEST_NS);
        let framework = sched_key(framework);
        self.sched.request(framework, &agents, &wanted, until.0);
    }

    /// An outstanding offer of this framework by its id.
    pub(crate) fn own_offer(&self, framework: FrameworkKey, id: &str) -> Option<OfferKey> {
        let key = *self.index.offers.get(id)?;
        (self.records.offers.get(key.index())?.framework == framework).then_some(key)
    }

    pub(crate) fn on_offer_timeout(&mut self, effects: &mut Effects) {
        while let Some((created, id)) = self.timers.offers.front().cloned() {
            let outstanding = self.index.offers.get(&id).copied();
            if outstanding.is_some() && created.after(self.config.offer_timeout_ns) > self.now.mono
            {
                break;
            }
            self.timers.offers.pop_front();
            if let Some(key) = outstanding {
                self.rescind_offer(key, effects);
            }
        }
        self.arm_offer_timeout(effects);
    }

    pub(crate) fn forget_ended_offers(&mut self) {
        while self
            .timers
            .offers
            .front()
            .is_some_and(|(_, id)| !self.index.offers.contains_key(id))
        {
            self.timers.offers.pop_front();
        }
    }

    fn arm_offer_timeout(&mut self, effects: &mut Effects) {
        if self.config.offer_timeout_ns == 0
            || self.timers.armed.contains_key(&TimerKey::OfferTimeout)
        {
            return;
        }
        self.forget_ended_offers();
        if let Some((created, _)) = self.timers.offers.front() {
            let due = created.after(self.config.offer_timeout_ns);
            self.set_timer(TimerKey::OfferTimeout, due, effects);
        }
    }
}
