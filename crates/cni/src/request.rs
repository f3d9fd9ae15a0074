//! What one attachment asks of the plugins: where the container is, and what is wanted for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ids::{ContainerId, InterfaceName};

/// Where a container is to be attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The container.
    pub container: ContainerId,
    /// The interface that the plugin makes in it.
    pub interface: InterfaceName,
    /// The path of its network namespace, absent once that is gone.
    pub namespace: Option<String>,
}

/// What is wanted beyond the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// By capability; each goes to the plugins that declare it.
    pub capabilities: BTreeMap<String, Value>,
    /// `CNI_ARGS`, in this order.
    pub generic: Vec<(String, String)>,
    /// Added to `args` of the configuration.
    pub conventional: BTreeMap<String, Value>,
}

/// The protocol of a mapped port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port of the host that leads into the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// On the host.
    pub host_port: u16,
    /// In the container.
    pub container_port: u16,
    /// What it carries.
    pub protocol: Protocol,
    /// The only address of the host on which it is mapped, if not all.
    pub host_address: Option<String>,
}

/// Limits of an interface, in bits a second and bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// Into the container.
    pub ingress_rate: u64,
    /// How much may come at once.
    pub ingress_burst: u64,
    /// Out of the container.
    pub egress_rate: u64,
    /// How much may leave at once.
    pub egress_burst: u64,
}

impl Protocol {
    /// As plugins write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// From any case; `None` for what plugins do not know.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp]
            .into_iter()
            .find(|protocol| protocol.as_str().eq_ignore_ascii_case(text))
    }
}

impl Arguments {
    /// Maps ports of the host.
    pub fn set_port_mappings(&mut self, mappings: &[PortMapping]) {
        let entry = |mapping: &PortMapping| {
            let mut entry = json!({
                "hostPort": mapping.host_port,
                "containerPort": mapping.container_port,
                "protocol": mapping.protocol.as_str(),
            });
            if let Some(address) = &mapping.host_address {
                entry["hostIP"] = Value::from(address.as_str());
            }
            entry
        };
        self.set_list("portMappings", mappings.iter().map(entry).collect());
    }

    /// Asks for addresses, with or without the length of their prefix.
    pub fn set_addresses(&mut self, addresses: &[String]) {
        let list: Vec<Value> = addresses.iter().map(|text| text.as_str().into()).collect();
        self.set_list("ips", list);
    }

    /// Limits the interface.
    pub fn set_bandwidth(&mut self, limits: Bandwidth) {
        let limits = json!({
            "ingressRate": limits.ingress_rate,
            "ingressBurst": limits.ingress_burst,
            "egressRate": limits.egress_rate,
            "egressBurst": limits.egress_burst,
        });
        self.capabilities.insert("bandwidth".to_owned(), limits);
    }

    /// Names the servers and domains of the resolver.
    pub fn set_dns(&mut self, servers: &[String], searches: &[String], options: &[String]) {
        let dns = json!({"servers": servers, "searches": searches, "options": options});
        self.capabilities.insert("dns".to_owned(), dns);
    }

    /// Asks for a hardware address.
    pub fn set_mac(&mut self, mac: &str) {
        self.capabilities.insert("mac".to_owned(), mac.into());
    }

    /// Further names of the container on the network.
    pub fn set_aliases(&mut self, aliases: &[String]) {
        let list: Vec<Value> = aliases.iter().map(|text| text.as_str().into()).collect();
        self.set_list("aliases", list);
    }

    /// Adds a pair to `CNI_ARGS`; those that would break its form are left out and told by `false`.
    pub fn push_generic(&mut self, key: &str, value: &str) -> bool {
        let is_whole = |text: &str| !text.contains([';', '\0', '\n']);
        let fits = !key.is_empty() && !key.contains('=') && is_whole(key) && is_whole(value);
        if fits {
            self.generic.push((key.to_owned(), value.to_owned()));
        }
        fits
    }

    /// An empty list asks for nothing.
    fn set_list(&mut self, capability: &str, list: Vec<Value>) {
        if list.is_empty() {
            self.capabilities.remove(capability);
        } else {
            self.capabilities
                .insert(capability.to_owned(), Value::Array(list));
        }
    }
}
