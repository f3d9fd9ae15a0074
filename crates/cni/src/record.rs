//! What has been begun for a container, kept on disk so that all of it can be undone after a crash. Pure.
//!
//! A record holds the configuration that an attachment was made with: the operator may have changed or removed the
//! file since. Records are JSON; they hold other programs' JSON as it is.

use mezz_proto::v1;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{ContainerId, InterfaceName};
use crate::invocation::{Command, Invocation, ValidAttachment};
use crate::network::Network;
use crate::network_info::network_info;
use crate::request::{Arguments, Endpoint};
use crate::result::AddResult;
use crate::version::Version;

/// The form in which records are written.
const FORMAT: u32 = 1;

/// The attachments of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    format: u32,
    /// The container.
    pub container: ContainerId,
    /// What it calls itself.
    pub hostname: String,
    /// In the order in which they are made.
    pub attachments: Vec<AttachmentRecord>,
}

/// One attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentRecord {
    /// The network, as it was configured then.
    pub network: Network,
    /// The version it is driven with.
    pub version: Version,
    /// The interface in the container.
    pub interface: InterfaceName,
    /// What was asked of the plugins.
    pub arguments: Arguments,
    /// The framework's `NetworkInfo`, as JSON.
    pub asked: Value,
    /// How far it has come.
    pub phase: Phase,
}

/// How far an attachment has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// No plugin has been run.
    Planned,
    /// A plugin may have been run.
    Begun,
    /// All plugins have attached it.
    Attached {
        /// The result of the last one, in the form of the attachment's version.
        result: Value,
    },
    /// All plugins have deleted it.
    Deleted,
}

impl ContainerRecord {
    /// A container of which nothing is done yet.
    pub fn new(
        container: ContainerId,
        hostname: String,
        attachments: Vec<AttachmentRecord>,
    ) -> Self {
        Self {
            format: FORMAT,
            container,
            hostname,
            attachments,
        }
    }

    /// Reads a record.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if record.format == FORMAT {
            Ok(record)
        } else {
            Err(format!("is of form {}; known is {FORMAT}", record.format))
        }
    }

    /// The record as it is kept.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("all of its keys are texts")
    }

    /// The names of its networks in their order, each with its result, as far as they have one.
    pub fn joined(&self) -> Vec<(crate::ids::NetworkName, AddResult)> {
        let attachments = self.attachments.iter();
        attachments
            .filter_map(|attachment| Some((attachment.network.name.clone(), attachment.result()?)))
            .collect()
    }

    /// What a status says of its networks.
    pub fn network_infos(&self) -> Vec<v1::NetworkInfo> {
        let info = |attachment: &AttachmentRecord| {
            let asked = mezz_proto::from_value(&attachment.asked).ok()?;
            Some(network_info(&asked, &attachment.result()?))
        };
        self.attachments.iter().filter_map(info).collect()
    }
}

impl AttachmentRecord {
    /// Whether plugins may have left something behind.
    pub fn may_hold(&self) -> bool {
        matches!(self.phase, Phase::Begun | Phase::Attached { .. })
    }

    /// The result of ADD.
    pub fn result(&self) -> Option<AddResult> {
        let object = self.result_json()?.as_object()?;
        AddResult::from_json(object, self.version).ok()
    }

    fn result_json(&self) -> Option<&Value> {
        match &self.phase {
            Phase::Attached { result } => Some(result),
            Phase::Planned | Phase::Begun | Phase::Deleted => None,
        }
    }

    /// The step of ADD at a place of the chain, given the result of the one before.
    pub fn addition(
        &self,
        place: usize,
        endpoint: &Endpoint,
        previous: Option<&Value>,
    ) -> Option<Invocation> {
        let plugin = self.network.plugins.get(place)?;
        Some(self.step(Command::Add, plugin, endpoint, previous))
    }

    /// The steps of DEL, the last plugin of the chain first.
    pub fn deletions(&self, endpoint: &Endpoint) -> Vec<Invocation> {
        let plugins = self.network.plugins.iter().rev();
        plugins
            .map(|plugin| self.step(Command::Del, plugin, endpoint, self.result_json()))
            .collect()
    }

    /// The steps of CHECK; none where the network or its version does not know them, or nothing is attached.
    pub fn checks(&self, endpoint: &Endpoint) -> Vec<Invocation> {
        let Some(result) = self.result_json() else {
            return Vec::new();
        };
        if self.network.disable_check || !self.version.has_check() {
            return Vec::new();
        }
        let plugins = self.network.plugins.iter();
        plugins
            .map(|plugin| self.step(Command::Check, plugin, endpoint, Some(result)))
            .collect()
    }

    /// Capabilities that were asked for and that no plugin of the network takes.
    pub fn unserved(&self) -> Vec<String> {
        let is_taken = |name: &str| {
            let mut plugins = self.network.plugins.iter();
            plugins.any(|plugin| plugin.capabilities.get(name) == Some(&true))
        };
        let asked = self.arguments.capabilities.keys();
        asked.filter(|name| !is_taken(name)).cloned().collect()
    }

    /// What a collection is told of it.
    pub fn valid(&self, container: &ContainerId) -> ValidAttachment {
        ValidAttachment {
            container: container.clone(),
            interface: self.interface.clone(),
        }
    }

    fn step(
        &self,
        command: Command,
        plugin: &crate::network::Plugin,
        endpoint: &Endpoint,
        previous: Option<&Value>,
    ) -> Invocation {
        Invocation::of_attachment(
            command,
            &self.network.name,
            self.version,
            plugin,
            endpoint,
            &self.arguments,
            previous,
        )
    }
}
