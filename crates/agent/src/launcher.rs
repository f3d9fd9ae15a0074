//! From a launch as the core wants it to a plan for the warden, and the sandbox that it starts in.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use mezz_agent_core::{Command, Launch, Role, Surroundings, Survival};
use mezz_launch_plan::{
    CommandSpec, ContainerSpec, Credentials, HostFacts, InputSpec, KillMethod, LaunchId,
    LaunchPlan, NamespaceSpec, OutputSpec, Place, PlanError, Privilege, SandboxContent, StdioSpec,
    TerminalSize, VolumeSpec,
};
use mezz_proto::v1::TtyInfo;
use rustix::fs::{Mode, OFlags, mkdirat};
use rustix::io::Errno;

use crate::accounts::Accounts;
use crate::containers::{self, ContainerError, ContainerSettings};
use crate::isolators::LimitError;
use crate::local_disk::{self, LocalDisk};
use crate::log_rotation::LogRuleError;
use crate::materials::MaterialError;
use crate::nesting::nest;
use crate::preparing::{Furnished, HostProcess, Prepared};
use crate::sandbox_folders;

/// Why a container cannot be started. The text becomes the task's message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("Failed to create the sandbox '{}': {source}", path.display())]
    Sandbox { path: PathBuf, source: io::Error },
    #[error("Failed to create the sandbox: '{}' leads out of the work directory", path.display())]
    Outside { path: PathBuf },
    #[error("{0}")]
    Plan(#[from] PlanError),
    #[error("{0}")]
    Container(#[from] ContainerError),
    #[error("{0}")]
    Logs(#[from] LogRuleError),
    #[error("{0}")]
    Limits(#[from] LimitError),
    #[error("{0}")]
    Materials(#[from] MaterialError),
}

/// Makes sandboxes and plans.
#[derive(Debug)]
pub(crate) struct Launcher {
    host: HostFacts,
    accounts: Accounts,
    work_dir: PathBuf,
    local_disk: LocalDisk,
    containers: ContainerSettings,
    /// The folder that the last sandbox was made in, open: the next one is mostly made there too.
    parent: Option<(PathBuf, OwnedFd)>,
}

impl Launcher {
    pub(crate) fn new(host: HostFacts, work_dir: PathBuf, containers: ContainerSettings) -> Self {
        let host = HostFacts {
            sandboxes: local_disk::directory(&work_dir),
            ..host
        };
        Self {
            host,
            accounts: Accounts::default(),
            work_dir,
            local_disk: LocalDisk::default(),
            containers,
            parent: None,
        }
    }

    /// The absolute path of a sandbox.
    pub(crate) fn sandbox(&self, relative: &str) -> PathBuf {
        self.work_dir.join(relative)
    }

    /// Makes a sandbox in which nothing is started.
    pub(crate) fn make_shared(&mut self, relative: &str, user: Option<&str>) -> io::Result<()> {
        if let Some(name) = user {
            self.learn(name);
        }
        make_sandbox(&self.work_dir, relative, self.owner(user))
    }

    /// The sandbox is there afterwards; the plan starts the container in it.
    pub(crate) fn prepare(&mut self, launch: Launch) -> Result<LaunchPlan, LaunchError> {
        let place = self.make(&launch)?;
        let sandbox = self.sandbox(&launch.sandbox);
        let parent = self.parent(&launch);
        let mut spec = spec(launch, sandbox, parent.as_deref(), &self.containers, &[])?;
        spec.program_place = place;
        Ok(mezz_launch_plan::plan(&spec, &self.host)?)
    }

    /// The plan of a launch that was prepared, in its sandbox, which is there.
    pub(crate) fn plan(
        &self,
        launch: Launch,
        prepared: Prepared,
    ) -> Result<LaunchPlan, LaunchError> {
        let sandbox = self.sandbox(&launch.sandbox);
        let spec = match prepared {
            Prepared::Container(furnished) => {
                let within = launch.surroundings.within;
                let parent = self.parent(&launch);
                let parent = parent.as_deref();
                let settings = &self.containers;
                let mut spec = self::furnished(launch, sandbox, parent, settings, *furnished)?;
                if let Some(within) = within {
                    containers::join_all(&mut spec, LaunchId(within.0));
                }
                spec
            }
            Prepared::HostProcess(process) => host_process(&launch, sandbox, *process),
        };
        Ok(mezz_launch_plan::plan(&spec, &self.host)?)
    }

    /// The sandbox of the pod that a launch is part of.
    fn parent(&self, launch: &Launch) -> Option<PathBuf> {
        let relative = launch.surroundings.parent_sandbox.as_deref();
        relative.map(|relative| self.sandbox(relative))
    }

    /// The sandbox is there afterwards; says where the program lies.
    pub(crate) fn make(&mut self, launch: &Launch) -> Result<Place, LaunchError> {
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
        let owner = user
            .and_then(|name| self.host.users.get(name))
            .filter(|owner| self.gives_away(owner));
        let place = match &launch.command {
            // Looked at only where it matters: for a program named by a path that runs as our own user.
            Command::Argv { program, .. }
                if program.starts_with('/') && !launch.fetched && owner.is_none() =>
            {
                self.local_disk.program(Path::new(program))
            }
            _ => Place::Unknown,
        };
        if launch.surroundings.nesting.is_some() {
            if !launch.fetched {
                make_sandbox(&self.work_dir, &launch.sandbox, owner).map_err(|source| {
                    LaunchError::Sandbox {
                        path: sandbox.clone(),
                        source,
                    }
                })?;
            }
        } else if !launch.fetched
            && (owner.is_some() || make_quickly(&mut self.parent, &sandbox) == Made::NotYet)
        {
            make_sandbox(&self.work_dir, &launch.sandbox, owner).map_err(|source| {
                LaunchError::Sandbox {
                    path: sandbox.clone(),
                    source,
                }
            })?;
        }
        Ok(place)
    }

    /// The file that the output of a container goes to which does not write it itself.
    pub(crate) fn output_file(
        &self,
        sandbox: &Path,
        owner: Option<&Credentials>,
    ) -> io::Result<fs::File> {
        let relative = sandbox.strip_prefix(&self.work_dir);
        let relative = relative.ok().and_then(Path::to_str);
        let relative = relative.ok_or(io::ErrorKind::InvalidFilename)?;
        sandbox_folders::append(&self.work_dir, relative, "stdout", owner)
    }

    /// Who shall own what a launch finds in its sandbox, if another than the daemon; known once it was prepared.
    pub(crate) fn owner(&self, user: Option<&str>) -> Option<&Credentials> {
        let owner = self.host.users.get(user?)?;
        self.gives_away(owner).then_some(owner)
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

fn spec(
    launch: Launch,
    sandbox: PathBuf,
    parent: Option<&Path>,
    containers: &ContainerSettings,
    volumes: &[(usize, VolumeSpec)],
) -> Result<ContainerSpec, ContainerError> {
    let command = match launch.command {
        Command::Shell(text) => CommandSpec::Shell(text),
        Command::Argv { program, argv } => CommandSpec::Argv { program, argv },
    };
    let mut spec = ContainerSpec::new(LaunchId(launch.launch_id.0), command, sandbox);
    spec.environment = vec![launch.environment];
    spec.user = launch.user;
    streams(&mut spec, launch.role, &launch.surroundings);
    spec.sandbox_content = if launch.fetched {
        SandboxContent::Fetched
    } else {
        SandboxContent::Fresh
    };
    spec.survival = survival(launch.survival);
    let Surroundings {
        container,
        within,
        nesting,
        ..
    } = &launch.surroundings;
    let container = container.as_deref();
    if let Some(nesting) = nesting {
        nest(&mut spec, container, nesting, (containers, volumes))?;
        return Ok(spec);
    }
    containers::apply((container, parent), containers, volumes, &mut spec)?;
    if let Some(within) = within {
        containers::join(&mut spec, LaunchId(within.0));
    }
    Ok(spec)
}

/// Where input comes from and output goes.
fn streams(spec: &mut ContainerSpec, role: Role, surroundings: &Surroundings) {
    let container = surroundings.container.as_ref();
    let tty = container.and_then(|container| container.tty_info.as_ref());
    let terminal = tty.map(terminal_size);
    match role {
        Role::Main => spec.terminal = terminal,
        Role::Probe => spec.stdio.stdout = OutputSpec::SandboxFile("stderr".to_owned()),
        Role::Session if terminal.is_some() => spec.terminal = terminal,
        Role::Session => {
            spec.stdio = StdioSpec {
                stdin: InputSpec::Pipe,
                stdout: OutputSpec::Pipe,
                stderr: OutputSpec::Pipe,
            };
        }
    }
}

/// What is not said is what most terminals have.
fn terminal_size(tty: &TtyInfo) -> TerminalSize {
    let number = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
    match &tty.window_size {
        Some(size) => TerminalSize {
            rows: number(size.rows),
            columns: number(size.columns),
        },
        None => TerminalSize {
            rows: 24,
            columns: 80,
        },
    }
}

fn survival(survival: Survival) -> mezz_launch_plan::Survival {
    match survival {
        Survival::Keep => mezz_launch_plan::Survival::Keep,
        Survival::EndWithAgent => mezz_launch_plan::Survival::EndWithConnection,
    }
}

/// A container among what was made for it.
pub(crate) fn furnished(
    launch: Launch,
    sandbox: PathBuf,
    parent: Option<&Path>,
    containers: &ContainerSettings,
    mut furnished: Furnished,
) -> Result<ContainerSpec, ContainerError> {
    let volumes = std::mem::take(&mut furnished.volumes);
    let mut spec = spec(launch, sandbox, parent, containers, &volumes)?;
    furnish(&mut spec, furnished);
    Ok(spec)
}

/// Puts what was made for a container into its spec.
fn furnish(spec: &mut ContainerSpec, furnished: Furnished) {
    let isolation = &mut spec.isolation;
    isolation.root = furnished.root;
    if furnished.network != NamespaceSpec::Host {
        isolation.network = furnished.network;
    }
    if isolation.hostname.is_none() {
        isolation.hostname = furnished.hostname;
    }
    isolation.volumes.splice(0..0, furnished.mounts);
    spec.environment.insert(0, furnished.environment);
    spec.environment.push(furnished.environment_over);
    if let Some(command) = furnished.command {
        spec.command = command;
    }
    if furnished.working_directory.is_some() {
        spec.working_directory = furnished.working_directory;
    }
    spec.credentials = furnished.user;
}

/// A process of the host in the place of the task's own program.
fn host_process(launch: &Launch, sandbox: PathBuf, process: HostProcess) -> ContainerSpec {
    let command = CommandSpec::Argv {
        program: process.program.display().to_string(),
        argv: process.arguments,
    };
    let mut spec = ContainerSpec::new(LaunchId(launch.launch_id.0), command, sandbox);
    spec.environment = vec![process.environment];
    streams(&mut spec, launch.role, &launch.surroundings);
    spec.sandbox_content = SandboxContent::Fetched;
    spec.survival = survival(launch.survival);
    spec.isolation.mount = process.mounts;
    spec
}

/// Whether a quick way led to the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Done,
    NotYet,
}

/// One system call where the folder above is at hand. Whatever is unusual is left to [`make_sandbox`].
fn make_quickly(kept: &mut Option<(PathBuf, OwnedFd)>, path: &Path) -> Made {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Made::NotYet;
    };
    if kept.as_ref().is_none_or(|(known, _)| known != parent) {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        *kept = rustix::fs::open(parent, flags, Mode::empty())
            .ok()
            .map(|folder| (parent.to_owned(), folder));
    }
    let Some((_, folder)) = kept else {
        return Made::NotYet;
    };
    match mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) => Made::Done,
        Err(errno) => {
            // The folder may have been collected since, and another made in its place.
            if errno == Errno::NOENT {
                *kept = None;
            }
            Made::NotYet
        }
    }
}

/// Makes a sandbox and gives it to its owner, if another than the daemon; an existing one is taken as it is.
///
/// The collector may take the empty folder above away again between two steps.
pub(crate) fn make_sandbox(
    work_dir: &Path,
    relative: &str,
    owner: Option<&Credentials>,
) -> io::Result<()> {
    const ATTEMPTS: u32 = 5;
    let make = || sandbox_folders::make(work_dir, relative, owner);
    for _ in 1..ATTEMPTS {
        match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            made => return made,
        }
    }
    make()
}
