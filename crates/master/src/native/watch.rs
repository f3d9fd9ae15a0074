//! Streams of a resource: what it is now, then every change, without a gap between the two.
//!
//! Records are `{"op":"snapshot"}`, `{"op":"put","object":…}`, `{"op":"delete",…}` and, after all that belongs to one
//! moment, `{"op":"synced","index":N}`. Whoever reconnects with that index is told `{"op":"resumed","index":N}` and
//! then the changes alone, or, when these are no longer kept, a snapshot that says so. A reader that does not read is
//! waited for, and then cut off: nothing is queued for it without end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mezz_http::stream::{StreamLimits, StreamSender, stream};
use mezz_http::{Response, respond};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::history::{Beginning, History};
use super::modes::Format;
use super::rows::{Change, Kind, List};
use super::selection::Selection;
use super::subject::{Subject, kind_changed_at, off_thread};
use crate::shared::Shared;
use crate::view::{View, ViewCell};

/// Keeps idle connections open through proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Changes that come closer together than this are told together.
const PACE: Duration = Duration::from_millis(10);
/// How long a reader may leave its queue full.
const PATIENCE: Duration = Duration::from_secs(30);
/// The size of the pieces that a long snapshot is sent in.
const PIECE: usize = 64 << 10;
const LIMITS: StreamLimits = StreamLimits {
    max_records: 1_024,
    max_bytes: 1 << 20,
};

/// The reader is gone or too slow.
struct Gone;

/// Opens a stream of a resource; `after` is the index up to which the reader knows it.
pub(super) async fn stream_of(
    shared: &Arc<Shared>,
    subject: Subject,
    format: Format,
    after: Option<u64>,
) -> Result<Response, Response> {
    let view = shared.view();
    if !matches!(subject, Subject::List { .. }) {
        // What is not there is an error, not a stream that stays empty.
        subject.read(shared, &view).await?;
    }
    let (sender, reader) = stream(LIMITS);
    let shared = shared.clone();
    tokio::spawn(async move {
        let writer = Writer { sender, format };
        let _ = match subject {
            Subject::List {
                kind, selection, ..
            } => feed_list(&writer, &shared, kind, &selection, after).await,
            _ => feed_one(&writer, &shared, &subject, view, after).await,
        };
        writer.sender.end();
    });
    Ok(respond::streaming(format.content_type(), reader))
}

async fn feed_list(
    writer: &Writer,
    shared: &Arc<Shared>,
    kind: Kind,
    selection: &Arc<Selection>,
    after: Option<u64>,
) -> Result<(), Gone> {
    let (mut newest, beginning) = History::begin(shared, kind, after).await;
    let mut known = match beginning {
        Beginning::Changes(view, touched) => {
            let first = resumed(after.unwrap_or_default());
            writer
                .tell(&view, selection, kind, first, |list| list.resumed(touched))
                .await?
        }
        Beginning::Everything(view) => {
            let all = |list: &List<'_>| list.all().into_iter().map(Change::Put).collect();
            writer
                .tell(&view, selection, kind, snapshot(after), all)
                .await?
        }
    };
    loop {
        let changed = |view: &View| kind_changed_at(kind, view);
        let view = writer
            .next_view(shared.history.views(), &mut newest, changed, &mut known)
            .await?;
        let (before, after, wanted) = (known, view.clone(), selection.clone());
        let format = writer.format;
        let pieces = off_thread(move || {
            let before = List::new(kind, &before, &wanted);
            let changes = List::new(kind, &after, &wanted).changes_since(&before);
            pieces(changes.into_iter().map(record), format)
        });
        let pieces = pieces.await.map_err(|_| Gone)?;
        if !pieces.is_empty() {
            writer.send_all(pieces).await?;
            writer.synced(kind_changed_at(kind, &view)).await?;
        }
        known = view;
    }
}

async fn feed_one(
    writer: &Writer,
    shared: &Arc<Shared>,
    subject: &Subject,
    mut view: Arc<View>,
    after: Option<u64>,
) -> Result<(), Gone> {
    let read =
        async |view: &Arc<View>| subject.read(shared, view).await.ok().map(|read| read.value);
    let mut known = read(&view).await;
    let unchanged =
        after.filter(|after| (subject.changed_at(&view)..=view.indexes.newest).contains(after));
    let records = match unchanged {
        Some(index) => vec![resumed(index)],
        None => std::iter::once(snapshot(after))
            .chain(known.clone().map(put))
            .collect(),
    };
    writer
        .send_all(pieces(records.into_iter(), writer.format))
        .await?;
    writer.synced(view.indexes.newest).await?;
    let mut newest = shared.view.watch();
    loop {
        tokio::time::sleep(PACE).await;
        let changed = |view: &View| subject.changed_at(view);
        view = writer
            .next_view(&shared.view, &mut newest, changed, &mut view)
            .await?;
        let now = read(&view).await;
        if now == known {
            continue;
        }
        let change = now.clone().map_or_else(|| json!({ "op": "delete" }), put);
        writer
            .send_all(pieces([change].into_iter(), writer.format))
            .await?;
        writer.synced(view.indexes.newest).await?;
        known = now;
    }
}

struct Writer {
    sender: StreamSender,
    format: Format,
}

impl Writer {
    /// Begins the stream of a list; gives back the view that the reader knows then.
    async fn tell(
        &self,
        view: &Arc<View>,
        selection: &Arc<Selection>,
        kind: Kind,
        first: Value,
        changes: impl FnOnce(&List<'_>) -> Vec<Change> + Send + 'static,
    ) -> Result<Arc<View>, Gone> {
        let (shown, wanted, format) = (view.clone(), selection.clone(), self.format);
        let pieces = off_thread(move || {
            let changes = changes(&List::new(kind, &shown, &wanted));
            let changes = changes.into_iter().map(record);
            pieces(std::iter::once(first).chain(changes), format)
        });
        self.send_all(pieces.await.map_err(|_| Gone)?).await?;
        self.synced(kind_changed_at(kind, view)).await?;
        Ok(view.clone())
    }

    /// The next view in which the subject may differ; keeps the connection alive meanwhile. `known` follows the
    /// views in which it does not, since an old view keeps in memory what others have replaced.
    async fn next_view(
        &self,
        views: &ViewCell,
        newest: &mut tokio::sync::watch::Receiver<u64>,
        changed_at: impl Fn(&View) -> u64,
        known: &mut Arc<View>,
    ) -> Result<Arc<View>, Gone> {
        let mut beat = Instant::now() + KEEP_ALIVE;
        loop {
            let view = views.load();
            if changed_at(&view) != changed_at(known) {
                return Ok(view);
            }
            *known = view;
            tokio::select! {
                changed = newest.changed() => changed.map_err(|_| Gone)?,
                () = tokio::time::sleep_until(beat) => {
                    let nothing: &[u8] = match self.format {
                        Format::Lines => b"\n",
                        Format::ServerSent => b":\n\n",
                    };
                    self.send(Bytes::from_static(nothing)).await?;
                    beat = Instant::now() + KEEP_ALIVE;
                }
                () = self.sender.closed() => return Err(Gone),
            }
        }
    }

    async fn send_all(&self, pieces: Vec<Bytes>) -> Result<(), Gone> {
        for piece in pieces {
            self.send(piece).await?;
        }
        Ok(())
    }

    async fn send(&self, piece: Bytes) -> Result<(), Gone> {
        match timeout(PATIENCE, self.sender.send_waiting(piece)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    /// Tells that everything up to an index has been told.
    async fn synced(&self, index: u64) -> Result<(), Gone> {
        let synced = json!({ "op": "synced", "index": index });
        let text = match self.format {
            Format::Lines => format!("{synced}\n"),
            Format::ServerSent => format!("id: {index}\nevent: synced\ndata: {synced}\n\n"),
        };
        self.send(Bytes::from(text)).await
    }
}

fn put(object: Value) -> Value {
    json!({ "op": "put", "object": object })
}

fn resumed(index: u64) -> Value {
    json!({ "op": "resumed", "index": index })
}

/// The first record of a stream that begins anew; one who wanted to go on is told why it does not.
fn snapshot(after: Option<u64>) -> Value {
    match after {
        None => json!({ "op": "snapshot" }),
        Some(index) => json!({
            "op": "snapshot",
            "reason": format!("what has changed after index {index} is not kept: this is all there is"),
        }),
    }
}

fn record(change: Change) -> Value {
    match change {
        Change::Put(object) => put(object),
        Change::Delete(name) => {
            let mut record = name.json();
            record["op"] = "delete".into();
            record
        }
    }
}

/// Records as text, in pieces of a size that suits a connection.
fn pieces(records: impl Iterator<Item = Value>, format: Format) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    for record in records {
        match format {
            Format::Lines => {}
            Format::ServerSent => {
                text.push_str("event: ");
                text.push_str(record["op"].as_str().unwrap_or_default());
                text.push_str("\ndata: ");
            }
        }
        text.push_str(&record.to_string());
        text.push_str(match format {
            Format::Lines => "\n",
            Format::ServerSent => "\n\n",
        });
        if text.len() >= PIECE {
            pieces.push(Bytes::from(std::mem::take(&mut text)));
        }
    }
    if !text.is_empty() {
        pieces.push(Bytes::from(text));
    }
    pieces
}
