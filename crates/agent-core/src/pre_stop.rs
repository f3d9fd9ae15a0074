//! The command that is run before a task is told to end: begun with the kill, waited for up to its time-out. Whatever
//! becomes of it, the end goes on after it.

use crate::agent::{AgentCore, Turn};
use crate::effect::Effect;
use crate::event::KnownContainerState;
use crate::ids::{LaunchId, ProbeId};
use crate::model::ExecutorKey;
use crate::timers::TimerKey;
use std::collections::BTreeMap;

impl AgentCore {
    /// Begins the command, if the task has one; whether the end has to wait for it.
    pub(crate) fn start_pre_stop(&mut self, turn: &mut Turn<'_>, executor: ExecutorKey) -> bool {
        let Some(task) = self.command_task(executor) else {
            return false;
        };
        let terms = self.tasks.get(task).and_then(|task| task.terms.as_ref());
        let Some(pre_stop) = terms.and_then(|terms| terms.pre_stop.clone()) else {
            return false;
        };
        let id = ProbeId(self.rng.launch_id().0);
        let Some(launch) = self.probe_launch(task, id, &pre_stop.command) else {
            return false;
        };
        self.pre_stops.insert(launch.launch_id, executor);
        if let Some(entry) = self.executors.get_mut(executor) {
            entry.pre_stop = Some(launch.launch_id);
        }
        let until = turn.now.mono_ns.saturating_add(pre_stop.timeout_ns);
        self.timers.set(TimerKey::PreStop(executor), until);
        turn.push(Effect::Launch(Box::new(launch)));
        true
    }

    /// Whether the task of this executor waits for its command before it is told to end.
    pub(crate) fn runs_pre_stop(&self, executor: ExecutorKey) -> bool {
        let entry = self.executors.get(executor);
        entry.is_some_and(|entry| entry.pre_stop.is_some())
    }

    /// A container that is no executor's has ended, or did not start; whether it was such a command.
    pub(crate) fn on_pre_stop_ended(&mut self, turn: &mut Turn<'_>, launch_id: LaunchId) -> bool {
        let Some(executor) = self.pre_stops.remove(&launch_id) else {
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
        let Some(launch_id) = entry.and_then(|entry| entry.pre_stop.take()) else {
            return;
        };
        self.pre_stops.remove(&launch_id);
        self.timers.cancel(TimerKey::PreStop(executor));
        turn.push(Effect::KillTree { launch_id });
    }

    /// What a warden ran that is no more is not waited for.
    pub(crate) fn on_pre_stops_lost(
        &mut self,
        turn: &mut Turn<'_>,
        known: &BTreeMap<LaunchId, KnownContainerState>,
    ) {
        let lost: Vec<LaunchId> = self
            .pre_stops
            .keys()
            .filter(|launch_id| !known.contains_key(launch_id))
            .copied()
            .collect();
        for launch_id in lost {
            turn.push(Effect::EndStray { launch_id });
            self.on_pre_stop_ended(turn, launch_id);
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
