//! Records in copy-on-write pages, shared by the core and the views that readers hold.
//!
//! Cloning costs one reference count per chunk of 4,096 records; a write after a clone copies
//! one chunk, one page of pointers and the one record. It never copies what did not change.

use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const PAGE: usize = 64;
const CHUNK: usize = 64;

type Page<T> = [Option<Arc<T>>; PAGE];
type Chunk<T> = [Option<Arc<Page<T>>>; CHUNK];

/// A growable array of optional records with cheap clones.
#[derive(Debug)]
pub struct Pages<T> {
    chunks: Vec<Arc<Chunk<T>>>,
    len: usize,
}

impl<T> Clone for Pages<T> {
    fn clone(&self) -> Self {
        Self {
            chunks: self.chunks.clone(),
            len: self.len,
        }
    }
}

/// Equal are those with the same records in the same slots, whatever pages they have.
impl<T: PartialEq> PartialEq for Pages<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self
                .changes_since(other)
                .all(|change| change.before == change.after)
    }
}

/// One slot in which two states of the same pages differ.
#[derive(Debug)]
pub struct Change<'a, T> {
    pub slot: usize,
    pub before: Option<&'a Arc<T>>,
    pub after: Option<&'a Arc<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Pages<T> {
    /// The number of records present.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no record is present.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The record in a slot.
    pub fn get(&self, index: usize) -> Option<&Arc<T>> {
        let chunk = self.chunks.get(index / (PAGE * CHUNK))?;
        let page = chunk[index / PAGE % CHUNK].as_ref()?;
        page[index % PAGE].as_ref()
    }

    /// Puts a record into a slot and returns what was there.
    pub fn insert(&mut self, index: usize, record: T) -> Option<Arc<T>> {
        let before = self.slot(index).replace(Arc::new(record));
        self.len += usize::from(before.is_none());
        before
    }

    /// Empties a slot and returns what was there.
    pub fn remove(&mut self, index: usize) -> Option<Arc<T>> {
        self.get(index)?;
        let before = self.slot(index).take();
        self.len -= usize::from(before.is_some());
        before
    }

    /// All records with their slots, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Arc<T>)> {
        self.chunks
            .iter()
            .enumerate()
            .flat_map(|(c, chunk)| {
                chunk
                    .iter()
                    .enumerate()
                    .filter_map(move |(p, page)| Some((c * CHUNK + p, page.as_ref()?)))
            })
            .flat_map(|(page_index, page)| {
                page.iter()
                    .enumerate()
                    .filter_map(move |(r, record)| Some((page_index * PAGE + r, record.as_ref()?)))
            })
    }

    /// The slots that do not hold the very same record as earlier, in slot order. What both share is skipped by pages,
    /// so that this costs what changed.
    pub fn changes_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = Change<'a, T>> {
        let chunks = self.chunks.len().max(before.chunks.len());
        (0..chunks)
            .map(|c| (c, before.chunks.get(c), self.chunks.get(c)))
            .filter(|(_, before, after)| !is_same(*before, *after))
            .flat_map(|(c, before, after)| {
                (0..CHUNK).map(move |p| {
                    let page = |chunk: Option<&'a Arc<Chunk<T>>>| chunk?[p].as_ref();
                    (c * CHUNK + p, page(before), page(after))
                })
            })
            .filter(|(_, before, after)| !is_same(*before, *after))
            .flat_map(|(index, before, after)| {
                (0..PAGE).map(move |r| {
                    let record = |page: Option<&'a Arc<Page<T>>>| page?[r].as_ref();
                    Change {
                        slot: index * PAGE + r,
                        before: record(before),
                        after: record(after),
                    }
                })
            })
            .filter(|change| !is_same(change.before, change.after))
    }

    fn slot(&mut self, index: usize) -> &mut Option<Arc<T>> {
        let chunk_index = index / (PAGE * CHUNK);
        while self.chunks.len() <= chunk_index {
            self.chunks.push(Arc::new([const { None }; CHUNK]));
        }
        let chunk = make_mut_array(&mut self.chunks[chunk_index]);
        let page =
            chunk[index / PAGE % CHUNK].get_or_insert_with(|| Arc::new([const { None }; PAGE]));
        &mut make_mut_array(page)[index % PAGE]
    }
}

impl<T: Clone> Pages<T> {
    /// The record in a slot, to be changed; copied first when a view still holds it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.get(index)?;
        self.slot(index).as_mut().map(Arc::make_mut)
    }
}

fn is_same<T>(before: Option<&Arc<T>>, after: Option<&Arc<T>>) -> bool {
    match (before, after) {
        (None, None) => true,
        (Some(before), Some(after)) => Arc::ptr_eq(before, after),
        _ => false,
    }
}

fn make_mut_array<E: Clone, const N: usize>(
    array: &mut Arc<[Option<E>; N]>,
) -> &mut [Option<E>; N] {
    Arc::make_mut(array)
}

/// Hands out the lowest free slots of a [`Pages`].
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Slots {
    free: Vec<u32>,
    next: u32,
}

impl Slots {
    /// Slots of which these, ascending, are taken already.
    pub fn around(taken: impl Iterator<Item = u32>) -> Self {
        let mut slots = Self::default();
        for slot in taken {
            slots.free.extend(slots.next..slot);
            slots.next = slot + 1;
        }
        slots.free.reverse();
        slots
    }

    /// A slot that nothing uses.
    pub fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// How many slots are taken.
    pub fn in_use(&self) -> usize {
        (self.next as usize).saturating_sub(self.free.len())
    }

    /// Gives a slot back.
    pub fn give(&mut self, slot: u32) {
        self.free.push(slot);
    }
}

/// The records with their slots, in slot order.
impl<T: Serialize> Serialize for Pages<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let records: Vec<(u32, &T)> = self
            .iter()
            .map(|(slot, record)| {
                let slot = u32::try_from(slot).expect("keys of records have 32 bits");
                (slot, &**record)
            })
            .collect();
        records.serialize(serializer)
    }
}

/// Slots beyond any that a state of this size can have used would make the pages grow without end.
const SPREAD: usize = 1 << 26;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pages<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut pages = Self::default();
        for (slot, record) in Vec::<(u32, T)>::deserialize(deserializer)? {
            let slot = slot as usize;
            if slot >= SPREAD {
                return Err(D::Error::custom("a slot is out of range"));
            }
            pages.insert(slot, record);
        }
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_keeps_what_it_saw_while_the_core_goes_on() {
        let mut pages = Pages::default();
        for i in 0..10_000 {
            pages.insert(i, i);
        }
        let view = pages.clone();
        *pages.get_mut(5_000).unwrap() = 0;
        pages.remove(6_000);
        assert_eq!(**view.get(5_000).unwrap(), 5_000);
        assert_eq!(view.len(), 10_000);
        assert_eq!(pages.len(), 9_999);
        assert_eq!(pages.iter().count(), 9_999);
        assert!(Arc::ptr_eq(view.get(1).unwrap(), pages.get(1).unwrap()));
        let changed: Vec<usize> = pages
            .changes_since(&view)
            .map(|change| change.slot)
            .collect();
        assert_eq!(changed, [5_000, 6_000]);
    }

    #[test]
    fn slots_around_taken_ones_give_out_the_gaps_first() {
        let mut slots = Slots::around([1, 3].into_iter());
        assert_eq!(slots.in_use(), 2);
        assert_eq!([slots.take(), slots.take(), slots.take()], [0, 2, 4]);
    }

    #[test]
    fn pages_that_once_held_more_equal_those_that_never_did() {
        let mut grown = Pages::default();
        let mut small = Pages::default();
        grown.insert(9_000, 1);
        assert_ne!(grown, small);
        grown.remove(9_000);
        assert_eq!(grown, small);
        grown.insert(3, 1);
        small.insert(3, 2);
        assert_ne!(grown, small);
        small.insert(3, 1);
        assert_eq!(grown, small);
    }
}
