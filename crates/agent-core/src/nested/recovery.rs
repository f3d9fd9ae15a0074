//! How such containers outlive the agent: their records, and what the warden's list says of them.

use super::{ContainerPath, Fate, NestedContainer, Phase, Termination};
use crate::agent::{AgentCore, Turn};
use crate::event::KnownContainerState;
use crate::ids::LaunchId;
use crate::journal::Record;
use crate::launch::{ContainerClass, Survival};
use crate::model::Container;
use mezz_proto::v1::agent::call::LaunchContainer;
use std::collections::BTreeMap;
use std::sync::Arc;

impl AgentCore {
    pub(crate) fn replay_container(&mut self, launch_id: LaunchId, wanted: Arc<LaunchContainer>) {
        // What was launched had a name.
        let Ok(path) = ContainerPath::read(&wanted.container_id) else {
            return;
        };
        let (sandbox, inherited) = match path.parent() {
            None => (format!("containers/{}", path.name()), None),
            Some(around) => match self.replayed_place(&around) {
                Some((sandbox, user)) => (format!("{sandbox}/containers/{}", path.name()), user),
                // What it was in is forgotten: it is ended when the warden still knows it.
                None => return,
            },
        };
        let own = wanted
            .command
            .as_ref()
            .and_then(|command| command.user.clone());
        let own = own.filter(|user| !user.is_empty() && self.config.switch_user);
        self.nested.launches.insert(launch_id, path.clone());
        self.nested.containers.insert(
            path,
            NestedContainer {
                class: ContainerClass::Ordinary,
                wanted,
                launch_id,
                sandbox,
                user: own.or(inherited),
                survival: Survival::Keep,
                phase: Phase::Launching,
                fate: Fate::Wanted,
                launcher: None,
                limited: None,
            },
        );
    }

    /// The sandbox and the user of what a container was in.
    fn replayed_place(&self, path: &ContainerPath) -> Option<(String, Option<String>)> {
        if let Some(entry) = self.nested.containers.get(path) {
            return Some((entry.sandbox.clone(), entry.user.clone()));
        }
        let executor = self.executor_at(path)?;
        let entry = self.executors.get(executor)?;
        let of_task = || {
            let task = self.tasks.get(self.command_task(executor)?)?;
            task.info.command.clone()
        };
        let command = match &entry.info {
            Some(info) => info.command.clone(),
            None => of_task(),
        };
        let user = self.user_of(executor, &command.unwrap_or_default());
        Some((entry.sandbox.clone(), user))
    }

    pub(crate) fn replay_container_ended(&mut self, launch_id: LaunchId, end: Termination) {
        let Some(path) = self.nested.launches.remove(&launch_id) else {
            return;
        };
        if let Some(entry) = self.nested.containers.get_mut(&path) {
            entry.phase = Phase::Ended(end);
        }
    }

    pub(crate) fn replay_container_forgotten(&mut self, launch_id: LaunchId) {
        self.nested.launches.remove(&launch_id);
        self.nested
            .containers
            .retain(|_, entry| entry.launch_id != launch_id);
    }

    /// Before the warden's list is looked at: those whose surroundings are gone are nobody's any more.
    pub(crate) fn orphan_nested(&mut self) {
        let gone = |path: &ContainerPath| {
            let root = ContainerPath::of_root(path.root());
            let executor = self
                .executor_of_container(path.root())
                .and_then(|key| self.executors.get(key));
            path.depth() > 0
                && !self.nested.containers.contains_key(&root)
                && executor.is_none_or(|entry| entry.container == Container::Gone)
        };
        let orphans: Vec<ContainerPath> = self
            .nested
            .containers
            .keys()
            .filter(|path| gone(path))
            .cloned()
            .collect();
        for path in orphans {
            if let Some(entry) = self.nested.containers.get_mut(&path) {
                entry.fate = Fate::Orphaned;
            }
        }
    }

    /// Takes up what runs, ends what is nobody's, and declares the rest ended.
    pub(crate) fn adopt_nested(
        &mut self,
        turn: &mut Turn<'_>,
        known: &BTreeMap<LaunchId, KnownContainerState>,
    ) {
        let launches: Vec<LaunchId> = self.nested.launches.keys().copied().collect();
        for launch_id in launches {
            match known.get(&launch_id) {
                Some(KnownContainerState::Running { pid }) => {
                    self.on_nested_started(turn, launch_id, *pid);
                }
                // Its exit is handled with all others.
                Some(KnownContainerState::Exited { .. }) => {}
                None => self.on_nested_vanished(turn, launch_id),
            }
        }
        let ended: Vec<ContainerPath> = self
            .nested
            .containers
            .iter()
            .filter(|(_, entry)| entry.fate == Fate::Orphaned && !entry.is_living())
            .map(|(path, _)| path.clone())
            .collect();
        for path in ended {
            self.forget_nested(turn, &path);
        }
    }

    pub(crate) fn snapshot_nested(&self, records: &mut Vec<Record>) {
        for entry in self.nested.containers.values() {
            if entry.survival != Survival::Keep {
                continue;
            }
            records.push(Record::ContainerLaunched {
                launch_id: entry.launch_id,
                launch: Arc::clone(&entry.wanted),
            });
            if let Phase::Ended(termination) = &entry.phase {
                records.push(Record::ContainerEnded {
                    launch_id: entry.launch_id,
                    termination: termination.clone(),
                });
            }
        }
    }

    /// Names and launches agree, and everything that lives is in something.
    pub(crate) fn check_nested(&self) -> Result<(), String> {
        let nested = &self.nested;
        for (path, entry) in &nested.containers {
            let launched = matches!(
                entry.phase,
                Phase::Fetching | Phase::Launching | Phase::Running { .. }
            );
            let listed = nested.launches.get(&entry.launch_id) == Some(path);
            if launched != listed {
                return Err(format!(
                    "container {path} and the list of launches disagree"
                ));
            }
            let Some(parent) = path.parent() else {
                continue;
            };
            let around = nested.containers.get(&parent);
            let held = around.is_some_and(NestedContainer::is_living)
                || self.executor_of_container(path.root()).is_some();
            if entry.is_living() && !held && entry.fate == Fate::Wanted {
                return Err(format!("container {path} lives in nothing"));
            }
        }
        if nested.launches.len() > nested.containers.len() {
            return Err("the list of launches names containers that are not there".to_owned());
        }
        Ok(())
    }
}
