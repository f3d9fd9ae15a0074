//! Ports of an app. An app that was cleaned has them in one form: `portDefinitions`.

use mezz_spec::template::{Port, Protocol};
use serde_json::Value;

use super::template::port_number;
use crate::reading::Members;

/// The ports; the first is named as Marathon names the one that every app has.
pub(super) fn read(members: &Members<'_>) -> Vec<Port> {
    let requires = members.flag("requirePorts").unwrap_or(false);
    let definitions = members.objects("portDefinitions").unwrap_or_default();
    let mut ports: Vec<Port> = Vec::new();
    for (index, definition) in definitions.iter().enumerate() {
        let number = definition
            .value("port")
            .and_then(|value| {
                let number = port_number(value);
                if number.is_none() {
                    definition.tell("port", "a port from 0 to 65535 is wanted");
                }
                number
            })
            .filter(|number| *number > 0);
        let name = definition
            .text("name")
            .map_or_else(|| unnamed(index), str::to_owned);
        ports.push(Port {
            name,
            host_port: number.filter(|_| requires),
            container_port: None,
            service_port: number,
            protocol: definition.word("protocol", &PROTOCOLS).unwrap_or_default(),
            labels: definition.pairs("labels").unwrap_or_default(),
        });
        definition.finish();
    }
    ports
}

const PROTOCOLS: [(&str, Protocol); 4] = [
    ("tcp", Protocol::Tcp),
    ("udp", Protocol::Udp),
    ("udp,tcp", Protocol::TcpUdp),
    ("tcp,udp", Protocol::TcpUdp),
];

/// What a port is called that the app gives no name.
pub(super) fn unnamed(index: usize) -> String {
    format!("port{index}")
}

/// A protocol as Marathon writes it.
pub(super) fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::TcpUdp => "udp,tcp",
    }
}

/// Brings the legacy list of numbers into the one form.
pub(super) fn definitions_of(numbers: &Value) -> Option<Value> {
    let numbers = numbers.as_array()?;
    numbers
        .iter()
        .enumerate()
        .map(|(index, number)| {
            let number = port_number(number)?;
            let name = if index == 0 {
                "default".to_owned()
            } else {
                unnamed(index)
            };
            Some(serde_json::json!({ "port": number, "name": name, "protocol": "tcp" }))
        })
        .collect()
}
