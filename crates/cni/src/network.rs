//! Network configurations: one plugin or a list of plugins, read from JSON with precise faults.
//!
//! What a plugin's object holds beyond the protocol's own fields is kept as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::ConfigFault;
use crate::ids::NetworkName;
use crate::version::Version;

/// The key in `args` under which plugins find what the framework asked for.
pub(crate) const MESOS_ARGS: &str = "org.apache.mesos";

/// Keys of a plugin that are made for each invocation.
const MADE_FOR_EACH: [&str; 2] = ["runtimeConfig", "prevResult"];

/// A network as an operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// The versions it was written for, as far as this client speaks them; never empty.
    pub versions: BTreeSet<Version>,
    /// Whether its attachments must not be checked.
    pub disable_check: bool,
    /// Whether its leftovers must not be collected.
    pub disable_gc: bool,
    /// Whether plugins from the folder of the network's name are left alone.
    pub load_only_inlined_plugins: bool,
    /// The chain, in the order of ADD; never empty once the network is complete.
    pub plugins: Vec<Plugin>,
}

/// One plugin of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plugin {
    /// The name of its program.
    pub kind: String,
    /// Which capabilities it takes.
    pub capabilities: BTreeMap<String, bool>,
    /// Everything that it is given, without the capabilities.
    pub config: Map<String, Value>,
}

impl Network {
    /// Reads a configuration in either form: that of one plugin, or a list of them.
    pub fn parse(text: &str) -> Result<Self, ConfigFault> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| ConfigFault::new("", format!("the text is no JSON: {error}")))?;
        let Value::Object(object) = value else {
            let problem = format!("a network is a JSON object, not {}", kind_of(&value));
            return Err(ConfigFault::new("", problem));
        };
        let name = required_text(&object, "name", "")?;
        let name = NetworkName::new(name)
            .map_err(|error| ConfigFault::new("name", format!("is not allowed: {error}")))?;
        let plugins = match object.get("plugins") {
            None if object.contains_key("type") => vec![Plugin::read(object.clone(), "")?],
            None => Vec::new(),
            Some(list) => read_list(list)?,
        };
        let network = Self {
            name,
            versions: versions(&object)?,
            disable_check: flag(&object, "disableCheck")?,
            disable_gc: flag(&object, "disableGC")?,
            load_only_inlined_plugins: flag(&object, "loadOnlyInlinedPlugins")?,
            plugins,
        };
        if network.load_only_inlined_plugins && network.plugins.is_empty() {
            return Err(ConfigFault::new(
                "loadOnlyInlinedPlugins",
                "is true, but the network has no `plugins` of its own",
            ));
        }
        Ok(network)
    }

    /// Adds the plugins of the folder that bears the network's name, in the order of their files.
    pub fn append(&mut self, fragments: Vec<Plugin>) {
        if !self.load_only_inlined_plugins {
            self.plugins.extend(fragments);
        }
    }

    /// Whether it can be driven: it has plugins, and a version that knows chains if they are several.
    pub fn completed(self) -> Result<Self, ConfigFault> {
        if self.plugins.is_empty() {
            return Err(ConfigFault::new(
                "type",
                "is missing: a network has a `type`, or a list of `plugins` with one each",
            ));
        }
        let newest = self.versions.last().copied().unwrap_or(Version::V0_1_0);
        if self.plugins.len() > 1 && !newest.has_chains() {
            let problem = format!(
                "is {newest}, but a list of several plugins needs {} or later",
                Version::V0_3_0
            );
            return Err(ConfigFault::new("cniVersion", problem));
        }
        Ok(self)
    }

    /// The versions it may be driven with, given what it needs.
    pub fn candidates(&self) -> BTreeSet<Version> {
        let is_chain = self.plugins.len() > 1;
        self.versions
            .iter()
            .filter(|version| !is_chain || version.has_chains())
            .copied()
            .collect()
    }
}

impl Plugin {
    /// Reads one plugin's object; `at` is where it stands, as `plugins[1]`.
    pub fn read(mut config: Map<String, Value>, at: &str) -> Result<Self, ConfigFault> {
        let kind = required_text(&config, "type", at)?;
        check_program(&kind, &field(at, "type"))?;
        if let Some(ipam) = config.get("ipam") {
            check_ipam(ipam, at)?;
        }
        for key in config.keys() {
            if MADE_FOR_EACH.contains(&key.as_str()) || key.starts_with("cni.dev/") {
                let problem = "is made for each invocation and cannot be configured";
                return Err(ConfigFault::new(field(at, key), problem));
            }
        }
        match config.get("args") {
            Some(Value::Object(args)) if args.contains_key(MESOS_ARGS) => {
                let problem = "is reserved: the agent puts what the framework asked for there";
                let place = format!("{}[\"{MESOS_ARGS}\"]", field(at, "args"));
                return Err(ConfigFault::new(place, problem));
            }
            None | Some(Value::Null | Value::Object(_)) => {}
            Some(other) => return Err(wrong(&field(at, "args"), "an object", other)),
        }
        let capabilities = read_capabilities(config.remove("capabilities"), at)?;
        Ok(Self {
            kind,
            capabilities,
            config,
        })
    }

    /// The program that gives out its addresses.
    pub fn ipam(&self) -> Option<&str> {
        self.config.get("ipam")?.get("type")?.as_str()
    }
}

fn read_list(list: &Value) -> Result<Vec<Plugin>, ConfigFault> {
    let Value::Array(list) = list else {
        return Err(wrong("plugins", "a list", list));
    };
    let read = |(index, plugin): (usize, &Value)| {
        let at = format!("plugins[{index}]");
        match plugin {
            Value::Object(object) => Plugin::read(object.clone(), &at),
            other => Err(wrong(&at, "an object", other)),
        }
    };
    list.iter().enumerate().map(read).collect()
}

fn versions(object: &Map<String, Value>) -> Result<BTreeSet<Version>, ConfigFault> {
    let mut versions = BTreeSet::new();
    let mut unknown = None;
    let mut take = |field: String, value: &Value| match value {
        Value::String(text) => {
            match text.parse::<Version>() {
                Ok(version) => drop(versions.insert(version)),
                Err(error) => unknown = Some((field, error)),
            }
            Ok(())
        }
        other => Err(wrong(&field, "a text like \"1.0.0\"", other)),
    };
    match object.get("cniVersion") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) if text.is_empty() => {}
        Some(value) => take("cniVersion".to_owned(), value)?,
    }
    match object.get("cniVersions") {
        None | Some(Value::Null) => {}
        Some(Value::Array(list)) => {
            for (index, value) in list.iter().enumerate() {
                take(format!("cniVersions[{index}]"), value)?;
            }
        }
        Some(other) => return Err(wrong("cniVersions", "a list of texts", other)),
    }
    match unknown {
        // What is newer than this client does no harm as long as something else is there.
        Some((field, error)) if versions.is_empty() => {
            Err(ConfigFault::new(field, format!("cannot be used: {error}")))
        }
        _ if versions.is_empty() => Ok(BTreeSet::from([Version::V0_1_0])),
        _ => Ok(versions),
    }
}

fn read_capabilities(
    value: Option<Value>,
    at: &str,
) -> Result<BTreeMap<String, bool>, ConfigFault> {
    let place = field(at, "capabilities");
    let entries = match value {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(entries)) => entries,
        Some(other) => return Err(wrong(&place, "an object of true and false", &other)),
    };
    let read = |(name, value): (String, Value)| match value {
        Value::Bool(taken) => Ok((name, taken)),
        other => Err(wrong(&format!("{place}.{name}"), "true or false", &other)),
    };
    entries.into_iter().map(read).collect()
}

fn check_ipam(ipam: &Value, at: &str) -> Result<(), ConfigFault> {
    let place = field(at, "ipam");
    let Value::Object(ipam) = ipam else {
        return Err(wrong(&place, "an object", ipam));
    };
    match ipam.get("type") {
        None => Ok(()),
        Some(Value::String(kind)) => check_program(kind, &format!("{place}.type")),
        Some(other) => Err(wrong(&format!("{place}.type"), "a text", other)),
    }
}

/// Programs are looked for in the folders of plugins only, so a name must not lead out of them.
fn check_program(kind: &str, place: &str) -> Result<(), ConfigFault> {
    let problem = if kind.is_empty() {
        "is empty; it names the plugin's program"
    } else if kind.contains(['/', '\\', '\0']) || kind == "." || kind == ".." {
        "must be the name of a program in the folder of plugins, not a path"
    } else {
        return Ok(());
    };
    Err(ConfigFault::new(place, problem))
}

fn required_text(object: &Map<String, Value>, key: &str, at: &str) -> Result<String, ConfigFault> {
    match object.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(wrong(&field(at, key), "a text", other)),
        None => Err(ConfigFault::new(field(at, key), "is missing")),
    }
}

/// Some writers put these flags into quotes.
fn flag(object: &Map<String, Value>, key: &str) -> Result<bool, ConfigFault> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(other) => Err(wrong(key, "true or false", other)),
    }
}

fn field(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

fn wrong(place: &str, expected: &str, found: &Value) -> ConfigFault {
    ConfigFault::new(
        place,
        format!("must be {expected}, but is {}", kind_of(found)),
    )
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
