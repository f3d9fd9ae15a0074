//! What the Engine tells of a container.

use std::collections::BTreeMap;

use mezz_proto::v1::network_info::{IpAddress, Protocol};
use mezz_proto::v1::{ContainerInfo, NetworkInfo};
use serde::Deserialize;

/// A container, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Inspected {
    /// The Engine's id of it.
    pub id: String,
    /// How it is.
    pub state: State,
    config: Config,
    host_config: Host,
    network_settings: NetworkSettings,
}

/// How a container is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct State {
    /// Whether it runs.
    pub running: bool,
    /// Its first process; 0 if there is none.
    pub pid: u32,
    /// How it ended, if it has.
    pub exit_code: i64,
    /// Whether the kernel ended one of its processes for want of memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Why it did not start, or has ended without being asked.
    pub error: String,
    /// When it started; a time of the year 1 if it never has.
    pub started_at: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    tty: bool,
    stop_signal: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Host {
    network_mode: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    #[serde(rename = "IPAddress")]
    ip_address: String,
    networks: Option<BTreeMap<String, NetworkEnd>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct NetworkEnd {
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "GlobalIPv6Address")]
    ipv6_address: String,
}

impl Inspected {
    /// Reads the answer of `GET /containers/{id}/json`.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Whether it has run, or runs.
    pub fn has_started(&self) -> bool {
        let never = self.state.started_at.is_empty() || self.state.started_at.starts_with("0001-");
        !never
    }

    /// Whether its output comes as one stream, as of a terminal.
    pub fn has_terminal(&self) -> bool {
        self.config.tty
    }

    /// What asks it to end.
    pub fn stop_signal(&self) -> &str {
        let own = self.config.stop_signal.as_deref();
        own.filter(|signal| !signal.is_empty()).unwrap_or("SIGTERM")
    }

    /// Whether its network is the host's.
    pub fn shares_network_with_host(&self) -> bool {
        self.host_config.network_mode == "host"
    }

    /// Its addresses, IPv4 first; none in the host's network.
    pub fn addresses(&self) -> Vec<IpAddress> {
        let settings = &self.network_settings;
        let networks = settings.networks.as_ref();
        let end = networks.and_then(|all| {
            let mode = &self.host_config.network_mode;
            // The Engine's own default has another name in the list.
            all.get(mode).or_else(|| all.get("bridge"))
        });
        let (four, six) = match end {
            Some(end) => (end.ip_address.as_str(), end.ipv6_address.as_str()),
            None => (settings.ip_address.as_str(), ""),
        };
        let address = |text: &str, protocol: Option<Protocol>| {
            (!text.is_empty()).then(|| IpAddress {
                protocol: protocol.map(Into::into),
                ip_address: Some(text.to_owned()),
            })
        };
        [address(four, None), address(six, Some(Protocol::IPv6))]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The network as a status shows it: as it was asked for, with the addresses that it has.
    pub fn network_info(&self, asked: &ContainerInfo) -> Option<NetworkInfo> {
        let ip_addresses = self.addresses();
        if ip_addresses.is_empty() {
            return None;
        }
        let asked = asked.network_infos.first().cloned();
        Some(NetworkInfo {
            ip_addresses,
            ..asked.unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIDGED: &str = r#"{"Id":"ab","State":{"Running":true,"Pid":7,"ExitCode":0,"OOMKilled":false,
        "StartedAt":"2026-01-01T00:00:00Z"},"Config":{"StopSignal":"SIGQUIT"},
        "HostConfig":{"NetworkMode":"bridge"},"NetworkSettings":{"IPAddress":"172.17.0.2",
        "Networks":{"bridge":{"IPAddress":"172.17.0.2","GlobalIPv6Address":"fd00::2"}}}}"#;

    #[test]
    fn a_status_shows_the_network_that_was_asked_for_with_its_addresses() {
        let inspected = Inspected::parse(BRIDGED).expect("an answer of the Engine");
        let mut asked = ContainerInfo::default();
        asked.network_infos.push(NetworkInfo {
            name: Some("bridge".to_owned()),
            ip_addresses: vec![IpAddress::default()],
            ..NetworkInfo::default()
        });
        let info = inspected.network_info(&asked).expect("there are addresses");
        assert_eq!(info.name.as_deref(), Some("bridge"));
        let texts: Vec<_> = info
            .ip_addresses
            .iter()
            .filter_map(|address| address.ip_address.as_deref())
            .collect();
        assert_eq!(texts, ["172.17.0.2", "fd00::2"]);
        assert_eq!(info.ip_addresses[1].protocol(), Protocol::IPv6);
        assert_eq!(inspected.stop_signal(), "SIGQUIT");
        assert!(inspected.has_started());
    }

    #[test]
    fn a_container_in_the_network_of_the_host_has_no_address_of_its_own() {
        let text = r#"{"HostConfig":{"NetworkMode":"host"},"NetworkSettings":{"IPAddress":"",
            "Networks":{"host":{"IPAddress":""}}},"State":{"StartedAt":"0001-01-01T00:00:00Z"}}"#;
        let inspected = Inspected::parse(text).expect("an answer of the Engine");
        assert_eq!(inspected.network_info(&ContainerInfo::default()), None);
        assert!(!inspected.has_started());
    }
}
