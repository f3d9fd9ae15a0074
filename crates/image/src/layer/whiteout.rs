//! Whiteouts: names in a layer that take away what is below.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const RESERVED: &[u8] = b".wh..wh.";

/// What the name of an entry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark<'a> {
    /// A file like any other.
    Plain,
    /// The name beside it is gone.
    Gone(&'a OsStr),
    /// The directory shows nothing of what is below.
    Opaque,
    /// Bookkeeping of AUFS, which holds nothing.
    Bookkeeping,
    /// A whiteout that names nothing.
    Broken,
}

/// Reads the last part of a path.
pub fn mark(name: &OsStr) -> Mark<'_> {
    let bytes = name.as_bytes();
    if bytes == OPAQUE {
        return Mark::Opaque;
    }
    if bytes.starts_with(RESERVED) {
        return Mark::Bookkeeping;
    }
    match bytes.strip_prefix(PREFIX) {
        None => Mark::Plain,
        Some(b"" | b"." | b"..") => Mark::Broken,
        Some(gone) => Mark::Gone(OsStr::from_bytes(gone)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_specification_says() {
        for (name, meaning) in [
            ("a", Mark::Plain),
            (".wh", Mark::Plain),
            ("x.wh.a", Mark::Plain),
            (".wh.a", Mark::Gone(OsStr::new("a"))),
            (".wh..a", Mark::Gone(OsStr::new(".a"))),
            (".wh..wh..opq", Mark::Opaque),
            (".wh..wh.plnk", Mark::Bookkeeping),
            (".wh..wh.aufs", Mark::Bookkeeping),
            (".wh.", Mark::Broken),
            (".wh..", Mark::Broken),
            (".wh...", Mark::Broken),
        ] {
            assert_eq!(mark(OsStr::new(name)), meaning, "{name}");
        }
    }
}
