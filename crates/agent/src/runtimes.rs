//! Which runtimes an agent has, in the order in which they are asked.

use std::path::PathBuf;
use std::sync::Arc;

use mezz_docker::HostRules;

use crate::docker::{self, DockerOptions, DockerRuntime};
use crate::host;
use crate::native::Native;
use crate::options::AgentOptions;
use crate::preparing::Runtime;
use crate::start::{Parts, StartError};
use crate::vm::{self, VmRuntime};
use crate::work_dir::WorkDir;

/// Blocking: those are asked that others run. The native one takes what the others leave.
pub(crate) fn open(
    options: &AgentOptions,
    work_dir: &WorkDir,
    parts: &Parts,
    native: Arc<Native>,
) -> Result<Vec<Arc<dyn Runtime>>, StartError> {
    let mut runtimes: Vec<Arc<dyn Runtime>> = Vec::new();
    if let Some(docker) = &options.docker {
        let settings = docker_settings(docker, work_dir)?;
        let opened = parts.runtime.block_on(DockerRuntime::open(settings));
        runtimes.push(Arc::new(opened.map_err(StartError::Docker)?));
    }
    runtimes.push(Arc::new(VmRuntime::new(vm_settings(options, work_dir))));
    runtimes.push(native);
    Ok(runtimes)
}

/// How the Docker Engine is used.
fn docker_settings(
    options: &DockerOptions,
    work_dir: &WorkDir,
) -> Result<docker::Settings, StartError> {
    let config = options.config.as_deref().map(docker::config);
    Ok(docker::Settings {
        socket: options.socket.clone(),
        config: config
            .transpose()
            .map_err(StartError::DockerConfig)?
            .map(Arc::new),
        remove_delay: options.remove_delay,
        kill_orphans: options.kill_orphans,
        rules: HostRules {
            quotas: options.quotas,
            memory_bytes: host::memory_bytes(),
        },
        scope: work_dir.scope().to_owned(),
        folder: work_dir.path().join("docker"),
        program: own_program(),
    })
}

/// What virtual machines are made of on this host.
fn vm_settings(options: &AgentOptions, work_dir: &WorkDir) -> vm::Settings {
    vm::Settings {
        monitors: mezz_vm::Monitor::ALL
            .into_iter()
            .filter_map(|monitor| Some((monitor, mezz_vm::host::find(monitor)?)))
            .collect(),
        acceleration: mezz_vm::host::acceleration(),
        address: options.ip,
        folder: work_dir.path().join("vm"),
        program: own_program(),
    }
}

/// What runs now, also when it was replaced on disk meanwhile.
fn own_program() -> PathBuf {
    let same = PathBuf::from("/proc/self/exe");
    std::env::current_exe()
        .ok()
        .filter(|program| program.exists())
        .unwrap_or(same)
}
