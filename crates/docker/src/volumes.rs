//! Volumes of a `DOCKER` container.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use mezz_proto::v1::container_info::DockerInfo;
use mezz_proto::v1::volume::source::{DockerVolume, Type, sandbox_path};
use mezz_proto::v1::{ContainerInfo, Volume, mount_propagation, volume};

use crate::create::{DriverConfig, HostConfig, Mount, MountType, VolumeOptions};
use crate::request::RequestError;

/// Adds the volumes that the task asks for.
pub(crate) fn add(
    container: &ContainerInfo,
    docker: &DockerInfo,
    mapped: &str,
    sandbox: &Path,
    host: &mut HostConfig,
) -> Result<(), RequestError> {
    let place = Place { mapped, sandbox };
    let by_driver = docker
        .volume_driver
        .as_ref()
        .filter(|name| !name.is_empty());
    for (index, volume) in container.volumes.iter().enumerate() {
        let target = place.target(&volume.container_path);
        let keep = if by_driver.is_some() {
            Names::AreVolumes
        } else {
            Names::ArePaths
        };
        if let Some(path) = &volume.host_path {
            let source = place.source(path, volume, keep)?;
            host.binds
                .push(bind(index, &source, &target, mode(volume))?);
            continue;
        }
        match source(index, volume)? {
            Kind::HostPath { path, shared } => {
                let source = place.source(path, volume, Names::ArePaths)?;
                let options = format!("{}{shared}", mode(volume));
                host.binds.push(bind(index, &source, &target, &options)?);
            }
            Kind::Driver(named) => host.mounts.push(mount(named, by_driver, target, volume)),
        }
    }
    if let Some(driver) = by_driver {
        host.volume_driver.clone_from(driver);
    }
    Ok(())
}

/// What a relative path of the host is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// A path in the sandbox.
    ArePaths,
    /// A volume of the driver.
    AreVolumes,
}

enum Kind<'a> {
    HostPath { path: &'a str, shared: &'static str },
    Driver(&'a DockerVolume),
}

fn source(index: usize, volume: &Volume) -> Result<Kind<'_>, RequestError> {
    let refused = |source_type| Err(RequestError::VolumeSource { index, source_type });
    if volume.image.is_some() {
        return refused("image");
    }
    let source = volume.source.as_ref().ok_or(RequestError::NoVolumeSource)?;
    let missing = || RequestError::NoVolumeSource;
    Ok(match source.r#type() {
        Type::HostPath => {
            let host = source.host_path.as_ref().ok_or_else(missing)?;
            let mode = host.mount_propagation.map(|propagation| propagation.mode());
            let shared = match mode {
                Some(mount_propagation::Mode::Bidirectional) => ",rshared",
                Some(mount_propagation::Mode::HostToContainer) => ",rslave",
                _ => "",
            };
            let path = &host.path;
            Kind::HostPath { path, shared }
        }
        Type::SandboxPath => {
            let sandbox = source.sandbox_path.as_ref().ok_or_else(missing)?;
            if sandbox.r#type() == sandbox_path::Type::Parent {
                return refused("source.sandbox_path.type PARENT");
            }
            let (path, shared) = (&sandbox.path, "");
            if !is_beneath(path) {
                let path = path.clone();
                return Err(RequestError::OutsideSandbox { index, path });
            }
            Kind::HostPath { path, shared }
        }
        Type::DockerVolume => Kind::Driver(source.docker_volume.as_ref().ok_or_else(missing)?),
        Type::Secret => return refused("source.secret"),
        Type::CsiVolume => return refused("source.csi_volume"),
        Type::Unknown => return refused("source.type"),
    })
}

fn is_beneath(path: &str) -> bool {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    Path::new(path).components().all(plain)
}

struct Place<'a> {
    mapped: &'a str,
    sandbox: &'a Path,
}

impl Place<'_> {
    /// A relative path is beneath the sandbox, as the container sees it.
    fn target(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{}/{path}", self.mapped)
        }
    }

    fn source(&self, path: &str, volume: &Volume, names: Names) -> Result<String, RequestError> {
        if path.starts_with('/') {
            return Ok(path.to_owned());
        }
        if !volume.container_path.starts_with('/') {
            return Err(RequestError::BothRelative {
                host: path.to_owned(),
                container: volume.container_path.clone(),
            });
        }
        Ok(match names {
            Names::AreVolumes => path.to_owned(),
            Names::ArePaths => self.sandbox.join(path).display().to_string(),
        })
    }
}

fn mode(volume: &Volume) -> &'static str {
    match volume.mode() {
        volume::Mode::Rw => "rw",
        volume::Mode::Ro => "ro",
    }
}

fn bind(index: usize, source: &str, target: &str, options: &str) -> Result<String, RequestError> {
    for path in [source, target] {
        if path.contains(':') {
            let path = path.to_owned();
            return Err(RequestError::Colon { index, path });
        }
    }
    Ok(format!("{source}:{target}:{options}"))
}

fn mount(named: &DockerVolume, default: Option<&String>, target: String, volume: &Volume) -> Mount {
    let options = named.driver_options.iter().flat_map(|all| &all.parameter);
    let options: BTreeMap<String, String> = options
        .map(|option| (option.key.clone(), option.value.clone()))
        .collect();
    let driver = named.driver.as_ref().or(default).cloned();
    let config = DriverConfig {
        name: driver.unwrap_or_default(),
        options,
    };
    Mount {
        r#type: MountType::Volume,
        source: named.name.clone(),
        target,
        read_only: volume.mode() == volume::Mode::Ro,
        volume_options: (config != DriverConfig::default()).then_some(VolumeOptions {
            driver_config: config,
        }),
    }
}
