//! The end of tasks, executors and frameworks: what is forgotten, what goes into the bounded history.

use crate::agent::{AgentCore, Turn};
use crate::journal::Record;
use crate::model::{Container, ExecutorKey, FrameworkKey, FrameworkPhase, TaskKey};
use crate::records::TaskRecord;
use crate::timers::TimerKey;
use std::collections::VecDeque;
use std::sync::Arc;

const COMPLETED_TASKS_PER_EXECUTOR: usize = 200;
const COMPLETED_FRAMEWORKS: usize = 50;

impl AgentCore {
    /// A task is over: its terminal update was acknowledged, or nobody waits for it any more.
    pub(crate) fn complete_task(&mut self, turn: &mut Turn<'_>, task: TaskKey) {
        let Some(entry) = self.tasks.get(task) else {
            return;
        };
        let (framework, executor) = (entry.framework, entry.executor);
        self.forget_task(task);
        if let Some(executor) = executor {
            self.retire(turn, executor);
        }
        self.retire_framework(turn, framework);
    }

    /// Moves a task into its executor's history.
    fn forget_task(&mut self, task: TaskKey) {
        let Some(entry) = self.tasks.remove(task) else {
            return;
        };
        self.timers.cancel(TimerKey::UpdateRetry(task));
        if let Some(framework) = self.frameworks.get_mut(entry.framework) {
            framework.tasks.remove(&entry.id);
            framework.detached.retain(|detached| *detached != task);
            framework.record = None;
        }
        self.records = None;
        if let Some(executor) = entry.executor
            && let Some(owner) = self.executors.get_mut(executor)
        {
            owner.tasks.retain(|held| *held != task);
            owner.queued.retain(|held| *held != task);
            push_completed(&mut owner.completed, Arc::new(entry.record()));
            self.touch(executor);
        }
    }

    /// Forgets an executor whose container is gone and whose tasks are over.
    pub(crate) fn retire(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let Some(entry) = self
            .executors
            .get(executor)
            .filter(|entry| entry.container == Container::Gone)
        else {
            return;
        };
        let framework = entry.framework;
        if self.is_terminating(framework) {
            // Nobody acknowledges for a framework that is gone.
            let tasks: Vec<TaskKey> = entry.tasks.iter().chain(&entry.queued).copied().collect();
            for task in tasks {
                self.forget_task(task);
            }
        }
        let Some(entry) = self.executors.get(executor) else {
            return;
        };
        if !entry.tasks.is_empty() || !entry.queued.is_empty() || !entry.members.is_empty() {
            return;
        }
        if let Some(member) = entry.member {
            self.leave_pod(turn, executor, member);
            return;
        }
        let record = self.executor_record(executor);
        let Some(entry) = self.executors.remove(executor) else {
            return;
        };
        if let Some(owner) = self.frameworks.get_mut(framework) {
            owner.executors.remove(&entry.id);
            push_bounded(
                &mut owner.completed,
                record,
                self.config.max_completed_executors_per_framework,
            );
            owner.record = None;
        }
        self.records = None;
        self.retire_framework(turn, framework);
    }

    /// Moves a framework without anything here into the history.
    pub(crate) fn retire_framework(&mut self, turn: &mut Turn<'_>, framework: FrameworkKey) {
        if !self
            .frameworks
            .get(framework)
            .is_some_and(crate::model::Framework::is_idle)
        {
            return;
        }
        let record = self.framework_record(framework);
        let entry = self.frameworks.remove(framework).expect("just seen");
        self.framework_keys.remove(&entry.id);
        push_bounded(&mut self.completed_frameworks, record, COMPLETED_FRAMEWORKS);
        self.records = None;
        if entry.phase == FrameworkPhase::Terminating
            && let Some(known) = self.known_frameworks.remove(&entry.id)
            && known.recorded
        {
            turn.checkpoint(Record::FrameworkForgotten {
                framework_id: entry.id.as_ref().to_owned(),
            });
        }
    }
}

/// Adds to what an executor's history shows of its tasks.
pub(crate) fn push_completed(history: &mut VecDeque<Arc<TaskRecord>>, task: Arc<TaskRecord>) {
    push_bounded(history, task, COMPLETED_TASKS_PER_EXECUTOR);
}

fn push_bounded<T>(history: &mut VecDeque<T>, entry: T, limit: usize) {
    history.push_back(entry);
    while history.len() > limit {
        history.pop_front();
    }
}
