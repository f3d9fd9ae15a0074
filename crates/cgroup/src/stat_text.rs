//! The forms in which the kernel writes figures: one number, a number for each key, numbers for each device.
//!
//! Pure. What cannot be read is left out, since kernels add lines.

use crate::devices::DeviceNumber;

/// A file that is one number; `max` is none.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.trim_end().parse().ok()
}

/// Lines of a key and a number.
pub(crate) fn keyed(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.parse().ok()?))
    })
}

/// The number of one key.
pub(crate) fn value_of(text: &str, key: &str) -> Option<u64> {
    keyed(text)
        .find(|(each, _)| *each == key)
        .map(|(_, value)| value)
}

/// `8:16`
pub(crate) fn device(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.split_once(':')?;
    Some(DeviceNumber {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    })
}
