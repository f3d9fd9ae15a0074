//! Sets of small numbers, one bit each.

/// A set of small numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    pub(crate) fn has(&self, number: usize) -> bool {
        self.0
            .get(number / 64)
            .is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(crate) fn set(&mut self, number: usize, member: bool) {
        let word = number / 64;
        if self.0.len() <= word {
            if !member {
                return;
            }
            self.0.resize(word + 1, 0);
        }
        if member {
            self.0[word] |= 1 << (number % 64);
        } else {
            self.0[word] &= !(1 << (number % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_in_the_set_from_when_it_is_put_in_until_it_is_taken_out() {
        let mut bits = Bits::default();
        for number in [0, 63, 64, 700] {
            assert!(!bits.has(number));
            bits.set(number, false);
            bits.set(number, true);
            assert!(bits.has(number) && !bits.has(number + 1));
            bits.set(number, false);
            assert!(!bits.has(number));
        }
    }
}
