//! Fixed-point scalars with three decimals, so that `0.1 + 0.2` is exactly `0.3`.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// A quantity in thousandths.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Scalar(pub i64);

/// Above this many whole units a double no longer holds three decimals exactly.
const LARGEST_UNITS: f64 = 4.0e12;

impl Scalar {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many whole units.
    pub const fn whole(units: i64) -> Self {
        Self(units.saturating_mul(1000))
    }

    /// Rounds to the nearest thousandth; `None` when the value is not finite or too large to be exact.
    #[allow(clippy::cast_possible_truncation)] // bounded just before
    pub fn from_f64(value: f64) -> Option<Self> {
        (value.is_finite() && value.abs() <= LARGEST_UNITS)
            .then(|| Self((value * 1000.0).round() as i64))
    }

    /// The value as a double; the division is applied only to the fraction, as Mesos does.
    pub fn to_f64(self) -> f64 {
        (self.0 / 1000) as f64 + (self.0 % 1000) as f64 / 1000.0
    }

    /// Whether this is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The difference, or `None` when it would fall below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        (self >= other).then(|| Self(self.0 - other.0))
    }

    /// The difference, never below zero.
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }
}

impl Add for Scalar {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Scalar {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Scalar {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Scalar {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}", magnitude / 1000)?;
        let fraction = magnitude % 1000;
        if fraction == 0 {
            return Ok(());
        }
        let digits = format!("{fraction:03}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_and_two_tenths_make_three_tenths() {
        let sum = Scalar::from_f64(0.1).unwrap() + Scalar::from_f64(0.2).unwrap();
        assert_eq!(sum, Scalar::from_f64(0.3).unwrap());
        assert_eq!(sum.to_f64().to_string(), "0.3");
    }

    #[test]
    fn scalars_print_without_trailing_zeros() {
        for (value, text) in [
            (14.9, "14.9"),
            (15840.0, "15840"),
            (0.001, "0.001"),
            (-2.5, "-2.5"),
            (0.05, "0.05"),
        ] {
            assert_eq!(Scalar::from_f64(value).unwrap().to_string(), text);
        }
    }

    #[test]
    fn values_that_are_not_numbers_are_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert_eq!(Scalar::from_f64(value), None);
        }
    }
}
