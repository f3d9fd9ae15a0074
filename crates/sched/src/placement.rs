//! Placement of work whose needs are known, with the full view and without an offer round trip.

use crate::accounting::is_taken_by;
use crate::agent::Agent;
use crate::candidate::Refusal;
use crate::ids::{AgentIndex, FrameworkIndex, Leaf, RoleIndex};
use crate::reason::Reason;
use crate::scheduler::Scheduler;
use mezz_resource::{Name, Ranges, Resource, Resources, Scalar, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A placement, accounted as used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The agent.
    pub agent: AgentIndex,
    /// What was taken there, allocated to the role.
    pub resources: Resources,
    /// The ports that were picked, in ascending order.
    pub ports: Vec<u64>,
}

/// Why nothing could be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals(pub Vec<Reason>);

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusals {}

/// How well an agent fits; the smallest is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    wasted_gpus: bool,
    /// What would be left of cpus and mem, in millionths of the agent.
    left: i64,
    agent: AgentIndex,
}

impl Scheduler {
    /// Places a request on the agent that it fits best, and accounts it as used.
    ///
    /// `request` gives the scalars, and ranges or sets that must be taken exactly; `ports` is how
    /// many more ports are picked. Reservations of the role are used before what is unreserved.
    pub fn place(
        &mut self,
        framework: FrameworkIndex,
        role: &str,
        request: &Resources,
        ports: u64,
    ) -> Result<Placement, Refusals> {
        let index = self.roles.intern(role);
        let leaf = Leaf {
            framework,
            role: index,
        };
        let found = self
            .check_quota(leaf, request)
            .and_then(|()| self.best_fit(leaf, request, ports));
        let chosen = match found {
            Ok(chosen) => chosen,
            Err(refusals) => {
                self.roles.prune(index);
                return Err(refusals);
            }
        };
        let (agent, taken, picked) = chosen;
        let role: Arc<str> = Arc::clone(&self.roles.node(index).path);
        let resources = taken.allocated_to(&role);
        self.hand_over(framework, agent, &taken, resources.clone());
        self.mark_used(framework, agent, &resources);
        let ports = picked
            .iter()
            .flat_map(|range| range.begin..=range.end)
            .collect();
        Ok(Placement {
            agent,
            resources,
            ports,
        })
    }

    pub(crate) fn check_quota(&self, leaf: Leaf, request: &Resources) -> Result<(), Refusals> {
        let Some(room) = self.room(leaf.role, self.lacking_total().as_ref()) else {
            return Ok(());
        };
        for (name, wanted) in request.quantities().iter() {
            let Some(index) = self.names.find(name) else {
                continue;
            };
            if room.limit.get(index) < wanted.0 {
                let (role, name, left) = self.tightest_limit(leaf);
                let agents = self.free.count();
                return Err(Refusals(vec![Reason::OverQuota {
                    agents,
                    role,
                    name,
                    left,
                }]));
            }
            if room.all.get(index) < wanted.0 {
                return Err(Refusals(vec![Reason::HeldForGuarantees {
                    agents: self.free.count(),
                }]));
            }
        }
        Ok(())
    }

    fn best_fit(
        &self,
        leaf: Leaf,
        request: &Resources,
        ports: u64,
    ) -> Result<(AgentIndex, Resources, Ranges), Refusals> {
        let mut best: Option<(Fit, Resources, Ranges)> = None;
        let mut misses = Misses::default();
        for index in self.agent_indices() {
            let Some(agent) = self.agent(index) else {
                continue;
            };
            if let Some(refusal) = self.bars(agent, index, leaf) {
                misses.bar(refusal);
                continue;
            }
            let fit = fit(agent, index, request);
            if best.as_ref().is_some_and(|(best, ..)| *best <= fit) {
                continue;
            }
            match self.pick(&agent.available, leaf, request, ports) {
                Ok((taken, picked)) => best = Some((fit, taken, picked)),
                Err((name, wanted)) => misses.lack(name, wanted),
            }
        }
        match best {
            Some((fit, taken, picked)) => Ok((fit.agent, taken, picked)),
            None => Err(misses.into_refusals()),
        }
    }

    /// What keeps the agent as such from the leaf, if anything.
    pub(crate) fn bars(&self, agent: &Agent, index: AgentIndex, leaf: Leaf) -> Option<Bar> {
        if !agent.is_usable() {
            return Some(Bar::Unusable);
        }
        if self
            .earmarks
            .get(&index)
            .is_some_and(|earmark| earmark.leaf != leaf)
        {
            return Some(Bar::Earmarked);
        }
        match self.mismatch(agent, leaf) {
            Some(Refusal::OtherRegion) => Some(Bar::OtherRegion),
            _ => None,
        }
    }

    /// Picks the request out of what is free on an agent, or names what it lacks.
    pub(crate) fn pick(
        &self,
        free: &Resources,
        leaf: Leaf,
        request: &Resources,
        ports: u64,
    ) -> Result<(Resources, Ranges), (Name, Scalar)> {
        let mut left = self.usable_here(free, leaf.framework, leaf.role);
        let mut taken = Resources::new();
        for wanted in request {
            let part = take_one(&left, wanted).ok_or_else(|| lack(wanted))?;
            let removed = left.subtract_assign(&part);
            debug_assert!(removed, "what was found can be taken");
            taken += part;
        }
        let missing = || {
            (
                Name::Ports,
                Scalar::whole(i64::try_from(ports).unwrap_or(i64::MAX)),
            )
        };
        let picked = pick_ports(&left, ports).ok_or_else(missing)?;
        let mut ranges = Ranges::default();
        for resource in &picked {
            if let Value::Ranges(part) = resource.value() {
                ranges = ranges.union(part);
            }
        }
        Ok((taken + picked, ranges))
    }

    /// What is free on the agent for the role, what is reserved for it first.
    pub(crate) fn usable_here(
        &self,
        free: &Resources,
        framework: FrameworkIndex,
        role: RoleIndex,
    ) -> Resources {
        let capabilities = self
            .framework(framework)
            .map(|entry| entry.spec.capabilities)
            .unwrap_or_default();
        let path = self.role_path(role);
        free.filter(|resource| {
            resource.is_allocatable_to(path)
                && is_taken_by(resource, capabilities)
                && !resource.is_revocable()
                && resource.disk().is_none()
        })
    }
}

/// Takes the amount of `wanted` from entries of that name, reserved ones first.
pub(crate) fn take_one(left: &Resources, wanted: &Resource) -> Option<Resources> {
    let named = || left.iter().filter(|own| own.name() == wanted.name());
    let mut sources: Vec<&Resource> = named()
        .filter(|own| own.reservation_role().is_some())
        .collect();
    sources.extend(named().filter(|own| own.reservation_role().is_none()));
    let Value::Scalar(mut missing) = *wanted.value() else {
        let source = sources
            .into_iter()
            .find(|own| own.value().contains(wanted.value()))?;
        return Some(std::iter::once(source.clone().with_value(wanted.value().clone())).collect());
    };
    let mut taken = Resources::new();
    for source in sources {
        let part = source.as_scalar().unwrap_or_default().min(missing);
        taken.push(source.clone().with_value(Value::Scalar(part)));
        missing -= part;
    }
    missing.is_zero().then_some(taken)
}

pub(crate) fn pick_ports(left: &Resources, count: u64) -> Option<Resources> {
    let mut missing = count;
    let mut picked = Resources::new();
    for resource in left
        .iter()
        .filter(|resource| *resource.name() == Name::Ports)
    {
        let Value::Ranges(ranges) = resource.value() else {
            continue;
        };
        let size = ranges.count().min(missing);
        picked.push(
            resource
                .clone()
                .with_value(Value::Ranges(ranges.take_lowest(size)?)),
        );
        missing -= size;
    }
    (missing == 0).then_some(picked)
}

fn lack(wanted: &Resource) -> (Name, Scalar) {
    (
        wanted.name().clone(),
        wanted.as_scalar().unwrap_or(Scalar::whole(1)),
    )
}

fn fit(agent: &Agent, index: AgentIndex, request: &Resources) -> Fit {
    let left = ["cpus", "mem"].into_iter().map(|name| {
        let total = agent.spec.total.scalar(name).0.max(1);
        let left = agent.available.scalar(name).0 - request.scalar(name).0;
        i64::try_from(i128::from(left) * 1_000_000 / i128::from(total)).unwrap_or(i64::MAX)
    });
    Fit {
        wasted_gpus: agent.has_gpus && request.scalar("gpus").is_zero(),
        left: left.sum(),
        agent: index,
    }
}

/// What keeps an agent from being considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bar {
    Unusable,
    Earmarked,
    OtherRegion,
}

/// Why agents were passed over.
#[derive(Debug, Default)]
struct Misses {
    unusable: usize,
    earmarked: usize,
    region: usize,
    lacking: BTreeMap<Name, (usize, Scalar)>,
}

impl Misses {
    fn bar(&mut self, bar: Bar) {
        match bar {
            Bar::Unusable => self.unusable += 1,
            Bar::Earmarked => self.earmarked += 1,
            Bar::OtherRegion => self.region += 1,
        }
    }

    fn lack(&mut self, name: Name, wanted: Scalar) {
        self.lacking.entry(name).or_insert((0, wanted)).0 += 1;
    }

    fn into_refusals(self) -> Refusals {
        let mut reasons: Vec<Reason> = self
            .lacking
            .into_iter()
            .map(|(name, (agents, wanted))| Reason::Lacking {
                agents,
                name,
                wanted,
            })
            .collect();
        let counted = [
            (
                self.earmarked,
                Reason::Earmarked {
                    agents: self.earmarked,
                },
            ),
            (
                self.region,
                Reason::OtherRegion {
                    agents: self.region,
                },
            ),
            (
                self.unusable,
                Reason::AgentsUnusable {
                    agents: self.unusable,
                },
            ),
        ];
        reasons.extend(
            counted
                .into_iter()
                .filter(|(agents, _)| *agents > 0)
                .map(|(_, reason)| reason),
        );
        if reasons.is_empty() {
            reasons.push(Reason::NoAgents);
        }
        Refusals(reasons)
    }
}
