//! The runtime `vm`: tasks whose program is a kernel, in a virtual machine.
//!
//! Owns a folder for each machine with what its monitor reads. Files of the task are found beneath its sandbox, whatever
//! links lie there. It must never let a guest have more than its task.

mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use mezz_agent_core::{ContainerFacts, ContainerId, Surroundings};
use mezz_launch_plan::NamespaceSpec;
use mezz_vm::{Acceleration, Monitor, Places, StandIn};

use crate::isolators::Enforcer;
use crate::preparing::{
    Failure, HostProcess, Later, PrepareError, Prepared, Runtime, Signaled, Wanted,
};
use crate::runtime_verb::VERB;

/// Its name, as tasks ask for it and as the hidden verb has it.
const NAME: &str = "vm";
/// What the stand-in of a machine is told.
const SPEC: &str = "stand-in.json";

/// What virtual machines are made of on this host.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) monitors: BTreeMap<Monitor, PathBuf>,
    pub(crate) acceleration: Acceleration,
    /// The address whose ports lead into machines.
    pub(crate) address: IpAddr,
    /// Where their folders are.
    pub(crate) folder: PathBuf,
    /// What serves the hidden verb.
    pub(crate) program: PathBuf,
}

/// Why a task cannot be a virtual machine.
#[derive(Debug, thiserror::Error)]
enum VmError {
    #[error(
        "command.shell is true, but a virtual machine has no shell: give the kernel's file in command.value and its \
         command line in command.arguments"
    )]
    Shell,
    #[error("{field} '{path}' is no regular file within the sandbox: {source}")]
    File {
        field: &'static str,
        path: String,
        source: io::Error,
    },
    #[error("{field} is not for virtual machines; leave it out")]
    NotForMachines { field: &'static str },
    #[error(
        "the monitor {monitor} is not on this agent; it is looked for in /usr/local/bin and /usr/bin at its start"
    )]
    NoMonitor { monitor: &'static str },
    #[error("container.network_infos: port {number} is no port")]
    Port { number: u32 },
    #[error("container.network_infos: '{protocol}' is neither tcp nor udp")]
    Protocol { protocol: String },
    #[error(
        "a virtual machine can have {most} ports at most, and this task has more; map those that it needs"
    )]
    Ports { most: usize },
    #[error(transparent)]
    Label(#[from] mezz_vm::LabelError),
    #[error(transparent)]
    Guest(#[from] mezz_vm::GuestError),
    #[error("the folder of the machine cannot be made: {0}")]
    Folder(io::Error),
    #[error("commands cannot be run inside of a virtual machine; use checks by HTTP or TCP")]
    Within,
}

/// Runs virtual machines.
#[derive(Debug)]
pub(crate) struct VmRuntime {
    settings: Settings,
}

impl VmRuntime {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn place(&self, container: ContainerId) -> PathBuf {
        self.settings.folder.join(container.to_string())
    }

    fn make(&self, wanted: &Wanted) -> Result<Prepared, VmError> {
        let guest = wishes::guest(wanted, &self.settings)?;
        let monitor = guest.monitor;
        let program = self.settings.monitors.get(&monitor);
        let program = program.ok_or(VmError::NoMonitor {
            monitor: monitor.name(),
        })?;
        let folder = self.place(wanted.container());
        let places = Places { folder: &folder };
        let invocation = mezz_vm::invocation(&guest, program, places)?;
        make_folder(&folder).map_err(VmError::Folder)?;
        for file in &invocation.files {
            std::fs::write(folder.join(file.name), &file.text).map_err(VmError::Folder)?;
        }
        let stand_in = StandIn {
            program: invocation.program,
            arguments: invocation.arguments,
            control: invocation.control,
        };
        let spec = folder.join(SPEC);
        let text = serde_json::to_vec(&stand_in).expect("texts and numbers");
        std::fs::write(&spec, text).map_err(VmError::Folder)?;
        let words = ["mezz", VERB, NAME, "--spec"].map(str::to_owned);
        let mut arguments = words.to_vec();
        arguments.push(spec.display().to_string());
        Ok(Prepared::HostProcess(Box::new(HostProcess {
            program: self.settings.program.clone(),
            arguments,
            environment: Vec::new(),
            enforcer: Enforcer::Group,
            mounts: NamespaceSpec::Host,
            facts: ContainerFacts::default(),
        })))
    }

    fn remove(&self, container: ContainerId) -> io::Result<()> {
        gone(std::fs::remove_dir_all(self.place(container)))
    }

    fn sweep_folders(&self, living: &BTreeSet<ContainerId>) -> io::Result<()> {
        let names: BTreeSet<String> = living.iter().map(ToString::to_string).collect();
        let entries = match std::fs::read_dir(&self.settings.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if !names.contains(&*entry.file_name().to_string_lossy()) {
                gone(std::fs::remove_dir_all(entry.path()))?;
            }
        }
        Ok(())
    }
}

/// Secrets may be among a guest's variables: the folder is nobody else's.
fn make_folder(path: &Path) -> io::Result<()> {
    gone(std::fs::remove_dir_all(path))?;
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

impl Runtime for VmRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn takes(&self, surroundings: &Surroundings) -> bool {
        surroundings.runtime.as_deref() == Some(NAME)
    }

    /// The monitor would take it for its own end.
    fn signaled(&self) -> Signaled {
        Signaled::StandIn
    }

    fn prepare(&self, wanted: Arc<Wanted>) -> Later<'_, Result<Prepared, PrepareError>> {
        Box::pin(async move {
            wanted.progress.tell("making the virtual machine");
            // A few small files.
            self.make(&wanted).map_err(PrepareError::of)
        })
    }

    fn prepare_within(
        &self,
        _wanted: Arc<Wanted>,
        _container: ContainerId,
    ) -> Later<'_, Result<Prepared, PrepareError>> {
        Box::pin(async { Err(PrepareError::of(VmError::Within)) })
    }

    fn clean_up(&self, container: ContainerId) -> Later<'_, Result<(), Failure>> {
        Box::pin(async move { Ok(self.remove(container)?) })
    }

    fn sweep(&self, living: Arc<BTreeSet<ContainerId>>) -> Later<'_, Result<(), Failure>> {
        Box::pin(async move { Ok(self.sweep_folders(&living)?) })
    }
}

/// Serves the hidden verb; the arguments are those after it. None if it is not ours.
pub(crate) fn run_verb(arguments: &[OsString]) -> Option<ExitCode> {
    match arguments {
        [what, flag, file] if what == NAME && flag == "--spec" => {
            Some(mezz_vm::stand_in(Path::new(file)))
        }
        _ => None,
    }
}
