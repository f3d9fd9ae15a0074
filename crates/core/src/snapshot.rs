//! The whole state as bytes, and back: a restored master goes on exactly as the one that was written.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::master::Master;
use crate::pages::Pages;

/// Why bytes are no snapshot of this program's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no snapshot of a master of this version: {0}")]
pub struct RestoreError(postcard::Error);

impl Master {
    /// The whole state; equal states give equal bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("a vector grows as needed and every part can be written")
    }

    /// The master whose [`snapshot`](Self::snapshot) this is.
    pub fn from_snapshot(snapshot: &[u8]) -> Result<Self, RestoreError> {
        match postcard::take_from_bytes(snapshot) {
            Ok((master, [])) => Ok(master),
            Ok(_) => Err(RestoreError(postcard::Error::SerdeDeCustom)),
            Err(error) => Err(RestoreError(error)),
        }
    }
}

/// The records with their slots, in slot order.
impl<T: Serialize> Serialize for Pages<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let records: Vec<(u32, &T)> = self
            .iter()
            .map(|(slot, record)| {
                let slot = u32::try_from(slot).expect("keys of records have 32 bits");
                (slot, &**record)
            })
            .collect();
        records.serialize(serializer)
    }
}

/// Slots beyond any that a state of this size can have used would make the pages grow without end.
const SPREAD: usize = 1 << 26;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pages<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut pages = Self::default();
        for (slot, record) in Vec::<(u32, T)>::deserialize(deserializer)? {
            let slot = slot as usize;
            if slot >= SPREAD {
                return Err(D::Error::custom("a slot is out of range"));
            }
            pages.insert(slot, record);
        }
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn bytes_that_are_no_snapshot_are_refused() {
        let mut snapshot = Master::new(Config::default()).snapshot();
        assert!(Master::from_snapshot(&snapshot).is_ok());
        snapshot.push(0);
        assert!(Master::from_snapshot(&snapshot).is_err(), "too long");
        snapshot.truncate(snapshot.len() / 2);
        assert!(Master::from_snapshot(&snapshot).is_err(), "too short");
        assert!(Master::from_snapshot(&[0xff; 64]).is_err());
    }
}
