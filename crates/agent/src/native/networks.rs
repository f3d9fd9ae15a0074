//! Networks for containers, made by plugins.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mezz_agent_core::ContainerId;
use mezz_cni::{AttachRequest, Attached, Cni, Dns, NetworkName, PluginFolders, Resolver, Settings};
use mezz_launch_plan::isolation::Propagation;
use mezz_launch_plan::{Access, NamespaceSpec, VolumeSource, VolumeSpec};
use mezz_proto::v1::ContainerInfo;

use crate::options::NetworkOptions;
use crate::preparing::{Failure, Furnished, PrepareError, Wanted};

/// How long one run of a plugin may take.
const DEADLINE: Duration = Duration::from_mins(1);
/// Where plugins find the host's own programs.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why `--default-container-dns` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--default-container-dns: {0}")]
pub struct ResolverError(String);

/// What of a network cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("container.network_infos: no plugin serves {0}")]
struct Unserved(String);

/// All networks of an agent.
#[derive(Debug)]
pub(crate) struct Networks {
    cni: Cni,
}

impl Networks {
    pub(crate) fn new(options: &NetworkOptions, run_dir: PathBuf) -> Self {
        Self {
            cni: Cni::new(Settings {
                config_dir: options.config_dir.clone(),
                plugins: PluginFolders::parse(&options.plugins_dir),
                run_dir,
                deadline: DEADLINE,
                resolver: options.resolver.clone(),
                search_path: SEARCH_PATH.to_owned(),
            }),
        }
    }

    /// Attaches a container to the networks that it names.
    pub(super) async fn furnish(
        &self,
        wanted: &Wanted,
        container: &ContainerInfo,
        furnished: &mut Furnished,
    ) -> Result<(), PrepareError> {
        wanted.progress.tell("attaching to its networks");
        let request = AttachRequest::of(
            id(wanted.container()),
            container.hostname.clone(),
            &container.network_infos,
        );
        let Some(request) = request.map_err(PrepareError::of)? else {
            return Ok(());
        };
        let hostname = request.hostname.clone();
        let attached = self.cni.attach(request).await.map_err(PrepareError::of)?;
        if !attached.unserved.is_empty() {
            let unserved = attached.unserved.join("; ");
            return Err(PrepareError::of(Unserved(unserved)));
        }
        furnished.hostname = hostname.or_else(|| Some(wanted.container().to_string()));
        furnished.mounts.extend(files(&attached));
        furnished.network = NamespaceSpec::Path(attached.namespace);
        furnished.facts.network_infos = attached.network_infos;
        Ok(())
    }

    /// The network namespace of a container that is attached.
    pub(super) fn namespace(&self, container: ContainerId) -> Option<PathBuf> {
        let path = self.cni.namespace_path(&id(container));
        path.exists().then_some(path)
    }

    pub(super) async fn detach(&self, container: ContainerId) -> Result<(), Failure> {
        self.cni.detach(&id(container)).await.map_err(Into::into)
    }

    pub(super) async fn sweep(&self, living: &BTreeSet<ContainerId>) -> Result<(), Failure> {
        let living = living.iter().map(|living| id(*living)).collect();
        let swept = self.cni.sweep(&living).await?;
        for (container, error) in &swept.failed {
            tracing::error!(%container, %error, "the networks of a container are left");
        }
        match swept.failed.into_iter().next() {
            Some((_, error)) => Err(error.into()),
            None => Ok(()),
        }
    }
}

fn id(container: ContainerId) -> mezz_cni::ContainerId {
    mezz_cni::ContainerId::new(container.to_string()).expect("a UUID is a plain name")
}

/// What a container finds of its network in `/etc`. The host's resolvers are seen through where no network has its own.
fn files(attached: &Attached) -> Vec<VolumeSpec> {
    let of_container = |name: &str| attached.folder.join(name);
    let resolver = match attached.files.resolv_conf {
        Some(_) => of_container("resolv.conf"),
        None => fs::canonicalize("/etc/resolv.conf").unwrap_or_else(|_| "/etc/resolv.conf".into()),
    };
    let files = [
        (of_container("hosts"), "/etc/hosts"),
        (of_container("hostname"), "/etc/hostname"),
        (resolver, "/etc/resolv.conf"),
    ];
    files
        .into_iter()
        .filter(|(source, _)| source.exists())
        .map(|(source, target)| VolumeSpec {
            source: VolumeSource::HostPath(source),
            target: target.into(),
            access: Access::ReadOnly,
            propagation: Propagation::Private,
        })
        .collect()
}

/// Reads Mesos's `ContainerDNS`, as far as it is about named networks.
pub fn parse_resolver(text: &str) -> Result<Resolver, ResolverError> {
    use serde_json::Value;
    let wrong = |what: &str| ResolverError(what.to_owned());
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    let strings = |dns: &Value, key: &str| -> Vec<String> {
        let list = dns[key].as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let mut resolver = Resolver::default();
    for entry in value["mesos"].as_array().into_iter().flatten() {
        let dns = &entry["dns"];
        let dns = Dns {
            nameservers: strings(dns, "nameservers"),
            domain: dns["domain"].as_str().map(str::to_owned),
            search: strings(dns, "search"),
            options: strings(dns, "options"),
        };
        match entry["network_mode"].as_str() {
            Some("CNI") => match entry["network_name"].as_str() {
                Some(name) => {
                    let name = NetworkName::new(name).map_err(|error| wrong(&error.to_string()))?;
                    resolver.of_networks.push((name, dns));
                }
                None => resolver.of_others = Some(dns),
            },
            Some("HOST") | None => return Err(wrong("mesos[].network_mode must be CNI")),
            Some(other) => {
                return Err(wrong(&format!(
                    "mesos[].network_mode '{other}' is not known"
                )));
            }
        }
    }
    Ok(resolver)
}
