//! The one line by which a daemon says that it serves. Scripts wait for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mezz_master::Facade;

use crate::output::talk;

/// Says that a daemon serves at this address.
pub(crate) fn announce(address: SocketAddr) {
    talk::note(&format!("ready http://{}", reachable(address)));
}

/// Says where facades listen that have listeners of their own; before the line that scripts wait for.
pub(crate) fn announce_facades(facades: &[(Facade, SocketAddr)]) {
    for (facade, address) in facades {
        talk::note(&format!("{} http://{}", facade.word(), reachable(*address)));
    }
}

/// The address by which this machine reaches itself when the daemon listens on all of them.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        return SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port());
    }
    address
}
