//! Dominant shares as exact fractions, compared without floats.
//!
//! Each share carries a fixed-point approximation of itself. Two that are clearly apart are told apart by it; the exact
//! fractions decide the rest.

use crate::scalars::Scalars;
use std::cmp::Ordering;

/// The weight 1.
pub(crate) const UNIT_WEIGHT: u64 = 1_000_000;

/// The approximation of the share 1, in bits.
const WHOLE_BITS: u32 = 60;
/// The largest approximation; what is larger counts as this much.
const MOST: u64 = 1 << 63;
/// Stands for an approximation that would not be good enough.
const UNKNOWN: u64 = u64::MAX;
/// What is further apart than this is so in truth: an approximation of weight 1/2 is off by less than a third of it.
const APART: u64 = 16;

/// A total with its reciprocal, so that a share needs no division.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Rate {
    /// Zero when it does not count.
    total: u64,
    reciprocal: u64,
    shift: u32,
}

impl Rate {
    /// Of a total; what does not count has none.
    pub(crate) fn of(total: i64) -> Self {
        let Some(total) = u64::try_from(total).ok().filter(|total| *total > 0) else {
            return Self::default();
        };
        // The reciprocal fills 64 bits: 2^(bits - 1) < total <= 2^bits.
        let bits = u64::BITS - (total - 1).leading_zeros();
        let reciprocal = (1u128 << (63 + bits)) / u128::from(total);
        Self {
            total,
            reciprocal: u64::try_from(reciprocal).unwrap_or(u64::MAX),
            shift: 63 + bits - WHOLE_BITS,
        }
    }

    /// The part of the total, off by less than two while it is no more than eight times the whole.
    fn approximation(&self, amount: u64) -> u64 {
        let product = (u128::from(amount) * u128::from(self.reciprocal)) >> self.shift;
        u64::try_from(product).unwrap_or(MOST).min(MOST)
    }
}

/// A dominant share divided by a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Share {
    /// The approximation.
    about: u64,
    part: u64,
    whole: u64,
    weight: u64,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            about: 0,
            part: 0,
            whole: 1,
            weight: UNIT_WEIGHT,
        }
    }
}

impl Share {
    /// The largest of `held / total` over the names that count; `rates` by the places of the name table.
    pub(crate) fn dominant(held: &Scalars, rates: &[Rate], weight: u64) -> Self {
        let mut largest = Self::default();
        for ((_, amount), rate) in held.iter().zip(rates) {
            if amount <= 0 || rate.total == 0 {
                continue;
            }
            let part = amount.unsigned_abs();
            let share = Self {
                about: rate.approximation(part),
                part,
                whole: rate.total,
                weight: UNIT_WEIGHT,
            };
            if share.compare(&largest) == Ordering::Greater {
                largest = share;
            }
        }
        largest.weighted(weight)
    }

    fn weighted(mut self, weight: u64) -> Self {
        if weight != UNIT_WEIGHT {
            self.weight = weight;
            self.about = if weight < UNIT_WEIGHT / 2 || self.about >= MOST {
                UNKNOWN
            } else {
                let about = u128::from(self.about) * u128::from(UNIT_WEIGHT) / u128::from(weight);
                u64::try_from(about).unwrap_or(MOST).min(MOST)
            };
        }
        self
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        if self.about.abs_diff(other.about) > APART && self.about.max(other.about) <= MOST {
            return self.about.cmp(&other.about);
        }
        self.compare_exactly(other)
    }

    /// By cross-multiplication in 192 bits.
    fn compare_exactly(&self, other: &Self) -> Ordering {
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A share of one name alone.
    fn share(part: u64, whole: u64, weight: u64) -> Share {
        let mut held = Scalars::default();
        held.add_at(0, i64::try_from(part).unwrap());
        let rate = Rate::of(i64::try_from(whole).unwrap());
        Share::dominant(&held, &[rate], weight)
    }

    fn exactly(one: (u64, u64, u64), two: (u64, u64, u64)) -> Ordering {
        product(one.0, two.1, two.2).cmp(&product(two.0, one.1, one.2))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn shares_compare_as_exact_fractions(
            whole in 1u64..1 << 62,
            other in 1u64..1 << 62,
            parts in (0u64..=u64::MAX, 0u64..=u64::MAX),
            excess in 1u64..20,
            weights in (1u64..4 * UNIT_WEIGHT, 1u64..1000 * UNIT_WEIGHT),
            kind in 0u32..4,
        ) {
            let within = |part: u64, whole: u64| part % whole.saturating_mul(excess).min(1 << 62);
            let one = (within(parts.0, whole), whole, if kind & 1 == 0 { UNIT_WEIGHT } else { weights.0 });
            let two = (within(parts.1, other), other, if kind & 2 == 0 { UNIT_WEIGHT } else { weights.1 });
            let [left, right] = [one, two].map(|(part, whole, weight)| share(part, whole, weight));
            prop_assert_eq!(left.compare(&right), exactly(one, two));
        }

        #[test]
        fn shares_that_are_almost_equal_compare_as_exact_fractions(
            whole in 1u64..1 << 50,
            scale in 1u64..1000,
            part in 0u64..1 << 50,
            off in 0u64..3,
            weights in prop::sample::select(vec![(UNIT_WEIGHT, UNIT_WEIGHT), (2, 2), (600_000, UNIT_WEIGHT), (3 * UNIT_WEIGHT, 100)]),
        ) {
            let one = (part, whole, weights.0);
            let two = ((part * scale + off).saturating_sub(1), whole * scale, weights.1);
            let [left, right] = [one, two].map(|(part, whole, weight)| share(part, whole, weight));
            prop_assert_eq!(left.compare(&right), exactly(one, two));
        }
    }

    #[test]
    fn a_weight_of_two_halves_the_share() {
        let heavy = share(2, 10, 2 * UNIT_WEIGHT);
        assert_eq!(heavy.compare(&share(1, 10, UNIT_WEIGHT)), Ordering::Equal);
        let [largest, smallest] = [share(1 << 62, 1, 1), share(1, 1 << 62, u64::MAX)];
        assert_eq!(largest.compare(&smallest), Ordering::Greater);
    }
}
