//! Starts and ends of containers, and what follows from an end for those inside and for those who wait.

use super::{ContainerAnswer, ContainerPath, Fate, Phase, Termination};
use crate::agent::{AgentCore, Turn};
use crate::effect::Effect;
use crate::event::{FetchOutcome, KnownContainerState};
use crate::ids::LaunchId;
use crate::journal::Record;
use crate::launch::{ContainerClass, Survival};
use crate::model::ExecutorKey;
use std::collections::BTreeMap;

/// So many ended sessions of one parent are remembered.
const ENDED_SESSIONS: usize = 128;
/// So many ended containers of operators are remembered.
const ENDED_ALONE: usize = 256;
/// What is said of one that is not there after a restart.
const VANISHED: &str = "Abnormal container termination: unknown container";

impl AgentCore {
    /// Whether the launch is of such a container.
    pub(crate) fn on_nested_started(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        pid: u32,
    ) -> bool {
        let Some(path) = self.nested.launches.get(&launch_id) else {
            return false;
        };
        let Some(entry) = self.nested.containers.get_mut(path) else {
            return false;
        };
        if entry.phase == Phase::Launching {
            entry.phase = Phase::Running { pid };
            self.records = None;
        }
        if let Some(request) = entry.launcher.take() {
            let answer = ContainerAnswer::Launched { launch_id };
            turn.push(Effect::AnswerContainer { request, answer });
        }
        if entry.fate != Fate::Wanted {
            turn.push(Effect::KillTree { launch_id });
        }
        true
    }

    pub(crate) fn on_nested_fetched(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        outcome: FetchOutcome,
    ) {
        let Some(path) = self.nested.launches.get(&launch_id).cloned() else {
            return;
        };
        let entry = self.nested.containers.get(&path);
        if entry.is_none_or(|entry| entry.phase != Phase::Fetching) {
            return;
        }
        match outcome {
            FetchOutcome::Done => self.launch_fetched_nested(turn, &path),
            FetchOutcome::Failed { message } => self.nested_failed(turn, &path, message),
        }
    }

    /// It did not start; whether it is such a container.
    pub(crate) fn on_nested_launch_failed(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        message: &str,
    ) -> bool {
        let Some(path) = self.nested.launches.get(&launch_id).cloned() else {
            return false;
        };
        self.counters.container_launch_errors += 1;
        self.nested_failed(turn, &path, message.to_owned());
        true
    }

    /// Its main process has ended; whether it is such a container.
    pub(crate) fn on_nested_exited(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        wait_status: i32,
    ) -> bool {
        let Some(path) = self.nested.launches.get(&launch_id).cloned() else {
            return false;
        };
        self.nested_over(turn, &path, Termination::exited(wait_status));
        true
    }

    /// It has used more than it may: all of it is ended.
    pub(crate) fn on_nested_limited(
        &mut self,
        turn: &mut Turn<'_>,
        launch_id: LaunchId,
        message: String,
    ) {
        let path = self.nested.launches.get(&launch_id);
        let Some(entry) = path.and_then(|path| self.nested.containers.get_mut(path)) else {
            return;
        };
        if entry.limited.is_none() {
            entry.limited = Some(message);
            turn.push(Effect::KillTree { launch_id });
        }
    }

    /// Nothing is left of it, and nobody knows how it ended.
    pub(crate) fn on_nested_vanished(&mut self, turn: &mut Turn<'_>, launch_id: LaunchId) {
        let Some(path) = self.nested.launches.get(&launch_id).cloned() else {
            return;
        };
        let entry = self.nested.containers.get(&path);
        // What has ended in an ordinary way is said to be gone too.
        if entry
            .is_some_and(|entry| matches!(entry.phase, Phase::Launching | Phase::Running { .. }))
        {
            turn.push(Effect::EndStray { launch_id });
            self.nested_failed(turn, &path, VANISHED.to_owned());
        }
    }

    /// A new warden knows only these.
    pub(crate) fn on_nested_lost(
        &mut self,
        turn: &mut Turn<'_>,
        known: &BTreeMap<LaunchId, KnownContainerState>,
    ) {
        let lost: Vec<LaunchId> = self
            .nested
            .launches
            .keys()
            .filter(|launch_id| !known.contains_key(launch_id))
            .copied()
            .collect();
        for launch_id in lost {
            self.on_nested_vanished(turn, launch_id);
        }
    }

    /// Its own process is gone: those inside are ended, and when they have, it has ended.
    pub(super) fn nested_over(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ContainerPath,
        termination: Termination,
    ) {
        let Some(entry) = self.nested.containers.get_mut(path) else {
            return;
        };
        self.nested.launches.remove(&entry.launch_id);
        let message = entry.limited.take().or(termination.message);
        entry.phase = Phase::Emptying(Termination {
            message,
            ..termination
        });
        self.records = None;
        let inside = if entry.fate == Fate::Orphaned {
            Fate::Orphaned
        } else {
            Fate::Ending
        };
        for inner in self.nested.below(path) {
            self.destroy_one(turn, &inner, inside);
        }
        self.settle_nested(turn, path.clone());
    }

    /// Declares the end of a container in which nothing lives any more, and of those around that waited for it.
    fn settle_nested(&mut self, turn: &mut Turn<'_>, path: ContainerPath) {
        let mut next = Some(path);
        while let Some(path) = next {
            if self.nested.has_living_below(&path) {
                return;
            }
            let Some(entry) = self.nested.containers.get_mut(&path) else {
                return;
            };
            let Phase::Emptying(termination) = &entry.phase else {
                return;
            };
            let termination = termination.clone();
            entry.phase = Phase::Ended(termination.clone());
            let (fate, launch_id, survival) = (entry.fate, entry.launch_id, entry.survival);
            if survival == Survival::Keep {
                turn.checkpoint(Record::ContainerEnded {
                    launch_id,
                    termination: termination.clone(),
                });
            }
            self.tell_waiting(turn, &path, &termination);
            if fate == Fate::Orphaned {
                self.forget_nested(turn, &path);
            } else {
                self.forget_oldest(turn, &path);
            }
            next = path.parent();
        }
    }

    fn tell_waiting(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ContainerPath,
        termination: &Termination,
    ) {
        for request in self.nested.waiting.remove(path).unwrap_or_default() {
            let answer = ContainerAnswer::Ended(termination.clone());
            turn.push(Effect::AnswerContainer { request, answer });
        }
    }

    /// Ends of sessions and of containers of operators are remembered up to a number.
    fn forget_oldest(&mut self, turn: &mut Turn<'_>, path: &ContainerPath) {
        let is_session = |path: &ContainerPath| {
            let entry = self.nested.containers.get(path);
            entry.is_some_and(|entry| entry.class == ContainerClass::Session)
        };
        let (like, limit) = match path.parent() {
            Some(_) if !is_session(path) => return,
            Some(parent) => (Some(parent), ENDED_SESSIONS),
            None => (None, ENDED_ALONE),
        };
        let ended: Vec<ContainerPath> = self
            .nested
            .containers
            .iter()
            .filter(|(other, entry)| {
                !entry.is_living()
                    && other.parent() == like
                    && (like.is_none() || entry.class == ContainerClass::Session)
            })
            .map(|(path, _)| path.clone())
            .collect();
        if ended.len() > limit
            && let Some(other) = ended.into_iter().find(|other| other != path)
        {
            for inner in self.nested.below(&other) {
                self.forget_nested(turn, &inner);
            }
            self.forget_nested(turn, &other);
        }
    }

    /// Forgets one that has ended, if it is there.
    pub(super) fn forget_nested(&mut self, turn: &mut Turn<'_>, path: &ContainerPath) {
        let Some(entry) = self.nested.containers.remove(path) else {
            return;
        };
        self.nested.launches.remove(&entry.launch_id);
        self.records = None;
        if entry.survival == Survival::Keep {
            turn.checkpoint(Record::ContainerForgotten {
                launch_id: entry.launch_id,
            });
        }
    }

    /// The container of an executor is gone, and all inside goes with it.
    pub(crate) fn executor_container_gone(
        &mut self,
        turn: &mut Turn<'_>,
        executor: ExecutorKey,
        wait_status: Option<i32>,
    ) {
        if self.nested.containers.is_empty() && self.nested.waiting.is_empty() {
            return;
        }
        let Some(root) = self.path_of(executor) else {
            return;
        };
        for inner in self.nested.below(&root) {
            self.destroy_one(turn, &inner, Fate::Orphaned);
        }
        let termination = Termination {
            wait_status,
            message: None,
        };
        self.tell_waiting(turn, &root, &termination);
    }

    /// Ends all: the agent is being emptied.
    pub(crate) fn destroy_all_nested(&mut self, turn: &mut Turn<'_>) {
        let paths: Vec<ContainerPath> = self.nested.containers.keys().cloned().collect();
        for path in paths.iter().rev() {
            self.destroy_one(turn, path, Fate::Orphaned);
        }
    }
}
