//! The Engine's words for a container to make: the body of `POST /containers/create`.
//!
//! Only what is set is said, so that what a newer or older Engine does not know is not asked for by accident.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

/// A container to make.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateRequest {
    pub(crate) image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cmd: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) attach_stdout: bool,
    pub(crate) attach_stderr: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) hostname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) domainname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) working_dir: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mac_address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) stop_signal: String,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", serialize_with = "as_keys")]
    pub(crate) exposed_ports: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", serialize_with = "as_keys")]
    pub(crate) volumes: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healthcheck: Option<Healthcheck>,
    pub(crate) host_config: HostConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) networking_config: Option<NetworkingConfig>,
}

/// What the container has of the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    pub(crate) network_mode: String,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) privileged: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) binds: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) mounts: Vec<Mount>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) volume_driver: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) volumes_from: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) port_bindings: BTreeMap<String, Vec<PortBinding>>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) publish_all_ports: bool,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    #[serde(flatten)]
    pub(crate) isolation: Isolation,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dns: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dns_search: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) dns_options: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) extra_hosts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_config: Option<LogConfig>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) init: bool,
}

/// What the container may use at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_shares: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_quota: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nano_cpus: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) cpuset_cpus: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) cpuset_mems: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_reservation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_swap: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_swappiness: Option<u8>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) oom_kill_disable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oom_score_adj: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pids_limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blkio_weight: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shm_size: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) ulimits: Vec<Ulimit>,
}

/// What sets the container apart.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Isolation {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cap_add: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cap_drop: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) security_opt: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) devices: Vec<Device>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) device_cgroup_rules: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) sysctls: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tmpfs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) group_add: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) readonly_rootfs: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) ipc_mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) pid_mode: String,
    #[serde(rename = "UTSMode", skip_serializing_if = "String::is_empty")]
    pub(crate) uts_mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) userns_mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) cgroupns_mode: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) cgroup_parent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) runtime: String,
}

/// A port of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PortBinding {
    pub(crate) host_ip: String,
    pub(crate) host_port: String,
}

/// Something mounted, where the shorter form of `Binds` cannot say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Mount {
    pub(crate) r#type: MountType,
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) read_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) volume_options: Option<VolumeOptions>,
}

/// What kind of thing is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MountType {
    /// A path of the host.
    #[default]
    Bind,
    /// What a volume driver keeps.
    Volume,
}

/// What makes a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VolumeOptions {
    pub(crate) driver_config: DriverConfig,
}

/// A volume driver and what it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DriverConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) options: BTreeMap<String, String>,
}

/// A device of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Device {
    pub(crate) path_on_host: String,
    pub(crate) path_in_container: String,
    pub(crate) cgroup_permissions: String,
}

/// A limit of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ulimit {
    pub(crate) name: String,
    pub(crate) soft: i64,
    pub(crate) hard: i64,
}

/// Where the Engine itself keeps output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LogConfig {
    pub(crate) r#type: String,
    pub(crate) config: BTreeMap<String, String>,
}

/// The Engine's own check of a container; times are nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) test: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interval: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start_period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retries: Option<u32>,
}

/// What the container is called in its network, and which address it gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkingConfig {
    pub(crate) endpoints_config: BTreeMap<String, Endpoint>,
}

/// The container's end of one network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Endpoint {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) aliases: Vec<String>,
    #[serde(rename = "IPAMConfig", skip_serializing_if = "Option::is_none")]
    pub(crate) ipam_config: Option<IpamConfig>,
}

/// Addresses that were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct IpamConfig {
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    pub(crate) ipv4_address: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    pub(crate) ipv6_address: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}

/// As the Engine writes a set: an object whose members are empty objects.
fn as_keys<S: Serializer>(set: &BTreeSet<String>, to: S) -> Result<S::Ok, S::Error> {
    let none: BTreeMap<&str, &str> = BTreeMap::new();
    to.collect_map(set.iter().map(|key| (key, &none)))
}
