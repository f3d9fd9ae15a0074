//! The seeded generator behind uuids, launch ids and jitter (SplitMix64): deterministic, not for secrets.

use crate::ids::{ContainerId, LaunchId, ProbeId, Uuid};

/// The generator's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..=limit`.
    pub(crate) fn up_to(&mut self, limit: u64) -> u64 {
        match limit.checked_add(1) {
            Some(bound) => self.next() % bound,
            None => self.next(),
        }
    }

    /// A version 4 UUID.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&self.next().to_be_bytes());
        bytes[8..].copy_from_slice(&self.next().to_be_bytes());
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Uuid(bytes)
    }

    pub(crate) fn launch_id(&mut self) -> LaunchId {
        LaunchId(self.next())
    }

    pub(crate) fn probe_id(&mut self) -> ProbeId {
        ProbeId(self.next())
    }

    pub(crate) fn container_id(&mut self) -> ContainerId {
        ContainerId(self.uuid())
    }
}
