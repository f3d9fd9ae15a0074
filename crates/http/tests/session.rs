//! The agent session as its two ends see it.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use mezz_http::session::{DialError, Pressure, Session, SessionConfig, SessionError, dial_once};
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::agent_protocol::{Admitted, ExecutorMessage, Frame, Part, Ping, Pong};
use mezz_proto::v1;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn message(data: Vec<u8>) -> Body {
    Body::ExecutorMessage(ExecutorMessage {
        framework_id: v1::FrameworkId { value: "f".into() },
        executor_id: v1::ExecutorId { value: "e".into() },
        data: data.into(),
    })
}

fn data(body: &Body) -> &[u8] {
    match body {
        Body::ExecutorMessage(message) => &message.data,
        other => panic!("expected an executor message, got {other:?}"),
    }
}

async fn read_frame(io: &mut DuplexStream) -> Frame {
    let length = io.read_u32().await.unwrap();
    let mut bytes = vec![0; length as usize];
    io.read_exact(&mut bytes).await.unwrap();
    Frame::decode(&bytes[..]).unwrap()
}

async fn write_frame(io: &mut DuplexStream, frame: &Frame) {
    io.write_u32(u32::try_from(frame.encoded_len()).unwrap())
        .await
        .unwrap();
    io.write_all(&frame.encode_to_vec()).await.unwrap();
}

fn ordered(sequence: u64, body: Body) -> Frame {
    Frame {
        channel: Some(1),
        sequence: Some(sequence),
        acknowledged: None,
        body: Some(body),
    }
}

#[tokio::test]
async fn bodies_arrive_in_order_on_their_channels() {
    let (left, right) = tokio::io::duplex(8 * 1024);
    let (sender, mut credits) = Session::new(left, SessionConfig::default());
    let (_right, mut receiver) = Session::new(right, SessionConfig::default());
    let _reading = tokio::spawn(async move { credits.next().await });
    let sending = tokio::spawn(async move {
        for index in 0..20_000u32 {
            sender
                .send(index % 7 + 1, message(index.to_be_bytes().to_vec()))
                .unwrap();
        }
        sender
    });
    for index in 0..20_000u32 {
        let (channel, body) = receiver.next().await.unwrap().unwrap();
        assert_eq!(
            (channel, data(&body)),
            (index % 7 + 1, &index.to_be_bytes()[..])
        );
    }
    drop(sending.await.unwrap());
    assert!(
        receiver.next().await.unwrap().is_none(),
        "a closed sender ends the session in order"
    );
}

#[tokio::test]
async fn a_long_body_arrives_whole_and_pings_overtake_it() {
    let (left, right) = tokio::io::duplex(16 * 1024);
    let (sender, mut replies) = Session::new(left, SessionConfig::default());
    let (responder, mut receiver) = Session::new(right, SessionConfig::default());
    let long: Vec<u8> = (0..30_000_000u32).map(|byte| (byte % 251) as u8).collect();
    sender.send(3, message(long.clone())).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    sender.send(3, message(b"after".to_vec())).unwrap();
    sender
        .send(3, Body::Ping(Ping { connected: true }))
        .unwrap();
    assert!(matches!(
        receiver.next().await.unwrap().unwrap(),
        (3, Body::Ping(_))
    ));
    responder.send(3, Body::Pong(Pong {})).unwrap();
    let (_, body) = receiver.next().await.unwrap().unwrap();
    assert!(data(&body) == long);
    assert_eq!(data(&receiver.next().await.unwrap().unwrap().1), b"after");
    assert!(matches!(
        replies.next().await.unwrap().unwrap(),
        (3, Body::Pong(_))
    ));
}

#[tokio::test]
async fn a_sender_stops_at_the_window_of_its_peer_and_goes_on_with_its_credit() {
    let (left, mut peer) = tokio::io::duplex(1024 * 1024);
    let (sender, mut receiver) = Session::new(
        left,
        SessionConfig {
            window: 4,
            ..SessionConfig::default()
        },
    );
    let admitted = Admitted {
        cluster_id: "c".into(),
        window: Some(3),
        ..Admitted::default()
    };
    write_frame(&mut peer, &ordered(1, Body::Admitted(admitted))).await;
    receiver.next().await.unwrap().unwrap();
    for index in 0..10u8 {
        sender.send(1, message(vec![index])).unwrap();
    }
    for sequence in 1..=3 {
        assert_eq!(read_frame(&mut peer).await.sequence, Some(sequence));
    }
    let more = tokio::time::timeout(Duration::from_millis(50), read_frame(&mut peer)).await;
    assert!(more.is_err(), "the window is spent");
    write_frame(
        &mut peer,
        &Frame {
            acknowledged: Some(2),
            ..Frame::default()
        },
    )
    .await;
    let _reading = tokio::spawn(async move { receiver.next().await });
    assert_eq!(read_frame(&mut peer).await.sequence, Some(4));
    assert_eq!(read_frame(&mut peer).await.sequence, Some(5));
    sender
        .send(1, Body::Ping(Ping { connected: true }))
        .unwrap();
    assert!(
        matches!(read_frame(&mut peer).await.body, Some(Body::Ping(_))),
        "a ping needs no credit"
    );
}

#[tokio::test]
async fn a_long_body_passes_through_a_window_smaller_than_its_parts() {
    let config = SessionConfig {
        window: 2,
        part_bytes: 1000,
        ..SessionConfig::default()
    };
    let (left, right) = tokio::io::duplex(4 * 1024);
    let (sender, mut left) = Session::new(left, config);
    let (_right, mut receiver) = Session::new(right, config);
    let _left = tokio::spawn(async move { left.next().await });
    sender.send(1, message(vec![7; 100_000])).unwrap();
    assert_eq!(
        data(&receiver.next().await.unwrap().unwrap().1).len(),
        100_000
    );
}

#[tokio::test]
async fn pressure_is_reported_while_the_peer_does_not_read_and_the_limit_ends_the_session() {
    let config = SessionConfig {
        high_water_bytes: 10_000,
        limit_bytes: 1_000_000,
        ..SessionConfig::default()
    };
    let (left, _peer) = tokio::io::duplex(1024);
    let (sender, _receiver) = Session::new(left, config);
    let mut pressure = Pressure::Flowing;
    while pressure == Pressure::Flowing {
        pressure = sender.send(1, message(vec![0; 500])).unwrap();
    }
    let error = loop {
        if let Err(error) = sender.send(1, message(vec![0; 50_000])) {
            break error;
        }
    };
    assert!(matches!(error, SessionError::Overrun { .. }), "{error}");
    assert!(sender.is_closed());
}

async fn error_after(frames: &[Frame], config: SessionConfig) -> SessionError {
    let (left, mut peer) = tokio::io::duplex(1024 * 1024);
    let (_sender, mut receiver) = Session::new(left, config);
    for frame in frames {
        write_frame(&mut peer, frame).await;
    }
    loop {
        match tokio::time::timeout(Duration::from_secs(5), receiver.next())
            .await
            .unwrap()
        {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without an error"),
            Err(error) => return error,
        }
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_end_the_session_with_their_reason() {
    let config = SessionConfig {
        window: 8,
        max_body_bytes: 100,
        ..SessionConfig::default()
    };
    let gap = [ordered(1, message(vec![])), ordered(3, message(vec![]))];
    assert!(matches!(
        error_after(&gap, config).await,
        SessionError::OutOfOrder {
            expected: 2,
            received: 3
        }
    ));
    let unsent = [Frame {
        acknowledged: Some(9),
        ..Frame::default()
    }];
    assert!(matches!(
        error_after(&unsent, config).await,
        SessionError::BadAcknowledgement {
            acknowledged: 9,
            sent: 0
        }
    ));
    let part = |last| {
        Body::Part(Part {
            data: vec![0xff; 80].into(),
            last,
        })
    };
    let too_long = [ordered(1, part(false)), ordered(2, part(true))];
    assert!(matches!(
        error_after(&too_long, config).await,
        SessionError::BodyTooLong { limit: 100 }
    ));
    assert!(matches!(
        error_after(&[ordered(1, part(true))], config).await,
        SessionError::Malformed(_)
    ));
    let flood: Vec<Frame> = (1..=9)
        .map(|sequence| ordered(sequence, message(vec![])))
        .collect();
    assert!(matches!(
        error_after(&flood, config).await,
        SessionError::WindowExceeded { window: 8 }
    ));
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_the_session_with_their_reason() {
    let (left, mut peer) = tokio::io::duplex(1024);
    let (_sender, mut receiver) = Session::new(left, SessionConfig::default());
    peer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert!(matches!(
        receiver.next().await,
        Err(SessionError::FrameTooLong { .. })
    ));

    let (left, mut peer) = tokio::io::duplex(1024);
    let (_sender, mut receiver) = Session::new(left, SessionConfig::default());
    peer.write_all(&[0, 0, 0, 9, 1, 2]).await.unwrap();
    drop(peer);
    assert!(matches!(
        receiver.next().await,
        Err(SessionError::Truncated)
    ));
}

#[tokio::test]
async fn flushed_means_that_the_last_body_has_left() {
    let (left, mut peer) = tokio::io::duplex(1024 * 1024);
    let (sender, _receiver) = Session::new(left, SessionConfig::default());
    sender.send(1, message(b"last".to_vec())).unwrap();
    sender.flushed().await.unwrap();
    sender.close();
    assert_eq!(data(&read_frame(&mut peer).await.body.unwrap()), b"last");
    assert_eq!(peer.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn dropping_one_end_ends_the_other() {
    let (left, right) = tokio::io::duplex(1024);
    let (sender, receiver) = Session::new(left, SessionConfig::default());
    let (_right, mut other) = Session::new(right, SessionConfig::default());
    drop(receiver);
    assert!(sender.send(1, message(vec![])).is_err());
    assert!(other.next().await.unwrap().is_none());
}

/// Serves one canned answer per connection, in order.
async fn canned(answers: Vec<Vec<u8>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            assert!(
                request.starts_with("post /agent/v1/session http/1.1\r\n"),
                "{request}"
            );
            assert!(request.contains("upgrade: mezz-agent/1\r\n"), "{request}");
            stream.write_all(&answer).await.unwrap();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                drop(stream);
            });
        }
    });
    address
}

#[tokio::test]
async fn dialling_follows_the_leader_and_keeps_what_came_with_the_answer() {
    let frame = ordered(1, message(b"early".to_vec())).encode_to_vec();
    let mut answer =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: mezz-agent/1\r\n\r\n"
            .to_vec();
    answer.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
    answer.extend_from_slice(&frame);
    let leader = canned(vec![answer]).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: //{leader}/agent/v1/session\r\nContent-Length: 0\r\n\r\n"
    );
    let standby = canned(vec![redirect.into_bytes()]).await;
    let carrier = dial_once(&standby).await.unwrap();
    let (_sender, mut receiver) = Session::new(carrier, SessionConfig::default());
    assert_eq!(data(&receiver.next().await.unwrap().unwrap().1), b"early");
}

#[tokio::test]
async fn dialling_tells_a_missing_leader_from_a_refusal() {
    let no_leader = canned(vec![
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 17\r\n\r\nNo leader elected".into(),
    ])
    .await;
    let error = dial_once(&no_leader).await.unwrap_err();
    assert!(
        matches!(&error, DialError::Unavailable { message, .. } if message == "No leader elected"),
        "{error}"
    );
    let refusing = canned(vec![
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into(),
    ])
    .await;
    assert!(matches!(
        dial_once(&refusing).await.unwrap_err(),
        DialError::Refused { status: 404, .. }
    ));
}
