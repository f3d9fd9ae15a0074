//! Flags about what runs, as whom, and what it may do.

use super::Row;
use super::reading::{duration, list, number, pair, switch};
use crate::create::{CreateRequest, Healthcheck};

pub(super) const FLAGS: &[Row] = &[
    (&["entrypoint"], |request, value| {
        request.entrypoint = Some(vec![value.to_owned()]);
        Ok(())
    }),
    (&["env"], |request, value| {
        let (name, _) = pair(value)?;
        let mine = format!("{name}=");
        request.env.retain(|known| !known.starts_with(&mine));
        request.env.push(value.to_owned());
        Ok(())
    }),
    (&["label"], |request, value| {
        let (key, value) = value.split_once('=').unwrap_or((value, ""));
        if key.is_empty() {
            return Err("a label needs a key".to_owned());
        }
        if request.labels.contains_key(key) {
            return Err(format!("the label '{key}' is the agent's"));
        }
        request.labels.insert(key.to_owned(), value.to_owned());
        Ok(())
    }),
    (&["user"], |request, value| {
        value.clone_into(&mut request.user);
        Ok(())
    }),
    (&["group-add"], |request, value| {
        let groups = &mut request.host_config.isolation.group_add;
        groups.push(value.to_owned());
        Ok(())
    }),
    (&["workdir"], |request, value| {
        value.clone_into(&mut request.working_dir);
        Ok(())
    }),
    (&["stop-signal"], |request, value| {
        value.clone_into(&mut request.stop_signal);
        Ok(())
    }),
    (&["init"], |request, value| {
        request.host_config.init = switch(value)?;
        Ok(())
    }),
    (&["privileged"], |request, value| {
        request.host_config.privileged = switch(value)?;
        Ok(())
    }),
    (&["cap-add"], |request, value| {
        let added = &mut request.host_config.isolation.cap_add;
        added.extend(list(value));
        Ok(())
    }),
    (&["cap-drop"], |request, value| {
        let dropped = &mut request.host_config.isolation.cap_drop;
        dropped.extend(list(value));
        Ok(())
    }),
    (&["security-opt"], security),
    (&["ipc"], |request, value| {
        value.clone_into(&mut request.host_config.isolation.ipc_mode);
        Ok(())
    }),
    (&["pid"], |request, value| {
        value.clone_into(&mut request.host_config.isolation.pid_mode);
        Ok(())
    }),
    (&["uts"], |request, value| {
        value.clone_into(&mut request.host_config.isolation.uts_mode);
        Ok(())
    }),
    (&["userns"], |request, value| {
        value.clone_into(&mut request.host_config.isolation.userns_mode);
        Ok(())
    }),
    (&["cgroupns"], |request, value| {
        value.clone_into(&mut request.host_config.isolation.cgroupns_mode);
        Ok(())
    }),
    (&["cgroup-parent"], |request, value| {
        value.clone_into(&mut request.host_config.isolation.cgroup_parent);
        Ok(())
    }),
    (&["runtime"], |request, value| {
        value.clone_into(&mut request.host_config.isolation.runtime);
        Ok(())
    }),
    (&["sysctl"], |request, value| {
        let (key, value) = pair(value)?;
        request.host_config.isolation.sysctls.insert(key, value);
        Ok(())
    }),
    (&["health-cmd"], |request, value| {
        health(request).test = vec!["CMD-SHELL".to_owned(), value.to_owned()];
        Ok(())
    }),
    (&["no-healthcheck"], |request, value| {
        if switch(value)? {
            health(request).test = vec!["NONE".to_owned()];
        }
        Ok(())
    }),
    (&["health-interval"], |request, value| {
        health(request).interval = Some(duration(value)?);
        Ok(())
    }),
    (&["health-timeout"], |request, value| {
        health(request).timeout = Some(duration(value)?);
        Ok(())
    }),
    (&["health-start-period"], |request, value| {
        health(request).start_period = Some(duration(value)?);
        Ok(())
    }),
    (&["health-retries"], |request, value| {
        health(request).retries = Some(number(value)?);
        Ok(())
    }),
];

fn health(request: &mut CreateRequest) -> &mut Healthcheck {
    request.healthcheck.get_or_insert_with(Default::default)
}

fn security(request: &mut CreateRequest, value: &str) -> Result<(), String> {
    let profile = value
        .strip_prefix("seccomp=")
        .or_else(|| value.strip_prefix("seccomp:"));
    if let Some(profile) = profile {
        // The command line reads a file here; the Engine takes its text.
        let text = profile.trim_start().starts_with('{');
        if !text && !matches!(profile, "unconfined" | "builtin") {
            return Err(format!(
                "'{profile}': give the profile's JSON itself, or 'unconfined'; no file is read at the agent"
            ));
        }
    }
    let options = &mut request.host_config.isolation.security_opt;
    options.push(value.to_owned());
    Ok(())
}
