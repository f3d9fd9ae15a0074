//! Tasks whose agent is unreachable: told to their frameworks, kept until the agent is back or too many others are.

use std::sync::Arc;

use mezz_proto::v1;
use v1::task_status::Reason;

use crate::effect::Effects;
use crate::key::{AgentKey, FrameworkKey, TaskKey, Token};
use crate::master::Master;
use crate::records::TaskList;
use crate::wire::{self, is_terminal};

impl Master {
    /// A task whose agent is unreachable: its framework is told, and it may come back with its agent.
    pub(crate) fn make_task_unreachable(
        &mut self,
        key: TaskKey,
        token: Token,
        effects: &mut Effects,
    ) {
        let Some(task) = self.task(key).cloned() else {
            return;
        };
        if is_terminal(task.state) {
            return self.complete_task(key, effects);
        }
        let state = self.lost_or(task.framework, v1::TaskState::TaskUnreachable);
        let agent = Arc::clone(self.agent(task.agent));
        let text = format!("Agent {} is unreachable", agent.info.hostname);
        let mut status = wire::master_status(
            &task.id,
            Some(&agent.id),
            state,
            Reason::AgentRemoved,
            text,
            self.now.wall,
        );
        status.executor_id = task.executor_id.as_ref().map(|id| v1::ExecutorId {
            value: id.to_string(),
        });
        status.unreachable_time = agent.lost_at.map(|at| v1::TimeInfo {
            nanoseconds: at.nanoseconds(),
        });
        self.record_update(key, &status, state, effects);
        if !is_terminal(state) {
            self.release_task(key);
        }
        self.send_event_after(task.framework, wire::update(status), Some(token), effects);
        self.list_unreachable(key, task.framework, task.agent);
    }

    pub(crate) fn list_unreachable(
        &mut self,
        key: TaskKey,
        framework: FrameworkKey,
        agent: AgentKey,
    ) {
        if let Some(record) = self.records.tasks.get_mut(key.index()) {
            record.list = TaskList::Unreachable;
        }
        let live = self.agent_live(agent);
        live.unreachable.insert(key);
        if live.tasks.remove(&key) {
            let record = self.agent_mut(agent);
            record.task_count = record.task_count.saturating_sub(1);
        }
        let limit = self.config.max_unreachable_tasks_per_framework;
        let live = self.framework_live(framework);
        live.tasks.remove(&key);
        live.unreachable.push_back(key);
        let surplus = if live.unreachable.len() > limit {
            live.unreachable.pop_front()
        } else {
            None
        };
        if let Some(oldest) = surplus {
            if let Some(agent) = self.task(oldest).map(|task| task.agent) {
                self.agent_live(agent).unreachable.remove(&oldest);
            }
            self.drop_task_record(oldest);
        }
    }
}
