//! Results as plugins print them: the forms of all versions, read and written.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::result::{AddResult, Address, Dns, Interface, Route};
use crate::version::Version;

/// What is wrong with a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultFault {
    /// The field, as `ips[0].address`; empty for the whole text.
    pub field: String,
    /// What is wrong.
    pub problem: String,
}

/// Members of a route that are numbers.
const ROUTE_NUMBERS: [&str; 5] = ["mtu", "advmss", "priority", "table", "scope"];

impl fmt::Display for ResultFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "`{}` {}", self.field, self.problem)
        }
    }
}

impl std::error::Error for ResultFault {}

fn fault(field: impl Into<String>, problem: impl Into<String>) -> ResultFault {
    ResultFault {
        field: field.into(),
        problem: problem.into(),
    }
}

/// Reads the result of a plugin that was asked in `asked`, and gives it in that version's form too: as it was printed
/// if the plugin kept to the version, else converted.
pub(crate) fn read(output: &[u8], asked: Version) -> Result<(AddResult, Value), ResultFault> {
    if output.trim_ascii().is_empty() {
        return Err(fault("", "nothing was printed"));
    }
    let value: Value = serde_json::from_slice(output)
        .map_err(|error| fault("", format!("what was printed is no JSON: {error}")))?;
    let object = value
        .as_object()
        .ok_or_else(|| fault("", "what was printed is no object"))?;
    let version = match object.get("cniVersion") {
        None | Some(Value::Null) => asked,
        Some(Value::String(text)) if text.is_empty() => asked,
        Some(Value::String(text)) => text
            .parse()
            .map_err(|error| fault("cniVersion", format!("cannot be read: {error}")))?,
        Some(_) => return Err(fault("cniVersion", "is no text")),
    };
    let result = AddResult::from_json(object, version)?;
    if version == asked {
        return Ok((result, value));
    }
    let converted = result.to_json(asked);
    Ok((result, converted))
}

/// Reads the answer to VERSION: those supported versions that this client knows.
pub fn supported_versions(output: &[u8]) -> Result<BTreeSet<Version>, ResultFault> {
    let value: Value = serde_json::from_slice(output)
        .map_err(|error| fault("", format!("what was printed is no JSON: {error}")))?;
    let listed = value.get("supportedVersions").and_then(Value::as_array);
    let listed = listed.ok_or_else(|| fault("supportedVersions", "is no list"))?;
    let known = listed.iter().filter_map(Value::as_str);
    Ok(known.filter_map(|text| text.parse().ok()).collect())
}

impl AddResult {
    /// Reads the object of a result in the form of `version`.
    pub fn from_json(object: &Map<String, Value>, version: Version) -> Result<Self, ResultFault> {
        let mut result = Self {
            dns: read_dns(object.get("dns"))?,
            ..Self::default()
        };
        if version.has_chains() {
            for (index, entry) in entries(object, "interfaces")?.enumerate() {
                result
                    .interfaces
                    .push(read_interface(entry, &format!("interfaces[{index}]"))?);
            }
            for (index, entry) in entries(object, "ips")?.enumerate() {
                let place = format!("ips[{index}]");
                let address = read_address(entry, "address", &place)?;
                let count = result.interfaces.len();
                if address.interface.is_some_and(|index| index >= count) {
                    let problem = format!("points at none of the {count} interfaces");
                    return Err(fault(format!("{place}.interface"), problem));
                }
                result.ips.push(address);
            }
            read_routes(object, "", &mut result.routes)?;
        } else {
            for key in ["ip4", "ip6"] {
                match object.get(key) {
                    None | Some(Value::Null) => {}
                    Some(entry) => {
                        result.ips.push(read_address(entry, "ip", key)?);
                        let empty = Map::new();
                        let entry = entry.as_object().unwrap_or(&empty);
                        read_routes(entry, key, &mut result.routes)?;
                    }
                }
            }
        }
        Ok(result)
    }

    /// The result in the form of `version`; what that cannot say is left out.
    pub fn to_json(&self, version: Version) -> Value {
        let mut object = Map::new();
        object.insert("cniVersion".to_owned(), version.as_str().into());
        if version.has_chains() {
            let interfaces: Vec<Value> = self.interfaces.iter().map(interface_json).collect();
            let ips: Vec<Value> = self
                .ips
                .iter()
                .map(|address| address_json(address, version))
                .collect();
            let routes: Vec<Value> = self.routes.iter().map(route_json).collect();
            for (key, list) in [("interfaces", interfaces), ("ips", ips), ("routes", routes)] {
                if !list.is_empty() {
                    object.insert(key.to_owned(), Value::Array(list));
                }
            }
        } else {
            for (key, is_4) in [("ip4", true), ("ip6", false)] {
                if let Some(address) = self.ips.iter().find(|address| address.ip.is_ipv4() == is_4)
                {
                    object.insert(key.to_owned(), self.old_address_json(address, is_4));
                }
            }
        }
        object.insert("dns".to_owned(), dns_json(&self.dns));
        Value::Object(object)
    }

    fn old_address_json(&self, address: &Address, is_4: bool) -> Value {
        let mut entry = json!({"ip": cidr(address)});
        if let Some(gateway) = address.gateway {
            entry["gateway"] = gateway.to_string().into();
        }
        let is_of_family = |route: &&Route| route.destination.contains(':') != is_4;
        let routes = self.routes.iter().filter(is_of_family);
        let routes: Vec<Value> = routes.map(route_json).collect();
        if !routes.is_empty() {
            entry["routes"] = routes.into();
        }
        entry
    }
}

fn read_interface(entry: &Value, place: &str) -> Result<Interface, ResultFault> {
    let object = entry
        .as_object()
        .ok_or_else(|| fault(place, "is no object"))?;
    let text = |key| optional_text(object, key, place);
    Ok(Interface {
        name: text("name")?.ok_or_else(|| fault(format!("{place}.name"), "is missing"))?,
        mac: text("mac")?,
        mtu: object
            .get("mtu")
            .and_then(Value::as_u64)
            .filter(|mtu| *mtu > 0),
        sandbox: text("sandbox")?,
        socket_path: text("socketPath")?,
        pci_id: text("pciID")?,
    })
}

fn read_address(entry: &Value, key: &str, place: &str) -> Result<Address, ResultFault> {
    let object = entry
        .as_object()
        .ok_or_else(|| fault(place, "is no object"))?;
    let field = format!("{place}.{key}");
    let text = optional_text(object, key, place)?.ok_or_else(|| fault(&field, "is missing"))?;
    let (ip, prefix) = parse_cidr(&text).ok_or_else(|| {
        fault(
            &field,
            format!("\"{text}\" is no address with a prefix like 10.0.0.2/24"),
        )
    })?;
    let interface = match object.get("interface") {
        None | Some(Value::Null) => None,
        // Some plugins say so that an address belongs to no interface.
        Some(Value::Number(number)) if number.as_i64().is_some_and(|n| n < 0) => None,
        Some(value) => {
            let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
            let index = index.ok_or_else(|| fault(format!("{place}.interface"), "is no number"))?;
            Some(index)
        }
    };
    Ok(Address {
        ip,
        prefix,
        gateway: optional_ip(object, "gateway", place)?,
        interface,
    })
}

fn read_routes(
    object: &Map<String, Value>,
    at: &str,
    routes: &mut Vec<Route>,
) -> Result<(), ResultFault> {
    for (index, entry) in entries(object, "routes")?.enumerate() {
        let place = if at.is_empty() {
            format!("routes[{index}]")
        } else {
            format!("{at}.routes[{index}]")
        };
        let object = entry
            .as_object()
            .ok_or_else(|| fault(&place, "is no object"))?;
        let destination = optional_text(object, "dst", &place)?
            .ok_or_else(|| fault(format!("{place}.dst"), "is missing"))?;
        let number = |key: &&str| Some(((*key).to_owned(), object.get(*key)?.as_u64()?));
        routes.push(Route {
            destination,
            gateway: optional_ip(object, "gw", &place)?,
            numbers: ROUTE_NUMBERS.iter().filter_map(number).collect(),
        });
    }
    Ok(())
}

fn read_dns(value: Option<&Value>) -> Result<Dns, ResultFault> {
    let object = match value {
        None | Some(Value::Null) => return Ok(Dns::default()),
        Some(Value::Object(object)) => object,
        Some(_) => return Err(fault("dns", "is no object")),
    };
    let list = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => Ok(list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()),
        Some(_) => Err(fault(format!("dns.{key}"), "is no list")),
    };
    Ok(Dns {
        nameservers: list("nameservers")?,
        domain: optional_text(object, "domain", "dns")?,
        search: list("search")?,
        options: list("options")?,
    })
}

fn entries<'a>(
    object: &'a Map<String, Value>,
    key: &str,
) -> Result<std::slice::Iter<'a, Value>, ResultFault> {
    match object.get(key) {
        None | Some(Value::Null) => Ok([].iter()),
        Some(Value::Array(list)) => Ok(list.iter()),
        Some(_) => Err(fault(key, "is no list")),
    }
}

/// An empty text says as little as none.
fn optional_text(
    object: &Map<String, Value>,
    key: &str,
    place: &str,
) -> Result<Option<String>, ResultFault> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(fault(format!("{place}.{key}"), "is no text")),
    }
}

fn optional_ip(
    object: &Map<String, Value>,
    key: &str,
    place: &str,
) -> Result<Option<IpAddr>, ResultFault> {
    let Some(text) = optional_text(object, key, place)? else {
        return Ok(None);
    };
    IpAddr::from_str(&text).map(Some).map_err(|_| {
        fault(
            format!("{place}.{key}"),
            format!("\"{text}\" is no address"),
        )
    })
}

fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (ip, prefix) = text.split_once('/')?;
    let ip: IpAddr = ip.parse().ok()?;
    let prefix: u8 = prefix.parse().ok()?;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    (prefix <= longest).then_some((ip, prefix))
}

fn cidr(address: &Address) -> String {
    format!("{}/{}", address.ip, address.prefix)
}

fn interface_json(interface: &Interface) -> Value {
    let mut entry = json!({"name": interface.name});
    let texts = [
        ("mac", &interface.mac),
        ("sandbox", &interface.sandbox),
        ("socketPath", &interface.socket_path),
        ("pciID", &interface.pci_id),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            entry[key] = text.as_str().into();
        }
    }
    if let Some(mtu) = interface.mtu {
        entry["mtu"] = mtu.into();
    }
    entry
}

fn address_json(address: &Address, version: Version) -> Value {
    let mut entry = json!({"address": cidr(address)});
    if version < Version::V1_0_0 {
        entry["version"] = if address.ip.is_ipv4() { "4" } else { "6" }.into();
    }
    if let Some(gateway) = address.gateway {
        entry["gateway"] = gateway.to_string().into();
    }
    if let Some(interface) = address.interface {
        entry["interface"] = interface.into();
    }
    entry
}

fn route_json(route: &Route) -> Value {
    let mut entry = json!({"dst": route.destination});
    if let Some(gateway) = route.gateway {
        entry["gw"] = gateway.to_string().into();
    }
    for (key, number) in &route.numbers {
        entry[key] = (*number).into();
    }
    entry
}

fn dns_json(dns: &Dns) -> Value {
    let mut object = json!({});
    if let Some(domain) = &dns.domain {
        object["domain"] = domain.as_str().into();
    }
    let lists = [
        ("nameservers", &dns.nameservers),
        ("search", &dns.search),
        ("options", &dns.options),
    ];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        object[key] = json!(list);
    }
    object
}
