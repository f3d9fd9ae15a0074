//! From a launch as the core wants it to a plan for the warden, and the sandbox that it starts in.

use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use mezz_agent_core::{Command, Launch, Survival};
use mezz_launch_plan::{
    CommandSpec, ContainerSpec, Credentials, HostFacts, KillMethod, LaunchId, LaunchPlan,
    PlanError, Privilege, SandboxContent,
};

use crate::accounts::Accounts;

/// Why a container cannot be started. The text becomes the task's message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("Failed to create the sandbox '{}': {source}", path.display())]
    Sandbox { path: PathBuf, source: io::Error },
    #[error("Failed to create the sandbox: '{}' leads out of the work directory", path.display())]
    Outside { path: PathBuf },
    #[error("Failed to launch container: {0}")]
    Plan(#[from] PlanError),
}

/// Makes sandboxes and plans.
#[derive(Debug)]
pub(crate) struct Launcher {
    host: HostFacts,
    accounts: Accounts,
    work_dir: PathBuf,
}

impl Launcher {
    pub(crate) fn new(host: HostFacts, work_dir: PathBuf) -> Self {
        Self {
            host,
            accounts: Accounts::default(),
            work_dir,
        }
    }

    /// The absolute path of a sandbox.
    pub(crate) fn sandbox(&self, relative: &str) -> PathBuf {
        self.work_dir.join(relative)
    }

    /// The sandbox is there afterwards; the plan starts the container in it.
    pub(crate) fn prepare(&mut self, launch: Launch) -> Result<LaunchPlan, LaunchError> {
        let sandbox = self.sandbox(&launch.sandbox);
        if !Path::new(&launch.sandbox)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
        {
            return Err(LaunchError::Outside { path: sandbox });
        }
        let user = launch.user.as_deref();
        if let Some(name) = user {
            self.learn(name);
        }
        if !launch.fetched {
            let owner = user
                .and_then(|name| self.host.users.get(name))
                .filter(|owner| self.gives_away(owner));
            make_sandbox(&sandbox, owner).map_err(|source| LaunchError::Sandbox {
                path: sandbox.clone(),
                source,
            })?;
        }
        let spec = spec(launch, sandbox);
        Ok(mezz_launch_plan::plan(&spec, &self.host)?)
    }

    /// Only root can, and root's own need no change.
    fn gives_away(&self, owner: &Credentials) -> bool {
        self.host.privilege == Privilege::Root && owner.uid != 0
    }

    /// How what an earlier warden left of a launch is found and ended.
    pub(crate) fn stray(&self, launch_id: LaunchId) -> Result<(KillMethod, CString), PlanError> {
        let kill = mezz_launch_plan::kill_method(launch_id, &self.host)?;
        Ok((kill, mezz_launch_plan::marker(&self.host.scope, launch_id)?))
    }

    fn learn(&mut self, name: &str) {
        if !self.host.users.contains_key(name)
            && let Some(found) = self.accounts.find(name)
        {
            self.host.users.insert(name.to_owned(), found.clone());
        }
    }
}

fn spec(launch: Launch, sandbox: PathBuf) -> ContainerSpec {
    let command = match launch.command {
        Command::Shell(text) => CommandSpec::Shell(text),
        Command::Argv { program, argv } => CommandSpec::Argv { program, argv },
    };
    let mut spec = ContainerSpec::new(LaunchId(launch.launch_id.0), command, sandbox);
    spec.environment = vec![launch.environment];
    spec.user = launch.user;
    spec.sandbox_content = if launch.fetched {
        SandboxContent::Fetched
    } else {
        SandboxContent::Fresh
    };
    spec.survival = match launch.survival {
        Survival::Keep => mezz_launch_plan::Survival::Keep,
        Survival::EndWithAgent => mezz_launch_plan::Survival::EndWithConnection,
    };
    spec
}

/// Makes a sandbox and gives it to its owner, if another than the daemon; an existing one is taken as it is.
pub(crate) fn make_sandbox(path: &Path, owner: Option<&Credentials>) -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().mode(0o755).recursive(true).create(path)?;
        }
        Err(error)
            if error.kind() == io::ErrorKind::AlreadyExists
                && fs::symlink_metadata(path)?.is_dir() => {}
        Err(error) => return Err(error),
    }
    match owner {
        Some(owner) => std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid)),
        None => Ok(()),
    }
}
