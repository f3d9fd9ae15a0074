//! The sending side of one scheduler stream: each event is encoded once, as one record, which is one HTTP chunk.

use bytes::Bytes;
use mezz_http::negotiate::MediaType;
use mezz_http::stream::{StreamError, StreamSender};
use mezz_proto::recordio;
use mezz_proto::v1::scheduler::Event;

/// An open stream.
#[derive(Clone, Debug)]
pub(crate) struct SchedulerStream {
    /// Its `Mesos-Stream-Id`.
    pub(crate) id: String,
    pub(crate) sender: StreamSender,
    pub(crate) media: MediaType,
}

impl SchedulerStream {
    /// Queues an event; an error means that the stream has ended or was cut off.
    pub(crate) fn send(&self, event: &Event) -> Result<(), StreamError> {
        self.sender.send(record(event, self.media))
    }

    /// The same for an event that is encoded already.
    pub(crate) fn send_encoded<M>(&self, event: Bytes) -> Result<(), StreamError>
    where
        M: mezz_proto::Json + prost::Message + Default,
    {
        let record = match self.media {
            MediaType::Protobuf => recordio::encode(&event),
            MediaType::Json | MediaType::RecordIo => {
                let event = M::decode(event).expect("the core encodes whole events");
                record(&event, self.media)
            }
        };
        self.sender.send(record)
    }
}

/// A message as one record.
pub(crate) fn record<M: mezz_proto::Json + prost::Message>(message: &M, media: MediaType) -> Bytes {
    match media {
        MediaType::Protobuf => recordio::encode_message(message),
        MediaType::Json | MediaType::RecordIo => {
            recordio::encode(&mezz_proto::to_json_ascii(message))
        }
    }
}
