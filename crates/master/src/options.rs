//! What a master is started with.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mezz_core::config::Config;
use mezz_resource::format_duration;
use mezz_store::Backend;

use crate::facades::Facade;
use crate::recorder::RecorderOptions;
use crate::secrets::SecretKey;

/// The Mesos version that the APIs answer as; clients parse it as dotted integers.
pub const VERSION: &str = "1.11.0";

pub use mezz_http::logging_level::LoggingControl;

/// What a master is started with.
#[derive(Clone)]
pub struct MasterOptions {
    /// The core's configuration. Its port is replaced by the bound one.
    pub config: Config,
    /// Where state is kept, and who leads.
    pub backend: Backend,
    /// The address to listen on; port 0 takes any.
    pub listen: SocketAddr,
    /// Listeners that facades have for themselves.
    pub facades: Vec<(Facade, SocketAddr)>,
    /// The address that others are told, when it is not the one listened on.
    pub advertise_ip: Option<IpAddr>,
    /// The port that others are told, when it is not the one listened on.
    pub advertise_port: Option<u16>,
    /// Flags as the user gave them; shown by `/flags` over the defaults.
    pub flags: BTreeMap<String, String>,
    /// Shown in `/flags`.
    pub work_dir: Option<PathBuf>,
    /// What the virtual path `/master/log` shows.
    pub log_file: Option<PathBuf>,
    /// Operator event streams at a time; the oldest is closed when there are more.
    pub max_operator_event_stream_subscribers: usize,
    /// Longer request bodies are refused with 413.
    pub max_body_bytes: usize,
    /// The flight recorder, if there is one.
    pub recorder: Option<RecorderOptions>,
    /// Between two measurements of services whose number of instances follows what they use.
    pub autoscale_interval: Duration,
    /// What values of secrets are encrypted with in the store; without it they lie there as they are.
    pub secret_key: Option<SecretKey>,
    /// What SET_LOGGING_LEVEL and `/logging/toggle` do.
    pub logging: Option<LoggingControl>,
}

impl std::fmt::Debug for MasterOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterOptions")
            .field("listen", &self.listen)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl MasterOptions {
    /// Options with defaults for everything but the store and the address.
    pub fn new(backend: Backend, listen: SocketAddr) -> Self {
        Self {
            config: Config::default(),
            backend,
            listen,
            facades: Vec::new(),
            advertise_ip: None,
            advertise_port: None,
            flags: BTreeMap::new(),
            work_dir: None,
            log_file: None,
            max_operator_event_stream_subscribers: 1000,
            max_body_bytes: 64 << 20,
            recorder: None,
            autoscale_interval: crate::metering::INTERVAL,
            secret_key: None,
            logging: None,
        }
    }

    /// All flags with their values as Mesos names and prints them.
    pub(crate) fn shown_flags(&self) -> BTreeMap<String, String> {
        let config = &self.config;
        let mut flags: BTreeMap<String, String> = [
            ("allocator", "hierarchical".into()),
            ("authenticate_agents", "false".into()),
            ("authenticate_frameworks", "false".into()),
            ("authenticate_http_frameworks", "false".into()),
            ("authenticate_http_readonly", "false".into()),
            ("authenticate_http_readwrite", "false".into()),
            (
                "filter_gpu_resources",
                (config.gpus == mezz_core::GpuPolicy::Reserved).to_string(),
            ),
            ("min_allocatable_resources", minimum(config)),
            ("port", self.listen.port().to_string()),
            ("publish_per_framework_metrics", "true".into()),
            ("quiet", "false".into()),
            ("role_sorter", sorter(config.role_sorter)),
            ("root_submissions", config.root_submissions.to_string()),
            ("version", "false".into()),
        ]
        .into_iter()
        .chain(self.shown_limits())
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if let Some(folder) = &self.work_dir {
            flags.insert("work_dir".into(), folder.to_string_lossy().into_owned());
        }
        flags.extend(self.flags.clone());
        flags
    }

    /// The flags that are times and bounds.
    fn shown_limits(&self) -> Vec<(&'static str, String)> {
        let config = &self.config;
        let nanoseconds = |ns: u64| format_duration(Duration::from_nanos(ns));
        vec![
            (
                "agent_ping_timeout",
                nanoseconds(config.agent_ping_timeout_ns),
            ),
            (
                "agent_reregister_timeout",
                nanoseconds(config.agent_reregister_timeout_ns),
            ),
            (
                "allocation_interval",
                nanoseconds(config.allocation_coalescing_ns),
            ),
            ("framework_sorter", sorter(config.framework_sorter)),
            ("help", "false".into()),
            ("hostname", config.hostname.clone()),
            ("hostname_lookup", "false".into()),
            ("ip", self.listen.ip().to_string()),
            ("logging_level", "INFO".into()),
            (
                "max_agent_ping_timeouts",
                config.max_agent_ping_timeouts.to_string(),
            ),
            (
                "max_completed_frameworks",
                config.max_completed_frameworks.to_string(),
            ),
            (
                "max_completed_tasks_per_framework",
                config.max_completed_tasks_per_framework.to_string(),
            ),
            (
                "max_operator_event_stream_subscribers",
                self.max_operator_event_stream_subscribers.to_string(),
            ),
            (
                "max_unreachable_tasks_per_framework",
                config.max_unreachable_tasks_per_framework.to_string(),
            ),
            ("offer_timeout", nanoseconds(config.offer_timeout_ns)),
        ]
    }
}

fn sorter(sorter: mezz_core::Sorter) -> String {
    match sorter {
        mezz_core::Sorter::Drf => "drf".to_owned(),
        mezz_core::Sorter::Random => "random".to_owned(),
    }
}

fn minimum(config: &Config) -> String {
    let alternatives: Vec<String> = config
        .min_allocatable
        .iter()
        .map(|quantities| {
            let parts: Vec<String> = quantities
                .iter()
                .map(|(name, scalar)| format!("{name}:{scalar}"))
                .collect();
            parts.join(";")
        })
        .collect();
    alternatives.join("|")
}
