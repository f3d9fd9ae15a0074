//! What is done before a task is told to end, a command or a GET: begun with the kill, waited for up to its time-out.
//! Whatever becomes of it, the end goes on after it.

use crate::agent::{AgentCore, Turn};
use crate::effect::Effect;
use crate::event::KnownContainerState;
use crate::ids::{LaunchId, ProbeId};
use crate::model::{ExecutorKey, ProbedBy, TaskKey};
use crate::probe::{Probe, ProbeTarget};
use crate::timers::TimerKey;
use mezz_proto::agent_protocol::PreStop;
use std::collections::BTreeMap;

impl AgentCore {
    /// Begins it, if the task has such a thing; whether the end has to wait.
    pub(crate) fn start_pre_stop(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) -> bool {
        let Some(task) = self.command_task(executor) else {
            return false;
        };
        let terms = self.tasks.get(task).and_then(|task| task.terms.as_ref());
        let Some(pre_stop) = terms.and_then(|terms| terms.pre_stop.clone()) else {
            return false;
        };
        let id = self.rng.probe_id();
        let Some((effect, by)) = self.pre_stop_effect(task, id, pre_stop.clone()) else {
            return false;
        };
        self.pre_stops.insert(id, (executor, by));
        if let Some(entry) = self.executors.get_mut(executor) {
            entry.pre_stop = Some(id);
        }
        let until = turn.now.mono_ns.saturating_add(pre_stop.timeout_ns);
        self.timers.set(TimerKey::PreStop(executor), until);
        turn.push(effect);
        true
    }

    fn pre_stop_effect(
        &self,
        task: TaskKey,
        id: ProbeId,
        pre_stop: PreStop,
    ) -> Option<(Effect, ProbedBy)> {
        if let Some(url) = pre_stop.url {
            let target = ProbeTarget::Http { url };
            let launch_id = self.launch_of(task)?;
            let probe = Box::new(Probe {
                id,
                launch_id,
                target,
            });
            return Some((Effect::Probe(probe), ProbedBy::Shell));
        }
        let launch = self.probe_launch(task, id, &pre_stop.command?)?;
        Some((Effect::Launch(Box::new(launch)), ProbedBy::Warden))
    }

    /// Whether the task of this executor waits for that before it is told to end.
    pub(crate) fn runs_pre_stop(&self, executor: ExecutorKey) -> bool {
        let entry = self.executors.get(executor);
        entry.is_some_and(|entry| entry.pre_stop.is_some())
    }

    /// It has ended, or did not start; whether it was one.
    pub(crate) fn on_pre_stop_ended(&mut self, turn: &mut Turn<'_>, id: ProbeId) -> bool {
        let Some((executor, _)) = self.pre_stops.remove(&id) else {
            return false;
        };
        if let Some(entry) = self.executors.get_mut(executor) {
            entry.pre_stop = None;
        }
        self.timers.cancel(TimerKey::PreStop(executor));
        self.terminate_killed(turn, executor);
        true
    }

    pub(crate) fn on_pre_stop_over(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        self.abandon_pre_stop(turn, executor);
        self.terminate_killed(turn, executor);
    }

    /// The task needs it no more.
    pub(crate) fn abandon_pre_stop(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let entry = self.executors.get_mut(executor);
        let Some(id) = entry.and_then(|entry| entry.pre_stop.take()) else {
            return;
        };
        self.timers.cancel(TimerKey::PreStop(executor));
        match self.pre_stops.remove(&id) {
            Some((_, ProbedBy::Shell)) => turn.push(Effect::CancelProbe { id }),
            _ => turn.push(Effect::KillTree {
                launch_id: id.into(),
            }),
        }
    }

    /// What a warden ran that is no more is not waited for.
    pub(crate) fn on_pre_stops_lost(
        &mut self,
        turn: &mut Turn<'_>,
        known: &BTreeMap<LaunchId, KnownContainerState>,
    ) {
        let is_lost = |id: ProbeId| !known.contains_key(&LaunchId::from(id));
        let lost: Vec<ProbeId> = self
            .pre_stops
            .iter()
            .filter(|(id, (_, by))| *by == ProbedBy::Warden && is_lost(**id))
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            turn.push(Effect::EndStray {
                launch_id: id.into(),
            });
            self.on_pre_stop_ended(turn, id);
        }
    }

    fn terminate_killed(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) {
        let task = self
            .command_task(executor)
            .and_then(|task| self.tasks.get(task));
        if let Some(kill) = task.and_then(|task| task.kill) {
            self.terminate(turn, executor, kill.grace_ns);
        }
    }
}
