//! Attaching a container: its namespace, then each network in turn, with a record ahead of every step.

use std::collections::BTreeSet;
use std::path::PathBuf;

use mezz_proto::v1;
use serde_json::Value;

use crate::client::{Cni, blocking, failed};
use crate::error::{CniError, PluginFault};
use crate::files::NetworkFiles;
use crate::ids::{ContainerId, InterfaceName};
use crate::network::Network;
use crate::network_info::capabilities;
use crate::record::{AttachmentRecord, ContainerRecord, Phase};
use crate::request::{Arguments, Endpoint};
use crate::result_json;
use crate::run_folder::{ContainerFolder, Input};
use crate::version::Version;

/// What a container is to be attached to.
#[derive(Clone, Debug)]
pub struct AttachRequest {
    /// The container.
    pub container: ContainerId,
    /// What it calls itself; its id by default.
    pub hostname: Option<String>,
    /// Its networks; the first becomes `eth0`.
    pub networks: Vec<NetworkRequest>,
}

/// One network that a container joins.
#[derive(Clone, Debug)]
pub struct NetworkRequest {
    /// As the framework asked, with the network's name.
    pub info: v1::NetworkInfo,
    /// The same in the plugins' words, and whatever is to be added.
    pub arguments: Arguments,
}

/// What an attached container has.
#[derive(Clone, Debug)]
pub struct Attached {
    /// Where its network namespace is.
    pub namespace: PathBuf,
    /// What its statuses say.
    pub network_infos: Vec<v1::NetworkInfo>,
    /// The texts of its network files.
    pub files: NetworkFiles,
    /// The folder in which these files are.
    pub folder: PathBuf,
    /// What was asked for and what no plugin takes, as `network "blue": portMappings`.
    pub unserved: Vec<String>,
}

impl NetworkRequest {
    /// What a framework's `NetworkInfo` asks for.
    pub fn new(info: v1::NetworkInfo) -> Result<Self, CniError> {
        let arguments = capabilities(&info)?;
        Ok(Self { info, arguments })
    }
}

impl AttachRequest {
    /// What the networks of a `ContainerInfo` ask for. Those without a name mean the host's network and are passed
    /// over, as Mesos does; without any that has one, there is nothing to attach.
    pub fn of(
        container: ContainerId,
        hostname: Option<String>,
        infos: &[v1::NetworkInfo],
    ) -> Result<Option<Self>, CniError> {
        let mut networks = Vec::new();
        for (index, info) in infos.iter().enumerate() {
            if info.name.is_none() {
                continue;
            }
            let request = NetworkRequest::new(info.clone()).map_err(|error| match error {
                CniError::Request { field, problem } => CniError::Request {
                    field: format!("network_infos[{index}].{field}"),
                    problem,
                },
                other => other,
            })?;
            networks.push(request);
        }
        let request = Self {
            container,
            hostname,
            networks,
        };
        Ok((!request.networks.is_empty()).then_some(request))
    }
}

impl Cni {
    /// Attaches a container to its networks: all of them, or after a failure none.
    pub async fn attach(&self, request: AttachRequest) -> Result<Attached, CniError> {
        let _pass = self.gate.read().await;
        let _alone = self.alone_with(&request.container).await;
        let folder = self.folder(&request.container);
        if folder.record()?.is_some() {
            return Err(CniError::AlreadyAttached(request.container));
        }
        let hostname = request.hostname.clone();
        let hostname = hostname.unwrap_or_else(|| request.container.to_string());
        let planned = self.planned(&request.networks).await?;
        let mut record = ContainerRecord::new(request.container, hostname, planned);
        folder.make()?;
        match self.attach_all(&folder, &mut record).await {
            Ok(files) => Ok(Attached {
                namespace: folder.namespace(),
                network_infos: record.network_infos(),
                files,
                folder: folder.path().to_owned(),
                unserved: unserved(&record),
            }),
            Err(error) => Err(match self.undo(&folder, &mut record).await {
                Ok(()) => error,
                Err(leftover) => CniError::Several(vec![error, leftover]),
            }),
        }
    }

    /// Looks the networks up as they are configured now, and sees that all of their plugins are there.
    async fn planned(
        &self,
        networks: &[NetworkRequest],
    ) -> Result<Vec<AttachmentRecord>, CniError> {
        let catalogue = self.catalogue()?;
        let mut planned = Vec::new();
        let mut names = BTreeSet::new();
        for (index, request) in networks.iter().enumerate() {
            let name = request.info.name.as_deref().unwrap_or_default();
            if !names.insert(name) {
                return Err(CniError::Request {
                    field: format!("network_infos[{index}].name"),
                    problem: format!(
                        "\"{name}\" is joined already; a container joins a network once"
                    ),
                });
            }
            let network = catalogue.find(name, &self.settings.config_dir)?;
            let version = self.version_of(network).await?;
            planned.push(AttachmentRecord {
                network: network.clone(),
                version,
                interface: InterfaceName::numbered(index),
                arguments: request.arguments.clone(),
                asked: mezz_proto::to_value(&request.info),
                phase: Phase::Planned,
            });
        }
        Ok(planned)
    }

    /// The version that a network is driven with. Plugins are asked only where there is a choice.
    pub(crate) async fn version_of(&self, network: &Network) -> Result<Version, CniError> {
        let ipam = network
            .plugins
            .iter()
            .filter_map(crate::network::Plugin::ipam);
        let ipam = ipam.filter(|kind| !kind.is_empty());
        let own = network.plugins.iter().map(|plugin| plugin.kind.as_str());
        for kind in own.chain(ipam) {
            self.program(&network.name, kind)?;
        }
        let candidates = network.candidates();
        if let (Some(only), true) = (candidates.first(), candidates.len() == 1) {
            return Ok(*only);
        }
        let mut supported = Vec::new();
        let mut told = Vec::new();
        for plugin in &network.plugins {
            let versions = self.versions(&network.name, &plugin.kind).await?;
            let texts: Vec<&str> = versions.iter().map(|version| version.as_str()).collect();
            told.push(format!("{} supports {}", plugin.kind, texts.join(", ")));
            supported.push(versions);
        }
        Version::negotiate(&candidates, &supported).ok_or_else(|| CniError::NoVersion {
            network: network.name.clone(),
            detail: told.join("; "),
        })
    }

    async fn attach_all(
        &self,
        folder: &ContainerFolder,
        record: &mut ContainerRecord,
    ) -> Result<NetworkFiles, CniError> {
        folder.write_record(record)?;
        let mut input = folder.input(self.settings.deadline).await?;
        let namespace = folder.namespace();
        blocking(
            &namespace,
            "cannot make the network namespace",
            crate::namespace::make_namespace,
        )
        .await?;
        let namespace = namespace.display().to_string();
        for index in 0..record.attachments.len() {
            record.attachments[index].phase = Phase::Begun;
            folder.write_record(record)?;
            let attachment = &record.attachments[index];
            let endpoint = Endpoint {
                container: record.container.clone(),
                interface: attachment.interface.clone(),
                namespace: Some(namespace.clone()),
            };
            let result = self.add(attachment, &endpoint, &mut input).await?;
            record.attachments[index].phase = Phase::Attached { result };
            folder.write_record(record)?;
        }
        let files = NetworkFiles::of(&record.hostname, &record.joined(), &self.settings.resolver);
        folder.write_files(&files)?;
        Ok(files)
    }

    /// Runs the chain of one network and gives the result of its last plugin.
    async fn add(
        &self,
        attachment: &AttachmentRecord,
        endpoint: &Endpoint,
        input: &mut Input,
    ) -> Result<Value, CniError> {
        let network = &attachment.network.name;
        let mut previous: Option<Value> = None;
        let mut place = 0;
        while let Some(invocation) = attachment.addition(place, endpoint, previous.as_ref()) {
            let output = self.run_for(network, &invocation, input).await?;
            let (_, result) = result_json::read(&output, attachment.version)
                .map_err(PluginFault::Result)
                .map_err(failed(network, &invocation))?;
            previous = Some(result);
            place += 1;
        }
        Ok(previous.unwrap_or(Value::Null))
    }
}

fn unserved(record: &ContainerRecord) -> Vec<String> {
    let of_one = |attachment: &AttachmentRecord| {
        let name = attachment.network.name.clone();
        let unserved = attachment.unserved();
        unserved
            .into_iter()
            .map(move |what| format!("network \"{name}\": {what}"))
    };
    record.attachments.iter().flat_map(of_one).collect()
}
