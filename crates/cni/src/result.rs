//! What an attachment has become, in one form for the results of all versions.

use std::net::IpAddr;

/// The result of ADD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddResult {
    /// The interfaces that were made, in the container and on the host.
    pub interfaces: Vec<Interface>,
    /// The addresses.
    pub ips: Vec<Address>,
    /// The routes.
    pub routes: Vec<Route>,
    /// How names are resolved on the network.
    pub dns: Dns,
}

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Its largest packet.
    pub mtu: Option<u64>,
    /// The network namespace it is in; `None` on the host.
    pub sandbox: Option<String>,
    /// A socket that belongs to it.
    pub socket_path: Option<String>,
    /// A device that belongs to it.
    pub pci_id: Option<String>,
}

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// How many of its bits are the network's.
    pub prefix: u8,
    /// Where what leaves the network goes.
    pub gateway: Option<IpAddr>,
    /// The place of its interface in the list.
    pub interface: Option<usize>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads, with the length of the prefix.
    pub destination: String,
    /// The next hop.
    pub gateway: Option<IpAddr>,
    /// `mtu`, `advmss`, `priority`, `table`, `scope`, as far as they are set.
    pub numbers: Vec<(String, u64)>,
}

/// How names are resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dns {
    /// The servers, the first is asked first.
    pub nameservers: Vec<String>,
    /// The local domain.
    pub domain: Option<String>,
    /// Domains that short names are tried in.
    pub search: Vec<String>,
    /// Options of the resolver.
    pub options: Vec<String>,
}

impl AddResult {
    /// The addresses that the container itself has: those of its interfaces, and those of no named one.
    pub fn container_addresses(&self) -> impl Iterator<Item = &Address> {
        self.ips.iter().filter(|address| {
            address
                .interface
                .and_then(|index| self.interfaces.get(index))
                .is_none_or(|interface| interface.sandbox.is_some())
        })
    }
}
