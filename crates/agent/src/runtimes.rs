//! Which runtimes an agent has, in the order in which they are asked.

use std::sync::Arc;

use crate::docker::DockerRuntime;
use crate::options::AgentOptions;
use crate::preparing::Runtime;
use crate::settings;
use crate::start::{Parts, StartError};
use crate::work_dir::WorkDir;

/// Whatever runs containers beside the warden itself.
pub(crate) fn open(
    options: &AgentOptions,
    work_dir: &WorkDir,
    parts: &Parts,
) -> Result<Vec<Arc<dyn Runtime>>, StartError> {
    let mut runtimes = parts.runtimes.clone();
    if let Some(docker) = &options.docker {
        let settings = settings::docker_settings(docker, work_dir)?;
        let opened = parts.runtime.block_on(DockerRuntime::open(settings));
        runtimes.push(Arc::new(opened.map_err(StartError::Docker)?));
    }
    Ok(runtimes)
}
