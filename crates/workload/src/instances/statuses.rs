//! What statuses and agents say of instances, as far as it is the same for all controllers.

use std::sync::Arc;

use mezz_proto::v1::TaskState;

use crate::call::{Refusal, Reply};
use crate::effect::{Effect, Effects};
use crate::event::{AgentNews, Status};
use crate::instances::kills::Doomed;
use crate::key::InstanceKey;
use crate::records::{Ending, Owner, Phase};
use crate::workloads::{Stage, Workloads};
use crate::{cron, dag, job, service};

/// Whether an instance in this state will never run again.
pub(crate) const fn is_terminal(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskFinished
            | TaskState::TaskFailed
            | TaskState::TaskKilled
            | TaskState::TaskError
            | TaskState::TaskLost
            | TaskState::TaskDropped
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
    )
}

/// Whether an end is nobody's fault who wrote the object: the agent, or the way there, was lost.
pub(crate) const fn is_infrastructure(state: TaskState) -> bool {
    matches!(
        state,
        TaskState::TaskLost
            | TaskState::TaskDropped
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
    )
}

/// A status that only says this.
fn bare(state: TaskState, message: &str) -> Status {
    Status {
        state,
        at: None,
        reason: None,
        message: message.into(),
        healthy: None,
        check: None,
        findings: None,
        exit_status: None,
        addresses: Vec::new(),
    }
}

impl Workloads {
    /// Takes a status that is not the last into the record, all but readiness. An instance that was given up meanwhile is
    /// told to end.
    pub(crate) fn take_status(&mut self, key: InstanceKey, status: &Status, effects: &mut Effects) {
        let now = self.wall();
        let Some(instance) = self.instance_mut(key) else {
            return;
        };
        instance.state = status.state;
        instance.message.clone_from(&status.message);
        if !status.addresses.is_empty() {
            instance.addresses.clone_from(&status.addresses);
        }
        if matches!(
            status.state,
            TaskState::TaskUnreachable | TaskState::TaskUnknown
        ) {
            instance.phase = Phase::Unreachable;
            instance.unreachable_since.get_or_insert(now);
            instance.passing_since = None;
            // What it was to be told it is told when it is back.
            return self.kills.remove(&Doomed::Instance(key));
        }
        instance.confirmed = true;
        instance.check = status.check.or(instance.check);
        if let Some(found) = &status.findings {
            let before = instance.findings.take().unwrap_or_default();
            instance.findings = Some(Box::new(before.followed_by(found, now)));
        }
        instance.unreachable_since = None;
        if instance.healthy != status.healthy {
            instance.healthy = status.healthy;
            instance.health_changed_at = Some(now);
        }
        let was_started = instance.started_at.is_some();
        if status.state == TaskState::TaskRunning && !was_started {
            // By the agent's clock, which says the same to the next master; it may be wrong, but not by so much.
            let at = status.at.unwrap_or(now);
            instance.started_at = Some(at.max(instance.created_at).min(now));
        }
        let phase = instance.phase;
        let is_back = phase == Phase::Unreachable;
        match (phase, status.state) {
            (Phase::Starting | Phase::Unreachable, TaskState::TaskRunning) => {
                instance.phase = Phase::Running;
            }
            (Phase::Unreachable, _) => instance.phase = Phase::Starting,
            _ => {}
        }
        if is_back && instance.ending.is_some() {
            self.resume_ending(key, effects);
        }
    }

    pub(crate) fn on_agent(&mut self, news: AgentNews, effects: &mut Effects) {
        match news {
            AgentNews::Up(info) => {
                job::on_agent(self, &info);
                self.agents.insert(Arc::clone(&info.id), info);
                service::on_agents(self);
            }
            AgentNews::Unreachable(id) => {
                self.agents.remove(&id);
                let status = bare(TaskState::TaskUnreachable, "its agent cannot be reached");
                self.tell_all_on(&id, &status, effects);
                service::on_agents(self);
            }
            AgentNews::Gone(id) => {
                self.agents.remove(&id);
                let status = bare(TaskState::TaskGone, "its agent is gone");
                self.tell_all_on(&id, &status, effects);
                service::on_agents(self);
            }
        }
    }

    fn tell_all_on(&mut self, agent: &str, status: &Status, effects: &mut Effects) {
        let instances = self.instances_by_agent.get(agent);
        let keys: Vec<InstanceKey> = instances.into_iter().flatten().copied().collect();
        for key in keys {
            self.tell_status(key, status, effects);
        }
    }

    fn tell_status(&mut self, key: InstanceKey, status: &Status, effects: &mut Effects) {
        match self.instance(key).map(|instance| instance.owner) {
            Some(Owner::Service { .. }) => service::on_status(self, key, status, effects),
            Some(Owner::Run { run, .. }) => job::on_status(self, run, key, status, effects),
            None => {}
        }
    }

    /// What no agent has told of by now is not there.
    pub(crate) fn on_reconciled(&mut self, effects: &mut Effects) {
        self.stage = Stage::Live;
        let missing: Vec<InstanceKey> = self
            .records
            .instances
            .iter()
            .filter(|(_, instance)| !instance.confirmed && instance.phase != Phase::Unreachable)
            .map(|(_, instance)| instance.key)
            .collect();
        let status = bare(
            TaskState::TaskLost,
            "its agent does not know it any more after the master's restart",
        );
        for key in missing {
            self.tell_status(key, &status, effects);
        }
        self.release_kills(effects);
        service::wake_all(self);
        job::on_reconciled(self, effects);
        dag::on_reconciled(self, effects);
        cron::on_reconciled(self, effects);
    }

    pub(crate) fn kill_instances(
        &mut self,
        ids: &[String],
        scale_down: bool,
        effects: &mut Effects,
    ) -> Result<Reply, Refusal> {
        let mut keys = Vec::with_capacity(ids.len());
        for id in ids {
            let key = self.instance_named(id).ok_or_else(|| Refusal::NotFound {
                kind: "instance",
                name: id.clone(),
            })?;
            keys.push(key);
        }
        keys.sort_unstable();
        keys.dedup();
        if scale_down {
            service::scale_down_by(self, &keys, effects)?;
        }
        for key in keys {
            let ending = if scale_down {
                Ending::ScaledDown
            } else {
                Ending::Asked
            };
            self.end_instance(key, ending, effects);
            if let Some(instance) = self.instance(key) {
                let object = instance.object;
                service::wake(self, object);
            }
        }
        Ok(Reply::Done)
    }

    /// Gives a place back that nobody wants any more.
    pub(crate) fn decline(effects: &mut Effects) {
        effects.push(Effect::Decline);
    }
}
