//! The whole state as bytes, and back: a restored master goes on exactly as the one that was written.

use crate::master::Master;

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
