//! The settings of the master.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mezz_master::Facade;
use mezz_resource::Quantities;

use super::{Listen, domain, duration, listen, meaning, number, path, size};
use crate::flags::{FlagError, Flags};
use mezz_core::Packing;

/// Where the master keeps what must outlive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Registry {
    Memory,
    Redb(PathBuf),
}

/// Everything the master needs to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MasterSettings {
    pub(crate) listen: Listen,
    /// Listeners that facades have for themselves.
    pub(crate) facades: Vec<(Facade, SocketAddr)>,
    pub(crate) registry: Registry,
    pub(crate) work_dir: Option<PathBuf>,
    pub(crate) cluster: Option<String>,
    pub(crate) offer_timeout: Duration,
    pub(crate) weights: BTreeMap<String, f64>,
    pub(crate) packing: BTreeMap<String, Packing>,
    pub(crate) roles: Option<BTreeSet<String>>,
    /// Alternatives: one of them must be free.
    pub(crate) min_allocatable: Vec<Quantities>,
    pub(crate) fair_sharing_excluded_resource_names: BTreeSet<String>,
    pub(crate) constraint_regex_limits: mezz_core::RegexLimits,
    pub(crate) gpus: mezz_core::GpuPolicy,
    pub(crate) role_sorter: mezz_core::Sorter,
    pub(crate) framework_sorter: mezz_core::Sorter,
    pub(crate) root_submissions: bool,
    pub(crate) domain: Option<mezz_proto::v1::DomainInfo>,
    pub(crate) require_agent_domain: bool,
    pub(crate) agent_ping_timeout: Duration,
    pub(crate) max_agent_ping_timeouts: u32,
    pub(crate) agent_reregister_timeout: Duration,
    pub(crate) max_completed_frameworks: usize,
    pub(crate) max_completed_tasks_per_framework: usize,
    pub(crate) max_unreachable_tasks_per_framework: usize,
    /// The least time between two agents that are made unreachable.
    pub(crate) agent_removal_interval: Option<Duration>,
    /// In hundredths of a percent.
    pub(crate) recovery_agent_removal_limit: u32,
    pub(crate) registry_gc_interval: Duration,
    pub(crate) registry_max_agent_age: Duration,
    pub(crate) registry_max_agent_count: usize,
    pub(crate) max_operator_event_stream_subscribers: usize,
    /// What the flight recorder may keep; 0: nothing.
    pub(crate) recorder_bytes: u64,
    pub(crate) autoscale_interval: Duration,
    /// Where the key is that values of secrets are encrypted with.
    pub(crate) secret_key_file: Option<PathBuf>,
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
            facades: facades(flags)?,
            registry,
            cluster: flags.text("cluster").map(str::to_owned),
            offer_timeout: duration(flags, "offer_timeout"),
            weights: weights(flags.text("weights").unwrap_or(""))?,
            packing: packing(flags.text("packing").unwrap_or(""))?,
            roles: flags.text("roles").map(names),
            min_allocatable: min_allocatable(
                flags.text("min_allocatable_resources").unwrap_or(""),
            )?,
            fair_sharing_excluded_resource_names: flags
                .text("fair_sharing_excluded_resource_names")
                .map(names)
                .unwrap_or_default(),
            constraint_regex_limits: mezz_core::RegexLimits {
                max_mem: usize::try_from(size(flags, "offer_constraints_re2_max_mem"))
                    .unwrap_or(usize::MAX),
                max_program_size: number(flags, "offer_constraints_re2_max_program_size"),
            },
            gpus: if flags.switch("filter_gpu_resources") {
                mezz_core::GpuPolicy::Reserved
            } else {
                mezz_core::GpuPolicy::Open
            },
            role_sorter: sorter(flags, "role_sorter"),
            framework_sorter: sorter(flags, "framework_sorter"),
            root_submissions: flags.switch("root_submissions"),
            domain: domain(flags)?,
            require_agent_domain: flags.switch("require_agent_domain"),
            agent_ping_timeout: duration(flags, "agent_ping_timeout"),
            max_agent_ping_timeouts: number(flags, "max_agent_ping_timeouts"),
            agent_reregister_timeout: duration(flags, "agent_reregister_timeout"),
            max_completed_frameworks: number(flags, "max_completed_frameworks"),
            max_completed_tasks_per_framework: number(flags, "max_completed_tasks_per_framework"),
            max_unreachable_tasks_per_framework: number(
                flags,
                "max_unreachable_tasks_per_framework",
            ),
            agent_removal_interval: flags
                .text("agent_removal_rate_limit")
                .map(removal_interval)
                .transpose()?,
            recovery_agent_removal_limit: removal_limit(
                flags.text("recovery_agent_removal_limit").unwrap_or("100%"),
            )?,
            registry_gc_interval: duration(flags, "registry_gc_interval"),
            registry_max_agent_age: duration(flags, "registry_max_agent_age"),
            registry_max_agent_count: number(flags, "registry_max_agent_count"),
            max_operator_event_stream_subscribers: number(
                flags,
                "max_operator_event_stream_subscribers",
            ),
            recorder_bytes: size(flags, "recorder_size"),
            autoscale_interval: duration(flags, "autoscale_interval"),
            secret_key_file: path(flags, "secret_key_file"),
            work_dir,
            effective_flags,
        })
    }
}

fn facades(flags: &Flags) -> Result<Vec<(Facade, SocketAddr)>, FlagError> {
    let mut facades = Vec::new();
    for (facade, name, shown) in [
        (Facade::Marathon, "marathon_listen", "marathon-listen"),
        (Facade::Metronome, "metronome_listen", "metronome-listen"),
        (Facade::Chronos, "chronos_listen", "chronos-listen"),
    ] {
        let Some(text) = flags.text(name) else {
            continue;
        };
        let address: SocketAddr = text.trim().parse().map_err(|_| {
            let message = format!("'{text}' is no address of the form IP:PORT, as 127.0.0.1:8080");
            meaning(shown, message)
        })?;
        facades.push((facade, address));
    }
    Ok(facades)
}

fn sorter(flags: &Flags, name: &str) -> mezz_core::Sorter {
    match flags.text(name) {
        Some("random") => mezz_core::Sorter::Random,
        _ => mezz_core::Sorter::Drf,
    }
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

/// `1/10mins`: so many agents in so much time, evenly spaced.
fn removal_interval(text: &str) -> Result<Duration, FlagError> {
    let wrong = |why: &str| meaning("agent-removal-rate-limit", format!("'{text}' {why}"));
    let (count, span) = text
        .split_once('/')
        .ok_or_else(|| wrong("is not of the form NUMBER/DURATION"))?;
    let count: u32 = count
        .trim()
        .parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| wrong("does not begin with a number above zero"))?;
    let span = crate::flags::value::duration(span.trim()).map_err(|why| wrong(&why.to_string()))?;
    Ok(span / count)
}

/// `50%`, in hundredths of a percent.
fn removal_limit(text: &str) -> Result<u32, FlagError> {
    let percent = text.trim().strip_suffix('%').and_then(|number| {
        let number: f64 = number.trim().parse().ok()?;
        (0.0..=100.0).contains(&number).then_some(number)
    });
    let percent = percent.ok_or_else(|| {
        meaning(
            "recovery-agent-removal-limit",
            format!("'{text}' is not a percentage from 0% to 100%"),
        )
    })?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between 0 and 10,000"
    )]
    Ok((percent * 100.0).round() as u32)
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

fn packing(text: &str) -> Result<BTreeMap<String, Packing>, FlagError> {
    let mut roles = BTreeMap::new();
    let pairs = text.split(',').map(str::trim);
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        let wrong = |why: &str| meaning("packing", format!("'{pair}' {why}"));
        let (role, word) = pair
            .split_once('=')
            .ok_or_else(|| wrong("is not of the form role=binpack or role=spread"))?;
        let packing = match word.trim() {
            "binpack" => Packing::Binpack,
            "spread" => Packing::Spread,
            _ => return Err(wrong("names neither binpack nor spread")),
        };
        if roles.insert(role.trim().to_owned(), packing).is_some() {
            return Err(wrong("names a role for the second time"));
        }
    }
    Ok(roles)
}

fn min_allocatable(text: &str) -> Result<Vec<Quantities>, FlagError> {
    Quantities::parse_alternatives(text)
        .map_err(|error| meaning("min-allocatable-resources", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::flags;
    use super::*;
    use crate::flags::Daemon;

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
    fn a_listener_of_a_facade_is_an_address_with_a_port() {
        let settings = master(&[("metronome_listen", "127.0.0.1:9000")]).expect("settings");
        let address = "127.0.0.1:9000".parse().expect("an address");
        assert_eq!(settings.facades, [(Facade::Metronome, address)]);
        assert_eq!(
            master(&[("chronos_listen", "localhost")]).expect_err("an error"),
            "--chronos-listen: 'localhost' is no address of the form IP:PORT, as 127.0.0.1:8080"
        );
    }
    #[test]
    fn packing_is_set_role_by_role() {
        let settings = master(&[("packing", "a=spread, a/b=binpack")]).expect("settings");
        assert_eq!(settings.packing.get("a"), Some(&Packing::Spread));
        assert_eq!(settings.packing.get("a/b"), Some(&Packing::Binpack));
        assert_eq!(
            master(&[("packing", "a=tight")]).expect_err("an error"),
            "--packing: 'a=tight' names neither binpack nor spread"
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
}
