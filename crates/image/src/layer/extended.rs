//! Extended headers: what stands before an entry because the entry's own header has no room for it.

use super::stream::{LayerError, Timestamp};

/// What headers before an entry say about it.
#[derive(Debug, Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) modified: Option<Timestamp>,
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: bool,
    pub(super) bytes: u64,
}

impl Extended {
    /// Records of the form `LENGTH KEY=VALUE\n`.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), LayerError> {
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ');
            let length = space
                .and_then(|space| std::str::from_utf8(&bytes[..space]).ok())
                .and_then(|digits| digits.parse::<usize>().ok());
            let (Some(space), Some(length)) = (space, length) else {
                return Err(LayerError::Extended);
            };
            let record = bytes.get(space + 1..length).ok_or(LayerError::Extended)?;
            let record = record.strip_suffix(b"\n").ok_or(LayerError::Extended)?;
            let equals = record.iter().position(|byte| *byte == b'=');
            let equals = equals.ok_or(LayerError::Extended)?;
            self.take(&record[..equals], &record[equals + 1..])?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), LayerError> {
        let text = || std::str::from_utf8(value).unwrap_or_default();
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(text(), "size")?),
            b"uid" => self.uid = Some(number(text(), "uid")?),
            b"gid" => self.gid = Some(number(text(), "gid")?),
            b"mtime" => self.modified = Some(timestamp(text()).ok_or(LayerError::Number("mtime"))?),
            _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.attributes.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, LayerError> {
    text.parse().map_err(|_| LayerError::Number(field))
}

/// Decimal seconds, perhaps with a fraction.
fn timestamp(text: &str) -> Option<Timestamp> {
    const DIGITS: usize = 9;
    const SECOND: u32 = 1_000_000_000;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.get(..DIGITS).unwrap_or(fraction);
    let nanoseconds: u32 = format!("{digits:0<DIGITS$}").parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some(Timestamp {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: SECOND - nanoseconds,
        });
    }
    Some(Timestamp {
        seconds,
        nanoseconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("1.000000001", 1, 1),
            ("1.5", 1, 500_000_000),
            ("-1.25", -2, 750_000_000),
            ("1.0000000019", 1, 1),
        ] {
            let time = Timestamp {
                seconds,
                nanoseconds,
            };
            assert_eq!(timestamp(text), Some(time), "{text}");
        }
        assert_eq!(timestamp("1.x"), None);
        assert_eq!(timestamp("x"), None);
    }
}
