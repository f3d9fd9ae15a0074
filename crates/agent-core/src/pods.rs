//! Pods: several tasks in one container of the agent's own, in the part that Mesos gives its default executor.
//!
//! A pod is an executor without a process. Each of its tasks has a container, which is launched, checked, killed and
//! recovered as that of a command task; here is what makes them one: that tasks which came together end together, and
//! that the pod ends with its last container.

mod intake;

use crate::agent::{AgentCore, Phase, Turn};
use crate::effect::Effect;
use crate::environment::duration;
use crate::executors::nanoseconds;
use crate::journal::{ExecutorKind, Record};
use crate::killing::KillOrder;
use crate::model::{Container, Executor, ExecutorKey, Member};
use crate::records::ExecutorState;
use crate::status::is_terminal;
use crate::timers::TimerKey;
use mezz_proto::v1::{ExecutorId, TaskState};
use std::sync::Arc;

impl AgentCore {
    /// What clients see as the executor: the pod of a member, anything else itself.
    pub(crate) fn shown_executor(&self, executor: ExecutorKey) -> Option<&Executor> {
        let entry = self.executors.get(executor)?;
        match entry.member {
            Some(member) => self.executors.get(member.pod),
            None => Some(entry),
        }
    }

    /// The sandbox that all of a pod share, for a member of one.
    pub(crate) fn pod_sandbox(&self, executor: ExecutorKey) -> Option<String> {
        let member = self.executors.get(executor)?.member?;
        self.executors
            .get(member.pod)
            .map(|pod| pod.sandbox.clone())
    }

    /// A member's container is gone; `state` is what its task came to.
    pub(crate) fn on_member_ended(
        &mut self,
        turn: &mut Turn<'_>,
        member: Member,
        state: TaskState,
    ) {
        if self.is_adopting() {
            // What this means for the others is seen when it is known which of them are there.
            return;
        }
        if state != TaskState::TaskFinished {
            self.end_group(turn, member);
        }
        self.end_pod_if_over(turn, member.pod);
    }

    /// Containers of an earlier life are being taken up; the wait for its executors has not begun.
    fn is_adopting(&self) -> bool {
        self.phase == Phase::Recovering && self.timers.deadline(TimerKey::RecoveryWait).is_none()
    }

    /// Kills what is left of a group, as the default executor of Mesos does; other groups of the pod go on.
    fn end_group(&mut self, turn: &mut Turn<'_>, member: Member) {
        for other in self.members_of(member.pod) {
            let is_meant = self.executors.get(other).is_some_and(|entry| {
                entry.member == Some(member)
                    && entry.container != Container::Gone
                    && entry.kill_began_ns.is_none()
            });
            if is_meant {
                self.kill_command_task(turn, other, KillOrder::asked(None));
            }
        }
    }

    pub(crate) fn members_of(&self, pod: ExecutorKey) -> Vec<ExecutorKey> {
        self.executors
            .get(pod)
            .map(|entry| entry.members.clone())
            .unwrap_or_default()
    }

    /// Ends all of a pod, each task with the grace it asks for, but none with more than the pod has.
    pub(crate) fn shut_down_pod(&mut self, turn: &mut Turn<'_>, pod: ExecutorKey) {
        let Some(entry) = self.executors.get_mut(pod) else {
            return;
        };
        if matches!(
            entry.state,
            ExecutorState::Terminating | ExecutorState::Terminated
        ) {
            return;
        }
        entry.state = ExecutorState::Terminating;
        let own_grace = entry
            .info
            .as_ref()
            .and_then(|info| info.shutdown_grace_period);
        let grace =
            nanoseconds(own_grace.map_or(self.config.executor_shutdown_grace_period, duration));
        self.timers.set(
            TimerKey::ExecutorShutdown(pod),
            turn.now.mono_ns.saturating_add(grace),
        );
        self.touch(pod);
        for member in self.members_of(pod) {
            let is_meant = self.executors.get(member).is_some_and(|entry| {
                entry.container != Container::Gone && entry.kill_began_ns.is_none()
            });
            if is_meant {
                self.kill_command_task(turn, member, KillOrder::asked(None));
            }
        }
        self.end_pod_if_over(turn, pod);
    }

    /// A pod has had its time to end.
    pub(crate) fn kill_members(&self, turn: &mut Turn<'_>, pod: ExecutorKey) {
        for member in self.members_of(pod) {
            if let Some(entry) = self.executors.get(member)
                && entry.container != Container::Gone
            {
                turn.push(Effect::KillTree {
                    launch_id: entry.launch_id,
                });
            }
        }
    }

    /// The pod ends with its last container, whether or not its updates were acknowledged.
    pub(crate) fn end_pod_if_over(&mut self, turn: &mut Turn<'_>, pod: ExecutorKey) {
        let Some(entry) = self
            .executors
            .get(pod)
            .filter(|entry| entry.container == Container::Held)
        else {
            return;
        };
        let is_over = entry.members.iter().all(|member| {
            let member = self.executors.get(*member);
            member.is_none_or(|member| member.container == Container::Gone)
        });
        if !is_over {
            return;
        }
        let (framework, launch_id) = (entry.framework, entry.launch_id);
        let id = ExecutorId {
            value: entry.id.as_ref().to_owned(),
        };
        self.checkpoint(turn, framework, Record::ExecutorEnded { launch_id });
        self.timers.cancel(TimerKey::ExecutorShutdown(pod));
        self.container_gone(turn, pod);
        self.tell_of_exit(turn, pod, id, 0);
        self.retire(turn, pod);
    }

    /// After a restart: what an earlier life did not come to, once it is known which containers are there.
    pub(crate) fn settle_pods(&mut self, turn: &mut Turn<'_>) {
        for pod in self.executors.keys() {
            let is_pod = self.executors.get(pod).is_some_and(|entry| {
                entry.kind == ExecutorKind::Default && entry.container == Container::Held
            });
            if !is_pod {
                continue;
            }
            for member in self.members_of(pod) {
                let ended = self.executors.get(member).and_then(|entry| {
                    let task = self.tasks.get(*entry.tasks.first()?)?;
                    let ended = is_terminal(task.state) && task.state != TaskState::TaskFinished;
                    entry.member.filter(|_| ended)
                });
                if let Some(ended) = ended {
                    self.end_group(turn, ended);
                }
            }
            self.end_pod_if_over(turn, pod);
        }
    }

    /// Makes a container of the agent's own part of a pod, before anything is known of it elsewhere.
    pub(crate) fn join_pod(&mut self, executor: ExecutorKey, member: Member) {
        let pod = self
            .executors
            .get_mut(member.pod)
            .expect("only called for a pod that is there");
        pod.members.push(executor);
        let entry = self
            .executors
            .get_mut(executor)
            .expect("only called for an executor that was just added");
        entry.member = Some(member);
        self.touch(executor);
    }

    /// What is shown of a member goes into its pod, and the member is no more.
    pub(crate) fn leave_pod(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey, member: Member) {
        let Some(entry) = self.executors.remove(executor) else {
            return;
        };
        if let Some(framework) = self.frameworks.get_mut(entry.framework) {
            framework.executors.remove(&entry.id);
        }
        if let Some(pod) = self.executors.get_mut(member.pod) {
            pod.members.retain(|other| *other != executor);
            for task in entry.completed {
                crate::retiring::push_completed(&mut pod.completed, task);
            }
        }
        self.touch(member.pod);
        self.retire(turn, member.pod);
    }
}

/// The name of a member beside those of executors, none of which has a slash.
pub(crate) fn member_id(pod: &str, task: &str) -> Arc<str> {
    format!("{pod}/{task}").into()
}
