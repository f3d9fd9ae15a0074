//! The flags as `/flags`, GET_FLAGS and `/state` show them, under Mesos's names.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mezz_resource::format_duration;

use crate::options::{AgentOptions, RecoverMode};
use crate::settings;
use crate::work_dir::WorkDir;

/// Names and values, all text.
#[derive(Clone, Debug)]
pub(crate) struct Flags(BTreeMap<String, String>);

impl Flags {
    pub(super) fn new(options: &AgentOptions, work_dir: &WorkDir, address: SocketAddr) -> Self {
        let recover = match options.recover {
            RecoverMode::Reconnect => "reconnect",
            RecoverMode::Cleanup => "cleanup",
        };
        let mut flags: BTreeMap<String, String> = [
            ("containerizers", containerizers(options).to_owned()),
            ("default_role", options.default_role.clone()),
            (
                "disk_watch_interval",
                format_duration(options.disk_watch_interval),
            ),
            (
                "executor_registration_timeout",
                format_duration(options.executor_registration_timeout),
            ),
            (
                "executor_reregistration_timeout",
                format_duration(options.executor_reregistration_timeout),
            ),
            (
                "executor_shutdown_grace_period",
                format_duration(options.executor_shutdown_grace_period),
            ),
            (
                "fetcher_cache_dir",
                settings::fetch_cache_folder(options, work_dir)
                    .display()
                    .to_string(),
            ),
            (
                "fetcher_cache_size",
                format!("{}B", options.fetcher_cache_size),
            ),
            (
                "fetcher_stall_timeout",
                format_duration(options.fetcher_stall_timeout),
            ),
            (
                "frameworks_home",
                options
                    .frameworks_home
                    .as_ref()
                    .map_or_else(String::new, |home| home.display().to_string()),
            ),
            ("gc_delay", format_duration(options.gc_delay)),
            ("gc_disk_headroom", options.gc_disk_headroom.to_string()),
            ("ip", options.ip.to_string()),
            ("master", options.masters.join(",")),
            ("port", address.port().to_string()),
            ("recover", recover.to_owned()),
            (
                "recovery_timeout",
                format_duration(options.recovery_timeout),
            ),
            (
                "registration_backoff_factor",
                format_duration(options.registration_backoff_factor),
            ),
            ("switch_user", options.switch_user.to_string()),
            ("work_dir", work_dir.path().display().to_string()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let given = [
            ("hostname", &options.hostname),
            ("resources", &options.resources),
            ("attributes", &options.attributes),
        ];
        flags.extend(
            given
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))),
        );
        flags.extend(options.flags.clone());
        Self(flags)
    }

    pub(super) fn values(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

fn containerizers(options: &AgentOptions) -> &'static str {
    match options.docker {
        Some(_) => "docker,mesos",
        None => "mesos",
    }
}
