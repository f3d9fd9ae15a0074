//! What the flags of a daemon mean, typed. Parse once here; nothing behind this module reads flag texts again.
//!
//! This file owns what both daemons share: where they listen, and how a typed value is taken from the flags.

mod agent;
mod containers;
mod docker;
mod images;
mod limits;
mod master;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::flags::{FlagError, Flags};

pub(crate) use agent::{AgentSettings, Reconfiguration, Recover};
pub(crate) use master::{MasterSettings, Registry};

/// Where a daemon listens and what it tells others of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listen {
    pub(crate) address: SocketAddr,
    pub(crate) advertise_ip: Option<IpAddr>,
    pub(crate) advertise_port: Option<u16>,
    pub(crate) hostname: String,
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

fn size(flags: &Flags, name: &str) -> u64 {
    flags
        .bytes(name)
        .expect("the table gives every size that is read a default, and checks what is given")
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

/// Where the daemon stands.
fn domain(flags: &Flags) -> Result<Option<mezz_proto::v1::DomainInfo>, FlagError> {
    const EXAMPLE: &str = r#"{"fault_domain": {"region": {"name": "R"}, "zone": {"name": "Z"}}}"#;
    let Some(text) = flags.text("domain") else {
        return Ok(None);
    };
    let wrong = |why: String| {
        meaning(
            "domain",
            format!("{why}; what is meant looks like {EXAMPLE}"),
        )
    };
    let domain: mezz_proto::v1::DomainInfo = mezz_proto::from_json(text.as_bytes())
        .map_err(|error| wrong(format!("not the JSON of a DomainInfo: {error}")))?;
    if domain.fault_domain.is_none() {
        return Err(wrong("the field fault_domain is missing".to_owned()));
    }
    Ok(Some(domain))
}

fn meaning(flag: &'static str, message: String) -> FlagError {
    FlagError::Meaning { flag, message }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::flags::{Daemon, Given, Origin, resolve};

    pub(crate) fn flags(daemon: Daemon, pairs: &[(&str, &str)]) -> Flags {
        let given = pairs.iter().map(|(key, text)| Given {
            key: (*key).to_owned(),
            text: (*text).to_owned(),
            origin: Origin::CommandLine,
        });
        resolve(daemon, given.collect()).expect("known flags").0
    }
}
