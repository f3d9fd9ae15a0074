//! Ports of an instance: which are wanted, and which number each port of the template got.

use std::collections::BTreeSet;

use mezz_proto::v1;
use mezz_sched::PortsWanted;
use mezz_spec::template::{Container, Port, PortRef, Protocol};

use crate::instances::wire_labels;

/// What the ledger is asked for.
pub(crate) fn wanted(container: &Container) -> PortsWanted {
    let fixed: BTreeSet<u16> = container
        .ports
        .iter()
        .filter_map(|port| port.host_port)
        .collect();
    let any = container
        .ports
        .iter()
        .filter(|port| port.host_port.is_none())
        .count();
    PortsWanted {
        any: u32::try_from(any).unwrap_or(u32::MAX),
        fixed,
    }
}

/// The numbers that were picked, in the order of the template's ports.
pub(crate) fn assign(ports: &[Port], picked: &[u16]) -> Vec<u16> {
    let fixed: BTreeSet<u16> = ports.iter().filter_map(|port| port.host_port).collect();
    let mut free = picked.iter().copied().filter(|port| !fixed.contains(port));
    ports
        .iter()
        .filter_map(|port| port.host_port.or_else(|| free.next()))
        .collect()
}

/// The number behind a port's name.
pub(crate) fn number(port: &PortRef, ports: &[Port], numbers: &[u16]) -> u32 {
    match port {
        PortRef::Number(number) => u32::from(*number),
        PortRef::Name(name) => ports
            .iter()
            .zip(numbers)
            .find(|(port, _)| port.name == *name)
            .map_or(0, |(_, number)| u32::from(*number)),
    }
}

/// How the ports are announced to those who look for the instance.
pub(crate) fn announced(ports: &[Port], numbers: &[u16]) -> v1::Ports {
    let ports = ports
        .iter()
        .zip(numbers)
        .flat_map(|(port, number)| {
            protocols(port.protocol).iter().map(|protocol| v1::Port {
                number: u32::from(*number),
                name: Some(port.name.clone()),
                protocol: Some((*protocol).to_owned()),
                visibility: None,
                labels: wire_labels(&port.labels),
            })
        })
        .collect();
    v1::Ports { ports }
}

const fn protocols(protocol: Protocol) -> &'static [&'static str] {
    match protocol {
        Protocol::Tcp => &["tcp"],
        Protocol::Udp => &["udp"],
        Protocol::TcpUdp => &["tcp", "udp"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, host_port: Option<u16>) -> Port {
        Port {
            name: name.into(),
            host_port,
            container_port: None,
            service_port: None,
            protocol: Protocol::Tcp,
            labels: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn fixed_ports_get_theirs_and_the_others_what_was_picked_in_order() {
        let ports = [
            port("http", None),
            port("admin", Some(31_005)),
            port("metrics", None),
        ];
        let numbers = assign(&ports, &[31_001, 31_005, 31_900]);
        assert_eq!(numbers, [31_001, 31_005, 31_900]);
        assert_eq!(
            number(&PortRef::Name("metrics".into()), &ports, &numbers),
            31_900
        );
    }
}
