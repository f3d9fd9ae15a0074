//! How a layer is packed: its first bytes say it, since media types often do not.

use std::io::{self, BufReader, Chain, Cursor, Read};

/// A packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Plain tar.
    None,
    /// gzip, perhaps in several parts.
    Gzip,
    /// zstd, perhaps in several frames.
    Zstd,
}

impl Compression {
    /// What begins with these bytes.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A frame of zstd that is to be skipped.
            [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// The window that zstd may ask for: 128 MiB, as its own tools allow.
const LARGEST_WINDOW_LOG: u32 = 27;
const BUFFER: usize = 256 << 10;

type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// The unpacked content.
pub fn decompressed<R: Read + 'static>(mut packed: R) -> io::Result<Box<dyn Read>> {
    let mut start = Vec::new();
    packed.by_ref().take(4).read_to_end(&mut start)?;
    let compression = Compression::of(&start);
    let whole: Whole<R> = Cursor::new(start).chain(packed);
    let whole = BufReader::with_capacity(BUFFER, whole);
    Ok(match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(LARGEST_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        decompressed(Cursor::new(bytes.to_vec()))?.read_to_end(&mut all)?;
        Ok(all)
    }

    #[test]
    fn every_packing_gives_the_same_bytes() {
        let plain = b"content ".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        for (packed, kind) in [
            (&plain, Compression::None),
            (&gzip, Compression::Gzip),
            (&zstd, Compression::Zstd),
        ] {
            assert_eq!(Compression::of(packed), kind);
            assert_eq!(unpacked(packed).unwrap(), plain);
        }
        assert_eq!(
            unpacked(&[gzip.clone(), gzip].concat()).unwrap().len(),
            16_000
        );
        assert_eq!(
            unpacked(&[zstd.clone(), zstd].concat()).unwrap().len(),
            16_000
        );
        assert_eq!(unpacked(b"").unwrap(), b"");
    }

    #[test]
    fn what_breaks_off_is_an_error() {
        let zstd = zstd::encode_all(&[7; 5000][..], 1).unwrap();
        assert!(unpacked(&zstd[..zstd.len() - 3]).is_err());
        assert!(unpacked(&[0x1f, 0x8b, 8, 0, 0]).is_err());
    }
}
