//! The instances that run, and where: what rules about other instances look at.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cache::Change;
use super::{GroupKey, InstanceHandle, RunningInstance};
use crate::ids::{AgentIndex, FrameworkIndex};
use crate::scheduler::Scheduler;

/// How many instances of one group run on each agent.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Group {
    by_agent: BTreeMap<AgentIndex, u32>,
}

/// One that may be ended for the sake of others: the lowest priority first, of those the newest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
struct Expendable {
    agent: AgentIndex,
    framework: FrameworkIndex,
    role: Arc<str>,
    priority: i32,
    instance: Reverse<InstanceHandle>,
}

/// All instances.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Instances {
    running: BTreeMap<InstanceHandle, RunningInstance>,
    groups: BTreeMap<GroupKey, Group>,
    expendable: BTreeSet<Expendable>,
    last: u64,
}

impl Instances {
    /// How many instances of a group run on an agent.
    pub(crate) fn count(&self, group: GroupKey, agent: AgentIndex) -> u32 {
        let group = self.groups.get(&group);
        group.map_or(0, |group| group.by_agent.get(&agent).copied().unwrap_or(0))
    }

    pub(crate) fn get(&self, handle: InstanceHandle) -> Option<&RunningInstance> {
        self.running.get(&handle)
    }

    /// Those on an agent that may be ended for the sake of the same role's work, of a priority below a bound.
    pub(super) fn expendable(
        &self,
        agent: AgentIndex,
        framework: FrameworkIndex,
        role: &Arc<str>,
        below: i32,
    ) -> impl Iterator<Item = (InstanceHandle, &RunningInstance)> {
        let bound = |priority| Expendable {
            agent,
            framework,
            role: Arc::clone(role),
            priority,
            instance: Reverse(InstanceHandle(u64::MAX)),
        };
        let listed = self.expendable.range(bound(i32::MIN)..bound(below));
        listed.filter_map(|own| Some((own.instance.0, self.running.get(&own.instance.0)?)))
    }

    pub(super) fn has_expendable(&self) -> bool {
        !self.expendable.is_empty()
    }

    fn add(&mut self, running: RunningInstance) -> InstanceHandle {
        self.last += 1;
        let handle = InstanceHandle(self.last);
        let group = self.groups.entry(running.group).or_default();
        *group.by_agent.entry(running.agent).or_insert(0) += 1;
        if running.preemptible {
            self.expendable.insert(expendable(handle, &running));
        }
        self.running.insert(handle, running);
        handle
    }

    fn remove(&mut self, handle: InstanceHandle) -> Option<RunningInstance> {
        let running = self.running.remove(&handle)?;
        if let Some(group) = self.groups.get_mut(&running.group) {
            let count = group.by_agent.entry(running.agent).or_insert(0);
            *count = count.saturating_sub(1);
            if *count == 0 {
                group.by_agent.remove(&running.agent);
            }
            if group.by_agent.is_empty() {
                self.groups.remove(&running.group);
            }
        }
        if running.preemptible {
            self.expendable.remove(&expendable(handle, &running));
        }
        Some(running)
    }

    /// Whether the sums are what the instances add up to.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut groups: BTreeMap<GroupKey, Group> = BTreeMap::new();
        for running in self.running.values() {
            let group = groups.entry(running.group).or_default();
            *group.by_agent.entry(running.agent).or_insert(0) += 1;
        }
        if groups != self.groups {
            return Err("instances are counted wrongly".to_owned());
        }
        let preemptible = self.running.values().filter(|own| own.preemptible).count();
        if preemptible != self.expendable.len() {
            return Err("preemptible instances are listed wrongly".to_owned());
        }
        Ok(())
    }
}

fn expendable(handle: InstanceHandle, running: &RunningInstance) -> Expendable {
    Expendable {
        agent: running.agent,
        framework: running.framework,
        role: Arc::clone(&running.role),
        priority: running.priority,
        instance: Reverse(handle),
    }
}

impl Scheduler {
    /// Counts an instance that runs already; what it uses is charged apart ([`Scheduler::charge`]).
    pub fn instance_added(&mut self, running: RunningInstance) -> InstanceHandle {
        let (group, agent) = (running.group, running.agent);
        let handle = self.queue.instances.add(running);
        self.note_change(Change::Contents(agent));
        self.queue.wake_watchers(group);
        handle
    }

    /// An instance has ended; what it used is given back apart ([`Scheduler::release`]).
    pub fn instance_removed(&mut self, instance: InstanceHandle) {
        self.queue.ending.remove(&instance);
        if let Some(running) = self.queue.instances.remove(instance) {
            self.note_change(Change::Contents(running.agent));
            self.queue.wake_watchers(running.group);
        }
    }

    /// How many instances of a group run on an agent.
    pub fn instances_on(&self, group: GroupKey, agent: AgentIndex) -> u32 {
        self.queue.instances.count(group, agent)
    }
}
