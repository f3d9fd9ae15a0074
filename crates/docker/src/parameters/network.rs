//! Flags about names, addresses and ports.

use super::Row;
use super::reading::switch;
use crate::create::{CreateRequest, IpamConfig, PortBinding};
use crate::networks::{endpoint, publish};

pub(super) const FLAGS: &[Row] = &[
    (&["network", "net"], |request, value| {
        if request.networking_config.is_some() {
            return Err("comes after what it would change; put it first".to_owned());
        }
        value.clone_into(&mut request.host_config.network_mode);
        Ok(())
    }),
    (&["network-alias", "net-alias"], |request, value| {
        let name = users_network(request)?;
        endpoint(request, &name).aliases.push(value.to_owned());
        Ok(())
    }),
    (&["ip"], |request, value| {
        value.clone_into(&mut addresses(request)?.ipv4_address);
        Ok(())
    }),
    (&["ip6"], |request, value| {
        value.clone_into(&mut addresses(request)?.ipv6_address);
        Ok(())
    }),
    (&["hostname"], |request, value| {
        value.clone_into(&mut request.hostname);
        Ok(())
    }),
    (&["domainname"], |request, value| {
        value.clone_into(&mut request.domainname);
        Ok(())
    }),
    (&["mac-address"], |request, value| {
        value.clone_into(&mut request.mac_address);
        Ok(())
    }),
    (&["dns"], |request, value| {
        request.host_config.dns.push(value.to_owned());
        Ok(())
    }),
    (&["dns-search"], |request, value| {
        request.host_config.dns_search.push(value.to_owned());
        Ok(())
    }),
    (&["dns-opt", "dns-option"], |request, value| {
        request.host_config.dns_options.push(value.to_owned());
        Ok(())
    }),
    (&["add-host"], |request, value| {
        if !value.contains(':') {
            return Err(format!("'{value}' is not HOST:ADDRESS"));
        }
        request.host_config.extra_hosts.push(value.to_owned());
        Ok(())
    }),
    (&["link"], |request, value| {
        request.host_config.links.push(value.to_owned());
        Ok(())
    }),
    (&["expose"], |request, value| {
        request.exposed_ports.insert(port(value)?);
        Ok(())
    }),
    (&["publish"], |request, value| {
        let (port, binding) = published(value)?;
        publish(request, port, binding);
        Ok(())
    }),
    (&["publish-all"], |request, value| {
        request.host_config.publish_all_ports = switch(value)?;
        Ok(())
    }),
];

/// The network in which the container can have names and addresses of its own.
fn users_network(request: &CreateRequest) -> Result<String, String> {
    let mode = &request.host_config.network_mode;
    if matches!(mode.as_str(), "" | "host" | "none" | "bridge" | "default") {
        return Err(format!(
            "is for networks of users; this container's is '{mode}'"
        ));
    }
    Ok(mode.clone())
}

fn addresses(request: &mut CreateRequest) -> Result<&mut IpamConfig, String> {
    let name = users_network(request)?;
    let config = &mut endpoint(request, &name).ipam_config;
    Ok(config.get_or_insert_with(Default::default))
}

/// `80`, `80/udp`.
fn port(value: &str) -> Result<String, String> {
    let (number, protocol) = value.split_once('/').unwrap_or((value, "tcp"));
    let known = matches!(protocol, "tcp" | "udp" | "sctp");
    match number.parse::<u16>() {
        Ok(number) if number > 0 && known => Ok(format!("{number}/{protocol}")),
        _ => Err(format!(
            "'{value}' is not PORT[/PROTOCOL]; name each port of a range"
        )),
    }
}

/// `[[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]`.
fn published(value: &str) -> Result<(String, PortBinding), String> {
    let (front, container) = value.rsplit_once(':').unwrap_or(("", value));
    let (host_ip, host_port) = front.rsplit_once(':').unwrap_or(("", front));
    if !host_port.is_empty() && host_port.parse::<u16>().is_err() {
        return Err(format!("'{value}': '{host_port}' is no port"));
    }
    let binding = PortBinding {
        host_ip: host_ip.trim_matches(['[', ']']).to_owned(),
        host_port: host_port.to_owned(),
    };
    Ok((port(container)?, binding))
}
