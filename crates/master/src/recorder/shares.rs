//! How the bytes of a ring are shared out: two segments always fit into it, whatever the state of the master takes, and
//! usually eight. It only calculates.

use mezz_recording::Snapshot;

/// A ring has about so many segments, of at least [`LEAST_SEGMENT_BYTES`] each, while the state is small.
const SEGMENTS: u64 = 8;
const LEAST_SEGMENT_BYTES: u64 = 16 << 10;
/// A segment may have the half of a ring less one part in so many: the last events go beyond what is reckoned with.
const SPARE_PARTS: u64 = 32;
/// Of that, its events have one part in so many at least.
const EVENT_PARTS: u64 = 8;

/// The shares of a ring of a size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    max_bytes: u64,
}

impl Shares {
    pub(super) fn of(max_bytes: u64) -> Self {
        Self { max_bytes }
    }

    fn most_of_segment(self) -> u64 {
        self.max_bytes / 2 - self.max_bytes / SPARE_PARTS
    }

    /// What a packed snapshot may have at most.
    pub(super) fn most_packed(self) -> u64 {
        let most = self.most_of_segment();
        most - most / EVENT_PARTS
    }

    /// The size of a ring for which a packed snapshot is not too large.
    pub(super) fn enough_for(packed_bytes: u64) -> u64 {
        let mut max_bytes = packed_bytes.saturating_mul(2);
        while Self::of(max_bytes).most_packed() < packed_bytes {
            max_bytes = max_bytes.saturating_add(max_bytes / SPARE_PARTS + 1);
        }
        max_bytes
    }

    /// How many bytes of events follow a snapshot: as many as it has unpacked, since that is what it costs, if there is
    /// room for them.
    pub(super) fn events_after(self, snapshot: &Snapshot) -> u64 {
        let room = self
            .most_of_segment()
            .saturating_sub(snapshot.packed.len() as u64);
        self.events_of_empty().max(snapshot.length).min(room)
    }

    /// How many bytes of events follow the snapshot of a core that has taken nothing in.
    pub(super) fn events_of_empty(self) -> u64 {
        (self.max_bytes / SEGMENTS).max(LEAST_SEGMENT_BYTES)
    }

    /// What all older segments together may have when one with this snapshot begins.
    pub(super) fn older_than(self, snapshot: &Snapshot) -> u64 {
        let own = snapshot.packed.len() as u64 + self.events_after(snapshot);
        self.max_bytes.saturating_sub(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_segments_with_the_largest_snapshot_fit() {
        for max_bytes in [20 << 10, 1 << 20, 128_000_000] {
            let shares = Shares::of(max_bytes);
            let packed = shares.most_packed();
            let snapshot = Snapshot {
                hash: 0,
                length: 9 * packed,
                packed: vec![0; usize::try_from(packed).expect("small")].into(),
            };
            let own = packed + shares.events_after(&snapshot);
            assert!(2 * own <= max_bytes);
            assert!(shares.older_than(&snapshot) > own);
            let enough = Shares::enough_for(packed);
            assert!(Shares::of(enough).most_packed() >= packed);
            assert!(enough <= max_bytes + max_bytes / 16, "{enough}");
        }
    }
}
