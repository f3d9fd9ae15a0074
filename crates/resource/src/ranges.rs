//! Sets of integers held as sorted, disjoint, coalesced closed ranges.

use std::fmt;
use std::sync::Arc;

/// A closed range; `begin <= end` holds for every range inside [`Ranges`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Range {
    /// The first value.
    pub begin: u64,
    /// The last value.
    pub end: u64,
}

/// Sorted and coalesced ranges; cheap to clone.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Ranges(Arc<[Range]>);

impl Default for Ranges {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl FromIterator<Range> for Ranges {
    /// Normalises: sorts, merges what overlaps or touches, drops inverted ranges.
    fn from_iter<I: IntoIterator<Item = Range>>(ranges: I) -> Self {
        let mut sorted: Vec<Range> = ranges.into_iter().filter(|r| r.begin <= r.end).collect();
        sorted.sort_unstable();
        let mut merged: Vec<Range> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.begin <= last.end.saturating_add(1) => {
                    last.end = last.end.max(range.end);
                }
                _ => merged.push(range),
            }
        }
        Self(merged.into())
    }
}

impl Ranges {
    /// One closed range.
    pub fn single(begin: u64, end: u64) -> Self {
        Self::from_iter([Range { begin, end }])
    }

    /// The ranges in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Range> + '_ {
        self.0.iter().copied()
    }

    /// Whether no value is inside.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many values are inside, saturating.
    pub fn count(&self) -> u64 {
        self.iter().fold(0, |sum, r| {
            sum.saturating_add((r.end - r.begin).saturating_add(1))
        })
    }

    /// Whether every value of `other` is inside.
    pub fn contains(&self, other: &Self) -> bool {
        other.iter().all(|wanted| {
            let after = self.0.partition_point(|own| own.begin <= wanted.begin);
            after > 0 && self.0[after - 1].end >= wanted.end
        })
    }

    /// The union.
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// What is here and not in `other`.
    pub fn difference(&self, other: &Self) -> Self {
        let mut left: Vec<Range> = Vec::with_capacity(self.0.len());
        for own in self.iter() {
            let mut rest = Some(own);
            for cut in other.iter() {
                let Some(current) = rest else { break };
                if cut.end < current.begin {
                    continue;
                }
                if cut.begin > current.end {
                    break;
                }
                if cut.begin > current.begin {
                    left.push(Range {
                        begin: current.begin,
                        end: cut.begin - 1,
                    });
                }
                rest = (cut.end < current.end).then(|| Range {
                    begin: cut.end + 1,
                    end: current.end,
                });
            }
            left.extend(rest);
        }
        Self(left.into())
    }

    /// The lowest `count` values, or `None` when there are fewer.
    pub fn take_lowest(&self, count: u64) -> Option<Self> {
        let mut missing = count;
        let mut taken = Vec::new();
        for range in self.iter() {
            if missing == 0 {
                break;
            }
            let size = (range.end - range.begin).saturating_add(1).min(missing);
            taken.push(Range {
                begin: range.begin,
                end: range.begin + (size - 1),
            });
            missing -= size;
        }
        (missing == 0).then(|| Self(taken.into()))
    }
}

impl fmt::Display for Ranges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, range) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}-{}", range.begin, range.end)?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn ranges() -> impl Strategy<Value = Ranges> {
        prop::collection::vec((0u64..60, 0u64..8), 0..6).prop_map(|list| {
            list.into_iter()
                .map(|(begin, size)| Range {
                    begin,
                    end: begin + size,
                })
                .collect()
        })
    }

    fn values(ranges: &Ranges) -> BTreeSet<u64> {
        ranges.iter().flat_map(|r| r.begin..=r.end).collect()
    }

    proptest! {
        #[test]
        fn ranges_behave_as_sets_of_integers(a in ranges(), b in ranges(), n in 0u64..20) {
            prop_assert_eq!(values(&a.union(&b)), &values(&a) | &values(&b));
            prop_assert_eq!(values(&a.difference(&b)), &values(&a) - &values(&b));
            prop_assert_eq!(a.contains(&b), values(&a).is_superset(&values(&b)));
            prop_assert_eq!(a.count(), values(&a).len() as u64);
            match a.take_lowest(n) {
                Some(taken) => {
                    let lowest: BTreeSet<u64> = values(&a).into_iter().take(usize::try_from(n).unwrap()).collect();
                    prop_assert_eq!(values(&taken), lowest);
                }
                None => prop_assert!(a.count() < n),
            }
        }

        #[test]
        fn ranges_are_normalised(a in ranges(), b in ranges()) {
            let both = a.union(&b);
            let list: Vec<Range> = both.iter().collect();
            for pair in list.windows(2) {
                prop_assert!(pair[0].end + 1 < pair[1].begin);
            }
        }
    }

    #[test]
    fn the_largest_value_does_not_overflow() {
        let all = Ranges::single(0, u64::MAX);
        assert_eq!(
            all.difference(&Ranges::single(1, u64::MAX)),
            Ranges::single(0, 0)
        );
        assert_eq!(all.count(), u64::MAX);
        assert_eq!(all.union(&Ranges::single(5, 6)), all);
    }

    #[test]
    fn ranges_print_as_mesos_prints_them() {
        let ranges: Ranges = [Range { begin: 5, end: 9 }, Range { begin: 1, end: 2 }]
            .into_iter()
            .collect();
        assert_eq!(ranges.to_string(), "[1-2, 5-9]");
    }
}
