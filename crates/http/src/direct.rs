//! The short way for calls that are answered 202 whatever comes of them: a connection's requests are taken straight
//! out of its read buffer, as many as have arrived, and handed over together. The first request that is anything else
//! goes the usual way, and so does the connection from there on.
//!
//! It understands only requests about which there can be no doubt (HTTP/1.1, one plain length, nothing to negotiate)
//! and decides nothing about them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;

/// A longer head or body goes the usual way, where it is measured against the server's limits.
const MAX_REQUEST_BYTES: usize = 1 << 20;
const MAX_HEADERS: usize = 32;
const READ_BYTES: usize = 64 * 1024;
/// The most that is written to a socket at once: where the kernel does not interrupt a system call, everybody else on
/// the processor waits for its end.
const WRITE_BYTES: usize = 32 * 1024;

/// A call as it lies in the read buffer.
#[derive(Debug)]
pub struct DirectCall<'a> {
    pub path: &'a str,
    pub body: &'a [u8],
    headers: &'a [httparse::Header<'a>],
}

impl DirectCall<'_> {
    /// A header's text; `None` when it is absent, given twice or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = single(self.headers, name)??;
        std::str::from_utf8(value).ok()
    }
}

/// Takes calls of one connection.
pub trait Direct: Send {
    /// Whether the call is taken, and so will be answered with 202; if not, it goes the usual way.
    fn take(&mut self, call: &DirectCall<'_>) -> bool;

    /// Hands over what was taken; the answers are written afterwards.
    fn hand_over(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A socket with what was already read from it.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) early: BytesMut,
    pub(crate) stream: TcpStream,
}

impl AsyncRead for Replayed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early[..length]);
        self.early.advance(length);
        if self.early.is_empty() {
            self.early = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replayed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let some = &bytes[..bytes.len().min(WRITE_BYTES)];
        Pin::new(&mut self.stream).poll_write(context, some)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Serves a connection as long as its calls are taken; then returns it with what was read and not taken. `None` when
/// the peer has closed it.
pub(crate) async fn serve(
    mut stream: TcpStream,
    direct: &mut dyn Direct,
) -> io::Result<Option<Replayed>> {
    let mut early = BytesMut::new();
    let mut answers = Answers::default();
    loop {
        let more = take_all(&mut early, direct, &mut answers);
        if !answers.bytes.is_empty() {
            direct.hand_over().await;
            stream.write_all(&answers.bytes).await?;
            answers.bytes.clear();
        }
        if !more {
            return Ok(Some(Replayed { early, stream }));
        }
        early.reserve(READ_BYTES);
        if stream.read_buf(&mut early).await? == 0 {
            let cut_off = !early.is_empty();
            return Ok(cut_off.then_some(Replayed { early, stream }));
        }
    }
}

/// What the read buffer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A call that was taken, so long.
    Taken(usize),
    /// Something else.
    Other,
    Incomplete,
}

/// Takes every complete call; `false` when one is not for this way.
fn take_all(early: &mut BytesMut, direct: &mut dyn Direct, answers: &mut Answers) -> bool {
    while !early.is_empty() {
        match take_one(early, direct) {
            Step::Taken(length) => {
                answers.add();
                early.advance(length);
            }
            Step::Incomplete => return early.len() < MAX_REQUEST_BYTES,
            Step::Other => return false,
        }
    }
    true
}

fn take_one(early: &[u8], direct: &mut dyn Direct) -> Step {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(early) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Step::Incomplete,
        Err(_) => return Step::Other,
    };
    let (Some("POST"), Some(path), Some(1)) = (request.method, request.path, request.version)
    else {
        return Step::Other;
    };
    let Some(length) = plain_length(request.headers) else {
        return Step::Other;
    };
    let whole = head + length;
    if whole > MAX_REQUEST_BYTES {
        return Step::Other;
    }
    if early.len() < whole {
        return Step::Incomplete;
    }
    let call = DirectCall {
        path,
        body: &early[head..whole],
        headers: request.headers,
    };
    if direct.take(&call) {
        Step::Taken(whole)
    } else {
        Step::Other
    }
}

/// The length of the body; `None` when it is not plainly given, or a header wants more than an answer.
fn plain_length(headers: &[httparse::Header<'_>]) -> Option<usize> {
    const MORE: [&str; 4] = ["transfer-encoding", "expect", "upgrade", "trailer"];
    let wants_more = headers.iter().any(|header| {
        MORE.iter()
            .any(|name| header.name.eq_ignore_ascii_case(name))
            || (header.name.eq_ignore_ascii_case("connection")
                && !header.value.eq_ignore_ascii_case(b"keep-alive"))
    });
    if wants_more {
        return None;
    }
    let value = single(headers, "content-length")??;
    let digits = !value.is_empty() && value.len() < 10 && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

/// `None` when a header is given twice, `Some(None)` when it is absent.
#[expect(
    clippy::option_option,
    reason = "twice, absent and there are three answers"
)]
fn single<'a>(headers: &'a [httparse::Header<'a>], name: &str) -> Option<Option<&'a [u8]>> {
    let mut found = None;
    for header in headers {
        if header.name.eq_ignore_ascii_case(name) && found.replace(header.value).is_some() {
            return None;
        }
    }
    Some(found)
}

/// Answers that are written together.
#[derive(Debug, Default)]
struct Answers {
    bytes: Vec<u8>,
    answer: Vec<u8>,
    made_at: Option<Instant>,
}

impl Answers {
    /// One more 202, with the same headers as on the usual way.
    fn add(&mut self) {
        let stale = Duration::from_millis(500);
        if self.made_at.is_none_or(|at| at.elapsed() > stale) {
            let date = httpdate::fmt_http_date(SystemTime::now());
            self.answer =
                format!("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n")
                    .into_bytes();
            self.made_at = Some(Instant::now());
        }
        self.bytes.extend_from_slice(&self.answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes calls to `/call`.
    #[derive(Default)]
    struct Calls(Vec<Vec<u8>>);

    impl Direct for Calls {
        fn take(&mut self, call: &DirectCall<'_>) -> bool {
            let taken = call.path == "/call";
            if taken {
                self.0.push(call.body.to_vec());
            }
            taken
        }

        fn hand_over(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            Box::pin(std::future::ready(()))
        }
    }

    fn taken(text: &str) -> (usize, bool, String) {
        let mut calls = Calls::default();
        let mut early = BytesMut::from(text);
        let more = take_all(&mut early, &mut calls, &mut Answers::default());
        (
            calls.0.len(),
            more,
            String::from_utf8(early.to_vec()).unwrap(),
        )
    }

    #[test]
    fn calls_that_arrive_together_are_taken_together() {
        let call = "POST /call HTTP/1.1\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(taken(&call.repeat(3)), (3, true, String::new()));
    }

    #[test]
    fn what_has_not_arrived_is_waited_for() {
        let begun = "POST /call HTTP/1.1\r\nContent-Length: 9\r\n\r\nab";
        assert_eq!(taken(begun), (0, true, begun.to_owned()));
        let head = "POST /call HTTP/1.1\r\nContent-Le";
        assert_eq!(taken(head), (0, true, head.to_owned()));
    }

    #[test]
    fn the_first_other_request_ends_the_short_way_and_stays_in_the_buffer() {
        let call = "POST /call HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
        for other in [
            "GET /call HTTP/1.1\r\n\r\n",
            "POST /other HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "POST /call HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
            "POST /call HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /call HTTP/1.1\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
            "POST /call HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "POST /call HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n",
            "POST /call HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "POST /call HTTP/1.1\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            let text = format!("{call}{other}");
            assert_eq!(taken(&text), (1, false, other.to_owned()), "{other}");
        }
    }
}
