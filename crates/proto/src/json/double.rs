//! The text of a double: the shortest digits that read back to it, always with a fraction or exponent.

use std::io::Write as _;

/// Appends the text of a double; infinities are quoted.
pub(super) fn write(out: &mut Vec<u8>, value: f64) {
    let magnitude = value.abs();
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 {
            b"\"Infinity\""
        } else {
            b"\"-Infinity\""
        });
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let _ = write!(out, "{value:e}");
    } else if value.fract() == 0.0 {
        let _ = write!(out, "{value}.0");
    } else {
        let _ = write!(out, "{value}");
    }
}
