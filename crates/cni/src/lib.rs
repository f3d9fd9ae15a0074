//! The client of the Container Network Interface, versions 0.1.0 to 1.1.0.
//!
//! The words of the interface (configurations, invocations, results, errors, records) are pure; [`Cni`] is the shell
//! that keeps network namespaces, runs plugins and remembers on disk what it has begun. It must never decide which
//! container joins which network.

mod attaching;
mod catalogue;
mod client;
mod detaching;
mod error;
mod fault;
mod files;
mod ids;
mod invocation;
mod maintenance;
mod namespace;
mod network;
mod network_info;
mod plugin_error;
mod plugin_process;
mod plugins;
mod port_mapper;
mod record;
mod request;
mod result;
mod result_json;
mod run_folder;
mod statistics;
mod sys;
mod version;

pub use attaching::{AttachRequest, Attached, NetworkRequest};
pub use catalogue::{Catalogue, Skipped};
pub use client::{Cni, Settings};
pub use error::CniError;
pub use fault::ConfigFault;
pub use files::{NetworkFiles, Resolver, hosts, resolver};
pub use ids::{ContainerId, IdError, InterfaceName, NetworkName};
pub use invocation::{Command, Invocation, ValidAttachment};
pub use maintenance::{Collected, PluginVersions, Swept};
pub use namespace::{enter, is_namespace, make_namespace, remove_namespace};
pub use network::{Network, Plugin};
pub use network_info::{capabilities, network_info};
pub use plugin_error::PluginError;
pub use plugins::PluginFolders;
pub use record::{AttachmentRecord, ContainerRecord, Phase};
pub use request::{Arguments, Bandwidth, Endpoint, PortMapping, Protocol};
pub use result::{AddResult, Address, Dns, Interface, Route};
pub use result_json::{ResultFault, supported_versions};
pub use statistics::{LinkCounters, parse_link_counters};
pub use version::{UnknownVersion, Version};
