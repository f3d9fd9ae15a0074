//! Looking after attachments and networks: CHECK, STATUS, GC, VERSION, counters, what statuses say after a restart.

use std::collections::BTreeSet;
use std::path::Path;

use mezz_proto::v1;

use crate::client::{Cni, failed};
use crate::error::{CniError, PluginFault};
use crate::ids::{ContainerId, NetworkName};
use crate::invocation::{Invocation, ValidAttachment};
use crate::network::Network;
use crate::record::ContainerRecord;
use crate::request::Endpoint;
use crate::result_json;
use crate::run_folder;
use crate::statistics::{self, LinkCounters};
use crate::version::Version;

/// The versions that a program supports.
pub type PluginVersions = BTreeSet<Version>;

/// What a sweep has done.
#[derive(Debug, Default)]
pub struct Swept {
    /// Whose leftovers are gone.
    pub removed: Vec<ContainerId>,
    /// Whose are not, and why.
    pub failed: Vec<(ContainerId, CniError)>,
}

/// Whether the plugins of a network were asked to remove leftovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collected {
    /// All of them were, and have.
    All,
    /// The network forbids it, or its version does not know it.
    Unsupported,
}

impl Cni {
    /// What the statuses of an attached container say of its networks.
    pub fn network_infos(&self, container: &ContainerId) -> Result<Vec<v1::NetworkInfo>, CniError> {
        Ok(self.attached(container)?.network_infos())
    }

    /// What the interfaces of a container have carried.
    pub fn counters(&self, container: &ContainerId) -> Result<LinkCounters, CniError> {
        statistics::of_namespace(&self.namespace_path(container))
    }

    /// The containers for which something has been begun.
    pub fn containers(&self) -> Result<Vec<ContainerId>, CniError> {
        run_folder::containers(&self.settings.run_dir)
    }

    /// Asks the plugins whether a container's attachments still hold. Networks that forbid it are passed over.
    pub async fn check(&self, container: &ContainerId) -> Result<(), CniError> {
        let _pass = self.gate.read().await;
        let _alone = self.alone_with(container).await;
        let record = self.attached(container)?;
        let folder = self.folder(container);
        let mut input = folder.input(self.settings.deadline).await?;
        let namespace = folder.namespace().display().to_string();
        for attachment in &record.attachments {
            let endpoint = Endpoint {
                container: container.clone(),
                interface: attachment.interface.clone(),
                namespace: Some(namespace.clone()),
            };
            for invocation in attachment.checks(&endpoint) {
                self.run_for(&attachment.network.name, &invocation, &mut input)
                    .await?;
            }
        }
        Ok(())
    }

    /// Asks the plugins of a network whether it could be joined now. Before 1.1.0 nobody can be asked, and it is held
    /// to be so if the plugins are there.
    pub async fn status(&self, network: &str) -> Result<(), CniError> {
        let (network, version) = self.network(network).await?;
        if !version.has_garbage_collection() {
            return Ok(());
        }
        for plugin in &network.plugins {
            let invocation = Invocation::of_status(&network, version, plugin);
            self.run_alone(&network.name, &invocation).await?;
        }
        Ok(())
    }

    /// Has the plugins of a network remove whatever belongs to no attachment that this client has a record of. All are
    /// asked, whichever fails.
    pub async fn collect(&self, network: &str) -> Result<Collected, CniError> {
        let _all = self.gate.write().await;
        let (network, version) = self.network(network).await?;
        if network.disable_gc || !version.has_garbage_collection() {
            return Ok(Collected::Unsupported);
        }
        let valid = self.valid_attachments(&network.name)?;
        let mut errors = Vec::new();
        for plugin in &network.plugins {
            let invocation = Invocation::of_collection(&network, version, plugin, &valid);
            errors.extend(self.run_alone(&network.name, &invocation).await.err());
        }
        CniError::all(errors).map(|()| Collected::All)
    }

    /// Asks a plugin which versions it supports.
    pub async fn versions(
        &self,
        network: &NetworkName,
        kind: &str,
    ) -> Result<PluginVersions, CniError> {
        let invocation = Invocation::of_version(kind);
        match self.run_alone(network, &invocation).await {
            Ok(output) => result_json::supported_versions(&output)
                .map_err(PluginFault::Result)
                .map_err(failed(network, &invocation)),
            // The command came with 0.2.0.
            Err(CniError::Plugin {
                fault: PluginFault::Reported(_) | PluginFault::Ended { .. },
                ..
            }) => Ok(PluginVersions::from([Version::V0_1_0])),
            Err(error) => Err(error),
        }
    }

    async fn network(&self, name: &str) -> Result<(Network, Version), CniError> {
        let catalogue = self.catalogue()?;
        let folder: &Path = &self.settings.config_dir;
        let network = catalogue.find(name, folder)?.clone();
        let version = self.version_of(&network).await?;
        Ok((network, version))
    }

    fn attached(&self, container: &ContainerId) -> Result<ContainerRecord, CniError> {
        let record = self.folder(container).record()?;
        record.ok_or_else(|| CniError::NotAttached(container.clone()))
    }

    fn valid_attachments(&self, network: &NetworkName) -> Result<Vec<ValidAttachment>, CniError> {
        let mut valid = Vec::new();
        for container in self.containers()? {
            // A record that cannot be read must stop the collection: what it holds would be taken away.
            let Some(record) = self.folder(&container).record()? else {
                continue;
            };
            let of_network = record
                .attachments
                .iter()
                .filter(|attachment| attachment.network.name == *network && attachment.may_hold());
            valid.extend(of_network.map(|attachment| attachment.valid(&container)));
        }
        Ok(valid)
    }
}
