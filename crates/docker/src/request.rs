//! From what Mesos says of a `DOCKER` container to the Engine's words.
//!
//! Pure: facts of the host are inputs. The rules and the texts of refusals are Mesos's where it has any.

use std::collections::BTreeMap;
use std::path::Path;

use mezz_proto::v1::container_info::DockerInfo;
use mezz_proto::v1::r_limit_info::r_limit::Type as LimitType;
use mezz_proto::v1::{ContainerInfo, RLimitInfo};

use crate::create::{CreateRequest, Mount, Ulimit};
use crate::name::ContainerName;
use crate::parameters::{self, ParameterError};
use crate::resources::{self, Needs};
use crate::{networks, volumes};

/// Why a container cannot be made as it was asked for. The text becomes the task's message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The type says Docker, and nothing more is said.
    #[error("No docker info found in container info")]
    NoDockerInfo,
    /// An empty name.
    #[error("container.docker.image is empty: name an image")]
    NoImage,
    /// A shell, and nothing for it.
    #[error("Shell specified but no command value provided")]
    NoCommand,
    /// A volume of nothing.
    #[error("Host path or volume source is required")]
    NoVolumeSource,
    /// Nothing would be mounted anywhere.
    #[error("Both host_path '{host}' and container_path '{container}' of a volume are relative")]
    BothRelative {
        /// The one.
        host: String,
        /// The other.
        container: String,
    },
    /// A colon parts the words of a bind.
    #[error("container.volumes[{index}]: the Engine takes no path with a colon: '{path}'")]
    Colon {
        /// Which volume.
        index: usize,
        /// Which path.
        path: String,
    },
    /// A kind of volume that the Engine does not have.
    #[error(
        "container.volumes[{index}].{source_type}: not for a DOCKER container; it takes host_path, HOST_PATH, SANDBOX_PATH of type SELF and DOCKER_VOLUME"
    )]
    VolumeSource {
        /// Which volume.
        index: usize,
        /// What it is of.
        source_type: &'static str,
    },
    /// A path of the sandbox that is not in it.
    #[error(
        "container.volumes[{index}].source.sandbox_path.path: '{path}' is no path within the sandbox"
    )]
    OutsideSandbox {
        /// Which volume.
        index: usize,
        /// What it says.
        path: String,
    },
    /// What holds for Mesos's own containers only.
    #[error(
        "container.{0} is for containers of type MESOS; say it by container.docker.parameters, as for 'docker run'"
    )]
    NotForDocker(&'static str),
    /// A limit that is not known.
    #[error("container.rlimit_info.rlimits[{index}].type is not known")]
    LimitType {
        /// Which.
        index: usize,
    },
    /// A limit with one half.
    #[error(
        "container.rlimit_info.rlimits[{index}]: set both 'soft' and 'hard', or neither for no limit"
    )]
    HalfLimit {
        /// Which.
        index: usize,
    },
    /// A user's network needs its name.
    #[error("No network info found in container info")]
    NoNetworkInfo,
    /// More networks than a container can have at its start.
    #[error("Only a single network can be defined in Docker run")]
    SeveralNetworks,
    /// A network without a name.
    #[error("No network name found in network info")]
    NoNetworkName,
    /// The host has its own name.
    #[error("Unable to set hostname with host network mode")]
    HostnameOfHost,
    /// There is nothing to map.
    #[error("Port mappings are only supported for bridge and user-defined networks")]
    PortsWithoutNetwork,
    /// A port that was not offered.
    #[error("Port [{0}] not included in resources")]
    PortNotOffered(u32),
    /// A protocol that the Engine does not have.
    #[error(
        "container.docker.port_mappings[{index}].protocol '{protocol}' is not known: tcp, udp or sctp"
    )]
    Protocol {
        /// Which mapping.
        index: usize,
        /// What it says.
        protocol: String,
    },
    /// A port beyond all ports.
    #[error("container.docker.port_mappings[{index}]: {port} is no port")]
    NoPort {
        /// Which mapping.
        index: usize,
        /// What it says.
        port: u32,
    },
    /// A parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// What a container is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run<'a> {
    /// `/bin/sh -c` with this, whatever the image says.
    Shell(&'a str),
    /// The image's entry point, or its command, with these in place of its own arguments.
    Image {
        /// The first argument, if there is one.
        value: Option<&'a str>,
        /// The others.
        arguments: &'a [String],
    },
}

/// Everything that is known of a container to make.
#[derive(Clone, Debug)]
pub struct ContainerRequest<'a> {
    /// Its name.
    pub name: &'a ContainerName,
    /// What the task says of it.
    pub container: &'a ContainerInfo,
    /// What it is to run.
    pub run: Run<'a>,
    /// The task's own variables; a later one of a name wins.
    pub environment: &'a [(String, String)],
    /// What it was given.
    pub needs: &'a Needs,
    /// The sandbox on the host.
    pub sandbox: &'a Path,
    /// Where it sees the sandbox.
    pub mapped: &'a str,
    /// By what it is found again.
    pub labels: BTreeMap<String, String>,
}

/// What holds for all containers of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRules {
    /// Whether a request of processors is a limit too (`--cgroups-enable-cfs`).
    pub quotas: bool,
    /// The memory of the host.
    pub memory_bytes: u64,
}

impl ContainerRequest<'_> {
    /// In the Engine's words.
    pub fn in_words(&self, rules: HostRules) -> Result<CreateRequest, RequestError> {
        let docker = self
            .container
            .docker
            .as_ref()
            .ok_or(RequestError::NoDockerInfo)?;
        if docker.image.is_empty() {
            return Err(RequestError::NoImage);
        }
        if self.container.linux_info.is_some() {
            return Err(RequestError::NotForDocker("linux_info"));
        }
        if self.container.tty_info.is_some() {
            return Err(RequestError::NotForDocker("tty_info"));
        }
        let mut request = CreateRequest {
            image: docker.image.clone(),
            labels: self.labels.clone(),
            attach_stdout: true,
            attach_stderr: true,
            env: self.variables(),
            ..CreateRequest::default()
        };
        self.run(&mut request)?;
        let host = &mut request.host_config;
        host.privileged = docker.privileged();
        host.limits = resources::limits(self.needs, rules);
        if let Some(limits) = &self.container.rlimit_info {
            host.limits.ulimits = ulimits(limits)?;
        }
        volumes::add(self.container, docker, self.mapped, self.sandbox, host)?;
        host.mounts.push(Mount {
            source: self.sandbox.display().to_string(),
            target: self.mapped.to_owned(),
            ..Mount::default()
        });
        networks::add(self.container, docker, self.needs, &mut request)?;
        parameters(docker, &mut request)?;
        Ok(request)
    }

    fn run(&self, request: &mut CreateRequest) -> Result<(), RequestError> {
        match self.run {
            Run::Shell("") => return Err(RequestError::NoCommand),
            Run::Shell(text) => {
                request.entrypoint = Some(vec!["/bin/sh".to_owned()]);
                request.cmd = vec!["-c".to_owned(), text.to_owned()];
            }
            Run::Image { value, arguments } => {
                let value = value.filter(|value| !value.is_empty()).map(str::to_owned);
                request.cmd = value.into_iter().chain(arguments.iter().cloned()).collect();
            }
        }
        Ok(())
    }

    /// Sorted, so that equal tasks give equal requests.
    fn variables(&self) -> Vec<String> {
        let mut all: BTreeMap<&str, &str> = self
            .environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.insert("MESOS_SANDBOX", self.mapped);
        all.insert("MESOS_CONTAINER_NAME", self.name.as_str());
        if let Some(role) = &self.needs.role {
            all.insert("MESOS_ALLOCATION_ROLE", role);
        }
        all.iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

fn parameters(docker: &DockerInfo, request: &mut CreateRequest) -> Result<(), RequestError> {
    for (index, parameter) in docker.parameters.iter().enumerate() {
        parameters::apply(index, &parameter.key, &parameter.value, request)?;
    }
    Ok(())
}

fn ulimits(info: &RLimitInfo) -> Result<Vec<Ulimit>, RequestError> {
    let one = |(index, limit): (usize, &mezz_proto::v1::r_limit_info::RLimit)| {
        let name = ulimit_name(limit.r#type()).ok_or(RequestError::LimitType { index })?;
        let wide = |value: u64| i64::try_from(value).unwrap_or(-1);
        let (soft, hard) = match (limit.soft, limit.hard) {
            (Some(soft), Some(hard)) => (wide(soft), wide(hard)),
            (None, None) => (-1, -1),
            _ => return Err(RequestError::HalfLimit { index }),
        };
        let name = name.to_owned();
        Ok(Ulimit { name, soft, hard })
    };
    info.rlimits.iter().enumerate().map(one).collect()
}

fn ulimit_name(limit: LimitType) -> Option<&'static str> {
    Some(match limit {
        LimitType::RlmtAs => "as",
        LimitType::RlmtCore => "core",
        LimitType::RlmtCpu => "cpu",
        LimitType::RlmtData => "data",
        LimitType::RlmtFsize => "fsize",
        LimitType::RlmtLocks => "locks",
        LimitType::RlmtMemlock => "memlock",
        LimitType::RlmtMsgqueue => "msgqueue",
        LimitType::RlmtNice => "nice",
        LimitType::RlmtNofile => "nofile",
        LimitType::RlmtNproc => "nproc",
        LimitType::RlmtRss => "rss",
        LimitType::RlmtRtprio => "rtprio",
        LimitType::RlmtRttime => "rttime",
        LimitType::RlmtSigpending => "sigpending",
        LimitType::RlmtStack => "stack",
        LimitType::Unknown => return None,
    })
}
