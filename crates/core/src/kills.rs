//! Kills: passed on to agents, or kept until they are back.

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;

use crate::effect::Effects;
use crate::key::{FrameworkKey, TaskKey};
use crate::master::Master;
use crate::metrics::Counter;
use crate::records::TaskList;
use crate::state::PendingKill;
use crate::wire;

impl Master {
    pub(crate) fn on_kill(
        &mut self,
        framework: FrameworkKey,
        kill: v1::scheduler::call::Kill,
        effects: &mut Effects,
    ) {
        self.records.metrics.count(Counter::MessagesKillTask);
        let known = self.task_key(framework, &kill.task_id.value).filter(|key| {
            self.task(*key)
                .is_some_and(|task| task.list == TaskList::Live)
        });
        let Some(key) = known else {
            return self.reconcile_one(
                framework,
                &kill.task_id.value,
                kill.agent_id.as_ref().map(|id| id.value.as_str()),
                effects,
            );
        };
        let agent = self.task(key).expect("it was just seen").agent;
        let own = &self.agent(agent).id;
        if kill
            .agent_id
            .as_ref()
            .is_some_and(|given| *given.value != **own)
        {
            return self.records.metrics.count(Counter::DroppedMessages);
        }
        self.kill_task(key, kill.kill_policy, effects);
    }

    /// Has a live task killed now, or when its agent is back.
    pub(crate) fn kill_task(
        &mut self,
        key: TaskKey,
        policy: Option<v1::KillPolicy>,
        effects: &mut Effects,
    ) {
        let Some(task) = self.task(key).cloned() else {
            return;
        };
        let body = Body::KillTask(agent::KillTask {
            framework_id: wire::framework_id_of(&self.framework(task.framework).id),
            task_id: v1::TaskId {
                value: task.id.to_string(),
            },
            kill_policy: policy,
        });
        if !self.send_agent(task.agent, body, None, effects) {
            self.agent_live(task.agent)
                .pending_kills
                .insert(key, PendingKill { policy });
        }
    }
}
