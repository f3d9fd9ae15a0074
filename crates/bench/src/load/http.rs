//! Requests of a reader: whole answers with their times, and streams of records that are only counted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Get {
    State,
    StateProtobuf,
    StateJson,
}

/// How long an answer took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    pub(crate) to_first: Duration,
    pub(crate) to_last: Duration,
    pub(crate) length: usize,
}

impl Get {
    fn request(self, address: &str) -> Vec<u8> {
        let post = |media: &str, body: &[u8]| {
            let mut request = format!(
                "POST /api/v1 HTTP/1.1\r\nHost: {address}\r\nAccept: {media}\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            )
            .into_bytes();
            request.extend_from_slice(body);
            request
        };
        match self {
            Self::State => format!("GET /state HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes(),
            // `type: GET_STATE`, the ninth of the calls.
            Self::StateProtobuf => post("application/x-protobuf", &[8, 9]),
            Self::StateJson => post("application/json", b"{\"type\":\"GET_STATE\"}"),
        }
    }
}

/// Sends a request and reads its whole answer.
pub(crate) fn timed(address: &str, get: Get) -> Result<Timed> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let started = Instant::now();
    stream.write_all(&get.request(address))?;
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    reader.fill_buf()?;
    let to_first = started.elapsed();
    let mut length = None;
    let mut line = String::new();
    let mut chunked = false;
    let mut status = None;
    loop {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "the connection closed");
        let text = line.trim_end().to_ascii_lowercase();
        if text.is_empty() {
            break;
        }
        status.get_or_insert_with(|| text.clone());
        if let Some(value) = text.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>()?);
        }
        chunked |= text == "transfer-encoding: chunked";
    }
    let status = status.unwrap_or_default();
    ensure!(status.contains(" 200"), "the answer was {status}");
    let length = match length {
        Some(length) => skip(&mut reader, length)?,
        None if chunked => skip_chunks(&mut reader)?,
        None => bail!("the answer has no length"),
    };
    Ok(Timed {
        to_first,
        to_last: started.elapsed(),
        length,
    })
}

fn skip(reader: &mut impl BufRead, length: usize) -> Result<usize> {
    let read = std::io::copy(&mut reader.take(length as u64), &mut std::io::sink())?;
    ensure!(read == length as u64, "the answer ended early");
    Ok(length)
}

fn skip_chunks(reader: &mut impl BufRead) -> Result<usize> {
    let mut total = 0;
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).context("a chunk's length")?;
        skip(reader, length + 2)?;
        if length == 0 {
            return Ok(total);
        }
        total += length;
    }
}
