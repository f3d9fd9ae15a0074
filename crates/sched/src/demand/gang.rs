//! Gangs: all instances are placed at once or none, planned in thought before anything is moved.

use super::DemandKey;
use super::candidates::Candidates;
use super::shapes::{Shape, ShapeIndex};
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
        let free = |agent| !self.is_kept_from(agent, demand);
        let plan = self.plan(&candidates, shape, count, &free);
        self.keep_candidates(index, candidates);
        plan
    }

    fn plan(
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
        let anywhere = self.plan_within(candidates, shape, count, free);
        if anywhere.is_some() || shape.key.rules.same.is_empty() {
            return anywhere;
        }
        // The best agent may stand where there is too little for all.
        (0..candidates.partitions.len()).find_map(|place| {
            let here = |agent| free(agent) && candidates.place_of(agent) == Some(place);
            self.plan_within(candidates, shape, count, &here)
        })
    }

    fn plan_within(
        &self,
        candidates: &Candidates,
        shape: &Shape,
        count: u64,
        free: &impl Fn(AgentIndex) -> bool,
    ) -> Option<Vec<AgentIndex>> {
        if candidates.room(self, shape, count, free) < count {
            return None;
        }
        let mut thought = candidates.clone();
        let mut plan = Vec::new();
        for _ in 0..count {
            let agent = thought.best(free)?;
            thought.suppose(self, shape, agent);
            plan.push(agent);
        }
        Some(plan)
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
        for agent in self.fitting().filter(|agent| free(*agent)) {
            if sum >= bound {
                break;
            }
            let times = sched.agent(agent).map_or(0, |agent| {
                Scheduler::times(shape, |place| agent.free.all.get(place))
            });
            sum = sum.saturating_add(times);
        }
        sum
    }
}
