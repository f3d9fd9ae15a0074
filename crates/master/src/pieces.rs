//! Large answers in pieces: several threads render them side by side from one view, and they leave in order as soon as
//! they are ready.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mezz_http::stream::{StreamLimits, StreamReader, stream};

use crate::json::Json;
use crate::readers::{Pace, Readers};

/// Records that one unit of work renders: long enough to be worth a hand-over, short enough that writing it to a socket
/// does not hold up what else the connections' threads have to do.
const UNIT: usize = 250;
/// Units that are rendered ahead of what the reader has taken.
const AHEAD: usize = 8;
/// Bytes that may wait for a reader.
const WAITING_BYTES: usize = 4 << 20;
/// A reader that takes nothing for so long is cut off: it holds the whole view.
const PATIENCE: Duration = Duration::from_secs(30);
/// When a piece has not come for so long, no processor has time to spare, and the rest is made in less polite ways.
const SPARE_TIME: Duration = Duration::from_millis(300);

type Render = Box<dyn FnOnce() -> Bytes + Send>;
type Fill = Box<dyn FnOnce(&mut Json) + Send>;

/// An answer that is not rendered yet.
#[derive(Default)]
pub(crate) struct Pieces {
    units: Vec<Render>,
    /// What the next unit consists of so far, and how many records that is.
    gathered: Vec<(bool, Fill)>,
    weight: usize,
    records: usize,
}

impl Pieces {
    /// Adds a part of a JSON document with so many records; `after_item` says whether an item stands just before it.
    pub(crate) fn json(
        &mut self,
        records: usize,
        after_item: bool,
        fill: impl FnOnce(&mut Json) + Send + 'static,
    ) {
        self.gathered.push((after_item, Box::new(fill)));
        self.weight += records.max(1);
        self.records += records;
        if self.weight >= UNIT {
            self.close_unit();
        }
    }

    /// Adds bytes that are made by somebody else.
    pub(crate) fn bytes(
        &mut self,
        records: usize,
        render: impl FnOnce() -> Bytes + Send + 'static,
    ) {
        self.close_unit();
        self.records += records;
        self.units.push(Box::new(render));
    }

    /// Adds one list of a JSON document, without its brackets, in as many parts as it needs.
    pub(crate) fn list<T: Clone + Send + 'static>(
        &mut self,
        items: &[T],
        write: impl Fn(&mut Json, &[T]) + Clone + Send + 'static,
    ) {
        for (index, part) in items.chunks(UNIT).enumerate() {
            let (part, write) = (part.to_vec(), write.clone());
            self.json(part.len(), index > 0, move |json| write(json, &part));
        }
    }

    /// Records in all.
    pub(crate) fn records(&self) -> usize {
        self.records
    }

    fn close_unit(&mut self) {
        let gathered = std::mem::take(&mut self.gathered);
        self.weight = 0;
        if gathered.is_empty() {
            return;
        }
        self.units.push(Box::new(move || {
            let mut json = Json::part();
            for (after_item, fill) in gathered {
                json.after_item(after_item);
                fill(&mut json);
            }
            json.finish().into()
        }));
    }

    /// All of it, rendered here and now.
    pub(crate) fn render(mut self) -> Vec<u8> {
        self.close_unit();
        let mut whole = Vec::new();
        for unit in self.units {
            let part = unit();
            if whole.is_empty() {
                whole = part.into();
            } else {
                whole.extend_from_slice(&part);
            }
        }
        whole
    }

    /// Renders on the readers' threads while the connection takes what is ready.
    pub(crate) fn stream(mut self, readers: &Arc<Readers>) -> StreamReader {
        self.close_unit();
        let (sender, reader) = stream(StreamLimits {
            max_bytes: WAITING_BYTES,
            ..StreamLimits::default()
        });
        let readers = Arc::clone(readers);
        tokio::spawn(async move {
            let mut units = self.units.into_iter();
            let mut waiting = VecDeque::new();
            let mut pace = Pace::InSpareTime;
            loop {
                let free = AHEAD - waiting.len();
                let next = units.by_ref().take(free);
                waiting.extend(next.map(|unit| readers.render(pace, unit)));
                let Some(mut next) = waiting.pop_front() else {
                    break;
                };
                let in_time = tokio::time::timeout(SPARE_TIME, &mut next).await;
                let part = if let Ok(part) = in_time {
                    part
                } else {
                    pace = Pace::Steady;
                    readers.take_over();
                    next.await
                };
                let Ok(part) = part else { break };
                match tokio::time::timeout(PATIENCE, sender.send_waiting(part)).await {
                    Ok(Ok(())) => {}
                    // The reader is gone, or does not read.
                    Ok(Err(_)) | Err(_) => break,
                }
            }
            sender.end();
        });
        reader
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(items: usize) -> Pieces {
        let mut pieces = Pieces::default();
        pieces.json(1, false, |json| {
            json.open(b'{');
            json.key("items");
            json.open(b'[');
        });
        let items: Vec<i32> = (0..i32::try_from(items).unwrap()).collect();
        pieces.list(&items, |json, items| {
            for item in items {
                json.integer(*item);
            }
        });
        pieces.json(1, true, |json| {
            json.close(b']');
            json.key("end").boolean(true);
            json.close(b'}');
        });
        pieces
    }

    #[tokio::test]
    async fn a_streamed_document_is_the_same_as_one_rendered_at_once() {
        for items in [0, 1, UNIT - 1, UNIT, UNIT + 1, 20 * UNIT] {
            let whole = document(items).render();
            let value: serde_json::Value = serde_json::from_slice(&whole).unwrap();
            assert_eq!(value["items"].as_array().unwrap().len(), items);
            let mut reader = document(items).stream(&Arc::default());
            let mut streamed = Vec::new();
            while let Some(part) = reader.next().await {
                streamed.extend_from_slice(&part);
            }
            assert_eq!(streamed, whole);
        }
    }

    #[tokio::test]
    async fn an_answer_is_finished_although_no_processor_has_time_to_spare() {
        let readers: Arc<Readers> = Arc::default();
        let (held, holding) = std::sync::mpsc::channel::<()>();
        let holding = Arc::new(std::sync::Mutex::new(holding));
        for _ in 0..crate::readers::threads_in_spare_time() {
            let holding = holding.clone();
            drop(readers.render(
                Pace::InSpareTime,
                Box::new(move || {
                    let _ = holding.lock().unwrap().recv();
                    Bytes::new()
                }),
            ));
        }
        let mut reader = document(20 * UNIT).stream(&readers);
        // Those that hold the threads do not end before the answer does, so others have to make it.
        let mut streamed = Vec::new();
        while let Some(part) = reader.next().await {
            streamed.extend_from_slice(&part);
        }
        drop(held);
        assert_eq!(streamed, document(20 * UNIT).render());
    }

    #[tokio::test]
    async fn a_reader_that_leaves_ends_the_rendering() {
        let readers: Arc<Readers> = Arc::default();
        let mut pieces = Pieces::default();
        let rendered = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        for _ in 0..100 {
            let rendered = rendered.clone();
            pieces.bytes(1, move || {
                rendered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                vec![b'x'; WAITING_BYTES].into()
            });
        }
        let mut reader = pieces.stream(&readers);
        reader.next().await.unwrap();
        drop(reader);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(rendered.load(std::sync::atomic::Ordering::SeqCst) < 100);
    }
}
