//! Flags of the agent that are about the Docker Engine.

use mezz_agent::DockerOptions;

use super::{duration, meaning, path};
use crate::flags::{FlagError, Flags};

/// How the Engine is used, if it runs containers.
pub(super) fn docker(flags: &Flags) -> Result<Option<DockerOptions>, FlagError> {
    let names = flags.text("containerizers").unwrap_or_default();
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    if let Some(other) = names
        .iter()
        .find(|name| !matches!(**name, "mesos" | "docker"))
    {
        let text = format!("'{other}' is not built; built are mesos and docker");
        return Err(meaning("containerizers", text));
    }
    if !names.contains(&"mesos") {
        let text = "mesos is missing: the agent runs tasks without a container itself".to_owned();
        return Err(meaning("containerizers", text));
    }
    if !names.contains(&"docker") {
        return Ok(None);
    }
    let defaults = DockerOptions::default();
    Ok(Some(DockerOptions {
        socket: path(flags, "docker_socket").unwrap_or(defaults.socket),
        config: flags.text("docker_config").map(str::to_owned),
        remove_delay: duration(flags, "docker_remove_delay"),
        kill_orphans: flags.switch("docker_kill_orphans"),
        quotas: flags.switch("cgroups_enable_cfs"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Daemon;
    use crate::settings::tests::flags;

    #[test]
    fn the_engine_is_used_only_if_it_is_named() {
        let of = |pairs: &[(&str, &str)]| docker(&flags(Daemon::Agent, pairs));
        assert_eq!(of(&[]).unwrap(), None);
        let both = of(&[
            ("containerizers", "docker,mesos"),
            ("docker_socket", "/run/engine"),
            ("docker_remove_delay", "5secs"),
        ]);
        let both = both.unwrap().expect("the Engine is named");
        assert_eq!(both.socket, std::path::PathBuf::from("/run/engine"));
        assert_eq!(both.remove_delay, std::time::Duration::from_secs(5));
        assert!(both.kill_orphans);
        for wrong in ["docker", "docker,podman,mesos", ""] {
            assert!(of(&[("containerizers", wrong)]).is_err(), "{wrong}");
        }
    }
}
