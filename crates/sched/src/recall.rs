//! Offers that lie unanswered while others lack just that: which of them are to be taken back.
//!
//! One who waits, holds no offer and comes earlier in the order of turns may have one offer of another recalled. Whoever
//! declines, or lets an offer lie until it is recalled, has nothing recalled for itself before it has used something or
//! asked again: two who never answer cannot take the same agent from each other for ever. Nothing here happens in a
//! cycle; the caller asks when offers have stood for their least time.

use crate::accounting::is_taken_by;
use crate::agent::{Agent, is_allocatable};
use crate::bits::Bits;
use crate::cycle::Scope;
use crate::ids::{AgentIndex, ClassIndex, FrameworkIndex, Leaf, LeafNumber, RoleIndex, Slot};
use crate::quota::{Room, chop};
use crate::scalars::Sign;
use crate::scheduler::{Grant, Scheduler};
use crate::tree::{RoleNode, Visitor};
use mezz_resource::Resources;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// So many offers are examined in one search; the next goes on with those who were not reached.
const MOST_LOOKS: usize = 4096;

/// An offer that has stood for the least time that offers stand.
#[derive(Debug, Clone, Copy)]
pub struct Outstanding<'a> {
    /// Who holds it.
    pub framework: FrameworkIndex,
    /// Of which agent it is.
    pub agent: AgentIndex,
    /// What it holds, allocated to its role.
    pub resources: &'a Resources,
}

/// One offer to take back, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recall {
    /// Its position among the offers.
    pub offer: usize,
    leaf: Leaf,
}

/// Who waits for offers.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Appetite {
    /// The frameworks that take part in the turns and would use what they were offered, as far as is known.
    eager: Bits,
    /// Those that hold offers.
    served: Bits,
    /// How many of those who wait were in vain before the last search was given up.
    reached: usize,
}

/// The order of turns, and the place of each in it.
struct Order {
    leaves: Vec<(Leaf, LeafNumber)>,
    places: BTreeMap<Leaf, usize>,
}

impl Visitor for Order {
    type End = ();

    fn enter(&mut self, _: RoleIndex, _: &RoleNode) -> bool {
        true
    }

    fn visit(&mut self, leaf: Leaf, number: LeafNumber) -> ControlFlow<()> {
        self.places.insert(leaf, self.leaves.len());
        self.leaves.push((leaf, number));
        ControlFlow::Continue(())
    }
}

/// What a search for offers to recall goes through.
struct Search<'a> {
    now_ns: u64,
    offers: &'a [Outstanding<'a>],
    by_class: BTreeMap<ClassIndex, Vec<usize>>,
    order: Order,
    /// Agents of which something is recalled.
    taken: BTreeSet<AgentIndex>,
    looks: usize,
}

impl Scheduler {
    /// Whether somebody takes part in the turns, holds no offer and may have one of another recalled.
    pub fn is_anyone_waiting(&self) -> bool {
        self.appetite.eager.exceeds(&self.appetite.served)
    }

    /// Whether somebody holds offers.
    pub(crate) fn is_anyone_served(&self) -> bool {
        self.appetite.served.first_from(0).is_some()
    }

    /// A framework holds no offers any more.
    pub fn offers_ended(&mut self, framework: FrameworkIndex) {
        self.appetite.served.set(framework.slot(), false);
    }

    /// A framework has declined what it was offered: nothing is recalled for it until it uses something or asks again.
    pub fn declined(&mut self, framework: FrameworkIndex) {
        self.appetite.eager.set(framework.slot(), false);
    }

    pub(crate) fn note_offer(&mut self, framework: FrameworkIndex) {
        self.appetite.served.set(framework.slot(), true);
    }

    /// A framework has asked for offers, or has used one.
    pub(crate) fn note_appetite(&mut self, framework: FrameworkIndex) {
        if !self.appetite.eager.has(framework.slot()) && self.takes_part(framework) {
            self.appetite.eager.set(framework.slot(), true);
        }
    }

    /// A framework has fallen silent in one of its roles.
    pub(crate) fn note_silence(&mut self, framework: FrameworkIndex) {
        if self.appetite.eager.has(framework.slot()) && !self.takes_part(framework) {
            self.appetite.eager.set(framework.slot(), false);
        }
    }

    fn takes_part(&self, framework: FrameworkIndex) -> bool {
        self.framework(framework).is_some_and(|framework| {
            let mut numbers = framework.roles.values();
            numbers.any(|number| self.leaves.active.has(number.slot()))
        })
    }

    /// Takes an offer back that its framework let lie, and gives it to the one for whom it is; appends that grant.
    pub fn recall(
        &mut self,
        now_ns: u64,
        recall: Recall,
        offer: Outstanding<'_>,
        grants: &mut Vec<Grant>,
    ) {
        self.recover(now_ns, offer.framework, offer.agent, offer.resources, None);
        self.declined(offer.framework);
        let mut cycle = self.new_cycle(now_ns);
        self.serve(offer.agent, Scope::Only(&[recall.leaf]), &mut cycle, grants);
    }

    /// Which of the offers are to be recalled for frameworks that wait, at most one for each of them.
    pub fn offers_to_recall(&mut self, now_ns: u64, offers: &[Outstanding<'_>]) -> Vec<Recall> {
        if offers.is_empty() || !self.is_anyone_waiting() {
            return Vec::new();
        }
        self.roles.freshen(&self.names);
        let mut order = Order {
            leaves: Vec::new(),
            places: BTreeMap::new(),
        };
        let _ = self.roles.walk(&mut order);
        let waiting = self.waiting(&order);
        let mut search = Search {
            now_ns,
            offers,
            by_class: self.by_class(offers),
            order,
            taken: BTreeSet::new(),
            looks: 0,
        };
        let mut recalled = Vec::new();
        let mut given = BTreeSet::new();
        let skipped = self.appetite.reached % waiting.len().max(1);
        self.appetite.reached = 0;
        for (nth, place) in waiting.iter().enumerate().skip(skipped) {
            if search.looks >= MOST_LOOKS {
                self.appetite.reached = nth;
                break;
            }
            let (leaf, number) = search.order.leaves[*place];
            if given.contains(&leaf.framework) {
                continue;
            }
            if let Some(found) = self.offer_for((leaf, number), *place, &mut search) {
                given.insert(leaf.framework);
                search.taken.insert(offers[found].agent);
                recalled.push(Recall { offer: found, leaf });
            }
        }
        recalled
    }

    /// The places of those who wait.
    fn waiting(&self, order: &Order) -> Vec<usize> {
        let Appetite { eager, served, .. } = &self.appetite;
        let leaves = order.leaves.iter().enumerate();
        let waiting = leaves.filter(|(_, (leaf, _))| {
            eager.has(leaf.framework.slot()) && !served.has(leaf.framework.slot())
        });
        waiting.map(|(place, _)| place).collect()
    }

    fn by_class(&self, offers: &[Outstanding<'_>]) -> BTreeMap<ClassIndex, Vec<usize>> {
        let mut by_class: BTreeMap<ClassIndex, Vec<usize>> = BTreeMap::new();
        for (nth, offer) in offers.iter().enumerate() {
            let agent = self.agent(offer.agent).filter(|agent| agent.is_usable());
            if let Some(class) = agent.and_then(|agent| agent.class) {
                by_class.entry(class).or_default().push(nth);
            }
        }
        by_class
    }

    /// The first offer of one behind a framework that would then go to it.
    fn offer_for(
        &mut self,
        (leaf, number): (Leaf, LeafNumber),
        place: usize,
        search: &mut Search<'_>,
    ) -> Option<usize> {
        for (class, list) in &search.by_class {
            if !self.classes.is_for(*class, number) {
                continue;
            }
            for nth in list {
                let offer = search.offers[*nth];
                let role = offer.resources.allocation_role();
                let Some(role) = role.and_then(|role| self.roles.find(role)) else {
                    continue;
                };
                let holder = Leaf {
                    framework: offer.framework,
                    role,
                };
                // Whoever no longer takes part in the turns comes after all who do.
                let behind = search
                    .order
                    .places
                    .get(&holder)
                    .is_none_or(|at| *at > place);
                if !behind
                    || offer.framework == leaf.framework
                    || search.taken.contains(&offer.agent)
                {
                    continue;
                }
                search.looks += 1;
                if self.would_take(search.now_ns, (leaf, number), offer, role) {
                    return Some(*nth);
                }
                if search.looks >= MOST_LOOKS {
                    return None;
                }
            }
        }
        None
    }

    /// Whether a framework would be offered something on an agent if an offer of another were taken back.
    fn would_take(
        &mut self,
        now_ns: u64,
        (leaf, number): (Leaf, LeafNumber),
        offer: Outstanding<'_>,
        from: RoleIndex,
    ) -> bool {
        let kept = self.earmarks.get(&offer.agent);
        if !self.leaves.admits_host(number, offer.agent)
            || kept.is_some_and(|earmark| earmark.leaf != leaf)
        {
            return false;
        }
        let room = self.room_without(offer, leaf.role, from);
        let Some(agent) = self.agent(offer.agent) else {
            return false;
        };
        let capabilities = self.capabilities(leaf.framework);
        let path = self.role_path(leaf.role);
        let mut part = with_offer(agent, offer).filter(|resource| {
            resource.is_allocatable_to(path) && is_taken_by(resource, capabilities)
        });
        if let Some(room) = room {
            part = chop(&part, &room.all, &self.names);
        }
        is_allocatable(&part, self.minimum(leaf))
            && agent.filters.refuses(now_ns, leaf, &part).is_none()
    }

    /// The room of a role if an offer to another were taken back.
    fn room_without(
        &mut self,
        offer: Outstanding<'_>,
        role: RoleIndex,
        from: RoleIndex,
    ) -> Option<Room> {
        if self.quotas == 0 {
            return None;
        }
        let charged = self.names.delta(offer.resources).charged;
        self.roles
            .apply_upwards(from, &charged, Sign::Minus, |node| &mut node.charged);
        self.unreserved_free.apply(&charged, Sign::Plus);
        let room = self.room(role, self.lacking_total().as_ref());
        self.roles
            .apply_upwards(from, &charged, Sign::Plus, |node| &mut node.charged);
        self.unreserved_free.apply(&charged, Sign::Minus);
        room
    }
}

/// What would be free on an agent without an offer.
fn with_offer(agent: &Agent, offer: Outstanding<'_>) -> Resources {
    let mut free = agent.available.clone();
    free += offer.resources.unallocated();
    free
}
