//! What a container needs to start, in the agent's words.

use crate::allotment::Allotment;
use crate::ids::{ContainerId, LaunchId};
use mezz_proto::agent_protocol::{InstanceFile, SecretValue};
use mezz_proto::v1::command_info::Uri;
use mezz_proto::v1::secret::Reference;
use mezz_proto::v1::{ContainerInfo, Labels, container_info};

/// A container to start.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Names it towards the warden.
    pub launch_id: LaunchId,
    /// Names it towards clients.
    pub container_id: ContainerId,
    /// What to run.
    pub command: Command,
    /// The environment; a later entry of a name wins. Nothing is inherited beyond a default `PATH`.
    pub environment: Vec<(String, String)>,
    /// The user to run as, if the daemon may switch users.
    pub user: Option<String>,
    /// The sandbox, relative to the work directory.
    pub sandbox: String,
    /// What it is for.
    pub role: Role,
    /// The sandbox is there already, with files that the agent did not make.
    pub fetched: bool,
    /// Whether it outlives the daemon.
    pub survival: Survival,
    /// What it needs of secrets and configs, if anything.
    pub materials: Option<Box<Materials>>,
    /// What sets it apart from the host.
    pub surroundings: Surroundings,
    /// What it may use.
    pub allotment: Allotment,
    /// Whose limits hold for it.
    pub grouping: Grouping,
}

/// Whose limits hold for a container: in which group of processes it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// Its own.
    #[default]
    Own,
    /// Those of that launch, whose container it shares; that one runs.
    With(LaunchId),
    /// Its own, within those of that launch; that one runs.
    Below(LaunchId),
}

/// What sets a container apart from the host, beside what the agent gives every container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// What was asked for, if anything.
    pub container: Option<Box<ContainerInfo>>,
    /// The launch whose container this one looks after, and in whose namespaces it is; that one runs.
    pub within: Option<LaunchId>,
    /// The sandbox of the pod that it is part of, relative to the work directory.
    pub parent_sandbox: Option<String>,
    /// How it lies in other containers, if it does.
    pub nesting: Option<Box<Nesting>>,
    /// The runtime that was asked for by name, if any; see [`RUNTIME_LABEL`].
    pub runtime: Option<Box<str>>,
    /// The other labels that are about the runtime that was asked for: those that begin with [`LABEL_PREFIX`].
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// The user that the command names itself, if any; without, an image's own goes before the framework's.
    pub user: Option<Box<str>>,
}

/// How a container lies in others.
#[derive(Clone, Debug, PartialEq)]
pub struct Nesting {
    /// What it is to them.
    pub class: ContainerClass,
    /// Those around it, the outermost first.
    pub around: Vec<Around>,
}

/// A container that is around another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Around {
    /// Its launch; it runs.
    pub launch: LaunchId,
    /// What it is to those around it.
    pub class: ContainerClass,
    /// What it asked for.
    pub container: Option<Box<ContainerInfo>>,
}

/// What a container is to the one around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerClass {
    /// A container of its own, which shares the network, the host name and what it asks for.
    Ordinary,
    /// Somebody who looks into the other: in all of its namespaces, for as long as a connection lasts.
    Session,
}

/// The label of a task, or of a custom executor, that names the runtime which is to run its container.
pub const RUNTIME_LABEL: &str = "mezzanine.runtime";

/// What the names of labels begin with that runtimes look at.
pub const LABEL_PREFIX: &str = "mezzanine.";

impl Surroundings {
    /// What a container asks for, if it asks for anything.
    pub fn of(container: Option<&ContainerInfo>, labels: Option<&Labels>) -> Self {
        let asks = |container: &&ContainerInfo| {
            container.r#type() == container_info::Type::Docker
                || container.docker.is_some()
                || container
                    .mesos
                    .as_ref()
                    .is_some_and(|mesos| mesos.image.is_some())
                || container
                    .network_infos
                    .iter()
                    .any(|network| network.name.is_some())
                || container.linux_info.is_some()
                || container.rlimit_info.is_some()
                || container.tty_info.is_some()
                || container.hostname.is_some()
                || !container.volumes.is_empty()
        };
        let runtime = labels.and_then(runtime);
        let matters = |container: &&ContainerInfo| runtime.is_some() || asks(container);
        Self {
            container: container.filter(matters).cloned().map(Box::new),
            labels: match &runtime {
                Some(_) => labels.map(about_runtimes).unwrap_or_default(),
                None => Vec::new(),
            },
            runtime,
            ..Self::default()
        }
    }

    /// For a command that looks after the container that `launch` started.
    pub(crate) fn within(self, launch: LaunchId) -> Self {
        Self {
            within: Some(launch),
            ..self
        }
    }
}

fn runtime(labels: &Labels) -> Option<Box<str>> {
    let mut named = labels.labels.iter();
    let label = named.find(|label| label.key == RUNTIME_LABEL)?;
    label.value.as_deref().map(Into::into)
}

fn about_runtimes(labels: &Labels) -> Vec<(Box<str>, Box<str>)> {
    let named = labels.labels.iter();
    let ours =
        named.filter(|label| label.key.starts_with(LABEL_PREFIX) && label.key != RUNTIME_LABEL);
    ours.map(|label| (label.key.as_str().into(), label.value().into()))
        .collect()
}

/// What a launch needs of secrets and configs. The core passes values on and never looks at them.
#[derive(Clone, Debug, PartialEq)]
pub struct Materials {
    /// The launch that was given the values: this one, or that of the task for which this one is.
    pub holder: LaunchId,
    /// Variables whose values are secrets.
    pub variables: Vec<(String, Reference)>,
    /// Files to write before the start.
    pub files: Vec<InstanceFile>,
    /// The values, where this launch is the holder.
    pub values: Vec<SecretValue>,
}

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// By `/bin/sh -c`.
    Shell(String),
    /// Directly.
    Argv {
        /// The program; searched in `PATH` if it has no slash.
        program: String,
        /// All arguments, the program's own name first; empty means just the program's name.
        argv: Vec<String>,
    },
}

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A task or an executor: it gets its sandbox to itself, with `stdout` and `stderr`.
    Main,
    /// A check of a running task, in the task's sandbox: all its output goes to the task's `stderr`, as in Mesos.
    Probe,
    /// Somebody at the other end of a connection: input and output go there.
    Session,
}

/// Whether a container outlives the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// It goes on (frameworks that checkpoint).
    Keep,
    /// The warden ends it when the agent's connection closes.
    EndWithAgent,
}

/// Files to fetch before a start.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// For which launch.
    pub launch_id: LaunchId,
    /// What.
    pub uris: Vec<Uri>,
    /// Where to, relative to the work directory.
    pub sandbox: String,
    /// Who shall own them, if the daemon may switch users.
    pub user: Option<String>,
}

/// What the containers of a pod share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSandbox {
    /// Relative to the work directory. Containers do not lie in it: whoever may write here could lead them astray.
    pub sandbox: String,
    /// Who shall own it, if the daemon may switch users.
    pub user: Option<String>,
}
