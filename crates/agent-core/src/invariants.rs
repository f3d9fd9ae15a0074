//! What holds after every event: indexes, lists, timers and probes agree with each other. Reads the state, changes nothing.

use crate::agent::AgentCore;
use crate::checks::Asked;
use crate::journal::ExecutorKind;
use crate::model::{Container, Executor, ExecutorKey, ProbedBy, Task, TaskKey};
use crate::records::ExecutorState;
use crate::status::is_terminal;
use crate::timers::TimerKey;
use std::collections::BTreeSet;

fn ensure(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

impl AgentCore {
    /// Says what is broken in this state, if anything: for tests and simulation, after every event.
    pub fn check_invariants(&self) -> Result<(), String> {
        self.check_frameworks()?;
        self.check_executors()?;
        self.check_tasks()?;
        self.check_probes()?;
        self.check_nested()?;
        self.timers.check()
    }

    fn check_frameworks(&self) -> Result<(), String> {
        let mut frameworks = 0;
        for (key, framework) in self.frameworks.iter() {
            frameworks += 1;
            let id = &framework.id;
            ensure(self.framework_keys.get(id) == Some(&key), || {
                format!("framework {id} is not found by its id")
            })?;
            ensure(self.known_frameworks.contains_key(id), || {
                format!("framework {id} is here and not known")
            })?;
            for executor in framework.executors.values() {
                let owner = self.executors.get(*executor).map(|entry| entry.framework);
                ensure(owner == Some(key), || {
                    format!("framework {id} lists an executor that is not its own")
                })?;
            }
            for task in &framework.detached {
                let detached = self.tasks.get(*task).map(|task| task.executor.is_none());
                ensure(detached == Some(true), || {
                    format!("framework {id} lists a task as detached that is not")
                })?;
            }
        }
        ensure(self.framework_keys.len() == frameworks, || {
            "the index of frameworks names some that are not there".to_owned()
        })
    }

    fn check_executors(&self) -> Result<(), String> {
        let (mut launched, mut streams) = (0, 0);
        for (key, executor) in self.executors.iter() {
            let id = &executor.id;
            let owner = self.frameworks.get(executor.framework);
            let listed = owner.and_then(|framework| framework.executors.get(id));
            ensure(listed == Some(&key), || {
                format!("executor {id} is not found by its id")
            })?;
            let gone = executor.container == Container::Gone;
            let found = self.launches.get(&executor.launch_id);
            ensure(found == (!gone).then_some(&key), || {
                format!("executor {id}: its launch is found as {found:?}")
            })?;
            launched += usize::from(!gone);
            ensure(
                gone == (executor.state == ExecutorState::Terminated),
                || {
                    format!(
                        "executor {id} is {:?} in {:?}",
                        executor.state, executor.container
                    )
                },
            )?;
            if let Some(stream) = executor.stream {
                streams += 1;
                ensure(self.streams.get(&stream) == Some(&key), || {
                    format!("executor {id} is not found by its stream")
                })?;
            }
            self.check_tasks_of(key)?;
        }
        ensure(self.launches.len() == launched, || {
            "the index of launches names some that have ended".to_owned()
        })?;
        ensure(self.streams.len() == streams, || {
            "the index of streams names some that are closed".to_owned()
        })
    }

    fn check_tasks_of(&self, key: ExecutorKey) -> Result<(), String> {
        let Some(executor) = self.executors.get(key) else {
            return Ok(());
        };
        let id = &executor.id;
        ensure(
            executor.kind != ExecutorKind::Command
                || (executor.queued.is_empty() && executor.tasks.len() <= 1),
            || format!("command executor {id} has more than its task"),
        )?;
        self.check_pod(key, executor)?;
        let mut seen = BTreeSet::new();
        for task in executor.tasks.iter().chain(&executor.queued) {
            ensure(seen.insert(*task), || {
                format!("executor {id} has a task twice")
            })?;
            let owner = self.tasks.get(*task).and_then(|task| task.executor);
            ensure(owner == Some(key), || {
                format!("executor {id} has a task that is not its own")
            })?;
        }
        Ok(())
    }

    /// A pod and its parts know each other, and it is there as long as one of their containers is.
    fn check_pod(&self, key: ExecutorKey, executor: &Executor) -> Result<(), String> {
        let id = &executor.id;
        if let Some(member) = executor.member {
            let pod = self.executors.get(member.pod);
            let known = pod.is_some_and(|pod| pod.members.contains(&key));
            ensure(known, || format!("{id} is not known to its pod"))?;
        }
        if executor.kind != ExecutorKind::Default {
            return ensure(executor.members.is_empty(), || {
                format!("{id} is no pod and has parts")
            });
        }
        let mut runs = false;
        for member in &executor.members {
            let member = self.executors.get(*member);
            let own = member.and_then(|member| member.member);
            ensure(own.is_some_and(|member| member.pod == key), || {
                format!("pod {id} has a part that is not its own")
            })?;
            runs |= member.is_some_and(|member| member.container != Container::Gone);
        }
        let gone = executor.container == Container::Gone;
        ensure(gone != runs, || {
            format!(
                "pod {id} is {:?}, and its parts run: {runs}",
                executor.container
            )
        })
    }

    fn check_tasks(&self) -> Result<(), String> {
        for (key, task) in self.tasks.iter() {
            let id = &task.id;
            let owner = self.frameworks.get(task.framework);
            let listed = owner.and_then(|framework| framework.tasks.get(id));
            ensure(listed == Some(&key), || {
                format!("task {id} is not found by its id")
            })?;
            ensure(task.serial.0 < self.next_serial, || {
                format!("task {id} has a serial of the future")
            })?;
            if let Some(executor) = task.executor {
                let executor = self.executors.get(executor);
                let held = executor
                    .is_some_and(|entry| entry.tasks.contains(&key) || entry.queued.contains(&key));
                ensure(held, || format!("task {id} is not with its executor"))?;
            }
            check_updates(task)?;
            self.check_checks(key, task)?;
        }
        Ok(())
    }

    /// A task that is to end, or has ended, is not looked at any more.
    fn check_checks(&self, key: TaskKey, task: &Task) -> Result<(), String> {
        let id = &task.id;
        let purposes = Asked::of(task).purposes();
        let timers = purposes.map(|purpose| TimerKey::Probe(key, purpose));
        let mut timers = timers.chain([TimerKey::Completion(key)]);
        let watched = timers.any(|timer| self.timers.deadline(timer).is_some());
        let executor = task
            .executor
            .and_then(|executor| self.executors.get(executor));
        let running = task.kill.is_none()
            && !is_terminal(task.state)
            && executor.is_some_and(|entry| {
                entry.kind == ExecutorKind::Command
                    && matches!(entry.container, Container::Running { .. })
            });
        ensure(running || !watched, || {
            format!("task {id} is watched, and does not run")
        })?;
        let under_way = task.checks.iter().flat_map(|checks| &checks.under_way);
        for (purpose, probe) in under_way {
            ensure(running, || format!("task {id} is probed, and does not run"))?;
            let of = self.probes.get(probe).and_then(|begun| begun.of);
            ensure(of == Some((key, *purpose)), || {
                format!("task {id} waits for a probe that was not begun")
            })?;
        }
        Ok(())
    }

    fn check_probes(&self) -> Result<(), String> {
        for (id, begun) in &self.probes {
            let Some((task, purpose)) = begun.of else {
                ensure(begun.by == ProbedBy::Warden, || {
                    format!("{id:?} was given up and is kept")
                })?;
                continue;
            };
            let checks = self.tasks.get(task).and_then(|task| task.checks.as_ref());
            let waited_for = checks.and_then(|checks| checks.under_way.get(&purpose));
            ensure(waited_for == Some(id), || {
                format!("{id:?} is under way, and nobody waits for it")
            })?;
        }
        Ok(())
    }
}

/// Nothing follows a terminal update, and the newest state is that of the newest update.
fn check_updates(task: &Task) -> Result<(), String> {
    let id = &task.id;
    let states: Vec<_> = task
        .updates
        .pending
        .iter()
        .map(|status| crate::status::state_of(status))
        .collect();
    let before_last = states
        .split_last()
        .map_or(&states[..], |(_, before)| before);
    ensure(!before_last.iter().any(|state| is_terminal(*state)), || {
        format!("task {id}: something follows its terminal update: {states:?}")
    })?;
    let newest = states.last();
    ensure(newest.is_none_or(|newest| *newest == task.state), || {
        format!(
            "task {id} is {:?}, its newest update says {newest:?}",
            task.state
        )
    })
}
