//! Which devices an image may have.

use super::UnpackError;
use crate::layer::EntryKind;

/// What is done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is as harmless as the host's own.
    Make,
    /// A container has its own.
    LeaveOut,
}

/// Character devices that everybody may use on any machine.
const HARMLESS: &[(u32, u32)] = &[
    (1, 3), // null
    (1, 5), // zero
    (1, 7), // full
    (1, 8), // random
    (1, 9), // urandom
    (5, 0), // tty
];

/// Character devices that trees of distributions have, and that say something else in a container.
fn is_of_a_host(major: u32, minor: u32) -> bool {
    match major {
        // Terminals, the console, ptmx; pseudo-terminals.
        4 | 5 | 136..=143 => true,
        // tun, fuse, rtc, and the net and misc ones that systemd-less trees carry.
        10 => matches!(minor, 130 | 135 | 200 | 229 | 237),
        _ => false,
    }
}

pub(super) fn verdict(path: &str, kind: &EntryKind) -> Result<Verdict, UnpackError> {
    let (name, major, minor) = match *kind {
        EntryKind::CharacterDevice(major, minor) if HARMLESS.contains(&(major, minor)) => {
            return Ok(Verdict::Make);
        }
        EntryKind::CharacterDevice(major, minor) if is_of_a_host(major, minor) => {
            return Ok(Verdict::LeaveOut);
        }
        EntryKind::CharacterDevice(major, minor) => ("character", major, minor),
        EntryKind::BlockDevice(major, minor) => ("block", major, minor),
        _ => return Ok(Verdict::Make),
    };
    Err(UnpackError::Device {
        path: path.to_owned(),
        kind: name,
        major,
        minor,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_container_has_is_made() {
        use EntryKind::{BlockDevice, CharacterDevice};
        for (kind, verdict_of) in [
            (CharacterDevice(1, 3), Some(Verdict::Make)),
            (CharacterDevice(5, 1), Some(Verdict::LeaveOut)),
            (CharacterDevice(4, 64), Some(Verdict::LeaveOut)),
            (CharacterDevice(0, 0), None),    // the mark of overlayfs
            (CharacterDevice(1, 1), None),    // mem
            (CharacterDevice(1, 2), None),    // kmem
            (CharacterDevice(1, 11), None),   // kmsg
            (CharacterDevice(10, 232), None), // kvm
            (BlockDevice(8, 0), None),
            (BlockDevice(1, 3), None),
        ] {
            assert_eq!(verdict("x", &kind).ok(), verdict_of, "{kind:?}");
        }
    }
}
