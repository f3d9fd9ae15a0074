//! What a framework may be offered on one agent, or why nothing.

use crate::accounting::is_taken_by;
use crate::agent::{Agent, Texture, is_allocatable};
use crate::ids::Leaf;
use crate::quota::{Room, chop};
use crate::scalars::Scalars;
use crate::scheduler::Scheduler;
use mezz_resource::{Name, Quantities, Resources};
use std::borrow::Cow;

/// Why one agent has nothing for one framework.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unusable,
    NothingFree,
    NeedsGpuCapability,
    OtherRegion,
    NeedsMultiRole,
    Constrained,
    ReservedForOthers,
    OverLimit,
    HeldForGuarantees,
    BelowMinimum,
    Declined { until_ns: u64, extent: Extent },
}

impl Refusal {
    /// Whether more quota would have led to another answer.
    pub(crate) fn is_for_quota(self) -> bool {
        matches!(
            self,
            Self::OverLimit
                | Self::HeldForGuarantees
                | Self::Declined {
                    extent: Extent::Cut,
                    ..
                }
        )
    }
}

impl Refusal {
    /// Whether a refusal is known to cover all that is free on the agent, whatever part of it is offered later.
    pub(crate) fn is_of_all(self, agent: &Agent) -> bool {
        agent.texture == Texture::Plain
            && matches!(
                self,
                Self::Declined {
                    extent: Extent::Full,
                    ..
                }
            )
    }
}

/// Whether quota has cut down what could be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Full,
    Cut,
}

/// What one agent has for one framework.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    Offer(Cow<'a, Resources>),
    Refused(Refusal),
}

impl Scheduler {
    /// Looks at one agent for one framework in one role, quota and refusals included.
    pub(crate) fn examine<'a>(
        &self,
        now_ns: u64,
        agent: &'a Agent,
        leaf: Leaf,
        room: Option<&Room>,
    ) -> Verdict<'a> {
        match self.mismatch(agent, leaf) {
            Some(refusal) if agent.is_usable() && !agent.available.is_empty() => {
                Verdict::Refused(refusal)
            }
            _ => self.examine_match(now_ns, agent, leaf, room),
        }
    }

    /// The same for an agent that as such is known to be for the framework.
    pub(crate) fn examine_match<'a>(
        &self,
        now_ns: u64,
        agent: &'a Agent,
        leaf: Leaf,
        room: Option<&Room>,
    ) -> Verdict<'a> {
        let (candidate, extent) = match self.candidate(agent, leaf, room) {
            Ok(candidate) => candidate,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        match agent.filters.refuses(now_ns, leaf, &candidate) {
            Some(until_ns) => Verdict::Refused(Refusal::Declined { until_ns, extent }),
            None => Verdict::Offer(candidate),
        }
    }

    fn candidate<'a>(
        &self,
        agent: &'a Agent,
        leaf: Leaf,
        room: Option<&Room>,
    ) -> Result<(Cow<'a, Resources>, Extent), Refusal> {
        if !agent.is_usable() {
            return Err(Refusal::Unusable);
        }
        if agent.available.is_empty() {
            return Err(Refusal::NothingFree);
        }
        let takeable = self.takeable(agent, &agent.available, leaf);
        if takeable.is_empty() {
            return Err(Refusal::ReservedForOthers);
        }
        let minimum = self.minimum(leaf);
        // What is within the room needs no cutting, as if there were no quota.
        let Some(room) = room.filter(|room| !room.holds(&agent.free.charged)) else {
            let whole = matches!(takeable, Cow::Borrowed(_)) && !self.has_own_minimum(leaf);
            let enough = if whole {
                agent.meets_minimum
            } else {
                is_allocatable(&takeable, minimum)
            };
            return if enough {
                Ok((takeable, Extent::Full))
            } else {
                Err(Refusal::BelowMinimum)
            };
        };
        if !is_allocatable(&takeable, minimum) {
            return Err(Refusal::BelowMinimum);
        }
        if !self.could_be_cut(agent, &room.limit, minimum) {
            return Err(Refusal::OverLimit);
        }
        if !self.could_be_cut(agent, &room.all, minimum) {
            return Err(Refusal::HeldForGuarantees);
        }
        let chopped = chop(&takeable, &room.all, &self.names);
        if chopped == *takeable {
            return Ok((takeable, Extent::Full));
        }
        if is_allocatable(&chopped, minimum) {
            return Ok((Cow::Owned(chopped), Extent::Cut));
        }
        if is_allocatable(&chop(&takeable, &room.limit, &self.names), minimum) {
            return Err(Refusal::HeldForGuarantees);
        }
        Err(Refusal::OverLimit)
    }

    /// Whether what is free could still hold a minimum after it was cut to the room; cheaper than to cut it.
    pub(crate) fn could_be_cut(
        &self,
        agent: &Agent,
        room: &Scalars,
        minimum: &[Quantities],
    ) -> bool {
        let left = |name: &Name| {
            let index = self.names.find(name)?;
            let charged = agent.free.charged.get(index);
            let uncharged = agent.free.all.get(index).saturating_sub(charged);
            Some(charged.min(room.get(index)).saturating_add(uncharged))
        };
        let holds = |wanted: &Quantities| {
            wanted
                .iter()
                .all(|(name, amount)| left(name).unwrap_or(0) >= amount.0)
        };
        minimum.is_empty() || minimum.iter().any(holds)
    }

    /// The part of a list on an agent that the framework may have in its role.
    pub(crate) fn takeable<'a>(
        &self,
        agent: &Agent,
        list: &'a Resources,
        leaf: Leaf,
    ) -> Cow<'a, Resources> {
        if agent.texture == Texture::Plain {
            return Cow::Borrowed(list);
        }
        let capabilities = self.capabilities(leaf.framework);
        let path = &self.roles.node(leaf.role).path;
        Cow::Owned(list.filter(|resource| {
            resource.is_allocatable_to(path) && is_taken_by(resource, capabilities)
        }))
    }

    pub(crate) fn has_own_minimum(&self, leaf: Leaf) -> bool {
        self.framework(leaf.framework)
            .is_some_and(|framework| framework.minimums.contains_key(&leaf.role))
    }

    /// What an offer to the framework in the role must hold at least.
    pub(crate) fn minimum(&self, leaf: Leaf) -> &[Quantities] {
        self.framework(leaf.framework)
            .and_then(|framework| framework.minimums.get(&leaf.role))
            .unwrap_or(&self.config.min_allocatable)
    }
}
