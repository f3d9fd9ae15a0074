//! An answer whose body is read as it comes: chunks, records, events.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::time::Duration;

use prost::Message;
use serde_json::Value;

use crate::http_client::{HttpError, header};
use crate::record_reader::RecordReader;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Chunked,
    Length(usize),
    UntilClose,
    Ended,
}

/// An answer whose body is still coming; dropping it closes the connection.
#[derive(Debug)]
pub struct EventStream {
    /// The status code.
    pub status: u16,
    /// The headers, in their order.
    pub headers: Vec<(String, String)>,
    address: String,
    socket: BufReader<TcpStream>,
    framing: Framing,
    records: RecordReader,
}

impl EventStream {
    pub(crate) fn read_head(
        address: String,
        socket: TcpStream,
        method: &str,
    ) -> Result<Self, HttpError> {
        let mut stream = Self {
            status: 0,
            headers: Vec::new(),
            address,
            socket: BufReader::new(socket),
            framing: Framing::Ended,
            records: RecordReader::default(),
        };
        let line = stream.line()?;
        let code = line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3)?.parse().ok());
        stream.status =
            code.ok_or_else(|| HttpError::Malformed(format!("status line {line:?}")))?;
        loop {
            let line = stream.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| HttpError::Malformed(format!("header {line:?}")))?;
            stream
                .headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
        stream.framing = stream.framing_of(method)?;
        Ok(stream)
    }

    fn framing_of(&self, method: &str) -> Result<Framing, HttpError> {
        if method == "HEAD" || self.status == 204 || self.status == 304 {
            return Ok(Framing::Ended);
        }
        if self
            .header("Transfer-Encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            return Ok(Framing::Chunked);
        }
        match self.header("Content-Length") {
            Some(length) => length
                .parse()
                .map(Framing::Length)
                .map_err(|_| HttpError::Malformed(format!("length {length:?}"))),
            None => Ok(Framing::UntilClose),
        }
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// How long a read may wait before it fails.
    pub fn set_patience(&self, patience: Duration) -> Result<(), HttpError> {
        self.socket
            .get_ref()
            .set_read_timeout(Some(patience))
            .map_err(|error| self.failed(error))
    }

    /// Whether nothing comes within `limit`.
    pub fn silent_for(&mut self, limit: Duration) -> bool {
        if !self.records.rest().is_empty() || !self.socket.buffer().is_empty() {
            return false;
        }
        let socket = self.socket.get_ref();
        let patience = socket.read_timeout().ok().flatten();
        // A limit of nothing would mean to wait for ever.
        let limited = socket.set_read_timeout(Some(limit.max(Duration::from_millis(1))));
        let nothing = limited.is_ok() && socket.peek(&mut [0]).is_err();
        socket.set_read_timeout(patience).is_ok() && nothing
    }

    /// The next piece of the body (one HTTP chunk where the answer is chunked); `None` at its end.
    pub fn next_bytes(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        match self.framing {
            Framing::Ended | Framing::Length(0) => Ok(None),
            Framing::Length(length) => {
                let body = self.exactly(length)?;
                self.framing = Framing::Ended;
                Ok(Some(body))
            }
            Framing::UntilClose => {
                let mut body = Vec::new();
                self.socket
                    .read_to_end(&mut body)
                    .map_err(|error| self.failed(error))?;
                self.framing = Framing::Ended;
                Ok(Some(body))
            }
            Framing::Chunked => self.next_chunk(),
        }
    }

    fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16)
            .map_err(|_| HttpError::Malformed(format!("chunk size {line:?}")))?;
        let chunk = self.exactly(size)?;
        let end = self.line()?;
        if !end.is_empty() {
            return Err(HttpError::Malformed(format!("{end:?} after a chunk")));
        }
        if size > 0 {
            return Ok(Some(chunk));
        }
        self.framing = Framing::Ended;
        Ok(None)
    }

    /// The next record of a RecordIO stream; `None` at the end of the stream.
    pub fn next_record(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        loop {
            if let Some(record) = self.records.next_record()? {
                return Ok(Some(record));
            }
            match self.next_bytes()? {
                Some(bytes) => self.records.push(&bytes),
                None if self.records.rest().is_empty() => return Ok(None),
                None => {
                    return Err(HttpError::Malformed(
                        "the stream ends inside a record".into(),
                    ));
                }
            }
        }
    }

    /// The next event of a JSON stream.
    pub fn next_json(&mut self) -> Result<Option<Value>, HttpError> {
        let Some(record) = self.next_record()? else {
            return Ok(None);
        };
        serde_json::from_slice(&record)
            .map(Some)
            .map_err(|error| HttpError::Decode(error.to_string()))
    }

    /// The next event of a protobuf stream.
    pub fn next_message<M: Message + Default>(&mut self) -> Result<Option<M>, HttpError> {
        let Some(record) = self.next_record()? else {
            return Ok(None);
        };
        M::decode(record.as_slice())
            .map(Some)
            .map_err(|error| HttpError::Decode(error.to_string()))
    }

    /// Reads JSON events until `wanted` accepts one; the passed ones are dropped.
    pub fn next_json_where(
        &mut self,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Option<Value>, HttpError> {
        while let Some(event) = self.next_json()? {
            if wanted(&event) {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<String, HttpError> {
        let mut line = Vec::new();
        self.socket
            .read_until(b'\n', &mut line)
            .map_err(|error| self.failed(error))?;
        let Some(text) = line.strip_suffix(b"\n") else {
            return Err(HttpError::Malformed(
                "the connection was closed early".into(),
            ));
        };
        Ok(String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned())
    }

    fn exactly(&mut self, length: usize) -> Result<Vec<u8>, HttpError> {
        let mut bytes = vec![0; length];
        self.socket
            .read_exact(&mut bytes)
            .map_err(|error| self.failed(error))?;
        Ok(bytes)
    }

    fn failed(&self, error: std::io::Error) -> HttpError {
        HttpError::Socket {
            address: self.address.clone(),
            error,
        }
    }
}
