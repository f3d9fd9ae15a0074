//! Containers that no executor stands for: those inside other containers, and those that an operator started by
//! themselves. Pure state: what is there, how far it is, who waits for its end.
//!
//! `calls` says what is asked of them, `ends` what follows from an end, `recovery` how they outlive the agent.

mod calls;
mod ends;
mod path;
mod recovery;

pub use path::{ContainerPath, PathError};

use crate::agent::AgentCore;
use crate::allotment::Allotment;
use crate::ids::{LaunchId, RequestId};
use crate::launch::{Around, ContainerClass, Materials, Surroundings, Survival};
use crate::model::{Container, ExecutorKey};
use mezz_proto::v1::agent::call::LaunchContainer;
use mezz_proto::v1::{CommandInfo, ContainerInfo, TaskInfo, container_info};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A container of this kind that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerLaunch {
    /// Its name.
    pub path: ContainerPath,
    /// Its kind.
    pub class: ContainerClass,
    /// What to run, in what surroundings; its id is that of `path`.
    pub wanted: Arc<LaunchContainer>,
}

/// What is asked of a container.
#[derive(Clone, Debug, PartialEq)]
pub enum ContainerCall {
    /// Start one; answered when it has started.
    Launch(Box<ContainerLaunch>),
    /// Answered when it has ended.
    Wait {
        /// Which.
        path: ContainerPath,
    },
    /// Send a signal to its main process; SIGKILL ends all of it.
    Kill {
        /// Which.
        path: ContainerPath,
        /// The signal's number.
        signal: i32,
    },
    /// Forget one that has ended, with its sandbox.
    Remove {
        /// Which.
        path: ContainerPath,
    },
    /// End all of it, whatever it is doing: whoever it was there for has gone.
    Destroy {
        /// Which.
        path: ContainerPath,
    },
}

/// The answer to a [`ContainerCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerAnswer {
    /// It runs.
    Launched {
        /// Under this launch.
        launch_id: LaunchId,
    },
    /// One of that name is there already.
    AlreadyLaunched,
    /// It has ended.
    Ended(Termination),
    /// Done.
    Done,
    /// It cannot be.
    Refused(String),
    /// There is none.
    NotFound(String),
    /// It cannot be now.
    Failed(String),
}

/// How a container ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Termination {
    /// The raw wait(2) status of its main process, if it had one and that is known.
    pub wait_status: Option<i32>,
    /// Why it ended, if not by itself.
    pub message: Option<String>,
}

impl Termination {
    pub(crate) fn exited(wait_status: i32) -> Self {
        Self {
            wait_status: Some(wait_status),
            message: None,
        }
    }

    pub(crate) fn unknown(message: impl Into<String>) -> Self {
        Self {
            wait_status: None,
            message: Some(message.into()),
        }
    }
}

/// What the agent shows of such a container.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerRecord {
    /// Its name.
    pub path: ContainerPath,
    /// Its kind.
    pub class: ContainerClass,
    /// Its launch.
    pub launch_id: LaunchId,
    /// Its main process, while it runs.
    pub pid: Option<u32>,
    /// What was asked for.
    pub wanted: Arc<LaunchContainer>,
    /// Where it works, relative to the work directory.
    pub sandbox: String,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nested {
    pub(crate) containers: BTreeMap<ContainerPath, NestedContainer>,
    pub(crate) launches: BTreeMap<LaunchId, ContainerPath>,
    /// Who waits for the end of a container, of executors too.
    waiting: BTreeMap<ContainerPath, Vec<RequestId>>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct NestedContainer {
    pub(crate) class: ContainerClass,
    pub(crate) wanted: Arc<LaunchContainer>,
    pub(crate) launch_id: LaunchId,
    pub(crate) sandbox: String,
    pub(crate) user: Option<String>,
    pub(crate) survival: Survival,
    pub(crate) phase: Phase,
    pub(crate) fate: Fate,
    /// Who waits for its start.
    launcher: Option<RequestId>,
    /// What is said of its end if it used more than it may.
    limited: Option<String>,
}

/// How far such a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Fetching,
    Launching,
    Running {
        pid: u32,
    },
    /// Its own process is gone, containers inside are not yet.
    Emptying(Termination),
    Ended(Termination),
}

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Wanted,
    /// It is being ended.
    Ending,
    /// It is being ended, and what it was in is gone: nobody can ask for it any more.
    Orphaned,
}

impl NestedContainer {
    pub(crate) fn is_living(&self) -> bool {
        !matches!(self.phase, Phase::Ended(_))
    }

    /// What it may use.
    fn allotment(&self) -> Allotment {
        let wanted = TaskInfo {
            resources: self.wanted.resources.clone(),
            limits: self.wanted.limits.clone(),
            ..TaskInfo::default()
        };
        Allotment::of(&[], [&wanted])
    }

    fn command(&self) -> CommandInfo {
        self.wanted.command.clone().unwrap_or_default()
    }
}

impl Nested {
    /// Names of all inside of a container, the outer before the inner.
    pub(crate) fn below(&self, path: &ContainerPath) -> Vec<ContainerPath> {
        self.entries_below(path)
            .map(|(path, _)| path.clone())
            .collect()
    }

    fn entries_below<'a>(
        &'a self,
        path: &'a ContainerPath,
    ) -> impl Iterator<Item = (&'a ContainerPath, &'a NestedContainer)> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.containers
            .range((Excluded(path), Unbounded))
            .take_while(|(inner, _)| inner.is_within(path))
    }

    fn has_living_below(&self, path: &ContainerPath) -> bool {
        self.entries_below(path).any(|(_, entry)| entry.is_living())
    }

    /// Whether any has not ended.
    pub(crate) fn has_living(&self) -> bool {
        self.containers.values().any(NestedContainer::is_living)
    }
}

/// What a container is put into.
pub(crate) struct Parent {
    sandbox: String,
    user: Option<String>,
    survival: Survival,
    environment: Vec<(String, String)>,
    /// Variables of its own whose values are secrets.
    materials: Option<Materials>,
    /// Another runtime than the agent's own has it.
    is_foreign: bool,
    /// What is around the new one, the outermost first; the last is this parent.
    around: Vec<Around>,
}

fn is_foreign(surroundings: &Surroundings) -> bool {
    let of_docker = |container: &ContainerInfo| {
        container.r#type() == container_info::Type::Docker || container.docker.is_some()
    };
    surroundings.runtime.is_some() || surroundings.container.as_deref().is_some_and(of_docker)
}

/// Why nothing can be put into a container.
pub(crate) enum NoParent {
    Unknown,
    Ending,
    NotRunning,
}

impl AgentCore {
    /// The executor whose container has this id.
    pub(crate) fn executor_of_container(&self, id: &str) -> Option<ExecutorKey> {
        let (key, _) = self
            .executors
            .iter()
            .find(|(_, executor)| executor.container_id.to_string() == id)?;
        Some(key)
    }

    /// The executor whose container this is: one by itself, or a part of a pod in its pod.
    pub(crate) fn executor_at(&self, path: &ContainerPath) -> Option<ExecutorKey> {
        let executor = self.executor_of_container(path.name())?;
        (self.path_of(executor)? == *path).then_some(executor)
    }

    /// The name of an executor's container.
    pub(crate) fn path_of(&self, executor: ExecutorKey) -> Option<ContainerPath> {
        let entry = self.executors.get(executor)?;
        let own = entry.container_id.to_string();
        let Some(member) = entry.member else {
            return Some(ContainerPath::of_root(&own));
        };
        let pod = self.executors.get(member.pod)?;
        Some(ContainerPath::of_root(&pod.container_id.to_string()).child(&own))
    }

    /// What a container of this name can be put into.
    pub(crate) fn parent(&self, path: &ContainerPath) -> Result<Parent, NoParent> {
        match self.executor_at(path) {
            Some(executor) => self.executor_parent(executor),
            None => self.nested_parent(path),
        }
    }

    fn nested_parent(&self, path: &ContainerPath) -> Result<Parent, NoParent> {
        let entry = self.nested.containers.get(path).ok_or(NoParent::Unknown)?;
        match entry.phase {
            Phase::Ended(_) => return Err(NoParent::Unknown),
            Phase::Emptying(_) => return Err(NoParent::Ending),
            _ if entry.fate != Fate::Wanted => return Err(NoParent::Ending),
            Phase::Running { .. } => {}
            Phase::Fetching | Phase::Launching => return Err(NoParent::NotRunning),
        }
        let mut around = match path.parent() {
            Some(parent) => self.parent(&parent)?.around,
            None => Vec::new(),
        };
        around.push(Around {
            launch: entry.launch_id,
            class: entry.class,
            container: entry.wanted.container.clone().map(Box::new),
        });
        Ok(Parent {
            sandbox: entry.sandbox.clone(),
            user: entry.user.clone(),
            materials: None,
            is_foreign: false,
            survival: entry.survival,
            environment: self.nested_environment(&entry.sandbox, &entry.command()),
            around,
        })
    }

    fn executor_parent(&self, executor: ExecutorKey) -> Result<Parent, NoParent> {
        let entry = self.executors.get(executor).ok_or(NoParent::Unknown)?;
        match entry.container {
            Container::Gone => return Err(NoParent::Unknown),
            Container::Held | Container::Fetching | Container::Launching => {
                return Err(NoParent::NotRunning);
            }
            Container::Running { .. } => {}
        }
        let task = self
            .command_task(executor)
            .and_then(|task| self.tasks.get(task));
        let container = match &entry.info {
            Some(info) => info.container.clone(),
            None => task.and_then(|task| task.info.container.clone()),
        };
        let labels = match &entry.info {
            Some(info) => info.labels.clone(),
            None => task.and_then(|task| task.info.labels.clone()),
        };
        let command = match &entry.info {
            Some(info) => info.command.clone(),
            None => task.and_then(|task| task.info.command.clone()),
        };
        let command = command.unwrap_or_default();
        let environment = match task {
            Some(task) if entry.info.is_none() => {
                crate::environment::command_task_environment(self, executor, &task.info, &command)
            }
            _ => crate::environment::executor_environment(self, executor, &command),
        };
        let survival = if self.checkpoints(entry.framework) {
            Survival::Keep
        } else {
            Survival::EndWithAgent
        };
        let variables = crate::environment::secret_variables(&command);
        let materials = (!variables.is_empty()).then(|| Materials {
            holder: entry.launch_id,
            variables,
            files: Vec::new(),
            values: Vec::new(),
        });
        Ok(Parent {
            materials,
            is_foreign: is_foreign(&Surroundings::of(container.as_deref(), labels.as_ref())),
            sandbox: entry.sandbox.clone(),
            user: self.user_of(executor, &command),
            survival,
            environment,
            around: vec![Around {
                launch: entry.launch_id,
                class: ContainerClass::Ordinary,
                container,
            }],
        })
    }

    fn nested_environment(&self, sandbox: &str, command: &CommandInfo) -> Vec<(String, String)> {
        let directory = format!("{}/{sandbox}", self.config.work_dir);
        let mut environment = vec![("MESOS_SANDBOX".to_owned(), directory)];
        crate::environment::append_command_environment(&mut environment, command);
        environment
    }

    pub(crate) fn container_records(&self) -> Vec<ContainerRecord> {
        let record = |(path, entry): (&ContainerPath, &NestedContainer)| ContainerRecord {
            path: path.clone(),
            class: entry.class,
            launch_id: entry.launch_id,
            pid: match entry.phase {
                Phase::Running { pid } => Some(pid),
                _ => None,
            },
            wanted: Arc::clone(&entry.wanted),
            sandbox: entry.sandbox.clone(),
        };
        self.nested.containers.iter().map(record).collect()
    }
}
