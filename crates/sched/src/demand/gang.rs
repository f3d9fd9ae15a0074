//! Gangs: all instances are placed at once or none, planned in thought before anything is moved.

use super::DemandKey;
use super::candidates::Candidates;
use super::shapes::{Shape, ShapeIndex};
use crate::earmark::Keep;
use crate::ids::AgentIndex;
use crate::scheduler::Scheduler;

impl Scheduler {
    /// Where all instances of a gang go; none unless there is room for all.
    pub(super) fn plan_gang(
        &mut self,
        index: ShapeIndex,
        demand: DemandKey,
    ) -> Option<Vec<AgentIndex>> {
        let count = self.queue.get(demand)?.demand.count;
        let candidates = self.informed_candidates(index);
        let shape = self.queue.shapes.get(index);
        // What was made for it holds all of it, while better places elsewhere may be too few.
        let made = |agent| {
            let own = self.earmarks.get(&agent);
            own.is_some_and(|own| own.keep == Keep::Room(demand))
        };
        let free = |agent| !self.is_kept_from(agent, demand);
        let is_made = self.earmarks.keys().any(|agent| made(*agent));
        let plan = is_made
            .then(|| self.plan(&candidates, shape, count, &made))
            .flatten();
        let plan = plan.or_else(|| self.plan(&candidates, shape, count, &free));
        self.keep_candidates(index, candidates);
        plan
    }

    /// Where so many instances go together; none unless there is room for all.
    pub(super) fn plan(
        &self,
        candidates: &Candidates,
        shape: &Shape,
        count: u64,
        free: &impl Fn(AgentIndex) -> bool,
    ) -> Option<Vec<AgentIndex>> {
        // Cheaper than to find out one by one that there is too little.
        if candidates.room(self, shape, count, free) < count {
            return None;
        }
        let places = self.fill(candidates, shape, count, free);
        (places.len() as u64 == count).then_some(places)
    }

    /// Where most of so many instances go together, of the ways that are tried.
    pub(super) fn fill(
        &self,
        candidates: &Candidates,
        shape: &Shape,
        count: u64,
        free: &impl Fn(AgentIndex) -> bool,
    ) -> Vec<AgentIndex> {
        let mut most = self.fill_within(candidates, shape, count, free);
        if shape.key.rules.same.is_empty() {
            return most;
        }
        // The best agent may stand where there is too little for all.
        for place in 0..candidates.partitions.len() {
            if most.len() as u64 == count {
                break;
            }
            let here = |agent| free(agent) && candidates.place_of(agent) == Some(place);
            if candidates.room(self, shape, count, &here) > most.len() as u64 {
                let places = self.fill_within(candidates, shape, count, &here);
                if places.len() > most.len() {
                    most = places;
                }
            }
        }
        most
    }

    fn fill_within(
        &self,
        candidates: &Candidates,
        shape: &Shape,
        count: u64,
        free: &impl Fn(AgentIndex) -> bool,
    ) -> Vec<AgentIndex> {
        let mut thought = candidates.clone();
        let mut places = Vec::new();
        while (places.len() as u64) < count {
            let Some(agent) = thought.best(free) else {
                break;
            };
            thought.suppose(self, shape, agent);
            places.push(agent);
        }
        places
    }

    /// How many instances of a shape an agent holds that has so much of each scalar.
    pub(super) fn times(shape: &Shape, amount: impl Fn(usize) -> i64) -> u64 {
        let needs = shape.needs.iter().filter(|(_, need)| *need > 0);
        needs
            .map(|(place, need)| u64::try_from(amount(*place) / need).unwrap_or(0))
            .min()
            .unwrap_or(u64::MAX)
    }
}

impl Candidates {
    /// How many instances fit at most, by scalars alone; not counted further than to a bound.
    fn room(
        &self,
        sched: &Scheduler,
        shape: &Shape,
        bound: u64,
        free: &impl Fn(AgentIndex) -> bool,
    ) -> u64 {
        let mut sum = 0u64;
        for index in self.fitting().filter(|agent| free(*agent)) {
            if sum >= bound {
                break;
            }
            let times = match (self.yields.get(&index), sched.agent(index)) {
                (Some(own), _) => own.most(),
                (None, Some(agent)) => Scheduler::times(shape, |place| agent.free.all.get(place)),
                (None, None) => 0,
            };
            sum = sum.saturating_add(times);
        }
        sum
    }
}
