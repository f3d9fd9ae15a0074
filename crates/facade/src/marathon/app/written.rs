//! What clients send of an app, brought into one form: older ways of saying a thing become today's, nulls and what
//! Marathon itself answers are left out.

use std::collections::BTreeSet;

use mezz_spec::Kind;
use serde_json::{Map, Value, json};

use super::{ANSWERED, as_map, ports};
use crate::marathon::SERVICE_PORTS;
use crate::reading::{Fault, Faults, Members};
use crate::world::{World, as_service};

/// A body about one app.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Written {
    pub(crate) id: Option<String>,
    /// Alone: go back to it.
    pub(crate) version: Option<String>,
    /// All other members, cleaned.
    pub(crate) app: Map<String, Value>,
}

impl Written {
    /// Reads a body.
    pub(crate) fn new(value: Value) -> Result<Self, Vec<Fault>> {
        let faults = Faults::dropping();
        let members = Members::new(&value, "", &faults);
        let text = |key| members.as_ref()?.text(key).map(str::to_owned);
        let (id, version) = (text("id"), text("version"));
        if !faults.is_empty() {
            return Err(faults.into_list());
        }
        let app = clean(value)?;
        Ok(Self { id, version, app })
    }

    /// The app that results: all of it, or laid over the one that is there.
    pub(crate) fn over(&self, present: Option<&Value>) -> Map<String, Value> {
        let mut app = match present {
            Some(Value::Object(map)) => map.clone(),
            _ => Map::new(),
        };
        // These exclude each other, so that the new one drives the old one out.
        for (one, other) in [("cmd", "args"), ("args", "cmd")] {
            if self.app.contains_key(one) && !self.app.contains_key(other) {
                app.remove(other);
            }
        }
        app.extend(self.app.clone());
        app
    }
}

/// Brings an app into one form.
pub(crate) fn clean(mut value: Value) -> Result<Map<String, Value>, Vec<Fault>> {
    drop_nulls(&mut value);
    let mut app = std::mem::take(as_map(&mut value));
    for key in ANSWERED {
        app.remove(key);
    }
    for (key, default) in [
        ("tty", json!(false)),
        ("acceptedResourceRoles", json!([])),
        ("ipAddress", json!({})),
        ("args", json!([])),
        ("storeUrls", json!([])),
    ] {
        if app.get(key) == Some(&default) {
            app.remove(key);
        }
    }
    let faults = Faults::dropping();
    ports_as_definitions(&mut app, &faults);
    uris_as_fetch(&mut app, &faults);
    if faults.is_empty() {
        Ok(app)
    } else {
        Err(faults.into_list())
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn ports_as_definitions(app: &mut Map<String, Value>, faults: &Faults) {
    let Some(numbers) = app.remove("ports") else {
        return;
    };
    let Some(definitions) = ports::definitions_of(&numbers) else {
        return faults.tell("/ports", "a list of ports from 0 to 65535 is wanted");
    };
    match app.get("portDefinitions").and_then(Value::as_array) {
        None => {
            app.insert("portDefinitions".into(), definitions);
        }
        Some(given) => {
            let same = given.iter().map(|one| one.get("port")).eq(definitions
                .as_array()
                .into_iter()
                .flatten()
                .map(|one| one.get("port")));
            if !same {
                let message =
                    "the ports are said in portDefinitions, too, and differently; keep one";
                faults.tell("/ports", message);
            }
        }
    }
}

fn uris_as_fetch(app: &mut Map<String, Value>, faults: &Faults) {
    let Some(uris) = app.remove("uris") else {
        return;
    };
    let Some(uris) = uris.as_array() else {
        return faults.tell("/uris", "a list of texts is wanted");
    };
    let given = app.entry("fetch").or_insert_with(|| json!([]));
    let Some(fetch) = given.as_array_mut() else {
        return;
    };
    for uri in uris {
        if !fetch.iter().any(|one| one.get("uri") == Some(uri)) {
            fetch.push(json!({ "uri": uri }));
        }
    }
}

/// Service ports that were not given yet.
#[derive(Debug)]
pub(crate) struct ServicePorts(BTreeSet<u16>);

impl ServicePorts {
    /// Those that no service has.
    pub(crate) fn new(world: &World<'_>) -> Self {
        let taken = world
            .of_kind(Kind::Service)
            .filter_map(as_service)
            .flat_map(|service| &service.template.containers)
            .flat_map(|container| &container.ports)
            .filter_map(|port| port.service_port);
        Self(taken.collect())
    }

    /// Gives each port of an app that has number 0 one; a port that had one before keeps it.
    pub(crate) fn give(&mut self, app: &mut Map<String, Value>, present: Option<&Value>) {
        let definitions = app
            .entry("portDefinitions")
            .or_insert_with(|| json!([{ "port": 0, "name": "default", "protocol": "tcp" }]));
        let Some(definitions) = definitions.as_array_mut() else {
            return;
        };
        let before = present.and_then(|app| app.get("portDefinitions"));
        for (index, definition) in definitions.iter_mut().enumerate() {
            let Some(definition) = definition.as_object_mut() else {
                continue;
            };
            definition.entry("protocol").or_insert_with(|| "tcp".into());
            let number = definition.get("port").and_then(Value::as_u64).unwrap_or(0);
            if number != 0 || definition.get("port").is_some_and(|port| !port.is_number()) {
                continue;
            }
            let same = before.and_then(|before| before.get(index)?.get("port")?.as_u64());
            let number = same.or_else(|| self.next().map(u64::from)).unwrap_or(0);
            definition.insert("port".into(), number.into());
        }
    }

    fn next(&mut self) -> Option<u16> {
        let free = SERVICE_PORTS
            .into_iter()
            .find(|port| !self.0.contains(port))?;
        self.0.insert(free);
        Some(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_ways_become_todays() {
        let written = Written::new(json!({
            "id": "/a", "version": "v", "cmd": null, "ports": [0, 9000], "uris": ["http://h/x"], "tasks": [],
        }))
        .unwrap();
        assert_eq!(written.id.as_deref(), Some("/a"));
        let app = Value::Object(written.app);
        assert_eq!(app["portDefinitions"][1]["port"], 9000);
        assert_eq!(app["fetch"], json!([{ "uri": "http://h/x" }]));
        assert!(app.get("cmd").is_none() && app.get("tasks").is_none());
    }

    #[test]
    fn args_drive_out_the_cmd_that_was_there() {
        let written = Written::new(json!({ "args": ["sleep", "9"] })).unwrap();
        let app = written.over(Some(&json!({ "cmd": "x", "mem": 64 })));
        assert_eq!(
            Value::Object(app),
            json!({ "args": ["sleep", "9"], "mem": 64 })
        );
    }
}
