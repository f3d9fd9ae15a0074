//! Response bodies: a whole one, or a stream in which every record becomes one HTTP chunk.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::bulk::Bulk;
use crate::stream::StreamReader;

/// What a response carries.
#[derive(Debug, Default)]
pub enum Body {
    /// Nothing (`Content-Length: 0`).
    #[default]
    Empty,
    /// All of it at once.
    Full(Option<Bytes>),
    /// Pieces of known total length, produced on demand.
    Sized { reader: StreamReader, length: u64 },
    /// Records without a known end: chunked, one record per chunk.
    Stream(StreamReader),
    /// A large document, made while it is sent: chunked, and sent by the thread for bulk answers.
    Bulk(Bulk),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Full(Some(Bytes::from(bytes)))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::Full(Some(Bytes::from_static(text.as_bytes())))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Sized { reader, .. } | Self::Stream(reader) | Self::Bulk(Bulk { reader, .. }) => {
                reader
                    .poll_next(context)
                    .map(|record| record.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_none(),
            Self::Sized { .. } | Self::Stream(_) | Self::Bulk(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Sized { length, .. } => SizeHint::with_exact(*length),
            Self::Stream(_) | Self::Bulk(_) => SizeHint::default(),
        }
    }
}
