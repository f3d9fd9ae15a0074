//! The contents of a container's `hosts`, `hostname` and `resolv.conf`. Pure.

use std::fmt::Write as _;
use std::net::IpAddr;

use crate::ids::NetworkName;
use crate::result::{AddResult, Dns};

/// The texts of a container's network files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFiles {
    /// `/etc/hosts`.
    pub hosts: String,
    /// `/etc/hostname`.
    pub hostname: String,
    /// `/etc/resolv.conf`; `None` means the host's own.
    pub resolv_conf: Option<String>,
}

/// The resolvers that the agent was given for networks whose plugins name none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    /// For these networks.
    pub of_networks: Vec<(NetworkName, Dns)>,
    /// For all others.
    pub of_others: Option<Dns>,
}

impl NetworkFiles {
    /// The files of a container that has joined these networks.
    pub fn of(hostname: &str, joined: &[(NetworkName, AddResult)], defaults: &Resolver) -> Self {
        let addresses = |is_4: bool| {
            joined
                .iter()
                .flat_map(|(_, result)| result.container_addresses())
                .map(|address| address.ip)
                .find(|ip| ip.is_ipv4() == is_4)
        };
        let own: Vec<IpAddr> = [addresses(true), addresses(false)]
            .into_iter()
            .flatten()
            .collect();
        Self {
            hosts: hosts(hostname, &own),
            hostname: format!("{hostname}\n"),
            resolv_conf: resolver(joined, defaults).map(|dns| resolv_conf(&dns)),
        }
    }
}

/// A `hosts` file that knows the loopback addresses and the container's own.
pub fn hosts(hostname: &str, addresses: &[IpAddr]) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    for address in addresses {
        let _ = writeln!(text, "{address} {hostname}");
    }
    text
}

/// What the networks together say about resolving names: each by its result, else by the agent's defaults. Lists are
/// joined in the order of the networks, of single values the last holds. Without any server there is none.
pub fn resolver(joined: &[(NetworkName, AddResult)], defaults: &Resolver) -> Option<Dns> {
    let mut whole = Dns::default();
    for (name, result) in joined {
        let of_network = defaults.of_networks.iter().find(|(of, _)| of == name);
        // Plugins print an empty object where nothing was configured.
        let dns = if result.dns.nameservers.is_empty() {
            of_network
                .map(|(_, dns)| dns)
                .or(defaults.of_others.as_ref())
        } else {
            Some(&result.dns)
        };
        if let Some(dns) = dns {
            extend(&mut whole, dns);
        }
    }
    (!whole.nameservers.is_empty()).then_some(whole)
}

/// Two networks may name the same server.
fn extend(whole: &mut Dns, dns: &Dns) {
    let lists = [
        (&mut whole.nameservers, &dns.nameservers),
        (&mut whole.search, &dns.search),
        (&mut whole.options, &dns.options),
    ];
    for (list, more) in lists {
        for text in more {
            if !list.contains(text) {
                list.push(text.clone());
            }
        }
    }
    if dns.domain.is_some() {
        whole.domain.clone_from(&dns.domain);
    }
}

fn resolv_conf(dns: &Dns) -> String {
    let mut text = String::new();
    if let Some(domain) = &dns.domain {
        let _ = writeln!(text, "domain {domain}");
    }
    for (word, list) in [("search", &dns.search), ("options", &dns.options)] {
        if !list.is_empty() {
            let _ = writeln!(text, "{word} {}", list.join(" "));
        }
    }
    for server in &dns.nameservers {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::version::Version;

    fn joined(name: &str, result: &serde_json::Value) -> (NetworkName, AddResult) {
        let result = AddResult::from_json(result.as_object().unwrap(), Version::V1_0_0).unwrap();
        (NetworkName::new(name).unwrap(), result)
    }

    fn dns(server: &str) -> Dns {
        Dns {
            nameservers: vec![server.to_owned()],
            ..Dns::default()
        }
    }

    #[test]
    fn hosts_names_the_first_address_of_each_family() {
        let result = json!({"ips": [
            {"address": "10.0.0.2/24"}, {"address": "10.0.0.3/24"}, {"address": "fd00::2/64"}
        ]});
        let files = NetworkFiles::of("web", &[joined("a", &result)], &Resolver::default());
        assert_eq!(
            files.hosts,
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n10.0.0.2 web\nfd00::2 web\n"
        );
        assert_eq!(files.hostname, "web\n");
        assert_eq!(files.resolv_conf, None);
    }

    #[test]
    fn the_resolver_of_the_plugin_goes_before_the_agents_defaults() {
        let own =
            json!({"dns": {"nameservers": ["10.0.0.1"], "domain": "a.test", "search": ["a.test"]}});
        let defaults = Resolver {
            of_networks: vec![(NetworkName::new("b").unwrap(), dns("10.1.0.1"))],
            of_others: Some(dns("10.9.0.1")),
        };
        let all = [
            joined("a", &own),
            joined("b", &json!({"dns": {}})),
            joined("c", &json!({})),
        ];
        let files = NetworkFiles::of("web", &all, &defaults);
        assert_eq!(
            files.resolv_conf.unwrap(),
            "domain a.test\nsearch a.test\nnameserver 10.0.0.1\nnameserver 10.1.0.1\nnameserver 10.9.0.1\n"
        );
    }
}
