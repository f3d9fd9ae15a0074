//! The lists of tasks, executors and offers that agents and frameworks keep, held against the records. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::invariants::ensure;
use crate::key::{AgentKey, ExecutorKey, FrameworkKey, OfferKey, TaskKey};
use crate::master::Master;
use crate::records::{AgentRecord, AgentState, FrameworkRecord, FrameworkState, TaskList};
use crate::state::{AgentLive, FrameworkLive};
use crate::wire::is_terminal;

/// The lists of one agent or framework, computed anew from the records.
#[derive(Debug, Default, PartialEq)]
struct Lists {
    live: BTreeSet<TaskKey>,
    unreachable: BTreeSet<TaskKey>,
    completed: BTreeSet<TaskKey>,
    executors: BTreeSet<ExecutorKey>,
    offers: BTreeSet<OfferKey>,
}

impl Lists {
    fn add_task(&mut self, list: TaskList, key: TaskKey) {
        match list {
            TaskList::Live => &mut self.live,
            TaskList::Unreachable => &mut self.unreachable,
            TaskList::Completed => &mut self.completed,
        }
        .insert(key);
    }
}

impl Master {
    pub(crate) fn check_lists(&self) -> Result<(), String> {
        let mut of_framework: BTreeMap<FrameworkKey, Lists> = BTreeMap::new();
        let mut of_agent: BTreeMap<AgentKey, Lists> = BTreeMap::new();
        let mut tasks_of: BTreeMap<(AgentKey, FrameworkKey, &str), u32> = BTreeMap::new();
        for (_, task) in self.records.tasks.iter() {
            let framework = of_framework.entry(task.framework).or_default();
            framework.add_task(task.list, task.key);
            if task.agent != AgentKey::NONE {
                let agent = of_agent.entry(task.agent).or_default();
                agent.add_task(task.list, task.key);
            }
            if let Some(executor) = &task.executor_id
                && task.list == TaskList::Live
                && !is_terminal(task.state)
            {
                *tasks_of
                    .entry((task.agent, task.framework, executor))
                    .or_default() += 1;
            }
        }
        for (_, executor) in self.records.executors.iter() {
            let framework = of_framework.entry(executor.framework).or_default();
            framework.executors.insert(executor.key);
            let agent = of_agent.entry(executor.agent).or_default();
            agent.executors.insert(executor.key);
            let name = (executor.agent, executor.framework, &*executor.id);
            let count = tasks_of.get(&name).copied().unwrap_or_default();
            ensure(count == executor.task_count, || {
                format!(
                    "executor {} counts {} tasks and has {count}",
                    executor.id, executor.task_count
                )
            })?;
        }
        for (_, offer) in self.records.offers.iter() {
            let framework = of_framework.entry(offer.framework).or_default();
            framework.offers.insert(offer.key);
            let agent = of_agent.entry(offer.agent).or_default();
            agent.offers.insert(offer.key);
        }
        for (key, live) in &self.frameworks {
            let lists = of_framework.remove(key).unwrap_or_default();
            check_framework_lists(self.framework(*key), live, &lists)?;
        }
        for (key, live) in &self.agents {
            let lists = of_agent.remove(key).unwrap_or_default();
            self.check_agent_lists(self.agent(*key), live, &lists)?;
        }
        ensure(of_framework.is_empty() && of_agent.is_empty(), || {
            "a record refers to an agent or framework that is not there".into()
        })
    }

    fn check_agent_lists(
        &self,
        agent: &AgentRecord,
        live: &AgentLive,
        lists: &Lists,
    ) -> Result<(), String> {
        let id = &agent.id;
        // A completed framework keeps its unreachable tasks for readers; no agent brings them back.
        let unreachable: BTreeSet<TaskKey> = lists
            .unreachable
            .iter()
            .copied()
            .filter(|key| {
                self.task(*key).is_some_and(|task| {
                    self.framework(task.framework).state != FrameworkState::Completed
                })
            })
            .collect();
        ensure(live.tasks == lists.live, || {
            format!(
                "agent {id} lists tasks {:?}, has {:?}",
                live.tasks, lists.live
            )
        })?;
        ensure(live.unreachable == unreachable, || {
            format!(
                "agent {id} lists as unreachable {:?}, has {unreachable:?}",
                live.unreachable
            )
        })?;
        ensure(live.executors == lists.executors, || {
            format!("agent {id} does not list its executors")
        })?;
        ensure(live.offers == lists.offers, || {
            format!("agent {id} does not list its offers")
        })?;
        ensure(agent.task_count as usize == lists.live.len(), || {
            format!(
                "agent {id} counts {} tasks and has {}",
                agent.task_count,
                lists.live.len()
            )
        })?;
        self.check_agent_rest(agent, live, lists, &unreachable)
    }

    fn check_agent_rest(
        &self,
        agent: &AgentRecord,
        live: &AgentLive,
        lists: &Lists,
        unreachable: &BTreeSet<TaskKey>,
    ) -> Result<(), String> {
        let id = &agent.id;
        ensure(
            live.pending_kills
                .keys()
                .all(|key| lists.live.contains(key) || unreachable.contains(key)),
            || format!("a kill waits on agent {id} for a task that is not there"),
        )?;
        ensure(
            live.told_frameworks
                .iter()
                .all(|key| self.records.frameworks.get(key.index()).is_some()),
            || format!("agent {id} was told of a framework that is not there"),
        )?;
        let lost = matches!(
            agent.state,
            AgentState::Unreachable | AgentState::Gone | AgentState::Removed
        );
        ensure(
            !lost || lists.live.is_empty() && lists.executors.is_empty(),
            || format!("agent {id} is lost and still runs something"),
        )
    }
}

fn check_framework_lists(
    framework: &FrameworkRecord,
    live: &FrameworkLive,
    lists: &Lists,
) -> Result<(), String> {
    let id = &framework.id;
    let listed = Lists {
        live: live.tasks.clone(),
        unreachable: live.unreachable.iter().copied().collect(),
        completed: live.completed.iter().copied().collect(),
        executors: live.executors.clone(),
        offers: live.offers.clone(),
    };
    ensure(listed == *lists, || {
        format!("framework {id} lists {listed:?}, has {lists:?}")
    })?;
    ensure(
        live.unreachable.len() == listed.unreachable.len()
            && live.completed.len() == listed.completed.len(),
        || format!("framework {id} lists a task twice"),
    )?;
    let over = framework.state == FrameworkState::Completed;
    ensure(
        !over || listed.live.is_empty() && listed.executors.is_empty(),
        || format!("framework {id} is completed and still runs something"),
    )
}
