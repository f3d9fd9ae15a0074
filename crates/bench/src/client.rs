//! A Mesos v1 scheduler client for measuring: blocking sockets, protobuf or JSON, calls pipelined on one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use mezz_proto::v1;
use prost::Message;
use v1::scheduler::{Call, Event, call};

/// How calls and events are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    fn encode(self, call: &Call) -> Vec<u8> {
        match self {
            Self::Protobuf => call.encode_to_vec(),
            Self::Json => mezz_proto::json::to_json(call),
        }
    }

    fn decode(self, record: &[u8]) -> Result<Event> {
        match self {
            Self::Protobuf => Ok(Event::decode(record)?),
            Self::Json => {
                mezz_proto::json::from_json(record).map_err(|error| anyhow::anyhow!("{error}"))
            }
        }
    }
}

/// The stream of events of a subscription.
#[derive(Debug)]
pub(crate) struct Events {
    stream: BufReader<TcpStream>,
    encoding: Encoding,
}

/// The connection that calls go over.
#[derive(Debug)]
pub(crate) struct Calls {
    stream: TcpStream,
    head: String,
    encoding: Encoding,
    framework_id: Option<v1::FrameworkId>,
    stream_id: String,
    pending: Vec<u8>,
    /// Answers that were not 202.
    pub(crate) refused: Arc<AtomicU64>,
}

/// Subscribes and opens the second connection for calls.
pub(crate) fn subscribe(
    master: &str,
    encoding: Encoding,
    info: v1::FrameworkInfo,
) -> Result<(Events, Calls)> {
    let stream = TcpStream::connect(master).with_context(|| format!("connecting to {master}"))?;
    stream.set_nodelay(true)?;
    let call = Call {
        r#type: Some(call::Type::Subscribe as i32),
        subscribe: Some(Box::new(call::Subscribe {
            framework_info: info,
            ..call::Subscribe::default()
        })),
        ..Call::default()
    };
    let body = encoding.encode(&call);
    let media = encoding.media_type();
    let mut request = format!(
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: {master}\r\nAccept: {media}\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    (&stream).write_all(&request)?;
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    let (status, headers) = read_head(&mut reader)?;
    if status != 200 {
        bail!("SUBSCRIBE was answered {status}");
    }
    let stream_id = headers
        .iter()
        .find(|(name, _)| name == "mesos-stream-id")
        .map(|(_, value)| value.clone())
        .context("no Mesos-Stream-Id")?;
    let mut events = Events {
        stream: reader,
        encoding,
    };
    let first = events.next()?;
    let framework_id = first
        .subscribed
        .context("the first event is not SUBSCRIBED")?
        .framework_id;
    let calls = TcpStream::connect(master)?;
    calls.set_nodelay(true)?;
    let refused = Arc::new(AtomicU64::new(0));
    drain_answers(calls.try_clone()?, Arc::clone(&refused));
    let head = format!(
        "POST /api/v1/scheduler HTTP/1.1\r\nHost: {master}\r\nAccept: {media}\r\nContent-Type: {media}\r\nMesos-Stream-Id: {stream_id}\r\n"
    );
    Ok((
        events,
        Calls {
            stream: calls,
            head,
            encoding,
            framework_id: Some(framework_id),
            stream_id,
            pending: Vec::new(),
            refused,
        },
    ))
}

fn drain_answers(stream: TcpStream, refused: Arc<AtomicU64>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::with_capacity(1 << 16, stream);
        while let Ok((status, headers)) = read_head(&mut reader) {
            let length = headers
                .iter()
                .find(|(name, _)| name == "content-length")
                .and_then(|(_, value)| value.parse().ok())
                .unwrap_or(0);
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            if status != 202 {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
}

fn read_head(reader: &mut impl BufRead) -> Result<(u16, Vec<(String, String)>)> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        bail!("the connection closed");
    }
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .context("no status line")?;
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return Ok((status, headers));
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

impl Events {
    /// The next event; blocks. One record is one chunk.
    pub(crate) fn next(&mut self) -> Result<Event> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        let length = usize::from_str_radix(std::str::from_utf8(&line)?.trim(), 16)
            .context("no chunk length")?;
        if length == 0 {
            bail!("the event stream ended");
        }
        let mut chunk = vec![0; length + 2];
        self.stream.read_exact(&mut chunk)?;
        let record = &chunk[..length];
        let newline = record
            .iter()
            .position(|byte| *byte == b'\n')
            .context("no record length")?;
        self.encoding.decode(&record[newline + 1..])
    }

    /// Whether another event can be read without waiting.
    pub(crate) fn has_buffered(&self) -> bool {
        !self.stream.buffer().is_empty()
    }
}

impl Calls {
    /// The id of the framework, as the master gave it.
    pub(crate) fn framework_id(&self) -> &str {
        self.framework_id.as_ref().map_or("", |id| &id.value)
    }

    /// The id of the stream that the calls belong to.
    pub(crate) fn stream_id(&self) -> &str {
        &self.stream_id
    }

    /// Queues a call; [`Calls::flush`] sends what is queued in one write.
    pub(crate) fn queue(&mut self, kind: call::Type, fill: impl FnOnce(&mut Call)) {
        let mut call = Call {
            framework_id: self.framework_id.clone(),
            r#type: Some(kind as i32),
            ..Call::default()
        };
        fill(&mut call);
        let body = self.encoding.encode(&call);
        self.pending.extend_from_slice(self.head.as_bytes());
        self.pending
            .extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        self.pending.extend_from_slice(&body);
    }

    /// Sends what is queued.
    pub(crate) fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.stream.write_all(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }
}
