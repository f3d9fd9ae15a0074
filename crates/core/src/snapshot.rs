//! The whole state as bytes, and back: a restored master goes on exactly as the one that was written.

use postcard::ser_flavors::Flavor;

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

    /// The bytes of [`snapshot`](Self::snapshot), one piece after the other: nobody has to hold them all.
    pub fn write_snapshot(&self, take: &mut dyn FnMut(&[u8])) {
        let pieces = Pieces {
            buffer: Vec::with_capacity(PIECE),
            take,
        };
        postcard::serialize_with_flavor(self, pieces)
            .expect("pieces are taken as they come and every part can be written");
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

/// So many bytes are gathered before they are handed on.
const PIECE: usize = 64 << 10;

struct Pieces<'a> {
    buffer: Vec<u8>,
    take: &'a mut dyn FnMut(&[u8]),
}

impl Pieces<'_> {
    fn hand_on(&mut self) {
        (self.take)(&self.buffer);
        self.buffer.clear();
    }
}

impl Flavor for Pieces<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.buffer.len() + bytes.len() > PIECE {
            self.hand_on();
        }
        if bytes.len() > PIECE {
            (self.take)(bytes);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<()> {
        self.hand_on();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn pieces_are_the_whole() {
        let roles = (0..20_000).map(|number| format!("role-{number}"));
        let config = Config {
            role_whitelist: Some(roles.chain(["x".repeat(3 * PIECE)]).collect()),
            ..Config::default()
        };
        let master = Master::new(config);
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        master.write_snapshot(&mut |piece| pieces.push(piece.to_vec()));
        assert!(pieces.len() > 4);
        assert!(pieces.concat() == master.snapshot());
    }

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
