//! One agent for one shape: how well it fits, or why it does not.

use std::sync::Arc;

use mezz_resource::{Name, Range, Ranges, Resource, Resources, Scalar, Value};

use super::candidates::{Candidates, Stand};
use super::counts::Excess;
use super::give_way::Toll;
use super::shapes::Shape;
use super::{Packing, PortsWanted};
use crate::agent::Agent;
use crate::ids::AgentIndex;
use crate::placement::{pick_ports, take_one};
use crate::scheduler::Scheduler;

/// How well an agent fits; the smallest is best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score {
    /// Only in thoughts about what could give way.
    toll: Toll,
    wasted_gpus: bool,
    /// The weights of the preferences it meets, negated.
    unloved: i64,
    /// What would be left of cpus and mem, in millionths of the agent; negated to spread.
    left: i64,
}

/// Why an agent does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    Unusable,
    OtherRegion,
    /// By its place among the requirements.
    Rule(usize),
    /// By its place among the counted keys.
    NoValue(usize),
    Lacks(Name, Scalar),
    PortTaken(u16),
    /// By its place among the sets.
    NotNear(usize),
    NotAway,
    Excess(Excess),
}

impl Candidates {
    /// Looks at one agent, as if so many instances of the shape had been put there in thought.
    pub(super) fn judge(
        &self,
        sched: &Scheduler,
        shape: &Shape,
        index: AgentIndex,
    ) -> Result<Score, Misfit> {
        let agent = sched.agent(index).ok_or(Misfit::Unusable)?;
        if !agent.is_usable() {
            return Err(Misfit::Unusable);
        }
        let preference = match self.seat(index).stand {
            Stand::Unknown => return Err(Misfit::Unusable),
            Stand::OtherRegion => return Err(Misfit::OtherRegion),
            Stand::Rule(rule) => return Err(Misfit::Rule(rule as usize)),
            Stand::NoValue(key) => return Err(Misfit::NoValue(key as usize)),
            Stand::Admitted(preference) => preference,
        };
        let taken = self.taken(index);
        let toll = self.toll(sched, shape, (index, agent))?;
        check_neighbours(sched, shape, index, taken)?;
        self.check_counts(index)?;
        let score = score(shape, agent, taken, preference);
        Ok(Score { toll, ..score })
    }

    /// Those bounds that concern single agents; the others are asked for all agents of a value at once.
    fn check_counts(&self, index: AgentIndex) -> Result<(), Misfit> {
        for (key, value) in self.values_of(index).filter(|(key, _)| !key.is_wide) {
            key.admits(value).map_err(Misfit::Excess)?;
        }
        Ok(())
    }
}

fn check_neighbours(
    sched: &Scheduler,
    shape: &Shape,
    index: AgentIndex,
    taken: u32,
) -> Result<(), Misfit> {
    let rules = &shape.key.rules;
    let runs = |group| {
        sched.queue.instances.count(group, index) > 0
            || (taken > 0 && shape.key.group == Some(group))
    };
    let lonely = |set: &Vec<_>| !set.iter().any(|group| runs(*group));
    if let Some(set) = rules.near.iter().position(lonely) {
        return Err(Misfit::NotNear(set));
    }
    if rules.away.iter().any(|group| runs(*group)) {
        return Err(Misfit::NotAway);
    }
    Ok(())
}

fn score(shape: &Shape, agent: &Agent, taken: u32, preference: i64) -> Score {
    let needed = |place: usize| {
        let needs = shape.needs.iter().find(|(index, _)| *index == place);
        needs.map_or(0, |(_, amount)| amount.saturating_mul(i64::from(taken) + 1))
    };
    let fraction = |place: usize, name: &str| {
        let total = agent.spec.total.scalar(name).0.max(1);
        let left = agent.free.all.get(place).saturating_sub(needed(place));
        match left.checked_mul(1_000_000) {
            Some(scaled) => scaled / total,
            None => left / total * 1_000_000,
        }
    };
    let left = fraction(0, "cpus").saturating_add(fraction(1, "mem"));
    Score {
        toll: Toll::default(),
        wasted_gpus: agent.has_gpus && !shape.wants_gpus,
        unloved: preference.saturating_neg(),
        left: match shape.packing {
            Packing::Spread => left.saturating_neg(),
            Packing::Binpack | Packing::Inherit => left,
        },
    }
}

/// Whether what is free can be told by its sums alone.
fn is_simple(agent: &Agent) -> bool {
    agent.available.iter().all(|own| own.traits().is_none())
}

impl Shape {
    /// The lack of one of its needs.
    fn lack(&self, nth: usize) -> Misfit {
        let named = self.quantities.iter().nth(nth);
        let (name, amount) = named.expect("the needs are the quantities by their places");
        Misfit::Lacks(name.clone(), amount)
    }
}

impl Scheduler {
    pub(super) fn fits(&self, shape: &Shape, agent: &Agent, taken: u32) -> Result<(), Misfit> {
        if shape.is_exact || !is_simple(agent) {
            return self.fits_exactly(shape, agent, taken);
        }
        let times = i64::from(taken) + 1;
        for (nth, (place, amount)) in shape.needs.iter().enumerate() {
            if agent.free.all.get(*place) < amount.saturating_mul(times) {
                return Err(shape.lack(nth));
            }
        }
        has_ports(&agent.available, &shape.key.ports, taken)
    }

    /// Tries it out on what is free.
    fn fits_exactly(&self, shape: &Shape, agent: &Agent, taken: u32) -> Result<(), Misfit> {
        let leaf = shape.key.leaf;
        let mut left = self.usable_here(&agent.available, leaf.framework, leaf.role);
        for _ in 0..=taken {
            take_wanted(&mut left, &shape.key.request, &shape.key.ports)?;
        }
        Ok(())
    }

    /// Whether an instance fits once so much more is free.
    pub(super) fn fits_with(&self, shape: &Shape, index: AgentIndex, freed: &Resources) -> bool {
        let leaf = shape.key.leaf;
        self.agent(index).is_some_and(|agent| {
            let free = &agent.available + freed;
            let mut left = self.usable_here(&free, leaf.framework, leaf.role);
            take_wanted(&mut left, &shape.key.request, &shape.key.ports).is_ok()
        })
    }

    /// Picks what one instance needs out of what is free; the fit was judged just before.
    pub(super) fn pick_wanted(
        &self,
        shape: &Shape,
        index: AgentIndex,
    ) -> Result<(Resources, Vec<u16>), Misfit> {
        let agent = self.agent(index).ok_or(Misfit::Unusable)?;
        let (request, ports) = (&shape.key.request, &shape.key.ports);
        if shape.is_exact || !is_simple(agent) {
            let leaf = shape.key.leaf;
            let mut left = self.usable_here(&agent.available, leaf.framework, leaf.role);
            return take_wanted(&mut left, request, ports);
        }
        let mut taken = (**request).clone();
        if ports.any == 0 && ports.fixed.is_empty() {
            return Ok((taken, Vec::new()));
        }
        let mut left = agent.available.filter(|own| *own.name() == Name::Ports);
        let picked = take_ports(&mut left, ports)?;
        let numbers = numbers(&picked);
        taken += picked;
        Ok((taken, numbers))
    }
}

/// Takes what one instance needs out of a list, or says what is missing.
pub(super) fn take_wanted(
    left: &mut Resources,
    request: &Resources,
    ports: &PortsWanted,
) -> Result<(Resources, Vec<u16>), Misfit> {
    let mut taken = Resources::new();
    for wanted in request {
        let part = take_one(left, wanted).ok_or_else(|| {
            let amount = wanted.as_scalar().unwrap_or(Scalar::whole(1));
            Misfit::Lacks(wanted.name().clone(), amount)
        })?;
        let removed = left.subtract_assign(&part);
        debug_assert!(removed, "what was found can be taken");
        taken += part;
    }
    let picked = take_ports(left, ports)?;
    let numbers = numbers(&picked);
    Ok((taken + picked, numbers))
}

fn take_ports(left: &mut Resources, ports: &PortsWanted) -> Result<Resources, Misfit> {
    let mut picked = Resources::new();
    for port in &ports.fixed {
        let range = Ranges::from_iter([Range {
            begin: u64::from(*port),
            end: u64::from(*port),
        }]);
        let wanted = Value::Ranges(range);
        let source = port_lists(left).find(|own| own.value().contains(&wanted));
        let source = source.ok_or(Misfit::PortTaken(*port))?;
        let part: Resources = std::iter::once(source.clone().with_value(wanted)).collect();
        let removed = left.subtract_assign(&part);
        debug_assert!(removed, "what was found can be taken");
        picked += part;
    }
    let missing = || Misfit::Lacks(Name::Ports, Scalar::whole(i64::from(ports.any)));
    if ports.any > 0 {
        let any = pick_ports(left, u64::from(ports.any)).ok_or_else(missing)?;
        let removed = left.subtract_assign(&any);
        debug_assert!(removed, "what was found can be taken");
        picked += any;
    }
    Ok(picked)
}

fn port_lists(list: &Resources) -> impl Iterator<Item = &Resource> {
    list.iter().filter(|own| *own.name() == Name::Ports)
}

fn numbers(picked: &Resources) -> Vec<u16> {
    let mut numbers = Vec::new();
    for resource in port_lists(picked) {
        if let Value::Ranges(ranges) = resource.value() {
            let all = ranges.iter().flat_map(|range| range.begin..=range.end);
            numbers.extend(all.filter_map(|port| u16::try_from(port).ok()));
        }
    }
    numbers.sort_unstable();
    numbers
}

/// Whether a list of unreserved resources has the ports for one more than so many instances.
fn has_ports(list: &Resources, ports: &PortsWanted, taken: u32) -> Result<(), Misfit> {
    if ports.any == 0 && ports.fixed.is_empty() {
        return Ok(());
    }
    let lists = || {
        port_lists(list).filter_map(|own| match own.value() {
            Value::Ranges(ranges) => Some(ranges),
            _ => None,
        })
    };
    for port in &ports.fixed {
        let one = u64::from(*port);
        let holds = |range: Range| range.begin <= one && one <= range.end;
        if taken > 0 || !lists().any(|ranges| ranges.iter().any(holds)) {
            return Err(Misfit::PortTaken(*port));
        }
    }
    let free = lists().fold(0u64, |sum, ranges| sum.saturating_add(ranges.count()));
    let wanted = (u64::from(taken) + 1) * u64::from(ports.any) + ports.fixed.len() as u64;
    if free < wanted {
        let amount = Scalar::whole(i64::from(ports.any));
        return Err(Misfit::Lacks(Name::Ports, amount));
    }
    Ok(())
}

/// A role's own setting, or that of the nearest above it.
pub(super) fn packing(sched: &Scheduler, wanted: Packing, role: &Arc<str>) -> Packing {
    if wanted != Packing::Inherit {
        return wanted;
    }
    let mut path: &str = role;
    loop {
        match sched.config.packing.get(path) {
            Some(packing) if *packing != Packing::Inherit => return *packing,
            _ => {}
        }
        match path.rfind('/') {
            Some(at) => path = &path[..at],
            None => return Packing::Binpack,
        }
    }
}
