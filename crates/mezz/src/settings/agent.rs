//! The settings of an agent.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use mezz_agent::LimitOptions;

use super::containers::ContainerSettings;
use super::limits::limits;
use super::{Listen, domain, duration, listen, meaning, number, path, size};
use crate::flags::{FlagError, Flags};

/// What an agent does at its start with tasks that still run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recover {
    Reconnect,
    Cleanup,
}

/// Which changes of its description an agent may restart with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reconfiguration {
    Equal,
    Additive,
}

/// Everything an agent needs to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AgentSettings {
    pub(crate) listen: Listen,
    pub(crate) masters: Vec<String>,
    pub(crate) work_dir: Option<PathBuf>,
    pub(crate) resources: Option<String>,
    pub(crate) attributes: Option<String>,
    pub(crate) domain: Option<mezz_proto::v1::DomainInfo>,
    pub(crate) default_role: String,
    pub(crate) switch_user: bool,
    pub(crate) frameworks_home: Option<PathBuf>,
    pub(crate) executor_registration_timeout: Duration,
    pub(crate) executor_reregistration_timeout: Duration,
    pub(crate) executor_shutdown_grace_period: Duration,
    pub(crate) executor_environment_variables: Option<BTreeMap<String, String>>,
    pub(crate) registration_backoff_factor: Duration,
    pub(crate) gc_delay: Duration,
    pub(crate) gc_disk_headroom: f64,
    pub(crate) disk_watch_interval: Duration,
    pub(crate) fetcher_stall_timeout: Duration,
    pub(crate) fetcher_cache_size: u64,
    pub(crate) fetcher_cache_dir: Option<PathBuf>,
    pub(crate) max_log_bytes: u64,
    pub(crate) max_log_files: u32,
    pub(crate) recovery_timeout: Duration,
    pub(crate) recover: Recover,
    pub(crate) reconfiguration: Reconfiguration,
    pub(crate) executor_heartbeat_interval: Duration,
    pub(crate) max_completed_executors_per_framework: usize,
    pub(crate) containers: ContainerSettings,
    pub(crate) limits: LimitOptions,
    /// For `/flags`.
    pub(crate) effective_flags: Vec<(String, String)>,
}

impl AgentSettings {
    /// The settings that these flags mean.
    pub(crate) fn from_flags(flags: &Flags) -> Result<Self, FlagError> {
        Ok(Self {
            listen: listen(flags),
            masters: masters(flags.text("master"))?,
            work_dir: path(flags, "work_dir"),
            resources: flags.text("resources").map(str::to_owned),
            attributes: flags.text("attributes").map(str::to_owned),
            domain: domain(flags)?,
            default_role: flags.text("default_role").unwrap_or("*").to_owned(),
            switch_user: flags.switch("switch_user"),
            frameworks_home: path(flags, "frameworks_home")
                .filter(|home| !home.as_os_str().is_empty()),
            executor_registration_timeout: duration(flags, "executor_registration_timeout"),
            executor_reregistration_timeout: duration(flags, "executor_reregistration_timeout"),
            executor_shutdown_grace_period: duration(flags, "executor_shutdown_grace_period"),
            executor_environment_variables: executor_environment(
                flags.text("executor_environment_variables"),
            )?,
            registration_backoff_factor: duration(flags, "registration_backoff_factor"),
            gc_delay: duration(flags, "gc_delay"),
            gc_disk_headroom: headroom(flags)?,
            disk_watch_interval: duration(flags, "disk_watch_interval"),
            fetcher_stall_timeout: duration(flags, "fetcher_stall_timeout"),
            fetcher_cache_size: size(flags, "fetcher_cache_size"),
            fetcher_cache_dir: path(flags, "fetcher_cache_dir"),
            max_log_bytes: size(flags, "max_log_size"),
            max_log_files: number(flags, "max_log_files"),
            recovery_timeout: duration(flags, "recovery_timeout"),
            recover: if flags.text("recover") == Some("cleanup") {
                Recover::Cleanup
            } else {
                Recover::Reconnect
            },
            reconfiguration: if flags.text("reconfiguration_policy") == Some("additive") {
                Reconfiguration::Additive
            } else {
                Reconfiguration::Equal
            },
            executor_heartbeat_interval: duration(flags, "http_heartbeat_interval"),
            max_completed_executors_per_framework: number(
                flags,
                "max_completed_executors_per_framework",
            ),
            containers: ContainerSettings::from_flags(flags)?,
            limits: limits(flags)?,
            effective_flags: flags.effective(),
        })
    }
}

fn masters(text: Option<&str>) -> Result<Vec<String>, FlagError> {
    let text = text.unwrap_or("127.0.0.1:5050");
    if text.starts_with("zk://") || text.starts_with("file://") {
        let why =
            "finding the master through ZooKeeper is not built yet: give its address as HOST:PORT";
        return Err(meaning("master", format!("'{text}': {why}")));
    }
    let one = |address: &str| {
        let address = address
            .trim()
            .trim_start_matches("http://")
            .trim_start_matches("master@")
            .trim_end_matches('/');
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(address.to_owned())
            }
            None if !address.is_empty() => Ok(format!("{address}:5050")),
            _ => Err(meaning(
                "master",
                format!("'{address}' is not of the form HOST:PORT"),
            )),
        }
    };
    text.split(',').map(one).collect()
}

fn executor_environment(text: Option<&str>) -> Result<Option<BTreeMap<String, String>>, FlagError> {
    let wrong = |error| {
        meaning(
            "executor-environment-variables",
            format!("not a JSON object of texts: {error}"),
        )
    };
    text.map(|text| serde_json::from_str(text).map_err(wrong))
        .transpose()
}

fn headroom(flags: &Flags) -> Result<f64, FlagError> {
    let share = flags.decimal("gc_disk_headroom").unwrap_or(0.1);
    let wrong = || {
        meaning(
            "gc-disk-headroom",
            format!("'{share}' is not a share from 0 to 1"),
        )
    };
    (0.0..=1.0)
        .contains(&share)
        .then_some(share)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::super::tests::flags;
    use super::*;
    use crate::flags::Daemon;

    #[test]
    fn an_agent_takes_several_masters_and_no_zookeeper() {
        let agent = |text| {
            AgentSettings::from_flags(&flags(Daemon::Agent, &[("master", text)]))
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            agent("h1:5050,h2").expect("settings").masters,
            ["h1:5050", "h2:5050"]
        );
        assert_eq!(
            agent("zk://h/mesos").expect_err("an error"),
            "--master: 'zk://h/mesos': finding the master through ZooKeeper is not built yet: give its address as HOST:PORT"
        );
        assert_eq!(
            agent("h:port").expect_err("an error"),
            "--master: 'h:port' is not of the form HOST:PORT"
        );
    }
}
