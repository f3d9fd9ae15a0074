//! Between the `NetworkInfo` of frameworks and the words of plugins. Pure.

use mezz_proto::v1;
use serde_json::{Value, json};

use crate::error::CniError;
use crate::network::MESOS_ARGS;
use crate::request::{Arguments, PortMapping, Protocol};
use crate::result::AddResult;

/// What a framework asks of a network, in the plugins' words: its ports and addresses as capabilities, its labels in
/// `CNI_ARGS` and `args`, and the whole request in `args` where plugins made for Mesos look for it.
pub fn capabilities(info: &v1::NetworkInfo) -> Result<Arguments, CniError> {
    let mut arguments = Arguments::default();
    arguments.set_port_mappings(&port_mappings(info)?);
    let addresses: Vec<String> = info
        .ip_addresses
        .iter()
        .filter_map(|address| address.ip_address.clone())
        .collect();
    arguments.set_addresses(&addresses);
    let labels = info.labels.iter().flat_map(|labels| &labels.labels);
    let pairs: Vec<(&str, &str)> = labels
        .map(|label| {
            (
                label.key.as_str(),
                label.value.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    push_labels(&mut arguments, &pairs);
    let request = json!({"network_info": mezz_proto::to_value(info)});
    arguments
        .conventional
        .insert(MESOS_ARGS.to_owned(), request);
    let mut conventional = json!({});
    if !pairs.is_empty() {
        let labels = pairs
            .iter()
            .map(|(key, value)| json!({"key": key, "value": value}));
        conventional["labels"] = Value::Array(labels.collect());
    }
    if !addresses.is_empty() {
        conventional["ips"] = json!(addresses);
    }
    if conventional
        .as_object()
        .is_some_and(|object| !object.is_empty())
    {
        arguments
            .conventional
            .insert("cni".to_owned(), conventional);
    }
    Ok(arguments)
}

/// The request with what came of it: addresses that were asked for give way to those that were given.
pub fn network_info(asked: &v1::NetworkInfo, result: &AddResult) -> v1::NetworkInfo {
    let mut info = asked.clone();
    let mut given: Vec<_> = result
        .container_addresses()
        .map(|address| address.ip)
        .collect();
    given.sort_by_key(std::net::IpAddr::is_ipv6);
    info.ip_addresses = given
        .into_iter()
        .map(|ip| v1::network_info::IpAddress {
            protocol: Some(if ip.is_ipv4() {
                v1::network_info::Protocol::IPv4.into()
            } else {
                v1::network_info::Protocol::IPv6.into()
            }),
            ip_address: Some(ip.to_string()),
        })
        .collect();
    info
}

fn port_mappings(info: &v1::NetworkInfo) -> Result<Vec<PortMapping>, CniError> {
    let read = |(index, mapping): (usize, &v1::network_info::PortMapping)| {
        let refuse = |field: &str, problem: String| CniError::Request {
            field: format!("port_mappings[{index}].{field}"),
            problem,
        };
        let port = |field: &'static str, port: u32| {
            u16::try_from(port)
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| refuse(field, format!("{port} is no port; ports are 1 to 65535")))
        };
        let protocol = mapping.protocol.as_deref().unwrap_or("tcp");
        let protocol = Protocol::parse(protocol).ok_or_else(|| {
            refuse(
                "protocol",
                format!("\"{protocol}\" is not known; known: tcp, udp, sctp"),
            )
        })?;
        Ok(PortMapping {
            host_port: port("host_port", mapping.host_port)?,
            container_port: port("container_port", mapping.container_port)?,
            protocol,
            host_address: None,
        })
    };
    info.port_mappings.iter().enumerate().map(read).collect()
}

/// Keys of `CNI_ARGS` are alphanumeric; most plugins refuse those that they do not know unless they are told not to.
fn push_labels(arguments: &mut Arguments, labels: &[(&str, &str)]) {
    let is_word =
        |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let fitting = labels.iter().filter(|(key, _)| is_word(key));
    let mut is_first = true;
    for (key, value) in fitting {
        if is_first {
            arguments.push_generic("IgnoreUnknown", "1");
            is_first = false;
        }
        arguments.push_generic(key, value);
    }
}
