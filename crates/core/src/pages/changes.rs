//! What differs between two states of the same pages, found by comparing pointers: it costs what changed,
//! not what is there. It never looks into a record.

use std::sync::Arc;

use super::{CHUNK, PAGE, Page, Pages};

/// A slot whose record was added, replaced or removed.
#[derive(Debug)]
pub struct Change<'a, T> {
    pub index: usize,
    pub before: Option<&'a Arc<T>>,
    pub after: Option<&'a Arc<T>>,
}

impl<T> Pages<T> {
    /// Whether nothing was written between the two states. Never true after a change.
    pub fn is_same(&self, other: &Self) -> bool {
        self.chunks.len() == other.chunks.len()
            && self
                .chunks
                .iter()
                .zip(&other.chunks)
                .all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// The slots that were written since `before`, in slot order.
    pub fn changes_since<'a>(&'a self, before: &'a Self) -> Vec<Change<'a, T>> {
        let mut changes = Vec::new();
        for c in 0..self.chunks.len().max(before.chunks.len()) {
            let (old, new) = (before.chunks.get(c), self.chunks.get(c));
            if let (Some(old), Some(new)) = (old, new)
                && Arc::ptr_eq(old, new)
            {
                continue;
            }
            for p in 0..CHUNK {
                let old = old.and_then(|chunk| chunk[p].as_ref());
                let new = new.and_then(|chunk| chunk[p].as_ref());
                page_changes((c * CHUNK + p) * PAGE, old, new, &mut changes);
            }
        }
        changes
    }
}

fn page_changes<'a, T>(
    first: usize,
    old: Option<&'a Arc<Page<T>>>,
    new: Option<&'a Arc<Page<T>>>,
    changes: &mut Vec<Change<'a, T>>,
) {
    match (old, new) {
        (None, None) => return,
        (Some(old), Some(new)) if Arc::ptr_eq(old, new) => return,
        _ => {}
    }
    for r in 0..PAGE {
        let before = old.and_then(|page| page[r].as_ref());
        let after = new.and_then(|page| page[r].as_ref());
        let same = match (before, after) {
            (None, None) => true,
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            _ => false,
        };
        if !same {
            changes.push(Change {
                index: first + r,
                before,
                after,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_a_change() {
        let mut pages = Pages::default();
        for i in 0..9_000 {
            pages.insert(i, i);
        }
        let before = pages.clone();
        assert!(pages.is_same(&before));
        *pages.get_mut(5_000).unwrap() = 1;
        pages.remove(70);
        pages.insert(9_500, 2);
        assert!(!pages.is_same(&before));
        let changes: Vec<_> = pages
            .changes_since(&before)
            .iter()
            .map(|change| {
                (
                    change.index,
                    change.before.map(|value| **value),
                    change.after.map(|value| **value),
                )
            })
            .collect();
        assert_eq!(
            changes,
            [
                (70, Some(70), None),
                (5_000, Some(5_000), Some(1)),
                (9_500, None, Some(2))
            ]
        );
    }
}
