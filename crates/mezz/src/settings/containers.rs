//! Flags of the agent that are about what every container has, and may have.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mezz_agent::{
    Capability, CapabilitySet, DockerOptions, ImageOptions, Isolator, NetworkOptions, Unshared,
};
use serde::Deserialize;

use super::{meaning, path};
use crate::flags::{FlagError, Flags};

/// What every container has, and may have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ContainerSettings {
    pub(crate) isolation: Vec<Isolator>,
    pub(crate) effective_capabilities: Option<CapabilitySet>,
    pub(crate) bounding_capabilities: Option<CapabilitySet>,
    pub(crate) shared_memory_bytes: Option<u64>,
    pub(crate) unshared: Vec<Unshared>,
    pub(crate) seccomp_config_dir: Option<PathBuf>,
    pub(crate) seccomp_profile_name: Option<String>,
    pub(crate) oci_runtimes: BTreeMap<String, PathBuf>,
    pub(crate) docker: Option<DockerOptions>,
    pub(crate) images: Option<ImageOptions>,
    pub(crate) networks: Option<NetworkOptions>,
}

impl ContainerSettings {
    pub(super) fn from_flags(flags: &Flags) -> Result<Self, FlagError> {
        let isolation = Isolator::parse_list(flags.text("isolation").unwrap_or_default())
            .map_err(|error| meaning("isolation", error.to_string()))?;
        let effective = capabilities(flags, "effective_capabilities", "effective-capabilities")?;
        let bounding = capabilities(flags, "bounding_capabilities", "bounding-capabilities")?;
        if let (Some(effective), Some(bounding)) = (effective, bounding)
            && !effective.without(bounding).is_empty()
        {
            let missing = effective.without(bounding);
            return Err(meaning(
                "effective-capabilities",
                format!("{missing} are not among the bounding capabilities"),
            ));
        }
        let forbidden = [
            ("disallow_sharing_agent_pid_namespace", Unshared::ProcessIds),
            ("disallow_sharing_agent_ipc_namespace", Unshared::Ipc),
        ];
        Ok(Self {
            isolation,
            effective_capabilities: effective,
            bounding_capabilities: bounding,
            shared_memory_bytes: flags.bytes("default_container_shm_size"),
            unshared: forbidden
                .into_iter()
                .filter(|(flag, _)| flags.switch(flag))
                .map(|(_, what)| what)
                .collect(),
            seccomp_config_dir: path(flags, "seccomp_config_dir"),
            seccomp_profile_name: flags.text("seccomp_profile_name").map(str::to_owned),
            oci_runtimes: mezz_agent::parse_oci_runtimes(
                flags.text("oci_runtimes").unwrap_or_default(),
            )
            .map_err(|error| meaning("oci-runtimes", error.to_string()))?,
            docker: super::docker::docker(flags)?,
            images: super::images::images(flags)?,
            networks: super::images::networks(flags)?,
        })
    }
}

/// `CapabilityInfo` as Mesos has it on command lines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CapabilityJson {
    #[serde(default)]
    capabilities: Vec<String>,
}

/// JSON as for Mesos, or names separated by commas.
fn capabilities(
    flags: &Flags,
    name: &str,
    flag: &'static str,
) -> Result<Option<CapabilitySet>, FlagError> {
    let Some(text) = flags.text(name) else {
        return Ok(None);
    };
    let names = if text.trim_start().starts_with('{') {
        let json: CapabilityJson = serde_json::from_str(text).map_err(|error| {
            meaning(
                flag,
                format!("not of the form {{\"capabilities\": [NAME, …]}}: {error}"),
            )
        })?;
        json.capabilities
    } else {
        text.split(',').map(|name| name.trim().to_owned()).collect()
    };
    let one = |name: &String| {
        Capability::from_name(name)
            .ok_or_else(|| meaning(flag, format!("there is no capability '{name}'")))
    };
    let known = names.iter().filter(|name| !name.is_empty()).map(one);
    known.collect::<Result<_, _>>().map(Some)
}
