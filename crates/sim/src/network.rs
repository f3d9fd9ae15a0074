//! Links between the master and its peers: each direction keeps its order; a cut link loses what is under way.

use std::collections::BTreeMap;

use crate::rng::Rng;
use crate::schedule::{End, Occurrence, Schedule};

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Who is at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Agent(usize),
    Framework(usize),
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) peer: Peer,
    /// Lives of master and peer that it belongs to.
    pub(crate) master_life: u64,
    pub(crate) peer_life: u64,
    /// Nothing arrives from this moment on.
    cut_ns: Option<u64>,
    open_at_master: bool,
    open_at_peer: bool,
    last_to_master_ns: u64,
    last_to_peer_ns: u64,
}

/// All links that were ever made.
#[derive(Debug, Default)]
pub(crate) struct Network {
    links: BTreeMap<u64, Link>,
    next: u64,
}

impl Network {
    pub(crate) fn open(&mut self, peer: Peer, peer_life: u64, master_life: u64) -> u64 {
        self.next += 1;
        let link = Link {
            peer,
            master_life,
            peer_life,
            cut_ns: None,
            open_at_master: true,
            open_at_peer: true,
            last_to_master_ns: 0,
            last_to_peer_ns: 0,
        };
        self.links.insert(self.next, link);
        self.next
    }

    pub(crate) fn link(&self, link: u64) -> Option<&Link> {
        self.links.get(&link)
    }

    pub(crate) fn send(
        &mut self,
        now_ns: u64,
        link: u64,
        to: End,
        bytes: Vec<u8>,
        rng: &mut Rng,
        schedule: &mut Schedule,
    ) {
        let delay_ns = rng.span(3 * MILLISECOND, 400 * MILLISECOND);
        let Some(entry) = self.links.get_mut(&link) else {
            return;
        };
        let last = match to {
            End::Master => &mut entry.last_to_master_ns,
            End::Peer => &mut entry.last_to_peer_ns,
        };
        *last = (now_ns + delay_ns).max(*last);
        schedule.at(*last, Occurrence::Deliver { link, to, bytes });
    }

    /// Whether what arrives now is taken in.
    pub(crate) fn delivers(&self, now_ns: u64, link: u64, to: End) -> bool {
        self.links.get(&link).is_some_and(|entry| {
            let open = match to {
                End::Master => entry.open_at_master,
                End::Peer => entry.open_at_peer,
            };
            open && entry.cut_ns.is_none_or(|cut| now_ns < cut)
        })
    }

    /// One end closes in order: the other notices after what was sent.
    pub(crate) fn close(
        &mut self,
        now_ns: u64,
        link: u64,
        by: End,
        rng: &mut Rng,
        schedule: &mut Schedule,
    ) {
        let Some(entry) = self.links.get_mut(&link) else {
            return;
        };
        let (own, other, last) = match by {
            End::Master => (&mut entry.open_at_master, End::Peer, entry.last_to_peer_ns),
            End::Peer => (
                &mut entry.open_at_peer,
                End::Master,
                entry.last_to_master_ns,
            ),
        };
        if std::mem::replace(own, false) && entry.cut_ns.is_none() {
            let at = last.max(now_ns) + rng.below(3 * MILLISECOND);
            schedule.at(at, Occurrence::Closed { link, at: other });
        }
    }

    /// The network loses a link; both ends notice, each after its own time.
    pub(crate) fn cut(
        &mut self,
        now_ns: u64,
        link: u64,
        notice_ns: (u64, u64),
        schedule: &mut Schedule,
    ) {
        let Some(entry) = self
            .links
            .get_mut(&link)
            .filter(|entry| entry.cut_ns.is_none())
        else {
            return;
        };
        entry.cut_ns = Some(now_ns);
        schedule.at(
            now_ns + notice_ns.0,
            Occurrence::Closed {
                link,
                at: End::Master,
            },
        );
        schedule.at(
            now_ns + notice_ns.1,
            Occurrence::Closed {
                link,
                at: End::Peer,
            },
        );
    }

    /// One end has noticed; true the first time.
    pub(crate) fn notice(&mut self, link: u64, at: End) -> bool {
        self.links.get_mut(&link).is_some_and(|entry| match at {
            End::Master => std::mem::replace(&mut entry.open_at_master, false),
            End::Peer => std::mem::replace(&mut entry.open_at_peer, false),
        })
    }

    /// A process ended: its ends are closed, and the others notice after a while.
    pub(crate) fn drop_all(
        &mut self,
        now_ns: u64,
        end: End,
        of: impl Fn(&Link) -> bool,
        rng: &mut Rng,
        schedule: &mut Schedule,
    ) {
        let other = if end == End::Master {
            End::Peer
        } else {
            End::Master
        };
        for (key, entry) in &mut self.links {
            let open = match end {
                End::Master => &mut entry.open_at_master,
                End::Peer => &mut entry.open_at_peer,
            };
            if !*open || !of(entry) {
                continue;
            }
            match end {
                End::Master => entry.open_at_master = false,
                End::Peer => entry.open_at_peer = false,
            }
            if entry.cut_ns.is_none() {
                // What was sent before may still arrive.
                let notice_ns = rng.span(10 * MILLISECOND, 20 * SECOND);
                entry.cut_ns = Some(now_ns + notice_ns / 2);
                schedule.at(
                    now_ns + notice_ns,
                    Occurrence::Closed {
                        link: *key,
                        at: other,
                    },
                );
            }
        }
    }

    /// Links that carry something at the moment.
    pub(crate) fn carrying(&self) -> Vec<u64> {
        let whole =
            |entry: &Link| entry.cut_ns.is_none() && entry.open_at_master && entry.open_at_peer;
        self.links
            .iter()
            .filter(|(_, entry)| whole(entry))
            .map(|(key, _)| *key)
            .collect()
    }
}
