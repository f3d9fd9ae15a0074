//! What of a container is refused before it goes to an agent: what is contradictory, and what is not built.
//!
//! Must never let pass in silence what no agent does.

use mezz_proto::v1::volume::source::{self, Type};
use mezz_proto::v1::{self, ContainerInfo, LinuxInfo, Volume};

/// What a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Above {
    /// Nothing: it has no parent to share with.
    Nothing,
    /// A pod.
    Pod,
}

/// What of a container cannot be had, if anything.
pub(super) fn container(
    container: Option<&ContainerInfo>,
    field: &str,
    above: Above,
) -> Result<(), String> {
    let Some(container) = container else {
        return Ok(());
    };
    let missing = |what: &str| {
        Err(format!(
            "'{field}.{what}' is not built yet in this version of Mezzanine"
        ))
    };
    for volume in &container.volumes {
        self::volume(volume).map_err(|error| format!("Invalid volume: {error}"))?;
    }
    if container.r#type() == v1::container_info::Type::Docker {
        // What the Engine cannot do is for the agent to say, which knows it.
        return docker(container);
    }
    for (index, volume) in container.volumes.iter().enumerate() {
        if let Some(part) = not_built_in_volume(volume, above) {
            return missing(&format!("volumes[{index}].{part}"));
        }
    }
    container.linux_info.as_ref().map_or(Ok(()), linux)
}

fn docker(container: &ContainerInfo) -> Result<(), String> {
    let Some(docker) = &container.docker else {
        return Err("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo".to_owned());
    };
    let mut parameters = docker.parameters.iter();
    if parameters.any(|parameter| parameter.key == "name") {
        return Err("Parameter in DockerInfo must not be 'name'".to_owned());
    }
    Ok(())
}

fn linux(info: &LinuxInfo) -> Result<(), String> {
    if info.capability_info.is_some() && info.effective_capabilities.is_some() {
        return Err(
            "Only one of 'capability_info' or 'effective_capabilities' is allowed".to_owned(),
        );
    }
    Ok(())
}

/// What no volume can be.
fn volume(volume: &Volume) -> Result<(), String> {
    let given = [
        volume.host_path.is_some(),
        volume.image.is_some(),
        volume.source.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        return Err("Only one of them should be set: 'host_path', 'image' and 'source'".to_owned());
    }
    let Some(source) = &volume.source else {
        return Ok(());
    };
    let (name, kind, set) = match source.r#type() {
        Type::Unknown => return Err("'source.type' is unknown".to_owned()),
        Type::DockerVolume => (
            "docker_volume",
            "DOCKER_VOLUME",
            source.docker_volume.is_some(),
        ),
        Type::HostPath => ("host_path", "HOST_PATH", source.host_path.is_some()),
        Type::SandboxPath => (
            "sandbox_path",
            "SANDBOX_PATH",
            source.sandbox_path.is_some(),
        ),
        Type::Secret => ("secret", "SECRET", source.secret.is_some()),
        Type::CsiVolume => ("csi_volume", "CSI", source.csi_volume.is_some()),
    };
    if set {
        Ok(())
    } else {
        Err(format!("'source.{name}' is not set for {kind} volume"))
    }
}

fn not_built_in_volume(volume: &Volume, above: Above) -> Option<&'static str> {
    let source = volume.source.as_ref()?;
    let of_parent =
        |path: &source::SandboxPath| path.r#type() == source::sandbox_path::Type::Parent;
    match source.r#type() {
        Type::DockerVolume => Some("source.docker_volume"),
        Type::CsiVolume => Some("source.csi_volume"),
        Type::SandboxPath
            if above == Above::Nothing && source.sandbox_path.as_ref().is_some_and(of_parent) =>
        {
            Some("source.sandbox_path.type PARENT")
        }
        Type::SandboxPath | Type::HostPath | Type::Secret | Type::Unknown => None,
    }
}
