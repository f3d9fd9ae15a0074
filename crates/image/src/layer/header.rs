//! One block of a tar: fields as bytes and numbers.

/// The size of everything in a tar.
pub(super) const BLOCK: usize = 512;

/// A header whose checksum holds.
#[derive(Clone, Debug)]
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

/// Why a block is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Checksum,
    Number(&'static str),
}

impl<'a> Header<'a> {
    pub(super) fn read(block: &'a [u8; BLOCK]) -> Result<Self, Fault> {
        let header = Self(block);
        let said = header.number(148..156, "checksum")?;
        let sums = |value: fn(u8) -> i64| -> i64 {
            let bytes = block.iter().enumerate();
            bytes
                .map(|(at, byte)| {
                    value(if (148..156).contains(&at) {
                        b' '
                    } else {
                        *byte
                    })
                })
                .sum()
        };
        // Some old programs added signed bytes.
        if said == sums(i64::from) || said == sums(|byte| i64::from(byte.cast_signed())) {
            Ok(header)
        } else {
            Err(Fault::Checksum)
        }
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[156]
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let name = self.text(0..100);
        let prefix = self.text(345..500);
        let has_prefix = &self.0[257..263] == b"ustar\0" && !prefix.is_empty();
        if has_prefix {
            [prefix, b"/", name].concat()
        } else {
            name.to_vec()
        }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        self.text(157..257).to_vec()
    }

    pub(super) fn size(&self) -> Result<u64, Fault> {
        self.unsigned(124..136, "size")
    }

    pub(super) fn mode(&self) -> Result<u32, Fault> {
        self.small(100..108, "mode")
    }

    pub(super) fn uid(&self) -> Result<u32, Fault> {
        self.small(108..116, "uid")
    }

    pub(super) fn gid(&self) -> Result<u32, Fault> {
        self.small(116..124, "gid")
    }

    pub(super) fn mtime(&self) -> Result<i64, Fault> {
        self.number(136..148, "mtime")
    }

    pub(super) fn device(&self) -> Result<(u32, u32), Fault> {
        let major = self.small(329..337, "device number")?;
        let minor = self.small(337..345, "device number")?;
        Ok((major, minor))
    }

    fn text(&self, place: std::ops::Range<usize>) -> &'a [u8] {
        let bytes = &self.0[place];
        let end = bytes.iter().position(|byte| *byte == 0);
        &bytes[..end.unwrap_or(bytes.len())]
    }

    fn small(&self, place: std::ops::Range<usize>, field: &'static str) -> Result<u32, Fault> {
        let number = self.number(place, field)?;
        u32::try_from(number).map_err(|_| Fault::Number(field))
    }

    fn unsigned(&self, place: std::ops::Range<usize>, field: &'static str) -> Result<u64, Fault> {
        let number = self.number(place, field)?;
        u64::try_from(number).map_err(|_| Fault::Number(field))
    }

    /// Octal digits, or GNU's big-endian form whose first bit is set.
    fn number(&self, place: std::ops::Range<usize>, field: &'static str) -> Result<i64, Fault> {
        let bytes = &self.0[place];
        if bytes[0] & 0x80 != 0 {
            return binary(bytes).ok_or(Fault::Number(field));
        }
        let start = bytes.iter().position(|byte| *byte != b' ');
        let digits = &bytes[start.unwrap_or(bytes.len())..];
        let end = digits.iter().position(|byte| matches!(byte, 0 | b' '));
        let digits = &digits[..end.unwrap_or(digits.len())];
        digits.iter().try_fold(0_i64, |number, byte| match byte {
            b'0'..=b'7' => Ok(number * 8 + i64::from(byte - b'0')),
            _ => Err(Fault::Number(field)),
        })
    }
}

fn binary(bytes: &[u8]) -> Option<i64> {
    let negative = bytes[0] & 0x40 != 0;
    let first = if negative { bytes[0] } else { bytes[0] & 0x7f };
    let start = if negative { -1 } else { 0_i64 };
    let all = std::iter::once(first).chain(bytes[1..].iter().copied());
    all.enumerate().try_fold(start, |number, (place, byte)| {
        // The sign of the first byte is in `start` already.
        let byte = if place == 0 && negative {
            byte | 0x80
        } else {
            byte
        };
        number.checked_mul(256)?.checked_add(i64::from(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8]) -> Result<i64, Fault> {
        let mut block = [0; BLOCK];
        block[124..124 + bytes.len()].copy_from_slice(bytes);
        Header(&block).number(124..136, "size")
    }

    #[test]
    fn numbers_are_octal_or_binary() {
        for (bytes, meant) in [
            (&b"00000000012\0"[..], Ok(10)),
            (b"   12 ", Ok(10)),
            (b"777777777777", Ok(0o777_777_777_777)),
            (b"", Ok(0)),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Ok(0x2_0000_0000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", Ok(-2)),
            (b"\x81\0\0\0\0\0\0\0\0\0\0\0", Err(Fault::Number("size"))),
            (b"12x", Err(Fault::Number("size"))),
            (b"-1", Err(Fault::Number("size"))),
        ] {
            assert_eq!(number(bytes), meant, "{bytes:?}");
        }
    }

    #[test]
    fn a_block_without_its_checksum_is_no_header() {
        assert_eq!(
            Header::read(&[b'x'; BLOCK]).unwrap_err(),
            Fault::Number("checksum")
        );
        assert_eq!(
            Header::read(&[1; BLOCK]).unwrap_err(),
            Fault::Number("checksum")
        );
        let mut block = [0; BLOCK];
        block[148..154].copy_from_slice(b"000001");
        assert_eq!(Header::read(&block).unwrap_err(), Fault::Checksum);
    }
}
