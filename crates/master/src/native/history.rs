//! Which elements of the lists have changed from one view to the next, kept for a while, so that a stream that broke
//! goes on with the changes alone. It holds places and names, never old records: what an element is now is read from
//! the newest view. Nothing is kept while nobody reads a stream.
//!
//! Streams of lists see only the views that were noted here, so that each index that they tell can be found again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep, timeout};

use super::rows::Kind;
use super::subject::{kind_changed_at, off_thread};
use super::touched::{Touched, touched};
use crate::shared::Shared;
use crate::view::{View, ViewCell};

/// Changes that come closer together than this are told together.
const PACE: Duration = Duration::from_millis(10);
/// Changes of one list that are kept.
const KEPT: usize = 16_384;
/// How long changes are noted after the last reader of a stream has gone.
const QUIET: Duration = Duration::from_mins(10);

/// The changes of one list between two views that follow one another.
#[derive(Debug)]
struct Step {
    /// The list's index in the earlier view.
    from: u64,
    touched: Vec<Touched>,
}

#[derive(Debug, Default)]
struct Log {
    steps: VecDeque<Step>,
    count: usize,
}

impl Log {
    fn push(&mut self, step: Step) {
        self.count += step.touched.len();
        self.steps.push_back(step);
        while self.count > KEPT {
            let Some(oldest) = self.steps.pop_front() else {
                break;
            };
            self.count -= oldest.touched.len();
        }
    }

    /// What has changed after an index, in order; `None` when that is not kept.
    fn after(&self, index: u64) -> Option<Vec<Touched>> {
        let first = self.steps.iter().position(|step| step.from == index)?;
        let steps = self.steps.range(first..);
        Some(steps.flat_map(|step| step.touched.clone()).collect())
    }
}

/// Where streams of lists find their views, and what has changed between those.
#[derive(Debug, Default)]
pub(crate) struct History {
    cell: ViewCell,
    logs: Mutex<Option<BTreeMap<Kind, Log>>>,
}

/// Where a stream begins.
pub(super) enum Beginning {
    /// With these changes, which lead to this view.
    Changes(Arc<View>, Vec<Touched>),
    /// With everything in this view.
    Everything(Arc<View>),
}

impl History {
    /// The views that were noted.
    pub(super) fn views(&self) -> &ViewCell {
        &self.cell
    }

    /// Where a reader begins who knows a list up to `after`. Changes are noted from now on.
    pub(super) async fn begin(
        shared: &Arc<Shared>,
        kind: Kind,
        after: Option<u64>,
    ) -> (Receiver<u64>, Beginning) {
        let history = &shared.history;
        let newest = history.keep_on(shared);
        // A reader begins with the newest view, which is noted for it.
        let noted = shared.clone();
        let _ = off_thread(move || noted.history.add(noted.view())).await;
        let logs = history.lock();
        let view = history.cell.load();
        let changes = after.and_then(|after| {
            if kind_changed_at(kind, &view) == after {
                return Some(Vec::new());
            }
            logs.as_ref()?.get(&kind)?.after(after)
        });
        drop(logs);
        let beginning = match changes {
            Some(changes) => Beginning::Changes(view, changes),
            None => Beginning::Everything(view),
        };
        (newest, beginning)
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<Kind, Log>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes changes as long as somebody holds what this returns, and for a while after that.
    fn keep_on(&self, shared: &Arc<Shared>) -> Receiver<u64> {
        let mut logs = self.lock();
        let newest = self.cell.watch();
        if logs.is_none() {
            *logs = Some(BTreeMap::new());
            self.cell.store(shared.view());
            tokio::spawn(note(shared.clone()));
        }
        newest
    }

    /// Notes what has changed up to a view.
    fn add(&self, view: Arc<View>) {
        let mut kept = self.lock();
        let before = self.cell.load();
        let Some(logs) = &mut *kept else { return };
        if view.indexes.newest <= before.indexes.newest {
            return;
        }
        for kind in Kind::ALL {
            let from = kind_changed_at(kind, &before);
            if from != kind_changed_at(kind, &view) {
                let touched = touched(kind, &before, &view);
                logs.entry(kind).or_default().push(Step { from, touched });
            }
        }
        self.cell.store(view);
    }

    /// Whether nobody reads; forgets everything then.
    fn rest(&self) -> bool {
        let mut logs = self.lock();
        let is_read = self.cell.is_watched();
        if !is_read {
            *logs = None;
            self.cell.store(Arc::default());
        }
        !is_read
    }
}

/// Notes views as they come, until nobody has read for a while.
async fn note(shared: Arc<Shared>) {
    let mut newest = shared.view.watch();
    newest.mark_changed();
    let mut read_at = Instant::now();
    loop {
        if matches!(timeout(QUIET, newest.changed()).await, Ok(Ok(()))) {
            let (shared, view) = (shared.clone(), shared.view());
            let added = off_thread(move || shared.history.add(view)).await;
            if added.is_err() {
                return;
            }
        }
        if shared.history.cell.is_watched() {
            read_at = Instant::now();
        } else if read_at.elapsed() >= QUIET && shared.history.rest() {
            return;
        }
        sleep(PACE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::touched::Slot;
    use super::*;

    fn step(from: u64, slots: std::ops::Range<usize>) -> Step {
        let touched = slots.map(|slot| Touched {
            slot: Slot::Agent(slot),
            was: None,
        });
        Step {
            from,
            touched: touched.collect(),
        }
    }

    #[test]
    fn what_follows_an_index_is_found_until_it_is_too_much_to_keep() {
        let mut log = Log::default();
        log.push(step(3, 0..2));
        log.push(step(7, 2..3));
        assert_eq!(log.after(3).unwrap().len(), 3);
        assert_eq!(log.after(7).unwrap().len(), 1);
        assert!(log.after(5).is_none());
        log.push(step(9, 0..KEPT));
        assert!(log.after(7).is_none());
        assert_eq!(log.after(9).unwrap().len(), KEPT);
    }
}
