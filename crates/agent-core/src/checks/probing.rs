//! The course of a task's checks: begun when it runs, paused for good when it is to end.

use super::health::{Health, Watch};
use super::terms::{Found, Target, completion_ns};
use super::{Asked, Checks, Purpose, empty_status};
use crate::agent::{AgentCore, Turn};
use crate::allotment::Allotment;
use crate::effect::Effect;
use crate::environment::{probe_environment, secret_variables};
use crate::event::KnownContainerState;
use crate::ids::{LaunchId, ProbeId};
use crate::launch::{Grouping, Launch, Materials, Role, Surroundings, Survival};
use crate::model::{Begun, Container, ProbedBy, TaskKey};
use crate::probe::{Probe, ProbeOutcome};
use crate::timers::TimerKey;
use mezz_proto::v1::CommandInfo;
use std::collections::BTreeMap;

impl AgentCore {
    /// The task runs from now on.
    pub(crate) fn begin_checks(&mut self, turn: &mut Turn<'_>, task: TaskKey) {
        let Some(entry) = self.tasks.get_mut(task) else {
            return;
        };
        let asked = Asked::of(entry);
        if !asked.is_watched() {
            return;
        }
        let health = asked.graces_ns().map(|grace| Watch {
            health: Health::default(),
            grace_ends_ns: turn.now.mono_ns.saturating_add(grace),
        });
        let checks = Checks {
            started_wall_ns: turn.now.wall_ns,
            health: health.collect(),
            statuses: asked.checks().map(empty_status).collect(),
            under_way: BTreeMap::new(),
        };
        let waits: Vec<(Purpose, u64)> = asked
            .purposes()
            .filter_map(|purpose| Some((purpose, asked.pace(purpose)?.delay)))
            .collect();
        let limit = completion_ns(&entry.info);
        entry.checks = Some(Box::new(checks));
        self.record_checks(turn, task);
        for (purpose, wait) in waits {
            self.probe_after(turn, task, purpose, wait);
        }
        if let Some(limit) = limit {
            self.complete_after(turn, task, limit);
        }
    }

    /// The task has been running while the daemon was away; nobody has looked at it meanwhile.
    pub(crate) fn resume_checks(&mut self, turn: &mut Turn<'_>, task: TaskKey) {
        let Some(entry) = self.tasks.get_mut(task) else {
            return;
        };
        let Some(mut checks) = entry.checks.take() else {
            return self.begin_checks(turn, task);
        };
        let asked = Asked::of(entry);
        let age = turn.now.wall_ns.saturating_sub(checks.started_wall_ns);
        let graces: Vec<u64> = asked.graces_ns().collect();
        checks.health.resize(graces.len(), Watch::default());
        for (watch, grace) in checks.health.iter_mut().zip(graces) {
            let left = grace.saturating_sub(age);
            watch.grace_ends_ns = turn.now.mono_ns.saturating_add(left);
        }
        let known = checks.statuses.len();
        checks
            .statuses
            .extend(asked.checks().skip(known).map(empty_status));
        let waits: Vec<(Purpose, u64)> = asked
            .purposes()
            .filter_map(|purpose| {
                let pace = asked.pace(purpose)?;
                let delay = pace.delay.saturating_sub(age);
                // All tasks come back at once; what was due must not all be done at once.
                Some((purpose, if delay > 0 { delay } else { pace.interval }))
            })
            .collect();
        let limit = completion_ns(&entry.info);
        entry.checks = Some(checks);
        for (purpose, wait) in waits {
            self.probe_after(turn, task, purpose, wait);
        }
        if let Some(limit) = limit {
            self.complete_after(turn, task, limit.saturating_sub(age));
        }
    }

    /// The task is to end, or has ended: nothing is probed any more.
    pub(crate) fn end_checks(&mut self, turn: &mut Turn<'_>, task: TaskKey) {
        let Some(entry) = self.tasks.get_mut(task) else {
            return;
        };
        let Some(checks) = &mut entry.checks else {
            return;
        };
        let under_way = std::mem::take(&mut checks.under_way);
        for purpose in Asked::of(entry).purposes() {
            self.timers.cancel(TimerKey::Probe(task, purpose));
        }
        self.timers.cancel(TimerKey::Completion(task));
        for probe in under_way.into_values() {
            self.abandon_probe(turn, probe);
        }
    }

    fn probe_after(&mut self, turn: &Turn<'_>, task: TaskKey, purpose: Purpose, wait_ns: u64) {
        let due = turn.now.mono_ns.saturating_add(wait_ns);
        self.timers.set(TimerKey::Probe(task, purpose), due);
    }

    fn complete_after(&mut self, turn: &Turn<'_>, task: TaskKey, wait_ns: u64) {
        let due = turn.now.mono_ns.saturating_add(wait_ns);
        self.timers.set(TimerKey::Completion(task), due);
    }

    /// A probe is due, or has taken too long.
    pub(crate) fn on_probe_timer(&mut self, turn: &mut Turn<'_>, task: TaskKey, purpose: Purpose) {
        let Some(checks) = self
            .tasks
            .get_mut(task)
            .and_then(|entry| entry.checks.as_mut())
        else {
            return;
        };
        match checks.under_way.remove(&purpose) {
            Some(probe) => {
                self.abandon_probe(turn, probe);
                self.on_found(turn, task, purpose, Found::Nothing);
            }
            None => self.start_probe(turn, task, purpose),
        }
    }

    fn start_probe(&mut self, turn: &mut Turn<'_>, task: TaskKey, purpose: Purpose) {
        let id = self.rng.probe_id();
        let Some(asked) = self.tasks.get(task).map(Asked::of) else {
            return;
        };
        let (Some(target), Some(pace)) = (asked.target(purpose), asked.pace(purpose)) else {
            return;
        };
        let by = match target {
            Target::Network(target) => {
                let Some(launch_id) = self.launch_of(task) else {
                    return;
                };
                let probe = Probe {
                    id,
                    launch_id,
                    target,
                };
                turn.push(Effect::Probe(Box::new(probe)));
                ProbedBy::Shell
            }
            Target::Command(command) => {
                let Some(launch) = self.probe_launch(task, id, command) else {
                    return;
                };
                turn.push(Effect::Launch(Box::new(launch)));
                ProbedBy::Warden
            }
        };
        let of = Some((task, purpose));
        self.probes.insert(id, Begun { of, by });
        if let Some(checks) = self
            .tasks
            .get_mut(task)
            .and_then(|entry| entry.checks.as_mut())
        {
            checks.under_way.insert(purpose, id);
        }
        if let Some(timeout) = pace.timeout {
            self.probe_after(turn, task, purpose, timeout);
        }
    }

    /// A command in the task's sandbox, as the task's user, in its environment; it ends with the daemon.
    pub(crate) fn probe_launch(
        &self,
        task: TaskKey,
        id: ProbeId,
        command: &CommandInfo,
    ) -> Option<Launch> {
        let entry = self.tasks.get(task)?;
        let executor = entry.executor?;
        let running = self.executors.get(executor)?;
        if !matches!(running.container, Container::Running { .. }) {
            return None;
        }
        let own = entry.info.command.as_ref()?;
        let variables = secret_variables(own);
        let materials = (!variables.is_empty()).then(|| Materials {
            holder: running.launch_id,
            variables,
            files: Vec::new(),
            values: Vec::new(),
        });
        Some(Launch {
            launch_id: id.into(),
            container_id: running.container_id,
            command: crate::launching::command_form(command),
            environment: probe_environment(self, executor, &entry.info, command),
            user: self.user_of(executor, own),
            sandbox: running.sandbox.clone(),
            role: Role::Probe,
            fetched: true,
            survival: Survival::EndWithAgent,
            materials: materials.map(Box::new),
            surroundings: Surroundings {
                parent_sandbox: self.pod_sandbox(executor),
                ..Surroundings::of(entry.info.container.as_deref(), entry.info.labels.as_ref())
                    .within(running.launch_id)
            },
            allotment: Allotment::default(),
            grouping: Grouping::With(running.launch_id),
        })
    }

    pub(crate) fn launch_of(&self, task: TaskKey) -> Option<LaunchId> {
        let executor = self.tasks.get(task)?.executor?;
        Some(self.executors.get(executor)?.launch_id)
    }

    fn abandon_probe(&mut self, turn: &mut Turn<'_>, id: ProbeId) {
        let Some(begun) = self.probes.get_mut(&id) else {
            return;
        };
        match begun.by {
            ProbedBy::Shell => {
                self.probes.remove(&id);
                turn.push(Effect::CancelProbe { id });
            }
            ProbedBy::Warden => {
                // Its exit is still to come.
                begun.of = None;
                turn.push(Effect::KillTree {
                    launch_id: id.into(),
                });
            }
        }
    }

    pub(crate) fn on_probed(&mut self, turn: &mut Turn<'_>, id: ProbeId, outcome: ProbeOutcome) {
        if self.on_pre_stop_ended(turn, id) {
            return;
        }
        let Some((task, purpose)) = self.end_probe(id) else {
            return;
        };
        let asked = self.tasks.get(task).map(Asked::of);
        let target = asked.and_then(|asked| asked.target(purpose));
        let found = Found::by_network(target.as_ref(), outcome);
        self.on_found(turn, task, purpose, found);
    }

    /// A container that is no executor's has started; whether it is a probe.
    pub(crate) fn on_probe_started(&self, turn: &mut Turn<'_>, launch_id: LaunchId) -> bool {
        let Some(begun) = self.probes.get(&launch_id.into()) else {
            return false;
        };
        if begun.of.is_none() {
            turn.push(Effect::KillTree { launch_id });
        }
        true
    }

    /// A container that is no executor's has ended, or did not start.
    pub(crate) fn on_probe_ended(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        wait_status: Option<i32>,
    ) {
        if let Some((task, purpose)) = self.end_probe(launch_id.into()) {
            let found = wait_status.map_or(Found::Nothing, Found::by_command);
            self.on_found(turn, task, purpose, found);
        }
    }

    fn end_probe(&mut self, id: ProbeId) -> Option<(TaskKey, Purpose)> {
        let (task, purpose) = self.probes.remove(&id)?.of?;
        let checks = self.tasks.get_mut(task)?.checks.as_mut()?;
        checks.under_way.remove(&purpose);
        Some((task, purpose))
    }

    /// What a warden ran that is no more says nothing about the tasks: each is probed again in its time.
    pub(crate) fn on_probes_lost(
        &mut self,
        turn: &mut Turn<'_>,
        known: &BTreeMap<LaunchId, KnownContainerState>,
    ) {
        let lost: Vec<ProbeId> = self
            .probes
            .iter()
            .filter(|(id, begun)| {
                begun.by == ProbedBy::Warden && !known.contains_key(&LaunchId::from(**id))
            })
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            turn.push(Effect::EndStray {
                launch_id: id.into(),
            });
            if let Some((task, purpose)) = self.end_probe(id) {
                self.probe_again(turn, task, purpose);
            }
        }
    }

    pub(super) fn probe_again(&mut self, turn: &Turn<'_>, task: TaskKey, purpose: Purpose) {
        let pace = self
            .tasks
            .get(task)
            .and_then(|entry| Asked::of(entry).pace(purpose));
        if let Some(pace) = pace {
            self.probe_after(turn, task, purpose, pace.interval);
        }
    }
}
