//! Which runtimes an agent has, in the order in which they are asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mezz_docker::HostRules;

use crate::docker::{self, DockerOptions, DockerRuntime};
use crate::host;
use crate::native::Native;
use crate::oci::OciRuntime;
use crate::options::AgentOptions;
use crate::preparing::Runtime;
use crate::settings;
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
    for (name, program) in &options.oci_runtimes {
        let runtime = oci_runtime(name, program, options, work_dir, &native);
        runtimes.push(Arc::new(runtime));
    }
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

/// A runtime of the Open Container Initiative, with folders of this agent's own.
fn oci_runtime(
    name: &str,
    program: &Path,
    options: &AgentOptions,
    work_dir: &WorkDir,
    native: &Arc<Native>,
) -> OciRuntime {
    let folder = work_dir.path().join("oci").join(name);
    OciRuntime {
        // There are as many as the operator has named, for as long as the program runs.
        name: Box::leak(name.to_owned().into_boxed_str()),
        runtime: mezz_oci::Runtime {
            program: program.to_owned(),
            state: folder.join("state"),
        },
        folder: folder.join("bundles"),
        scope: work_dir.scope().to_owned(),
        host: mezz_warden::host::facts(work_dir.scope()),
        containers: settings::container_settings(options),
        native: Arc::clone(native),
        program: own_program(),
    }
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
