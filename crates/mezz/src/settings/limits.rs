//! Flags of the agent that are about what containers are held to.

use mezz_agent::{
    AllowedDevice, CpuQuota, DeviceAccess, Enforcement, GuardedPorts, LimitOptions, ProcessCount,
    SwapUse,
};
use serde::Deserialize;

use super::{duration, meaning, number, path};
use crate::flags::{FlagError, Flags};

/// What the flags mean.
pub(super) fn limits(flags: &Flags) -> Result<LimitOptions, FlagError> {
    let defaults = LimitOptions::default();
    let enforced = |flag| {
        if flags.switch(flag) {
            Enforcement::Enforced
        } else {
            Enforcement::Measured
        }
    };
    let most: u64 = number(flags, "container_pids_limit");
    Ok(LimitOptions {
        cgroups_hierarchy: path(flags, "cgroups_hierarchy").unwrap_or(defaults.cgroups_hierarchy),
        cgroups_root: flags
            .text("cgroups_root")
            .map_or(defaults.cgroups_root, str::to_owned),
        cpus: if flags.switch("cgroups_enable_cfs") {
            CpuQuota::Always
        } else {
            CpuQuota::OfLimits
        },
        swap: if flags.switch("cgroups_limit_swap") {
            SwapUse::Limited
        } else {
            SwapUse::Free
        },
        processes: if flags.switch("cgroups_cpu_enable_pids_and_tids_count") {
            ProcessCount::On
        } else {
            ProcessCount::Off
        },
        most_processes: (most > 0).then_some(most),
        allowed_devices: allowed_devices(flags)?,
        disk: enforced("enforce_container_disk_quota"),
        disk_interval: duration(flags, "container_disk_watch_interval"),
        ports: enforced("enforce_container_ports"),
        ports_interval: duration(flags, "container_ports_watch_interval"),
        guarded_ports: guarded_ports(flags)?,
    })
}

/// `DeviceWhitelist` as Mesos has it on command lines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DevicesJson {
    allowed_devices: Vec<DeviceJson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceJson {
    device: PathJson,
    access: AccessJson,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathJson {
    path: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AccessJson {
    read: bool,
    write: bool,
    mknod: bool,
}

fn allowed_devices(flags: &Flags) -> Result<Vec<AllowedDevice>, FlagError> {
    const EXAMPLE: &str =
        r#"{"allowed_devices": [{"device": {"path": "/dev/X"}, "access": {"read": true}}]}"#;
    let Some(text) = flags.text("allowed_devices") else {
        return Ok(Vec::new());
    };
    let json: DevicesJson = serde_json::from_str(text).map_err(|error| {
        meaning(
            "allowed-devices",
            format!("not of the form {EXAMPLE}: {error}"),
        )
    })?;
    json.allowed_devices.into_iter().map(allowed).collect()
}

fn allowed(json: DeviceJson) -> Result<AllowedDevice, FlagError> {
    let given = [
        (json.access.read, DeviceAccess::READ),
        (json.access.write, DeviceAccess::WRITE),
        (json.access.mknod, DeviceAccess::MAKE),
    ];
    let access = given
        .into_iter()
        .filter(|(given, _)| *given)
        .fold(DeviceAccess::default(), |all, (_, one)| all.with(one));
    if access.is_empty() {
        let path = json.device.path;
        return Err(meaning(
            "allowed-devices",
            format!("'{path}': name at least one of read, write and mknod"),
        ));
    }
    Ok(AllowedDevice {
        path: json.device.path.into(),
        access,
    })
}

fn guarded_ports(flags: &Flags) -> Result<GuardedPorts, FlagError> {
    const RANGE: &str = "container-ports-isolated-range";
    let offered = flags.switch("check_agent_port_range_only");
    match flags.text("container_ports_isolated_range") {
        None if offered => Ok(GuardedPorts::Offered),
        None => Ok(GuardedPorts::All),
        Some(_) if offered => Err(meaning(
            RANGE,
            "set either this or --check-agent-port-range-only".to_owned(),
        )),
        Some(text) => ranges(text).map(GuardedPorts::Ranges).ok_or_else(|| {
            meaning(
                RANGE,
                format!("'{text}' is not of the form [BEGIN-END,BEGIN-END,…]"),
            )
        }),
    }
}

fn ranges(text: &str) -> Option<Vec<(u64, u64)>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let one = |part: &str| {
        let (begin, end) = part.trim().split_once('-')?;
        let (begin, end) = (begin.trim().parse().ok()?, end.trim().parse().ok()?);
        (begin <= end && u16::try_from(end).is_ok()).then_some((begin, end))
    };
    inner.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::flags;
    use super::*;
    use crate::flags::Daemon;

    fn given(pairs: &[(&str, &str)]) -> Result<LimitOptions, String> {
        limits(&flags(Daemon::Agent, pairs)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_said_is_as_in_mesos() {
        assert_eq!(given(&[]), Ok(LimitOptions::default()));
    }

    #[test]
    fn devices_are_allowed_as_mesos_writes_them() {
        let text = r#"{"allowed_devices": [{"device": {"path": "/dev/fuse"}, "access": {"read": true, "mknod": true}}]}"#;
        let devices = given(&[("allowed_devices", text)])
            .expect("settings")
            .allowed_devices;
        assert_eq!(devices[0].path.to_str(), Some("/dev/fuse"));
        assert_eq!(devices[0].access.to_string(), "rm");
        let none = text.replace("true", "false");
        assert_eq!(
            given(&[("allowed_devices", &none)]),
            Err(
                "--allowed-devices: '/dev/fuse': name at least one of read, write and mknod"
                    .to_owned()
            )
        );
    }

    #[test]
    fn ports_are_guarded_in_one_way() {
        let range = ("container_ports_isolated_range", "[1-1023, 31000-32000]");
        assert_eq!(
            given(&[range]).expect("settings").guarded_ports,
            GuardedPorts::Ranges(vec![(1, 1023), (31_000, 32_000)])
        );
        let both = given(&[range, ("check_agent_port_range_only", "true")]);
        assert_eq!(
            both.expect_err("an error"),
            "--container-ports-isolated-range: set either this or --check-agent-port-range-only"
        );
        let wrong = given(&[("container_ports_isolated_range", "[5-1]")]);
        assert!(wrong.is_err());
    }
}
