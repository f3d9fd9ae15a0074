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

    /// Becomes what is in two sets and not in a third; says whether that is anything.
    pub(crate) fn assign_difference(&mut self, one: &Self, other: &Self, without: &Self) -> bool {
        self.0.clear();
        let mut any = 0;
        for (at, (one, other)) in one.0.iter().zip(&other.0).enumerate() {
            let word = one & other & !without.0.get(at).copied().unwrap_or(0);
            any |= word;
            self.0.push(word);
        }
        any != 0
    }

    /// Whether something is in the set and not in another.
    pub(crate) fn exceeds(&self, other: &Self) -> bool {
        let mut words = self.0.iter().enumerate();
        words.any(|(at, word)| word & !other.0.get(at).copied().unwrap_or(0) != 0)
    }

    /// Takes all members out, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.0.fill(0);
    }

    /// The first member from a number on.
    pub(crate) fn first_from(&self, number: usize) -> Option<usize> {
        let (at, shift) = (number / 64, number % 64);
        let head = self.0.get(at)? >> shift << shift;
        if head != 0 {
            return Some(at * 64 + head.trailing_zeros() as usize);
        }
        let rest = self.0.iter().enumerate().skip(at + 1);
        let (at, word) = rest.into_iter().find(|(_, word)| **word != 0)?;
        Some(at * 64 + word.trailing_zeros() as usize)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The members in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let rest = std::iter::successors(Some(*word), |rest| Some(rest & rest.wrapping_sub(1)));
            rest.take_while(|rest| *rest != 0)
                .map(move |rest| at * 64 + rest.trailing_zeros() as usize)
        })
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
            assert!(!bits.has(number) && bits.count() == 0);
        }
    }

    #[test]
    fn the_members_come_in_ascending_order() {
        let mut bits = Bits::default();
        let members = [700, 3, 64, 63];
        for number in members {
            bits.set(number, true);
        }
        assert_eq!(bits.iter().collect::<Vec<_>>(), [3, 63, 64, 700]);
        assert_eq!(bits.count(), 4);
        let next = [0, 3, 4, 64, 65, 701].map(|from| bits.first_from(from));
        assert_eq!(
            next,
            [Some(3), Some(3), Some(63), Some(64), Some(700), None]
        );
        bits.clear();
        assert_eq!(bits.iter().next(), None);
    }
}
