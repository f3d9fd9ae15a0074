//! A small blocking HTTP/1.1 client on one kept-alive connection. It knows nothing of what the bodies mean.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::error::ClientError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const PLAIN_TIMEOUT: Duration = Duration::from_mins(1);
const HEADER_LINES_MAX: usize = 200;
const LINE_BYTES_MAX: u64 = 64 * 1024;
const REDIRECTS_MAX: usize = 4;

/// How long an answer may take to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Plain answers come at once; a master that is silent for this long is taken for gone.
    Plain,
    /// Streams are silent while nothing happens.
    Stream,
}

/// The body of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content<'a> {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: &'a [u8],
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    /// Path and query, already percent-encoded.
    pub(crate) target: &'a str,
    pub(crate) accept: &'static str,
    pub(crate) body: Option<Content<'a>>,
    pub(crate) patience: Patience,
}

/// The head of an answer, with the body still to be read.
#[derive(Debug)]
pub(crate) struct Response<'c> {
    pub(crate) status: u16,
    /// The `Mezz-Index` of the answer, when it has one.
    pub(crate) index: Option<u64>,
    pub(crate) body: BufReader<Body<'c>>,
}

/// A status and its words.
pub(crate) type Refusal = (u16, Vec<u8>);

/// A connection to one server, opened when first needed and again when it was closed.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    stream: Option<BufReader<TcpStream>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    /// Bytes left in the current chunk.
    Chunked(u64),
    UntilClose,
    Done,
}

/// The body of an answer, without its framing.
#[derive(Debug)]
pub(crate) struct Body<'c> {
    slot: &'c mut Option<BufReader<TcpStream>>,
    stream: Option<BufReader<TcpStream>>,
    framing: Framing,
    keep_alive: bool,
}

struct Head {
    status: u16,
    index: Option<u64>,
    location: Option<String>,
    framing: Framing,
    keep_alive: bool,
}

impl Connection {
    /// A connection to `HOST[:PORT]`, not opened yet.
    pub(crate) fn new(address: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(address.to_owned());
        let bare = address
            .trim()
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let has_port = bare
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.ends_with(':') && port.parse::<u16>().is_ok());
        if bare.is_empty()
            || bare.contains(['/', ' '])
            || (!has_port && bare.contains(':') && !bare.ends_with(']'))
        {
            return Err(wrong());
        }
        let address = if has_port {
            bare.to_owned()
        } else {
            format!("{bare}:5050")
        };
        Ok(Self {
            address,
            stream: None,
        })
    }

    /// The server's `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Makes a tunnel of the connection by a POST; what was read of it beyond the head is in the reader. A refusal comes
    /// back as its status and its words.
    pub(crate) fn tunnel(
        &mut self,
        target: &str,
        protocol: &str,
        body: &[u8],
    ) -> Result<Result<BufReader<TcpStream>, Refusal>, ClientError> {
        for _ in 0..REDIRECTS_MAX {
            self.stream = None;
            let mut stream = BufReader::new(self.connect()?);
            let address = self.address.clone();
            let broken = |source| ClientError::Broken {
                address: address.clone(),
                source,
            };
            let head = format!(
                "POST {target} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let asked = stream
                .get_mut()
                .write_all(&[head.as_bytes(), body].concat());
            let head = asked
                .and_then(|()| read_head(&mut stream))
                .map_err(broken)?;
            match (head.status, head.location) {
                (101, _) => return Ok(Ok(stream)),
                (307, Some(location)) => *self = Self::new(leader_of(&location))?,
                (status, _) => {
                    let mut text = Vec::new();
                    let mut body = Body {
                        slot: &mut self.stream,
                        stream: Some(stream),
                        framing: head.framing,
                        keep_alive: false,
                    };
                    // A refusal whose words are lost is still a refusal.
                    let _ = Read::by_ref(&mut body).take(1 << 20).read_to_end(&mut text);
                    return Ok(Err((status, text)));
                }
            }
        }
        Err(ClientError::NotHttp {
            address: self.address.clone(),
            what: "it redirects in a circle".to_owned(),
        })
    }

    /// Sends a request and reads the head of its answer; a redirection to the leading master is followed.
    pub(crate) fn send(&mut self, request: Request<'_>) -> Result<Response<'_>, ClientError> {
        for _ in 0..REDIRECTS_MAX {
            let head = self.exchange(request)?;
            if head.status != 307 || head.location.is_none() {
                let stream = self.stream.take();
                let Head {
                    status,
                    index,
                    framing,
                    keep_alive,
                    ..
                } = head;
                let body = BufReader::new(Body {
                    slot: &mut self.stream,
                    stream,
                    framing,
                    keep_alive,
                });
                return Ok(Response {
                    status,
                    index,
                    body,
                });
            }
            let location = head.location.unwrap_or_default();
            *self = Self::new(leader_of(&location))?;
        }
        Err(ClientError::NotHttp {
            address: self.address.clone(),
            what: "it redirects in a circle".to_owned(),
        })
    }

    /// A kept-alive connection may have been closed meanwhile; then a request that can be repeated is.
    fn exchange(&mut self, request: Request<'_>) -> Result<Head, ClientError> {
        let reused = self.stream.is_some();
        match self.try_exchange(request) {
            Err(ClientError::Broken { .. }) if reused && request.method != "POST" => {
                self.stream = None;
                self.try_exchange(request)
            }
            outcome => outcome,
        }
    }

    fn try_exchange(&mut self, request: Request<'_>) -> Result<Head, ClientError> {
        if self.stream.is_none() {
            self.stream = Some(BufReader::new(self.connect()?));
        }
        let address = self.address.clone();
        let stream = self.stream.as_mut().expect("it was set just above");
        let broken = |source| ClientError::Broken {
            address: address.clone(),
            source,
        };
        let timeout = (request.patience == Patience::Plain).then_some(PLAIN_TIMEOUT);
        stream.get_ref().set_read_timeout(timeout).map_err(broken)?;
        let outcome =
            write_request(stream.get_mut(), &address, request).and_then(|()| read_head(stream));
        match outcome {
            Ok(head) => Ok(head),
            Err(error) => {
                self.stream = None;
                Err(match error.kind() {
                    io::ErrorKind::InvalidData => ClientError::NotHttp {
                        address,
                        what: error.to_string(),
                    },
                    _ => ClientError::Broken {
                        address,
                        source: error,
                    },
                })
            }
        }
    }

    fn connect(&self) -> Result<TcpStream, ClientError> {
        let absent = |source| ClientError::NoMaster {
            address: self.address.clone(),
            source,
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs().map_err(absent)? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(absent)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(absent(last))
    }
}

/// The `HOST:PORT` of a redirection.
fn leader_of(location: &str) -> &str {
    location
        .trim_start_matches("http:")
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default()
}

fn write_request(stream: &mut TcpStream, host: &str, request: Request<'_>) -> io::Result<()> {
    let Request {
        method,
        target,
        accept,
        body,
        ..
    } = request;
    let mut text = format!(
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nUser-Agent: mezz/{}\r\n",
        env!("CARGO_PKG_VERSION")
    )
    .into_bytes();
    if let Some(Content { media_type, bytes }) = body {
        let length = bytes.len();
        write!(
            text,
            "Content-Type: {media_type}\r\nContent-Length: {length}\r\n"
        )?;
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(body.map_or(&[], |body| body.bytes));
    stream.write_all(&text)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.take(LINE_BYTES_MAX).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let Some(line) = line.strip_suffix('\n') else {
        return Err(invalid("a line without an end"));
    };
    Ok(line.trim_end_matches('\r').to_owned())
}

fn read_head(stream: &mut BufReader<TcpStream>) -> io::Result<Head> {
    let status_line = read_line(stream)?;
    let mut words = status_line.split(' ');
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|status| status.parse().ok());
    let (true, Some(status)) = (version.starts_with("HTTP/1."), status) else {
        return Err(invalid("it does not speak HTTP"));
    };
    let mut head = Head {
        status,
        index: None,
        location: None,
        framing: Framing::UntilClose,
        keep_alive: version == "HTTP/1.1",
    };
    for _ in 0..HEADER_LINES_MAX {
        let line = read_line(stream)?;
        if line.is_empty() {
            if status == 204 || status == 304 {
                head.framing = Framing::Done;
            }
            return Ok(head);
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| invalid("a header without a colon"))?;
        read_header(&mut head, name, value.trim())?;
    }
    Err(invalid("too many headers"))
}

fn read_header(head: &mut Head, name: &str, value: &str) -> io::Result<()> {
    if name.eq_ignore_ascii_case("location") {
        head.location = Some(value.to_owned());
    } else if name.eq_ignore_ascii_case("mezz-index") {
        head.index = value.parse().ok();
    } else if name.eq_ignore_ascii_case("transfer-encoding")
        && value.eq_ignore_ascii_case("chunked")
    {
        head.framing = Framing::Chunked(0);
    } else if name.eq_ignore_ascii_case("content-length")
        && !matches!(head.framing, Framing::Chunked(_))
    {
        head.framing = Framing::Length(
            value
                .parse()
                .map_err(|_| invalid("a content length that is no number"))?,
        );
    } else if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
        head.keep_alive = false;
    }
    Ok(())
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.framing == Framing::Chunked(0) {
            self.next_chunk()?;
        }
        let most = match self.framing {
            Framing::Done | Framing::Length(0) => {
                self.finish();
                return Ok(0);
            }
            Framing::Length(left) | Framing::Chunked(left) => usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len()),
            Framing::UntilClose => buffer.len(),
        };
        let Some(stream) = &mut self.stream else {
            return Ok(0);
        };
        let count = stream.read(&mut buffer[..most])?;
        if count == 0 && self.framing != Framing::UntilClose {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.consumed(count as u64)?;
        Ok(count)
    }
}

impl Body<'_> {
    fn next_chunk(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let line = read_line(stream)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| invalid("a chunk without a size"))?;
        if size > 0 {
            self.framing = Framing::Chunked(size);
            return Ok(());
        }
        while !read_line(stream)?.is_empty() {}
        self.framing = Framing::Done;
        Ok(())
    }

    fn consumed(&mut self, count: u64) -> io::Result<()> {
        match &mut self.framing {
            Framing::Length(left) => *left -= count,
            Framing::Chunked(left) => {
                *left -= count;
                if *left == 0 {
                    let Some(stream) = &mut self.stream else {
                        return Ok(());
                    };
                    let end = read_line(stream)?;
                    if !end.is_empty() {
                        return Err(invalid("a chunk longer than its size"));
                    }
                }
            }
            Framing::UntilClose | Framing::Done => {}
        }
        if self.framing == Framing::Length(0) {
            self.finish();
        }
        Ok(())
    }

    /// A body read to its end leaves the connection ready for the next request.
    fn finish(&mut self) {
        self.framing = Framing::Done;
        if self.keep_alive {
            *self.slot = self.stream.take();
        }
    }
}

/// Encodes one path segment or query value.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
            encoded.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
        }
    }
    encoded
}
