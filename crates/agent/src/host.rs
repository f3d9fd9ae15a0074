//! What the host is: its name, boot, resources and load.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use mezz_proto::v1;
use mezz_resource::{Ranges, Resource, Resources, Scalar};

/// Why the resources cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ResourceOptionError {
    /// `--resources`.
    #[error("--resources: {0}")]
    Resources(#[from] mezz_resource::ResourceTextError),
    /// `--attributes`.
    #[error("--attributes: {0}")]
    Attributes(#[from] mezz_resource::attributes::AttributeError),
}

const GIB: u64 = 1 << 30;
const MIB: f64 = 1_048_576.0;

/// The given resources, and those of the host for the kinds that are not given, by Mesos's rules.
pub(crate) fn resources(
    text: Option<&str>,
    default_role: &str,
    work_dir: &Path,
) -> Result<Vec<v1::Resource>, ResourceOptionError> {
    let mut resources = match text {
        Some(text) if !text.trim().is_empty() => mezz_resource::parse(text, default_role)?,
        _ => Resources::default(),
    };
    let named = |name: &str, resources: &Resources| {
        resources
            .iter()
            .any(|resource| resource.name().as_str() == name)
    };
    if !named("cpus", &resources) {
        resources.push(scalar("cpus", cpus()));
    }
    if !named("mem", &resources) {
        resources.push(scalar("mem", rest_of(memory_bytes(), GIB)));
    }
    if !named("disk", &resources) {
        let disk =
            rustix::fs::statvfs(work_dir).map_or(10 * GIB, |disk| disk.f_blocks * disk.f_frsize);
        resources.push(scalar("disk", rest_of(disk, 5 * GIB)));
    }
    if !named("ports", &resources) {
        resources.push(Resource::ranges("ports", Ranges::single(31_000, 32_000)));
    }
    Ok(resources.to_proto())
}

/// The attributes as the wire has them.
pub(crate) fn attributes(text: Option<&str>) -> Result<Vec<v1::Attribute>, ResourceOptionError> {
    Ok(mezz_resource::attributes::parse(text.unwrap_or_default())?)
}

fn scalar(name: &str, value: f64) -> Resource {
    Resource::scalar(name, Scalar::from_f64(value).unwrap_or(Scalar(0)))
}

/// In MiB: all but what the host keeps for itself, or half if it is too small for that.
fn rest_of(total: u64, kept: u64) -> f64 {
    let rest = if total >= 2 * kept {
        total - kept
    } else {
        total / 2
    };
    (rest as f64 / MIB).floor()
}

/// The processors that this process may use.
pub(crate) fn cpus() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |count| count.get() as f64)
}

/// All memory of the host.
pub(crate) fn memory_bytes() -> u64 {
    meminfo("MemTotal:").unwrap_or(2 * GIB)
}

/// Memory that nothing uses.
pub(crate) fn free_memory_bytes() -> u64 {
    meminfo("MemFree:").unwrap_or(0)
}

fn meminfo(key: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

/// The load of the last 1, 5 and 15 minutes.
pub(crate) fn load() -> [f64; 3] {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut numbers = text.split(' ').map(|word| word.parse().unwrap_or(0.0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0.0))
}

/// Differs from boot to boot.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The name that offers carry: given, or that of the host; on loopback `localhost`, which every local client resolves.
pub(crate) fn hostname(given: Option<&str>, ip: IpAddr) -> String {
    if let Some(name) = given {
        return name.to_owned();
    }
    if ip.is_loopback() {
        return "localhost".to_owned();
    }
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        ip.to_string()
    } else {
        name
    }
}

/// Random bytes from the kernel.
pub(crate) fn seed() -> u64 {
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    let (first, second) = bytes.split_at(8);
    let number = |half: &[u8]| {
        half.iter()
            .fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte))
    };
    number(first) ^ number(second).rotate_left(17)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(text: Option<&str>) -> Vec<(String, Option<f64>)> {
        let found = resources(text, "*", Path::new("/")).unwrap();
        found
            .iter()
            .map(|resource| {
                (
                    resource.name.clone(),
                    resource.scalar.as_ref().map(|scalar| scalar.value),
                )
            })
            .collect()
    }

    #[test]
    fn what_is_not_given_is_found_out() {
        let found = summary(Some("cpus:3;mem:512"));
        assert!(found.contains(&("cpus".to_owned(), Some(3.0))));
        assert!(found.contains(&("mem".to_owned(), Some(512.0))));
        assert!(
            found
                .iter()
                .any(|(name, value)| name == "disk" && value.is_some_and(|disk| disk > 0.0))
        );
        assert!(found.iter().any(|(name, _)| name == "ports"));
    }

    #[test]
    fn small_hosts_keep_half_and_big_ones_a_fixed_part() {
        assert!((rest_of(GIB, GIB) - 512.0).abs() < 0.1);
        assert!((rest_of(8 * GIB, GIB) - 7.0 * 1024.0).abs() < 0.1);
    }

    #[test]
    fn wrong_resources_are_refused_by_name() {
        let error = resources(Some("cpus:many"), "*", Path::new("/")).unwrap_err();
        assert!(error.to_string().starts_with("--resources: "), "{error}");
    }
}
