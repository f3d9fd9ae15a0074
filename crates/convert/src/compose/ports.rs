//! Ports of a Compose service: `"8080:80"`, `"127.0.0.1:53:53/udp"`, ranges, and the long form.

use serde_json::{Value, json};

use crate::fields::{Fields, text_of};
use crate::notes::Notes;

/// The longest range that is taken.
const MAX_RANGE: u16 = 100;

pub(super) fn read(value: &Value, path: &str, notes: &mut Notes) -> Vec<Value> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    let mut ports = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}/{index}");
        if item.is_object() {
            long(item, &path, &mut ports, notes);
        } else if short(&text_of(item), &path, &mut ports, notes).is_none() {
            notes.wrong(
                path,
                format!("'{}' is no port such as 8080:80", text_of(item)),
            );
        }
    }
    ports
}

fn long(item: &Value, path: &str, ports: &mut Vec<Value>, notes: &mut Notes) {
    let mut fields = Fields::of(item, path);
    let target = fields
        .number("target")
        .and_then(|port| u16::try_from(port).ok());
    let host = fields
        .number("published")
        .and_then(|port| u16::try_from(port).ok());
    let protocol = fields.text("protocol").unwrap_or_else(|| "tcp".into());
    let name = fields.text("name");
    fields.ignore(&["mode", "app_protocol"]);
    fields.refuse(
        &["host_ip"],
        "a port is taken on all addresses of its host",
        notes,
    );
    fields.finish(notes);
    match target {
        Some(target) => ports.push(port(name, target, host, &protocol)),
        None => notes.wrong(path, "the field 'target' is missing"),
    }
}

fn short(text: &str, path: &str, ports: &mut Vec<Value>, notes: &mut Notes) -> Option<()> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (front, target) = numbers.rsplit_once(':').unwrap_or(("", numbers));
    let host = match front.rsplit_once(':') {
        Some((_, host)) => {
            notes.drop(path, "a port is taken on all addresses of its host");
            host
        }
        None => front,
    };
    let targets = range(target)?;
    let hosts = if host.is_empty() {
        None
    } else {
        Some(range(host)?)
    };
    if hosts
        .as_ref()
        .is_some_and(|hosts| hosts.len() != targets.len())
        || !matches!(protocol, "tcp" | "udp")
    {
        return None;
    }
    for (index, target) in targets.into_iter().enumerate() {
        let host = hosts.as_ref().map(|hosts| hosts[index]);
        ports.push(port(None, target, host, protocol));
    }
    Some(())
}

fn range(text: &str) -> Option<Vec<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    (first <= last && last - first < MAX_RANGE).then(|| (first..=last).collect())
}

fn port(name: Option<String>, target: u16, host: Option<u16>, protocol: &str) -> Value {
    let suffix = if protocol == "udp" { "-udp" } else { "" };
    let name = name.unwrap_or_else(|| format!("port-{target}{suffix}"));
    let mut port = json!({ "name": name, "container_port": target, "protocol": protocol });
    if let Some(host) = host {
        port["host_port"] = host.into();
    }
    port
}
