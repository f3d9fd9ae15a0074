//! What runs containers: the seam between the agent and its runtimes.
//!
//! The **native** runtime runs the task's own program as a child of the warden, in a root and a network that were made
//! for it. Every other runtime (Docker's Engine, an OCI runtime, a virtual machine) is a **process of the host** that the
//! warden runs in place of the task's program: it starts the container elsewhere, passes output and signals on, and ends
//! as the container ends. So launches, kills, exits, recovery and sandboxes are the same for all of them.
//!
//! The life of a container that is prepared:
//! 1. [`Runtime::takes`] says whether it is this runtime's; the first one that takes it has it.
//! 2. [`Runtime::prepare`] makes everything ready off the core's thread, and says what the warden is to run.
//! 3. The warden runs that. [`Runtime::started`] may then find out more before TASK_RUNNING is told.
//! 4. [`Runtime::clean_up`] runs when it has ended, did not start, was killed while it was prepared, or has vanished.
//!
//! After a restart of the agent [`Runtime::sweep`] runs once, before any `prepare`: whatever a runtime finds of
//! containers that do not live is to be ended and removed.
//!
//! An implementation must never touch what belongs to another agent on the same host.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use mezz_agent_core::{ContainerFacts, ContainerId, Launch, LaunchId, Limitation, Surroundings};
use mezz_launch_plan::{
    CommandSpec, Credentials, EnvironmentVariable, NamespaceSpec, RootSpec, VolumeSpec,
};
use tokio::sync::watch;

use super::progress::Progress;
use crate::isolators::Enforcer;

/// A future of a runtime.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why something could not be done; the text is shown to people.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Why a container cannot be had. The text becomes the task's message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrepareError {
    #[error("it was no longer wanted while it was prepared")]
    Canceled,
    #[error("{0}")]
    Failed(Failure),
}

impl PrepareError {
    /// From any error.
    pub(crate) fn of(error: impl Into<Failure>) -> Self {
        Self::Failed(error.into())
    }
}

/// What runs containers.
pub(crate) trait Runtime: Debug + Send + Sync {
    /// Its name, for the log and for messages.
    fn name(&self) -> &'static str;

    /// Whether such a container is this runtime's. It decides by `surroundings` alone: after a restart nothing else is
    /// known, and the answer must be the same.
    fn takes(&self, surroundings: &Surroundings) -> bool;

    /// Makes a container ready to be launched. On an error, and when it is no longer wanted in the end,
    /// [`Runtime::clean_up`] follows: nothing needs to be undone here. It must return soon after
    /// [`Wanted::canceled`] has resolved, and is never dropped halfway.
    fn prepare(&self, wanted: Arc<Wanted>) -> Later<'_, Result<Prepared, PrepareError>>;

    /// Makes a launch ready that looks after a container which runs (a check, a session): it is to run inside of that.
    /// No clean-up follows.
    fn prepare_within(
        &self,
        wanted: Arc<Wanted>,
        container: ContainerId,
    ) -> Later<'_, Result<Prepared, PrepareError>>;

    /// Learns what only a running container can tell (addresses, an `inspect`); TASK_RUNNING waits for it, unless the
    /// container ends first. `None` where there is nothing to be learned.
    fn started(&self, container: ContainerId, pid: u32) -> Option<Later<'_, ContainerFacts>> {
        let _ = (container, pid);
        None
    }

    /// The same, as far as it is known when the container has ended before it was learned.
    fn known(&self, container: ContainerId) -> ContainerFacts {
        let _ = container;
        ContainerFacts::default()
    }

    /// Whom a signal to a container is for.
    fn signaled(&self) -> Signaled {
        Signaled::Tree
    }

    /// Ends a container that is elsewhere, before the process that stands for it is killed; that must not take long.
    /// `None` where all of it ends with that process.
    fn kill(&self, container: ContainerId) -> Option<Later<'_, ()>> {
        let _ = container;
        None
    }

    /// The network namespace of a container that runs, where it is not the host's: checks reach it from within.
    fn network(&self, container: ContainerId) -> Option<PathBuf> {
        let _ = container;
        None
    }

    /// What the end of the process that stands for a container means; asked when it has ended, on the core's thread.
    fn ending(&self, container: ContainerId) -> Ending {
        let _ = container;
        Ending::Told
    }

    /// Undoes everything that was made for a container, which has ended: may be called more than once, for containers
    /// that were never prepared, and after a restart.
    fn clean_up(&self, container: ContainerId) -> Later<'_, Result<(), Failure>>;

    /// Once at start: ends and removes all that is left of containers of this agent which are not among the living.
    fn sweep(&self, living: Arc<BTreeSet<ContainerId>>) -> Later<'_, Result<(), Failure>>;
}

/// Whom a signal to a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signaled {
    /// All of its processes.
    Tree,
    /// The process that stands for it alone, which passes it on in its own way.
    StandIn,
}

/// What the end of a process that stands for a container means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    /// What its wait status says: the container has ended so.
    Told,
    /// The container never ran, for this reason.
    NotStarted(String),
    /// It was ended for using too much.
    Limited(Box<Limitation>),
}

/// A container that is wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// As the core wants it; secrets among its variables have their values.
    pub(crate) launch: Launch,
    /// Its sandbox: an absolute path, there already, with fetched files and secrets in it.
    pub(crate) sandbox: PathBuf,
    /// Who owns the sandbox, if another than the daemon.
    pub(crate) owner: Option<Credentials>,
    /// What is done at the moment, for people.
    pub(crate) progress: Progress,
    pub(super) canceled: watch::Receiver<bool>,
}

impl Wanted {
    /// Names it towards clients.
    pub(crate) fn container(&self) -> ContainerId {
        self.launch.container_id
    }

    /// Names it towards the warden.
    pub(crate) fn launch_id(&self) -> LaunchId {
        self.launch.launch_id
    }

    /// Resolves when nobody wants it any more, and never otherwise.
    pub(crate) async fn canceled(&self) {
        let mut canceled = self.canceled.clone();
        if canceled.wait_for(|canceled| *canceled).await.is_err() {
            // The agent ends. What goes on now is swept at its next start.
            std::future::pending::<()>().await;
        }
    }

    /// Runs something long, and gives it up when the container is no longer wanted.
    pub(crate) async fn unless_canceled<T>(
        &self,
        work: impl Future<Output = Result<T, PrepareError>>,
    ) -> Result<T, PrepareError> {
        tokio::select! {
            done = work => done,
            () = self.canceled() => Err(PrepareError::Canceled),
        }
    }
}

/// What the warden is to run.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// The task's own program, among what was made for it.
    Container(Box<Furnished>),
    /// A process of the host in its place.
    #[allow(dead_code, reason = "what foreign runtimes answer with")]
    HostProcess(Box<HostProcess>),
}

/// What a container has that was made for it. The default changes nothing.
#[derive(Debug, Default)]
pub(crate) struct Furnished {
    /// Its root file system.
    pub(crate) root: RootSpec,
    /// Its network namespace.
    pub(crate) network: NamespaceSpec,
    /// Its host name, where the task names none.
    pub(crate) hostname: Option<String>,
    /// Variables below the task's own.
    pub(crate) environment: Vec<EnvironmentVariable>,
    /// Variables above the task's own.
    pub(crate) environment_over: Vec<EnvironmentVariable>,
    /// What to run in place of the task's command.
    pub(crate) command: Option<CommandSpec>,
    /// Where it starts; absolute in its root, or relative to the sandbox.
    pub(crate) working_directory: Option<PathBuf>,
    /// Who it runs as, in place of the task's user.
    pub(crate) user: Option<Credentials>,
    /// What is mounted before its own volumes.
    pub(crate) mounts: Vec<VolumeSpec>,
    /// What is mounted in place of volumes that the native runtime does not know, by their index.
    pub(crate) volumes: Vec<(usize, VolumeSpec)>,
    /// What the core and frameworks are told.
    pub(crate) facts: ContainerFacts,
}

/// A process of the host that runs a container elsewhere. It gets the sandbox's `stdout` and `stderr`, runs as the
/// daemon's user in the sandbox, and is signalled and killed as the task's program would be; how it ends is how the task
/// ended.
#[derive(Debug)]
pub(crate) struct HostProcess {
    /// An absolute path.
    pub(crate) program: PathBuf,
    /// All arguments, the program's own name first.
    pub(crate) arguments: Vec<String>,
    /// All of its environment.
    pub(crate) environment: Vec<EnvironmentVariable>,
    /// Whether what is mounted for it is its own affair.
    pub(crate) mounts: NamespaceSpec,
    /// Whether limits hold for this process, or the runtime sees to them itself.
    pub(crate) enforcer: Enforcer,
    /// What the core and frameworks are told.
    pub(crate) facts: ContainerFacts,
}

impl Prepared {
    /// Who holds the container to what it may use.
    pub(crate) fn enforcer(&self) -> Enforcer {
        match self {
            Self::Container(_) => Enforcer::Group,
            Self::HostProcess(process) => process.enforcer,
        }
    }

    /// What the core and frameworks are told.
    pub(crate) fn facts(&self) -> &ContainerFacts {
        match self {
            Self::Container(furnished) => &furnished.facts,
            Self::HostProcess(process) => &process.facts,
        }
    }
}
