//! What the flags of a daemon mean, typed. Parse once here; nothing behind this module reads flag texts again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use mezz_resource::Quantities;

use crate::flags::{FlagError, Flags};

/// Where a daemon listens and what it tells others of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    pub(crate) advertise_ip: Option<IpAddr>,
    pub(crate) advertise_port: Option<u16>,
    pub(crate) hostname: String,
}

/// Where the master keeps what must outlive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Registry {
    Memory,
    Redb(PathBuf),
}

/// What an agent does at its start with tasks that still run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recover {
    Reconnect,
    Cleanup,
}

/// Everything the master needs to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MasterSettings {
    pub(crate) listen: Listen,
    pub(crate) registry: Registry,
    pub(crate) work_dir: Option<PathBuf>,
    pub(crate) cluster: Option<String>,
    pub(crate) offer_timeout: Duration,
    pub(crate) weights: BTreeMap<String, f64>,
    pub(crate) roles: Option<BTreeSet<String>>,
    /// Alternatives: one of them must be free.
    pub(crate) min_allocatable: Vec<Quantities>,
    pub(crate) fair_sharing_excluded_resource_names: BTreeSet<String>,
    pub(crate) constraint_regex_limits: mezz_core::RegexLimits,
    pub(crate) filter_gpu_resources: bool,
    pub(crate) root_submissions: bool,
    pub(crate) agent_ping_timeout: Duration,
    pub(crate) max_agent_ping_timeouts: u32,
    pub(crate) agent_reregister_timeout: Duration,
    pub(crate) max_completed_frameworks: usize,
    pub(crate) max_completed_tasks_per_framework: usize,
    pub(crate) max_unreachable_tasks_per_framework: usize,
    pub(crate) max_operator_event_stream_subscribers: usize,
    /// For `/flags`.
    pub(crate) effective_flags: Vec<(String, String)>,
}

/// Everything an agent needs to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AgentSettings {
    pub(crate) listen: Listen,
    pub(crate) masters: Vec<String>,
    pub(crate) work_dir: Option<PathBuf>,
    pub(crate) resources: Option<String>,
    pub(crate) attributes: Option<String>,
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
    pub(crate) recovery_timeout: Duration,
    pub(crate) recover: Recover,
    /// For `/flags`.
    pub(crate) effective_flags: Vec<(String, String)>,
}

impl MasterSettings {
    /// The settings that these flags mean.
    pub(crate) fn from_flags(flags: &Flags) -> Result<Self, FlagError> {
        let work_dir = path(flags, "work_dir");
        let registry = registry(flags, work_dir.as_ref())?;
        let mut effective_flags = flags.effective();
        if flags.text("registry").is_none() {
            let kind = if registry == Registry::Memory {
                "in_memory"
            } else {
                "redb"
            };
            effective_flags.push(("registry".to_owned(), kind.to_owned()));
        }
        Ok(Self {
            listen: listen(flags),
            registry,
            cluster: flags.text("cluster").map(str::to_owned),
            offer_timeout: duration(flags, "offer_timeout"),
            weights: weights(flags.text("weights").unwrap_or(""))?,
            roles: flags.text("roles").map(names),
            min_allocatable: min_allocatable(
                flags.text("min_allocatable_resources").unwrap_or(""),
            )?,
            fair_sharing_excluded_resource_names: flags
                .text("fair_sharing_excluded_resource_names")
                .map(names)
                .unwrap_or_default(),
            constraint_regex_limits: mezz_core::RegexLimits {
                max_mem: size(flags, "offer_constraints_re2_max_mem"),
                max_program_size: number(flags, "offer_constraints_re2_max_program_size"),
            },
            filter_gpu_resources: flags.switch("filter_gpu_resources"),
            root_submissions: flags.switch("root_submissions"),
            agent_ping_timeout: duration(flags, "agent_ping_timeout"),
            max_agent_ping_timeouts: number(flags, "max_agent_ping_timeouts"),
            agent_reregister_timeout: duration(flags, "agent_reregister_timeout"),
            max_completed_frameworks: number(flags, "max_completed_frameworks"),
            max_completed_tasks_per_framework: number(flags, "max_completed_tasks_per_framework"),
            max_unreachable_tasks_per_framework: number(
                flags,
                "max_unreachable_tasks_per_framework",
            ),
            max_operator_event_stream_subscribers: number(
                flags,
                "max_operator_event_stream_subscribers",
            ),
            work_dir,
            effective_flags,
        })
    }
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
            recovery_timeout: duration(flags, "recovery_timeout"),
            recover: if flags.text("recover") == Some("cleanup") {
                Recover::Cleanup
            } else {
                Recover::Reconnect
            },
            effective_flags: flags.effective(),
        })
    }
}

fn duration(flags: &Flags, name: &str) -> Duration {
    flags
        .duration(name)
        .expect("the table gives every duration that is read a default, and checks what is given")
}

fn number<T: TryFrom<u64>>(flags: &Flags, name: &str) -> T {
    flags
        .number(name)
        .expect("the table gives every number that is read a default, and bounds what is given")
}

fn size(flags: &Flags, name: &str) -> usize {
    let bytes = flags
        .bytes(name)
        .expect("the table gives every size that is read a default, and checks what is given");
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn path(flags: &Flags, name: &str) -> Option<PathBuf> {
    flags.text(name).map(PathBuf::from)
}

fn listen(flags: &Flags) -> Listen {
    let ip: IpAddr = flags
        .parsed("ip")
        .expect("the table gives an address and checks what is given");
    let advertise_ip: Option<IpAddr> = flags.parsed("advertise_ip");
    let public = advertise_ip.unwrap_or(ip);
    let hostname = match flags.text("hostname") {
        Some(name) => name.to_owned(),
        None if public.is_loopback() => "localhost".to_owned(),
        None if !flags.switch("hostname_lookup") && !public.is_unspecified() => public.to_string(),
        None => machine_name().unwrap_or_else(|| public.to_string()),
    };
    Listen {
        address: SocketAddr::new(ip, number(flags, "port")),
        advertise_ip,
        advertise_port: flags.number("advertise_port"),
        hostname,
    }
}

fn machine_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

fn registry(flags: &Flags, work_dir: Option<&PathBuf>) -> Result<Registry, FlagError> {
    match (flags.text("registry"), work_dir) {
        (Some("in_memory"), _) | (None, None) => Ok(Registry::Memory),
        (_, Some(work_dir)) => Ok(Registry::Redb(work_dir.clone())),
        (Some(kind), None) => Err(meaning(
            "registry",
            format!("{kind} keeps its state in a folder: give --work-dir as well"),
        )),
    }
}

fn meaning(flag: &'static str, message: String) -> FlagError {
    FlagError::Meaning { flag, message }
}

fn names(text: &str) -> BTreeSet<String> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn weights(text: &str) -> Result<BTreeMap<String, f64>, FlagError> {
    let mut weights = BTreeMap::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let wrong = |why: &str| meaning("weights", format!("'{pair}' {why}"));
        let (role, weight) = pair
            .split_once('=')
            .ok_or_else(|| wrong("is not of the form role=weight"))?;
        let weight: f64 = weight
            .trim()
            .parse()
            .map_err(|_| wrong("has a weight that is no number"))?;
        if !(weight.is_finite() && weight > 0.0) {
            return Err(wrong("has a weight that is not above zero"));
        }
        if weights.insert(role.trim().to_owned(), weight).is_some() {
            return Err(wrong("names a role for the second time"));
        }
    }
    Ok(weights)
}

fn min_allocatable(text: &str) -> Result<Vec<Quantities>, FlagError> {
    Quantities::parse_alternatives(text)
        .map_err(|error| meaning("min-allocatable-resources", error.to_string()))
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
    use super::*;
    use crate::flags::{Daemon, Given, Origin, resolve};

    fn flags(daemon: Daemon, pairs: &[(&str, &str)]) -> Flags {
        let given = pairs.iter().map(|(key, text)| Given {
            key: (*key).to_owned(),
            text: (*text).to_owned(),
            origin: Origin::CommandLine,
        });
        resolve(daemon, given.collect()).expect("known flags").0
    }

    fn master(pairs: &[(&str, &str)]) -> Result<MasterSettings, String> {
        MasterSettings::from_flags(&flags(Daemon::Master, pairs)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_master_without_flags_is_on_loopback_and_in_memory() {
        let settings = master(&[]).expect("settings");
        assert_eq!(settings.listen.address.to_string(), "127.0.0.1:5050");
        assert_eq!(settings.listen.hostname, "localhost");
        assert_eq!(settings.registry, Registry::Memory);
        assert_eq!(settings.offer_timeout, Duration::from_mins(1));
        let alternatives: Vec<String> = settings
            .min_allocatable
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(alternatives, ["cpus:0.01", "mem:32"]);
    }

    #[test]
    fn a_work_dir_makes_the_master_durable() {
        assert_eq!(
            master(&[("work_dir", "/d")]).expect("settings").registry,
            Registry::Redb("/d".into())
        );
        assert_eq!(
            master(&[("registry", "replicated_log")]).expect_err("an error"),
            "--registry: replicated_log keeps its state in a folder: give --work-dir as well"
        );
    }

    #[test]
    fn weights_are_checked_one_by_one() {
        assert_eq!(
            master(&[("weights", "a=2, b/c=0.5")])
                .expect("settings")
                .weights
                .get("b/c"),
            Some(&0.5)
        );
        assert_eq!(
            master(&[("weights", "a=0")]).expect_err("an error"),
            "--weights: 'a=0' has a weight that is not above zero"
        );
        assert_eq!(
            master(&[("weights", "a")]).expect_err("an error"),
            "--weights: 'a' is not of the form role=weight"
        );
    }

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
