//! Messages inside serde data: as their encoded bytes, for formats that only we read (snapshots, recordings).
//! What clients see is written by [`crate::json`] and never by this.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::agent_protocol::{Frame, frame};
use crate::v1;

/// Messages up to this length are encoded without an allocation.
const SMALL: usize = 512;

/// Has exactly so many bytes written, and serializes them.
fn as_bytes<S: Serializer>(
    serializer: S,
    length: usize,
    encode: impl FnOnce(&mut [u8]),
) -> Result<S::Ok, S::Error> {
    let mut small = [0; SMALL];
    if let Some(room) = small.get_mut(..length) {
        encode(room);
        return serializer.serialize_bytes(room);
    }
    let mut large = vec![0; length];
    encode(&mut large);
    serializer.serialize_bytes(&large)
}

struct MessageBytes<M>(PhantomData<M>);

impl<M: Message + Default> Visitor<'_> for MessageBytes<M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an encoded message")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<M, E> {
        M::decode(bytes).map_err(E::custom)
    }
}

macro_rules! as_encoded_bytes {
    ($($message:ty),* $(,)?) => {$(
        impl Serialize for $message {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                as_bytes(serializer, self.encoded_len(), |mut room| self.encode_raw(&mut room))
            }
        }

        impl<'de> Deserialize<'de> for $message {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_bytes(MessageBytes(PhantomData))
            }
        }
    )*};
}

as_encoded_bytes!(
    v1::AgentInfo,
    v1::Attribute,
    v1::CommandInfo,
    v1::ContainerInfo,
    v1::ExecutorInfo,
    v1::FrameworkInfo,
    v1::KillPolicy,
    v1::Labels,
    v1::MasterInfo,
    v1::Resource,
    v1::Task,
    v1::TaskStatus,
    v1::Volume,
    v1::WeightInfo,
    v1::scheduler::Call,
    v1::scheduler::Event,
    v1::scheduler::OfferConstraints,
    v1::scheduler::call::Subscribe,
);

/// As a frame that holds nothing else.
impl Serialize for frame::Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_bytes(serializer, self.encoded_len(), |mut room| {
            self.encode(&mut room);
        })
    }
}

impl<'de> Deserialize<'de> for frame::Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let frame: Frame = deserializer.deserialize_bytes(MessageBytes(PhantomData))?;
        frame
            .body
            .ok_or_else(|| D::Error::custom("the frame holds no body"))
    }
}
