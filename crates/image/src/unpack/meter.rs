//! Hashes and counts what is unpacked, and ends it at a cap: a small file can hold any number of zeros.

use std::io::{self, Read};

use super::UnpackError;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::layer::LayerError;

/// A reader that knows what went through it.
#[derive(Debug)]
pub(super) struct Meter<R> {
    from: R,
    hasher: Hasher,
    left: u64,
    limit: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes")]
struct Above(u64);

impl<R: Read> Meter<R> {
    pub(super) fn new(from: R, algorithm: Algorithm, limit: u64) -> Self {
        Self {
            from,
            hasher: Hasher::new(algorithm),
            left: limit,
            limit,
        }
    }

    /// Reads what comes after the last entry, which the digest covers as well.
    pub(super) fn finish(mut self) -> Result<Digest, LayerError> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.hasher.finish())
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(Above(self.limit))),
        }
        Ok(count)
    }
}

/// Finds the cap in an error of reading.
pub(super) fn reason(error: LayerError) -> UnpackError {
    if let LayerError::Read(error) = &error
        && let Some(above) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Above>())
    {
        return UnpackError::TooLarge(above.0);
    }
    error.into()
}
