//! Dominant shares as exact fractions, compared without floats.

use crate::scalars::{NameTable, Scalars};
use std::cmp::Ordering;

/// The weight 1.
pub(crate) const UNIT_WEIGHT: u64 = 1_000_000;

/// A dominant share divided by a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Share {
    part: u64,
    whole: u64,
    weight: u64,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            part: 0,
            whole: 1,
            weight: UNIT_WEIGHT,
        }
    }
}

impl Share {
    /// The largest of `held / total` over the names that count.
    pub(crate) fn dominant(
        held: &Scalars,
        totals: &Scalars,
        names: &NameTable,
        weight: u64,
    ) -> Self {
        let mut largest = Self {
            weight,
            ..Self::default()
        };
        for (index, amount) in held.iter() {
            if amount <= 0 || !names.is_fair(index) {
                continue;
            }
            let total = totals.get(index);
            if total <= 0 {
                continue;
            }
            let share = Self {
                part: amount.unsigned_abs(),
                whole: total.unsigned_abs(),
                weight,
            };
            if share.compare(&largest) == Ordering::Greater {
                largest = share;
            }
        }
        largest
    }

    /// By cross-multiplication in 192 bits.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        if self.weight == other.weight {
            if self.whole == other.whole {
                return self.part.cmp(&other.part);
            }
            let left = u128::from(self.part) * u128::from(other.whole);
            return left.cmp(&(u128::from(other.part) * u128::from(self.whole)));
        }
        let left = product(self.part, other.whole, other.weight);
        left.cmp(&product(other.part, self.whole, self.weight))
    }

    /// The share without the weight, for people.
    pub(crate) fn unweighted(&self) -> f64 {
        self.part as f64 / self.whole as f64
    }
}

/// The product as high and low parts, in an order that compares.
fn product(a: u64, b: u64, c: u64) -> (u128, u64) {
    let ab = u128::from(a) * u128::from(b);
    if let Some(small) = ab.checked_mul(u128::from(c)) {
        #[allow(clippy::cast_possible_truncation)] // the low half is meant
        return (small >> 64, small as u64);
    }
    let low = (ab & u128::from(u64::MAX)) * u128::from(c);
    let high = (ab >> 64) * u128::from(c) + (low >> 64);
    #[allow(clippy::cast_possible_truncation)] // the low half is meant
    (high, low as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_compare_as_exact_fractions(a in 0u64..1 << 50, b in 1u64..1 << 50, c in 0u64..1 << 50, d in 1u64..1 << 50) {
            let left = Share { part: a, whole: b, weight: UNIT_WEIGHT };
            let right = Share { part: c, whole: d, weight: UNIT_WEIGHT };
            let exact = (u128::from(a) * u128::from(d)).cmp(&(u128::from(c) * u128::from(b)));
            prop_assert_eq!(left.compare(&right), exact);
        }
    }

    #[test]
    fn a_weight_of_two_halves_the_share() {
        let heavy = Share {
            part: 2,
            whole: 10,
            weight: 2 * UNIT_WEIGHT,
        };
        let light = Share {
            part: 1,
            whole: 10,
            weight: UNIT_WEIGHT,
        };
        assert_eq!(heavy.compare(&light), Ordering::Equal);
        let largest = Share {
            part: u64::MAX,
            whole: 1,
            weight: 1,
        };
        let smallest = Share {
            part: 1,
            whole: u64::MAX,
            weight: u64::MAX,
        };
        assert_eq!(largest.compare(&smallest), Ordering::Greater);
    }
}
