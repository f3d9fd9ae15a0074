//! Flags about what may be used. They come after what the task was given, and thus win.

use super::Row;
use super::reading::{billionths, bytes, bytes_or_none, number, switch};
use crate::create::{Device, Ulimit};

pub(super) const FLAGS: &[Row] = &[
    (&["cpu-shares"], |request, value| {
        request.host_config.limits.cpu_shares = Some(number(value)?);
        Ok(())
    }),
    (&["cpu-period"], |request, value| {
        request.host_config.limits.cpu_period = Some(number(value)?);
        Ok(())
    }),
    (&["cpu-quota"], |request, value| {
        request.host_config.limits.cpu_quota = Some(number(value)?);
        Ok(())
    }),
    (&["cpus"], |request, value| {
        let limits = &mut request.host_config.limits;
        limits.nano_cpus = Some(billionths(value)?);
        // The Engine takes only one of the two.
        limits.cpu_quota = None;
        Ok(())
    }),
    (&["cpuset-cpus"], |request, value| {
        value.clone_into(&mut request.host_config.limits.cpuset_cpus);
        Ok(())
    }),
    (&["cpuset-mems"], |request, value| {
        value.clone_into(&mut request.host_config.limits.cpuset_mems);
        Ok(())
    }),
    (&["memory"], |request, value| {
        request.host_config.limits.memory = Some(bytes(value)?);
        Ok(())
    }),
    (&["memory-reservation"], |request, value| {
        request.host_config.limits.memory_reservation = Some(bytes(value)?);
        Ok(())
    }),
    (&["memory-swap"], |request, value| {
        request.host_config.limits.memory_swap = Some(bytes_or_none(value)?);
        Ok(())
    }),
    (&["memory-swappiness"], |request, value| {
        request.host_config.limits.memory_swappiness = Some(number(value)?);
        Ok(())
    }),
    (&["oom-kill-disable"], |request, value| {
        request.host_config.limits.oom_kill_disable = switch(value)?;
        Ok(())
    }),
    (&["oom-score-adj"], |request, value| {
        request.host_config.limits.oom_score_adj = Some(number(value)?);
        Ok(())
    }),
    (&["pids-limit"], |request, value| {
        request.host_config.limits.pids_limit = Some(number(value)?);
        Ok(())
    }),
    (&["blkio-weight"], |request, value| {
        request.host_config.limits.blkio_weight = Some(number(value)?);
        Ok(())
    }),
    (&["shm-size"], |request, value| {
        request.host_config.limits.shm_size = Some(bytes(value)?);
        Ok(())
    }),
    (&["ulimit"], |request, value| {
        let limit = ulimit(value)?;
        let limits = &mut request.host_config.limits.ulimits;
        limits.retain(|known| known.name != limit.name);
        limits.push(limit);
        Ok(())
    }),
    (&["device"], |request, value| {
        request.host_config.isolation.devices.push(device(value)?);
        Ok(())
    }),
    (&["device-cgroup-rule"], |request, value| {
        let rules = &mut request.host_config.isolation.device_cgroup_rules;
        rules.push(value.to_owned());
        Ok(())
    }),
];

fn ulimit(value: &str) -> Result<Ulimit, String> {
    let refused = || format!("'{value}' is not NAME=SOFT[:HARD]");
    let (name, limits) = value.split_once('=').ok_or_else(refused)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let one = |text: &str| text.parse::<i64>().map_err(|_| refused());
    Ok(Ulimit {
        name: name.to_owned(),
        soft: one(soft)?,
        hard: one(hard)?,
    })
}

fn device(value: &str) -> Result<Device, String> {
    let is_mode = |text: &str| !text.is_empty() && text.chars().all(|one| "rwm".contains(one));
    let parts: Vec<&str> = value.split(':').collect();
    let (host, container, mode) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if is_mode(mode) => (*host, *host, *mode),
        [host, container] => (*host, *container, "rwm"),
        [host, container, mode] if is_mode(mode) => (*host, *container, *mode),
        _ => return Err(format!("'{value}' is not HOST[:CONTAINER[:rwm]]")),
    };
    if !host.starts_with('/') || !container.starts_with('/') {
        return Err(format!("'{value}': paths of devices are absolute"));
    }
    Ok(Device {
        path_on_host: host.to_owned(),
        path_in_container: container.to_owned(),
        cgroup_permissions: mode.to_owned(),
    })
}
