//! Chance that is a part of the state: the same seed gives the same numbers, wherever and whenever.

/// A generator of numbers that look random (SplitMix64).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound, which is at most 2^96; the bias is below 2^-32.
    fn below(&mut self, bound: u128) -> u128 {
        let wide = u128::from(self.next()) << 64 | u128::from(self.next());
        wide % bound.max(1)
    }

    /// Takes one item out of a list, each with the chance that its weight is of the sum.
    pub(crate) fn draw<T>(&mut self, items: &mut Vec<(u128, T)>) -> Option<T> {
        let sum = items.iter().map(|(weight, _)| weight).sum();
        let mut number = self.below(sum);
        let at = items.iter().position(|(weight, _)| {
            let found = number < *weight;
            number = number.saturating_sub(*weight);
            found
        });
        // Weights of nothing but zero leave the first.
        (!items.is_empty()).then(|| items.swap_remove(at.unwrap_or(0)).1)
    }
}
