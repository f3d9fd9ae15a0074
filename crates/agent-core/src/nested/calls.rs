//! What is asked of containers: start, wait, kill, remove, end.

use super::{
    ContainerAnswer, ContainerCall, ContainerLaunch, ContainerPath, Fate, NestedContainer,
    NoParent, Parent, Phase, Termination,
};
use crate::agent::{AgentCore, Phase as Life, Turn};
use crate::effect::Effect;
use crate::ids::{ContainerId, RequestId};
use crate::journal::Record;
use crate::launch::{
    Around, ContainerClass, Fetch, Grouping, Launch, Nesting, Role, Surroundings, Survival,
};
use crate::launching::command_form;
use crate::model::Container;
use crate::support::unsupported_in_nested;
use mezz_proto::v1::{ContainerInfo, container_info};
use std::sync::Arc;

pub(super) const SIGKILL: i32 = 9;

impl AgentCore {
    pub(crate) fn on_container_call(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        call: ContainerCall,
    ) {
        let answer = match call {
            ContainerCall::Launch(launch) => self.launch_nested(turn, request, *launch),
            ContainerCall::Wait { path } => self.wait_for(request, path),
            ContainerCall::Kill { path, signal } => Some(self.kill_nested(turn, &path, signal)),
            ContainerCall::Remove { path } => Some(self.remove_nested(turn, &path)),
            ContainerCall::Destroy { path } => {
                self.destroy_nested(turn, &path);
                Some(ContainerAnswer::Done)
            }
        };
        if let Some(answer) = answer {
            turn.push(Effect::AnswerContainer { request, answer });
        }
    }

    /// Whoever asked has gone.
    pub(crate) fn on_container_caller_gone(&mut self, request: RequestId) {
        self.nested.waiting.retain(|_, waiting| {
            waiting.retain(|waiter| *waiter != request);
            !waiting.is_empty()
        });
        for entry in self.nested.containers.values_mut() {
            entry.launcher.take_if(|launcher| *launcher == request);
        }
    }

    fn launch_nested(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        launch: ContainerLaunch,
    ) -> Option<ContainerAnswer> {
        let is_there = |entry: &NestedContainer| entry.is_living();
        if self
            .nested
            .containers
            .get(&launch.path)
            .is_some_and(is_there)
            || self.executor_at(&launch.path).is_some()
        {
            return Some(ContainerAnswer::AlreadyLaunched);
        }
        match self.placed(&launch) {
            Ok((entry, parent)) => {
                self.start_nested(turn, request, launch.path, entry, parent.as_ref());
                None
            }
            Err(why) => Some(ContainerAnswer::Refused(why)),
        }
    }

    /// The container as it will be, and what it is in.
    fn placed(
        &mut self,
        launch: &ContainerLaunch,
    ) -> Result<(NestedContainer, Option<Parent>), String> {
        let container = launch.wanted.container.as_ref();
        let of_mesos =
            |container: &ContainerInfo| container.r#type == i32::from(container_info::Type::Mesos);
        if !container.is_none_or(of_mesos) {
            return Err("The provided ContainerInfo is not supported".to_owned());
        }
        if !matches!(self.phase, Life::Running | Life::Recovering) {
            return Err("the agent is stopping".to_owned());
        }
        let command = launch.wanted.command.as_ref();
        if let Some(field) = unsupported_in_nested(command, container) {
            return Err(format!("Field '{field}' is not supported by this agent"));
        }
        let parent = match launch.path.parent() {
            Some(around) => Some(self.parent(&around).map_err(|why| refusal(&around, &why))?),
            None => None,
        };
        let foreign = parent.as_ref().is_some_and(|parent| parent.is_foreign);
        if foreign && launch.class == ContainerClass::Ordinary {
            return Err(
                "Containers can be nested only in containers of the agent's own runtime".to_owned(),
            );
        }
        let own_user = command.and_then(|command| command.user.clone());
        let user = match own_user.filter(|user| !user.is_empty()) {
            Some(user) if self.config.switch_user => Some(user),
            _ => parent.as_ref().and_then(|parent| parent.user.clone()),
        };
        let entry = NestedContainer {
            class: launch.class,
            wanted: Arc::clone(&launch.wanted),
            launch_id: self.rng.launch_id(),
            sandbox: sandbox(launch, parent.as_ref()),
            user,
            survival: match (&parent, launch.class) {
                (_, ContainerClass::Session) => Survival::EndWithAgent,
                (Some(parent), ContainerClass::Ordinary) => parent.survival,
                (None, ContainerClass::Ordinary) => Survival::Keep,
            },
            phase: Phase::Launching,
            fate: Fate::Wanted,
            launcher: None,
            limited: None,
        };
        Ok((entry, parent))
    }

    fn start_nested(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        path: ContainerPath,
        mut entry: NestedContainer,
        parent: Option<&Parent>,
    ) {
        for earlier in self.nested.below(&path).iter().chain([&path]) {
            self.forget_nested(turn, earlier);
        }
        let launch_id = entry.launch_id;
        if entry.survival == Survival::Keep {
            turn.checkpoint(Record::ContainerLaunched {
                launch_id,
                launch: Arc::clone(&entry.wanted),
            });
        }
        entry.launcher = Some(request);
        let uris = entry.command().uris;
        if uris.is_empty() {
            turn.push(Effect::Launch(Box::new(self.nested_launch(&entry, parent))));
        } else {
            entry.phase = Phase::Fetching;
            turn.push(Effect::Fetch(Box::new(Fetch {
                launch_id,
                uris,
                sandbox: entry.sandbox.clone(),
                user: entry.user.clone(),
            })));
        }
        self.nested.launches.insert(launch_id, path.clone());
        self.nested.containers.insert(path, entry);
        self.records = None;
    }

    /// Its files are there.
    pub(crate) fn launch_fetched_nested(&mut self, turn: &mut Turn<'_>, path: &ContainerPath) {
        let parent = path.parent().map(|around| (self.parent(&around), around));
        let parent = match parent {
            Some((Err(why), around)) => {
                let message = refusal(&around, &why);
                self.nested_failed(turn, path, message);
                return;
            }
            Some((Ok(parent), _)) => Some(parent),
            None => None,
        };
        let Some(entry) = self.nested.containers.get_mut(path) else {
            return;
        };
        entry.phase = Phase::Launching;
        let entry = entry.clone();
        turn.push(Effect::Launch(Box::new(
            self.nested_launch(&entry, parent.as_ref()),
        )));
    }

    fn nested_launch(&self, entry: &NestedContainer, parent: Option<&Parent>) -> Launch {
        let command = entry.command();
        let session = entry.class == ContainerClass::Session;
        let environment = match parent {
            Some(parent) if session => {
                let mut environment = parent.environment.clone();
                crate::environment::append_command_environment(&mut environment, &command);
                environment
            }
            _ => self.nested_environment(&entry.sandbox, &command),
        };
        let nesting = parent.map(|parent| {
            Box::new(Nesting {
                class: entry.class,
                around: parent.around.clone(),
            })
        });
        let own = entry.wanted.container.as_ref();
        let around = parent.and_then(|parent| parent.around.last());
        let around = around.filter(|_| session).map(|around| around.launch);
        Launch {
            launch_id: entry.launch_id,
            container_id: ContainerId::of_launch(entry.launch_id),
            command: command_form(&command),
            environment,
            user: entry.user.clone(),
            sandbox: entry.sandbox.clone(),
            role: if session { Role::Session } else { Role::Main },
            // A session is where its parent is.
            fetched: session || !command.uris.is_empty(),
            survival: entry.survival,
            materials: parent
                .filter(|_| session)
                .and_then(|parent| parent.materials.clone().map(Box::new)),
            surroundings: Surroundings {
                nesting,
                within: around,
                ..Surroundings::of(own, None)
            },
            allotment: entry.allotment(),
            grouping: parent.map_or(Grouping::Own, |parent| grouping(entry, &parent.around)),
        }
    }

    fn wait_for(&mut self, request: RequestId, path: ContainerPath) -> Option<ContainerAnswer> {
        match self.nested.containers.get(&path) {
            Some(NestedContainer {
                phase: Phase::Ended(termination),
                ..
            }) => return Some(ContainerAnswer::Ended(termination.clone())),
            Some(_) => {}
            None if self.is_living_executor(&path) => {}
            None => {
                let text = format!("Container {path} cannot be found");
                return Some(ContainerAnswer::NotFound(text));
            }
        }
        self.nested.waiting.entry(path).or_default().push(request);
        None
    }

    fn is_living_executor(&self, path: &ContainerPath) -> bool {
        let executor = self
            .executor_at(path)
            .and_then(|key| self.executors.get(key));
        executor.is_some_and(|entry| entry.container != Container::Gone)
    }

    fn kill_nested(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ContainerPath,
        signal: i32,
    ) -> ContainerAnswer {
        let not_found = || {
            let text = format!("Container '{path}' cannot be found (or is already killed)");
            ContainerAnswer::NotFound(text)
        };
        if self.is_living_executor(path) {
            let executor = self.executor_at(path);
            let Some(entry) = executor.and_then(|key| self.executors.get(key)) else {
                return not_found();
            };
            let launch_id = entry.launch_id;
            turn.push(match (entry.container, signal) {
                (Container::Running { .. }, SIGKILL) => Effect::KillTree { launch_id },
                (Container::Running { .. }, signal) => Effect::SignalMain { launch_id, signal },
                _ => {
                    let text = format!("Container '{path}' has not started yet");
                    return ContainerAnswer::Failed(text);
                }
            });
            return ContainerAnswer::Done;
        }
        let Some(entry) = self.nested.containers.get(path) else {
            return not_found();
        };
        let launch_id = entry.launch_id;
        match entry.phase {
            Phase::Ended(_) => return not_found(),
            Phase::Running { .. } if signal != SIGKILL => {
                turn.push(Effect::SignalMain { launch_id, signal });
            }
            _ => self.destroy_nested(turn, path),
        }
        ContainerAnswer::Done
    }

    fn remove_nested(&mut self, turn: &mut Turn<'_>, path: &ContainerPath) -> ContainerAnswer {
        let failed = |text: &str| ContainerAnswer::Failed(text.to_owned());
        if self.is_living_executor(path) {
            return failed("The container of an executor is removed when its executor has ended");
        }
        let own = self.nested.containers.get(path);
        if own.is_some_and(NestedContainer::is_living) {
            return failed("Nested container has not terminated yet");
        }
        let session = own.is_some_and(|entry| entry.class == ContainerClass::Session);
        let sandbox = match own {
            Some(entry) => Some(entry.sandbox.clone()),
            None => match path.parent() {
                Some(_) if !self.knows_root(path) => return failed("Unknown root container"),
                Some(_) => None,
                None => {
                    let text = format!("Container {path} cannot be found");
                    return ContainerAnswer::NotFound(text);
                }
            },
        };
        for inner in self.nested.below(path).iter().chain([path]) {
            self.forget_nested(turn, inner);
        }
        if let Some(sandbox) = sandbox.filter(|_| !session) {
            turn.push(Effect::RemoveSandbox { sandbox });
        }
        ContainerAnswer::Done
    }

    fn knows_root(&self, path: &ContainerPath) -> bool {
        let root = ContainerPath::of_root(path.root());
        self.executor_of_container(path.root()).is_some()
            || self.nested.containers.contains_key(&root)
    }

    /// Begins the end of a container, from the inside out; nothing to do if it has begun.
    pub(crate) fn destroy_nested(&mut self, turn: &mut Turn<'_>, path: &ContainerPath) {
        for inner in self.nested.below(path) {
            self.destroy_one(turn, &inner, Fate::Ending);
        }
        self.destroy_one(turn, path, Fate::Ending);
    }

    pub(super) fn destroy_one(&mut self, turn: &mut Turn<'_>, path: &ContainerPath, fate: Fate) {
        let Some(entry) = self.nested.containers.get_mut(path) else {
            return;
        };
        let was = entry.fate;
        if was != Fate::Orphaned {
            entry.fate = fate;
        }
        let launch_id = entry.launch_id;
        match entry.phase {
            Phase::Fetching => {
                turn.push(Effect::CancelFetch { launch_id });
                self.nested_failed(turn, path, "Container destroyed during fetching".to_owned());
            }
            Phase::Launching | Phase::Running { .. } if was == Fate::Wanted => {
                turn.push(Effect::KillTree { launch_id });
            }
            Phase::Ended(_) if fate == Fate::Orphaned => self.forget_nested(turn, path),
            Phase::Launching | Phase::Running { .. } | Phase::Emptying(_) | Phase::Ended(_) => {}
        }
    }

    pub(super) fn nested_failed(
        &mut self,
        turn: &mut Turn<'_>,
        path: &ContainerPath,
        message: String,
    ) {
        if let Some(entry) = self.nested.containers.get_mut(path)
            && let Some(request) = entry.launcher.take()
        {
            let answer = ContainerAnswer::Refused(message.clone());
            turn.push(Effect::AnswerContainer { request, answer });
        }
        self.nested_over(turn, path, Termination::unknown(message));
    }
}

fn refusal(around: &ContainerPath, why: &NoParent) -> String {
    match why {
        NoParent::Unknown => format!("Parent container {around} does not exist"),
        NoParent::Ending => format!("Parent container {around} is in 'DESTROYING' state"),
        NoParent::NotRunning => "Unknown parent container pid".to_owned(),
    }
}

/// Where it works: inside the sandbox of what it is in, or with the parent itself.
fn sandbox(launch: &ContainerLaunch, parent: Option<&Parent>) -> String {
    let name = launch.path.name();
    match (parent, launch.class) {
        (None, _) => format!("containers/{name}"),
        (Some(parent), ContainerClass::Session) => parent.sandbox.clone(),
        (Some(parent), ContainerClass::Ordinary) => {
            format!("{}/containers/{name}", parent.sandbox)
        }
    }
}

/// Whose limits hold: those of the container around it, unless one is to have its own.
fn grouping(entry: &NestedContainer, around: &[Around]) -> Grouping {
    let parts = |container: Option<&ContainerInfo>| {
        let linux = container.and_then(|container| container.linux_info.as_ref());
        linux.is_some_and(|linux| linux.share_cgroups == Some(false))
    };
    let Some((outermost, inner)) = around.split_first() else {
        return Grouping::Own;
    };
    let owner = inner
        .iter()
        .rfind(|one| one.class == ContainerClass::Ordinary && parts(one.container.as_deref()))
        .unwrap_or(outermost);
    let own = entry.class == ContainerClass::Ordinary && parts(entry.wanted.container.as_ref());
    if own {
        Grouping::Below(owner.launch)
    } else {
        Grouping::With(owner.launch)
    }
}
