//! The event streams of executors: which is which, in which encoding.

use std::collections::BTreeMap;
use std::sync::Arc;

use mezz_agent_core::{Event, StreamId};
use mezz_http::stream::{StreamLimits, StreamReader, StreamSender, stream};
use mezz_proto::v1::executor;
use mezz_proto::{recordio, to_json_ascii};
use prost::Message;

use crate::inbox::{Inbox, Input};

/// How messages look on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
}

/// The open streams.
#[derive(Debug, Default)]
pub(crate) struct ExecutorStreams {
    open: BTreeMap<StreamId, (Encoding, StreamSender)>,
}

impl ExecutorStreams {
    /// Opens a stream; its end is told to the core.
    pub(crate) fn open(
        &mut self,
        id: StreamId,
        encoding: Encoding,
        inbox: &Arc<Inbox>,
    ) -> StreamReader {
        let (sender, reader) = stream(StreamLimits::default());
        let inbox = Arc::clone(inbox);
        sender
            .on_close(move || inbox.put(Input::Event(Event::ExecutorStreamClosed { stream: id })));
        self.open.insert(id, (encoding, sender));
        reader
    }

    /// Sends an event as one record; a reader that is too slow is cut off and the core hears of it.
    pub(crate) fn send(&self, id: StreamId, event: &executor::Event) {
        let Some((encoding, sender)) = self.open.get(&id) else {
            return;
        };
        let bytes = match encoding {
            Encoding::Json => to_json_ascii(event),
            Encoding::Protobuf => event.encode_to_vec(),
        };
        if let Err(error) = sender.send(recordio::encode(&bytes)) {
            tracing::debug!(stream = id.0, %error, "an executor's stream takes no more");
        }
    }

    /// Ends a stream after what was sent on it.
    pub(crate) fn close(&mut self, id: StreamId) {
        if let Some((_, sender)) = self.open.remove(&id) {
            sender.end();
        }
    }

    /// Forgets a stream that its peer has left.
    pub(crate) fn forget(&mut self, id: StreamId) {
        self.open.remove(&id);
    }
}
