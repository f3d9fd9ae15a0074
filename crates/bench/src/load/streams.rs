//! Subscriptions of many readers at once: streams of records over HTTP, taken apart and handed on.

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// One open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    buffer: BytesMut,
    /// `Mesos-Stream-Id`, where the answer has one.
    pub(crate) id: Option<String>,
}

impl Stream {
    /// Posts a SUBSCRIBE and reads the head of its answer.
    pub(crate) async fn open(address: &str, path: &str, media: &str, body: &[u8]) -> Result<Self> {
        Self::open_with_buffer(address, path, media, body, None).await
    }

    /// The same with a limit to what the kernel receives ahead.
    pub(crate) async fn open_with_buffer(
        address: &str,
        path: &str,
        media: &str,
        body: &[u8],
        receive_buffer: Option<u32>,
    ) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        let mut socket = socket.connect(address.parse()?).await?;
        socket.set_nodelay(true)?;
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {media}\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        socket.write_all(&request).await?;
        let mut buffer = BytesMut::with_capacity(64 * 1024);
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            ensure!(
                socket.read_buf(&mut buffer).await? > 0,
                "the stream was not opened"
            );
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        ensure!(head.contains(" 200 "), "SUBSCRIBE was answered {head}");
        let id = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("mesos-stream-id")
                .then(|| value.trim().to_owned())
        });
        buffer.advance(end + 4);
        Ok(Self { socket, buffer, id })
    }

    /// Waits for more and hands on every whole record; `false` at the end.
    pub(crate) async fn more(&mut self, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        loop {
            let mut any = false;
            while let Some((start, end)) = whole_chunk(&self.buffer)? {
                if start == end {
                    return Ok(false);
                }
                records(&self.buffer[start..end], &mut each)?;
                self.buffer.advance(end + 2);
                any = true;
            }
            if any {
                return Ok(true);
            }
            self.buffer.reserve(64 * 1024);
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Ok(false);
            }
        }
    }
}

/// Where the data of the first chunk lies, when all of it is there.
fn whole_chunk(buffer: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(line) = buffer.iter().take(20).position(|byte| *byte == b'\n') else {
        return Ok(None);
    };
    let length = std::str::from_utf8(&buffer[..line])?;
    let length = usize::from_str_radix(length.trim(), 16).context("a chunk's length")?;
    let (start, end) = (line + 1, line + 1 + length);
    Ok((buffer.len() >= end + 2).then_some((start, end)))
}

fn records(mut chunk: &[u8], each: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    while !chunk.is_empty() {
        let Some(line) = chunk.iter().position(|byte| *byte == b'\n') else {
            bail!("a record has no length");
        };
        let length: usize = std::str::from_utf8(&chunk[..line])?.parse()?;
        let (start, end) = (line + 1, line + 1 + length);
        ensure!(
            chunk.len() >= end,
            "a record goes over the end of its chunk"
        );
        each(&chunk[start..end])?;
        chunk = &chunk[end..];
    }
    Ok(())
}
