//! Networks written for Mesos's own port mapper, driven by the standard plugins where that program is absent. Pure.
//!
//! The port mapper wraps another plugin and maps ports itself. The same is a chain of that plugin and `portmap`.

use serde_json::{Map, Value, json};

use crate::fault::ConfigFault;
use crate::network::{Network, Plugin};
use crate::version::Version;

/// The program of Mesos's port mapper.
pub(crate) const PORT_MAPPER: &str = "mesos-cni-port-mapper";

/// Fields of the port mapper's own; whatever else stands there is for nobody.
const OWN_FIELDS: [&str; 8] = [
    "type",
    "name",
    "cniVersion",
    "cniVersions",
    "chain",
    "excludeDevices",
    "delegate",
    "args",
];

/// Puts the standard plugins in the place of each port mapper.
pub(crate) fn translated(mut network: Network) -> Result<Network, ConfigFault> {
    let is_mapper = |plugin: &Plugin| plugin.kind == PORT_MAPPER;
    if !network.plugins.iter().any(is_mapper) {
        return Ok(network);
    }
    let mut plugins = Vec::new();
    for plugin in network.plugins {
        if is_mapper(&plugin) {
            plugins.extend(pair(plugin.config)?);
        } else {
            plugins.push(plugin);
        }
    }
    network.plugins = plugins;
    // The port mapper needs no version that knows chains, its replacement does.
    network.versions.insert(Version::V0_3_1);
    Ok(network)
}

fn pair(config: Map<String, Value>) -> Result<[Plugin; 2], ConfigFault> {
    if let Some(key) = config
        .keys()
        .find(|key| !OWN_FIELDS.contains(&key.as_str()))
    {
        let problem = format!(
            "is not known to the port mapper; without its program {PORT_MAPPER} the network runs as its delegate and \
             portmap"
        );
        return Err(ConfigFault::new(key, problem));
    }
    let Some(Value::Object(delegate)) = config.get("delegate") else {
        return Err(ConfigFault::new(
            "delegate",
            "must be an object with the `type` of the plugin that the port mapper wraps",
        ));
    };
    let mut delegate = delegate.clone();
    if let Some(args) = config.get("args") {
        delegate.insert("args".to_owned(), args.clone());
    }
    let delegate = Plugin::read(delegate, "delegate")?;
    let mut portmap = Map::new();
    portmap.insert("type".to_owned(), "portmap".into());
    portmap.insert("snat".to_owned(), true.into());
    if let Some(device) = excluded_device(&config)? {
        portmap.insert("conditionsV4".to_owned(), json!(["!", "-i", device]));
    }
    portmap.insert("capabilities".to_owned(), json!({"portMappings": true}));
    Ok([delegate, Plugin::read(portmap, "")?])
}

/// A rule of iptables takes one device.
fn excluded_device(config: &Map<String, Value>) -> Result<Option<String>, ConfigFault> {
    let place = "excludeDevices";
    let wrong = || ConfigFault::new(place, "must be a list of names of devices");
    let devices = match config.get(place) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(devices)) => devices,
        Some(_) => return Err(wrong()),
    };
    match devices.as_slice() {
        [] => Ok(None),
        [Value::String(device)] => Ok(Some(device.clone())),
        [_] => Err(wrong()),
        _ => Err(ConfigFault::new(
            place,
            format!(
                "names several devices, which only the program {PORT_MAPPER} itself can exclude"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_MESOS: &str = r#"{
        "name": "mapped", "type": "mesos-cni-port-mapper",
        "excludeDevices": ["mesos-cni0"], "chain": "MESOS-TEST",
        "delegate": {"type": "bridge", "bridge": "mesos-cni0", "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}}
    }"#;

    #[test]
    fn the_port_mapper_becomes_its_delegate_and_portmap() {
        let network = translated(Network::parse(OF_MESOS).unwrap()).unwrap();
        let kinds: Vec<&str> = network.plugins.iter().map(|p| p.kind.as_str()).collect();
        assert_eq!(kinds, ["bridge", "portmap"]);
        assert_eq!(network.plugins[0].config["bridge"], "mesos-cni0");
        let portmap = &network.plugins[1];
        assert_eq!(
            portmap.config["conditionsV4"],
            json!(["!", "-i", "mesos-cni0"])
        );
        assert_eq!(portmap.capabilities.get("portMappings"), Some(&true));
        assert!(
            network
                .completed()
                .unwrap()
                .candidates()
                .contains(&Version::V0_3_1)
        );
    }

    #[test]
    fn what_portmap_cannot_do_is_refused_by_its_field() {
        let several = OF_MESOS.replace("[\"mesos-cni0\"]", "[\"a\", \"b\"]");
        let fault = translated(Network::parse(&several).unwrap()).unwrap_err();
        assert!(
            fault
                .to_string()
                .starts_with("`excludeDevices` names several"),
            "{fault}"
        );
        let bare = r#"{"name": "n", "type": "mesos-cni-port-mapper"}"#;
        let fault = translated(Network::parse(bare).unwrap()).unwrap_err();
        assert!(
            fault.to_string().starts_with("`delegate` must be"),
            "{fault}"
        );
    }

    #[test]
    fn other_networks_stay_as_they_are() {
        let network = Network::parse(r#"{"name": "n", "type": "bridge"}"#).unwrap();
        assert_eq!(translated(network.clone()).unwrap(), network);
    }
}
