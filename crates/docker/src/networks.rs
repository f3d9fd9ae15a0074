//! The network of a `DOCKER` container, its name there, and the host's ports that lead into it.

use mezz_proto::v1::container_info::DockerInfo;
use mezz_proto::v1::container_info::docker_info::Network;
use mezz_proto::v1::{ContainerInfo, NetworkInfo, network_info};

use crate::create::{CreateRequest, Endpoint, IpamConfig, NetworkingConfig, PortBinding};
use crate::request::RequestError;
use crate::resources::Needs;

/// Says which network it is.
pub(crate) fn add(
    container: &ContainerInfo,
    docker: &DockerInfo,
    needs: &Needs,
    request: &mut CreateRequest,
) -> Result<(), RequestError> {
    let mode = match docker.network() {
        Network::Host => "host".to_owned(),
        Network::Bridge => "bridge".to_owned(),
        Network::None => "none".to_owned(),
        Network::User => {
            let info = only_network(container)?;
            let name = info.name.clone().filter(|name| !name.is_empty());
            let name = name.ok_or(RequestError::NoNetworkName)?;
            if let Some(addresses) = addresses(info) {
                endpoint(request, &name).ipam_config = Some(addresses);
            }
            name
        }
    };
    if let Some(hostname) = &container.hostname {
        if docker.network() == Network::Host {
            return Err(RequestError::HostnameOfHost);
        }
        request.hostname.clone_from(hostname);
    }
    let mapped = matches!(docker.network(), Network::Bridge | Network::User);
    if !docker.port_mappings.is_empty() && !mapped {
        return Err(RequestError::PortsWithoutNetwork);
    }
    request.host_config.network_mode = mode;
    ports(docker, needs, request)
}

fn only_network(container: &ContainerInfo) -> Result<&NetworkInfo, RequestError> {
    match container.network_infos.as_slice() {
        [] => Err(RequestError::NoNetworkInfo),
        [only] => Ok(only),
        _ => Err(RequestError::SeveralNetworks),
    }
}

fn addresses(info: &NetworkInfo) -> Option<IpamConfig> {
    let mut config = IpamConfig::default();
    for asked in &info.ip_addresses {
        let Some(address) = &asked.ip_address else {
            continue;
        };
        match asked.protocol() {
            network_info::Protocol::IPv4 => config.ipv4_address.clone_from(address),
            network_info::Protocol::IPv6 => config.ipv6_address.clone_from(address),
        }
    }
    (config != IpamConfig::default()).then_some(config)
}

/// The container's end of the network.
pub(crate) fn endpoint<'a>(request: &'a mut CreateRequest, network: &str) -> &'a mut Endpoint {
    request
        .networking_config
        .get_or_insert_with(NetworkingConfig::default)
        .endpoints_config
        .entry(network.to_owned())
        .or_default()
}

fn ports(
    docker: &DockerInfo,
    needs: &Needs,
    request: &mut CreateRequest,
) -> Result<(), RequestError> {
    for (index, mapping) in docker.port_mappings.iter().enumerate() {
        if !needs.has_port(mapping.host_port) {
            return Err(RequestError::PortNotOffered(mapping.host_port));
        }
        let port = mapping.container_port;
        if port == 0 || port > u32::from(u16::MAX) {
            return Err(RequestError::NoPort { index, port });
        }
        let protocol = mapping.protocol.as_deref().unwrap_or("tcp");
        let protocol = protocol.to_ascii_lowercase();
        if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
            return Err(RequestError::Protocol { index, protocol });
        }
        publish(
            request,
            format!("{port}/{protocol}"),
            PortBinding {
                host_ip: String::new(),
                host_port: mapping.host_port.to_string(),
            },
        );
    }
    Ok(())
}

/// Leads a port of the host into the container.
pub(crate) fn publish(request: &mut CreateRequest, port: String, binding: PortBinding) {
    request.exposed_ports.insert(port.clone());
    let bindings = &mut request.host_config.port_bindings;
    bindings.entry(port).or_default().push(binding);
}
