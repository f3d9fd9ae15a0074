//! Invocations: the environment and the standard input of one run of a plugin.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::ids::{ContainerId, InterfaceName, NetworkName};
use crate::network::{Network, Plugin};
use crate::request::{Arguments, Endpoint};
use crate::version::Version;

/// What a plugin is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Attach a container.
    Add,
    /// Undo that.
    Del,
    /// Look whether it still holds.
    Check,
    /// Remove what belongs to no attachment.
    Gc,
    /// Say whether attaching would work.
    Status,
    /// Say which versions are supported.
    Version,
}

/// One run of a plugin, all of it but the program's folder and `PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// What is to be done.
    pub command: Command,
    /// The name of the program.
    pub kind: String,
    /// The variables of the interface.
    pub environment: Vec<(&'static str, String)>,
    /// The standard input.
    pub input: Value,
}

/// An attachment that a collection must leave alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ValidAttachment {
    /// The container.
    pub container: ContainerId,
    /// Its interface.
    pub interface: InterfaceName,
}

impl Command {
    /// As it stands in `CNI_COMMAND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Invocation {
    /// A step of ADD, DEL or CHECK for one plugin. `previous` is in the form of `version`.
    pub fn of_attachment(
        command: Command,
        network: &NetworkName,
        version: Version,
        plugin: &Plugin,
        endpoint: &Endpoint,
        arguments: &Arguments,
        previous: Option<&Value>,
    ) -> Self {
        let mut input = base(network, version, plugin);
        add_conventional(&mut input, arguments);
        let wanted: Map<String, Value> = arguments
            .capabilities
            .iter()
            .filter(|(name, _)| plugin.capabilities.get(*name) == Some(&true))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !wanted.is_empty() {
            input.insert("runtimeConfig".to_owned(), Value::Object(wanted));
        }
        // Plugins before 0.4.0 know a previous result only where they are chained.
        let takes = command == Command::Add || version.has_check();
        if let Some(previous) = previous.filter(|_| takes) {
            input.insert("prevResult".to_owned(), previous.clone());
        }
        let mut environment = vec![
            ("CNI_COMMAND", command.as_str().to_owned()),
            ("CNI_CONTAINERID", endpoint.container.to_string()),
            ("CNI_IFNAME", endpoint.interface.to_string()),
        ];
        if let Some(namespace) = &endpoint.namespace {
            environment.push(("CNI_NETNS", namespace.clone()));
        }
        if !arguments.generic.is_empty() {
            let pairs = arguments.generic.iter();
            let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
            environment.push(("CNI_ARGS", pairs.join(";")));
        }
        Self {
            command,
            kind: plugin.kind.clone(),
            environment,
            input: Value::Object(input),
        }
    }

    /// Asks a plugin to remove what belongs to none of `valid`.
    pub fn of_collection(
        network: &Network,
        version: Version,
        plugin: &Plugin,
        valid: &[ValidAttachment],
    ) -> Self {
        let entry = |attachment: &ValidAttachment| {
            json!({
                "containerID": attachment.container.as_str(),
                "ifname": attachment.interface.as_str(),
            })
        };
        let valid: Vec<Value> = valid.iter().map(entry).collect();
        let mut input = base(&network.name, version, plugin);
        input.insert("cni.dev/valid-attachments".to_owned(), valid.into());
        Self::of_network(Command::Gc, plugin, input)
    }

    /// Asks a plugin whether it could attach a container now.
    pub fn of_status(network: &Network, version: Version, plugin: &Plugin) -> Self {
        let input = base(&network.name, version, plugin);
        Self::of_network(Command::Status, plugin, input)
    }

    /// Asks a program which versions it supports.
    pub fn of_version(kind: &str) -> Self {
        let newest = Version::V1_1_0;
        Self {
            command: Command::Version,
            kind: kind.to_owned(),
            environment: vec![
                ("CNI_COMMAND", Command::Version.as_str().to_owned()),
                // Some programs check these before they look at the command.
                ("CNI_CONTAINERID", "dummy".to_owned()),
                ("CNI_IFNAME", "dummy".to_owned()),
                ("CNI_NETNS", "dummy".to_owned()),
            ],
            input: json!({"cniVersion": newest.as_str()}),
        }
    }

    fn of_network(command: Command, plugin: &Plugin, input: Map<String, Value>) -> Self {
        Self {
            command,
            kind: plugin.kind.clone(),
            environment: vec![("CNI_COMMAND", command.as_str().to_owned())],
            input: Value::Object(input),
        }
    }
}

/// The plugin's own configuration with the network's name and version.
fn base(network: &NetworkName, version: Version, plugin: &Plugin) -> Map<String, Value> {
    let mut input = plugin.config.clone();
    for of_the_list in [
        "cniVersions",
        "disableCheck",
        "disableGC",
        "loadOnlyInlinedPlugins",
    ] {
        input.remove(of_the_list);
    }
    input.insert("cniVersion".to_owned(), version.as_str().into());
    input.insert("name".to_owned(), network.as_str().into());
    input
}

fn add_conventional(input: &mut Map<String, Value>, arguments: &Arguments) {
    if arguments.conventional.is_empty() {
        return;
    }
    let mut args = match input.remove("args") {
        Some(Value::Object(args)) => args,
        _ => Map::new(),
    };
    for (key, value) in &arguments.conventional {
        args.insert(key.clone(), value.clone());
    }
    input.insert("args".to_owned(), Value::Object(args));
}
