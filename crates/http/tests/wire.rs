//! What a client sees on the wire: keep-alive, chunks, limits, upgrades.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use mezz_http::server::{ServerHandle, ServerOptions, Service, serve};
use mezz_http::stream::{StreamLimits, stream};
use mezz_http::{Request, Response, respond};

struct Echo;

/// How many records the stream of `/flood` took before it cut its reader off, or all of them.
static FLOODED: OnceLock<usize> = OnceLock::new();
const FLOOD: usize = 4_096;

/// Makes a quarter of a gigabyte of records, for as long as they are taken.
fn flood() -> Response {
    let (sender, reader) = stream(StreamLimits {
        max_records: 64,
        max_bytes: 8 << 20,
    });
    tokio::spawn(async move {
        let record = Bytes::from(vec![b'x'; 64 << 10]);
        let mut taken = 0;
        while taken < FLOOD && sender.send(record.clone()).is_ok() {
            taken += 1;
            // A reader that keeps up is given the time for it.
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
        FLOODED.set(taken).unwrap();
    });
    respond::streaming("application/json", reader)
}

/// A bulk answer.
const PARTS: usize = 20;
const PART: usize = 50_000;

impl Service for Echo {
    async fn handle(self: Arc<Self>, mut request: Request) -> Response {
        match request.path() {
            "/stream" => {
                let (sender, reader) = stream(StreamLimits::default());
                sender.send(Bytes::from_static(b"3\none")).unwrap();
                sender.send(Bytes::from_static(b"3\ntwo")).unwrap();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let _ = sender.send(Bytes::from_static(b"5\nthree"));
                    sender.end();
                });
                respond::streaming("application/json", reader)
            }
            "/flood" => flood(),
            "/bulk" => {
                let (sender, reader) = stream(StreamLimits::default());
                tokio::spawn(async move {
                    for _ in 0..PARTS {
                        let part = Bytes::from(vec![b'x'; PART]);
                        let _ = sender.send_waiting(part).await;
                        tokio::time::sleep(Duration::from_micros(100)).await;
                    }
                    sender.end();
                });
                respond::bulk("application/json", reader)
            }
            "/endless" => {
                let (sender, reader) = stream(StreamLimits::default());
                tokio::spawn(async move {
                    let part = Bytes::from(vec![b'x'; PART]);
                    while sender.send_waiting(part.clone()).await.is_ok() {}
                });
                respond::bulk("application/json", reader)
            }
            "/post" => match request.expect_method(&[http::Method::POST]) {
                Ok(()) => match request.read_body().await {
                    Ok(body) => respond::json(body),
                    Err(refused) => refused,
                },
                Err(refused) => refused,
            },
            "/up" if request.wants_upgrade("shout/1") => {
                let upgrade = request.upgrade();
                tokio::spawn(async move {
                    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                    let mut io = upgrade.await.unwrap();
                    let mut buffer = [0; 4];
                    io.read_exact(&mut buffer).await.unwrap();
                    buffer.make_ascii_uppercase();
                    io.write_all(&buffer).await.unwrap();
                    io.flush().await.unwrap();
                });
                let mut response = respond::empty(http::StatusCode::SWITCHING_PROTOCOLS);
                response.headers_mut().remove("content-length");
                response
                    .headers_mut()
                    .insert("connection", "Upgrade".parse().unwrap());
                response
                    .headers_mut()
                    .insert("upgrade", "shout/1".parse().unwrap());
                response
            }
            "/big" => {
                respond::unversioned_json(request.headers(), &request.query(), vec![b' '; 5000])
            }
            _ => respond::not_found(),
        }
    }
}

fn start() -> (tokio::runtime::Runtime, ServerHandle) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = ServerOptions {
            max_body_bytes: 1000,
            ..ServerOptions::default()
        };
        serve(listener, Arc::new(Echo), options).unwrap()
    });
    (runtime, server)
}

fn connect(server: &ServerHandle) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> String {
    let mut got = Vec::new();
    let mut byte = [0; 1];
    while !got.ends_with(end) && stream.read(&mut byte).unwrap() == 1 {
        got.push(byte[0]);
    }
    String::from_utf8(got).unwrap()
}

#[test]
fn each_record_is_one_chunk_even_when_the_client_sends_connection_close() {
    let (_runtime, server) = start();
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let head = read_until(&mut stream, b"\r\n\r\n");
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    assert!(head.contains("Content-Type: application/json"), "{head}");
    let body = read_until(&mut stream, b"0\r\n\r\n");
    assert_eq!(
        body,
        "5\r\n3\none\r\n5\r\n3\ntwo\r\n7\r\n5\nthree\r\n0\r\n\r\n"
    );
}

#[test]
fn a_reader_that_stops_is_cut_off_and_not_buffered_by_the_connection() {
    let (_runtime, server) = start();
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    read_until(&mut stream, b"\r\n\r\n");
    let taken = *FLOODED.wait();
    assert!(taken < FLOOD / 2, "{taken} of {FLOOD} records were taken");
}

#[test]
fn a_connection_goes_on_after_a_bulk_answer() {
    let (_runtime, server) = start();
    let mut stream = connect(&server);
    for _ in 0..3 {
        stream
            .write_all(b"GET /bulk HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let answer = read_until(&mut stream, b"0\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:.200}");
        let sent = answer.matches('x').count();
        assert_eq!(sent, PARTS * PART);
        stream
            .write_all(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            .unwrap();
        let head = read_until(&mut stream, b"\r\n\r\n{}");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    }
}

#[test]
fn a_server_stops_in_the_middle_of_a_bulk_answer() {
    let (runtime, server) = start();
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    read_until(&mut stream, b"\r\n\r\n");
    runtime.block_on(server.stop());
    // What the sockets still hold, and then its end.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

#[test]
fn a_connection_serves_many_requests() {
    let (_runtime, server) = start();
    let mut stream = connect(&server);
    for _ in 0..3 {
        stream
            .write_all(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            .unwrap();
        let head = read_until(&mut stream, b"\r\n\r\n{}");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    }
}

#[test]
fn pipelined_requests_are_all_answered_in_order() {
    let (_runtime, server) = start();
    let mut stream = connect(&server);
    let mut requests = Vec::new();
    for i in 0..50 {
        let body = format!("{i:02}");
        let head = "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n";
        requests.extend_from_slice(format!("{head}{body}").as_bytes());
    }
    stream.write_all(&requests).unwrap();
    for i in 0..50 {
        let end = format!("\r\n\r\n{i:02}");
        let answer = read_until(&mut stream, end.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
}

#[test]
fn a_body_above_the_limit_is_refused_with_the_limit_named() {
    let (_runtime, server) = start();
    let mut stream = connect(&server);
    stream
        .write_all(b"POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
        .unwrap();
    let answer = read_until(&mut stream, b"1000 bytes");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.ends_with("limit of 1000 bytes"), "{answer}");
}

#[test]
fn a_wrong_method_is_refused_with_the_allowed_ones() {
    let (_runtime, server) = start();
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /post HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
        "{answer}"
    );
    assert!(answer.contains("Allow: POST\r\n"), "{answer}");
    let text = "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'.";
    assert!(answer.ends_with(text), "{answer}");
}

#[test]
fn a_connection_can_be_taken_over_by_another_protocol() {
    let (_runtime, server) = start();
    let mut stream = connect(&server);
    let request = b"POST /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: shout/1\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request).unwrap();
    let head = read_until(&mut stream, b"\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream.write_all(b"hey!").unwrap();
    assert_eq!(read_until(&mut stream, b"HEY!"), "HEY!");
}

#[test]
fn large_answers_are_compressed_where_asked_and_wrapped_for_jsonp() {
    let (_runtime, server) = start();
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /big?jsonp=f HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let answer = read_until(&mut stream, b");");
    assert!(answer.contains("Content-Type: text/javascript"), "{answer}");
    assert!(
        !answer.to_lowercase().contains("content-encoding"),
        "{answer}"
    );
    let mut stream = connect(&server);
    stream
        .write_all(b"GET /big HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip, deflate\r\n\r\n")
        .unwrap();
    let head = read_until(&mut stream, b"\r\n\r\n");
    assert!(head.contains("Content-Encoding: gzip"), "{head}");
}

#[test]
fn the_client_reads_streams_and_reuses_connections() {
    let (runtime, server) = start();
    runtime.block_on(async {
        let client = mezz_http::client::Client::new();
        let authority = server.address().to_string();
        for _ in 0..2 {
            let answer = client
                .send(
                    &authority,
                    http::Method::POST,
                    "/post",
                    &[("Content-Type", "application/json")],
                    Bytes::from_static(b"[]"),
                )
                .await
                .unwrap();
            assert_eq!(answer.status, 200);
            assert_eq!(answer.read(10).await.unwrap(), "[]");
        }
        let mut answer = client
            .send(&authority, http::Method::GET, "/stream", &[], Bytes::new())
            .await
            .unwrap();
        let mut whole = Vec::new();
        while let Some(piece) = answer.next_piece().await.unwrap() {
            whole.extend_from_slice(&piece);
        }
        assert_eq!(whole, b"3\none3\ntwo5\nthree");
        server.stop().await;
        let refused = client
            .send(&authority, http::Method::GET, "/stream", &[], Bytes::new())
            .await;
        assert!(refused.is_err());
    });
}
