//! Behaviours 2 to 13: what the scheduler API accepts and refuses before a call has any effect.

#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Lab, info, with};
use mezz_proto::v1::scheduler::{Call, Event};
use mezz_testkit::framework::subscription;
use mezz_testkit::{Client, Encoding, EventStream, Request, Response};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/scheduler";

fn subscribe() -> Value {
    subscription(&json!({"framework_info": info("dev")}))
}

fn post(headers: &[(&str, &str)], body: &[u8]) -> Request {
    let request = Request::new("POST", PATH).body(body.to_vec());
    headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    })
}

fn send(client: &Client, headers: &[(&str, &str)], body: &[u8]) -> Response {
    client.send(&post(headers, body)).unwrap()
}

fn first_event(encoding: Encoding, stream: &mut EventStream) -> Value {
    let record = stream.next_record().unwrap().unwrap();
    encoding.decode::<Event>(&record).unwrap()
}

/// Behaviour 2.
#[test]
fn a_call_without_content_type_is_refused() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let body = encoding.encode::<Call>(&subscribe());
        let answer = send(&lab.client(), &[("Accept", encoding.content_type())], &body);
        assert_eq!(answer.status, 400);
        assert_eq!(answer.text(), "Expecting 'Content-Type' to be present");
    }
}

/// Behaviours 3 and 4.
#[test]
fn a_body_that_is_no_call_is_refused() {
    let lab = Lab::master_alone(&[]);
    let bodies: [(Encoding, &[u8], &str); 5] = [
        (
            Encoding::Json,
            br#"{"type": "SUBSCRIBE", "subscribe": []}"#,
            "Failed to convert JSON into Call protobuf",
        ),
        (
            Encoding::Json,
            br#""call""#,
            "Failed to convert JSON into Call protobuf",
        ),
        (
            Encoding::Json,
            b"not a call",
            "Failed to parse body into JSON",
        ),
        (Encoding::Json, b"", "Failed to parse body into JSON"),
        (
            Encoding::Protobuf,
            b"not a call",
            "Failed to parse body into Call protobuf",
        ),
    ];
    for (encoding, body, text) in bodies {
        let answer = send(
            &lab.client(),
            &[("Content-Type", encoding.content_type())],
            body,
        );
        assert_eq!(answer.status, 400, "{body:?}");
        assert!(
            answer.text().starts_with(text),
            "{body:?}: {}",
            answer.text()
        );
    }
}

/// Behaviour 5.
#[test]
fn an_unknown_content_type_is_refused() {
    let lab = Lab::master_alone(&[]);
    let body = Encoding::Json.encode::<Call>(&subscribe());
    for kind in [
        "application/unknown-format",
        "text/plain",
        "application/json; charset=utf-8",
    ] {
        let answer = send(&lab.client(), &[("Content-Type", kind)], &body);
        assert_eq!(answer.status, 415, "{kind}");
    }
}

/// Behaviour 6.
#[test]
fn a_subscription_is_a_chunked_stream_that_begins_with_subscribed_and_a_heartbeat() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let request = encoding.post::<Call>(PATH, &subscribe());
        let mut stream = lab.client().open(&request).unwrap();
        assert_eq!(stream.status, 200);
        assert_eq!(stream.header("Transfer-Encoding"), Some("chunked"));
        assert_eq!(stream.header("Content-Type"), Some(encoding.content_type()));
        assert!(!stream.header("Mesos-Stream-Id").unwrap().is_empty());
        let first = first_event(encoding, &mut stream);
        assert_eq!(first["type"], "SUBSCRIBED");
        assert_eq!(first["subscribed"]["heartbeat_interval_seconds"], 15.0);
        assert!(
            !first["subscribed"]["framework_id"]["value"]
                .as_str()
                .unwrap()
                .is_empty()
        );
        assert_eq!(first_event(encoding, &mut stream)["type"], "HEARTBEAT");
    }
}

/// Behaviour 6: the heartbeats go on at the announced interval of 15 seconds.
#[test]
fn heartbeats_go_on_at_the_announced_interval() {
    let lab = Lab::master_alone(&[]);
    let mut framework = lab.framework(Encoding::Json);
    framework.wait_for_event("HEARTBEAT");
    framework.wait_for_event("HEARTBEAT");
}

/// Behaviour 7.
#[test]
fn an_invalid_role_is_answered_by_an_error_event_and_the_end_of_the_stream() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        for role in ["/test/test1", ".", "a//b", "-a", "a b", "a/*"] {
            let call = subscription(&json!({"framework_info": info(role)}));
            let mut stream = lab
                .client()
                .open(&encoding.post::<Call>(PATH, &call))
                .unwrap();
            assert_eq!(stream.status, 200);
            let first = first_event(encoding, &mut stream);
            assert_eq!(first["type"], "ERROR", "{role}");
            assert!(stream.next_record().unwrap().is_none(), "{role}");
        }
    }
}

/// Behaviour 8.
#[test]
fn a_subscription_with_a_stream_id_is_refused() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let request = encoding.post::<Call>(PATH, &subscribe());
        let answer = lab
            .client()
            .send(&request.header("Mesos-Stream-Id", "x"))
            .unwrap();
        assert_eq!(answer.status, 400);
    }
}

/// Behaviour 9.
#[test]
fn a_second_subscription_with_the_assigned_id_keeps_it() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let first = lab.framework(encoding);
        let again = with(info("dev"), "id", json!({"value": first.id()}));
        let second = lab.framework_with(encoding, &again);
        assert_eq!(second.id(), first.id());
        assert_ne!(second.stream_id(), first.stream_id());
    }
}

/// Behaviour 10.
#[test]
fn accept_chooses_json_unless_only_protobuf_will_do() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let body = encoding.encode::<Call>(&subscribe());
        let kind = ("Content-Type", encoding.content_type());
        let answers = [
            (None, "application/json"),
            (Some("*/*"), "application/json"),
            (Some("application/*"), "application/json"),
            (Some("application/json"), "application/json"),
            (Some("application/x-protobuf"), "application/x-protobuf"),
            (
                Some("application/x-protobuf, application/json"),
                "application/json",
            ),
        ];
        for (accept, expected) in answers {
            let mut headers = vec![kind];
            headers.extend(accept.map(|accept| ("Accept", accept)));
            let stream = lab.client().open(&post(&headers, &body)).unwrap();
            assert_eq!(stream.status, 200, "{accept:?}");
            assert_eq!(stream.header("Content-Type"), Some(expected), "{accept:?}");
        }
        let answer = send(&lab.client(), &[kind, ("Accept", "foo")], &body);
        assert_eq!(answer.status, 406);
    }
}

/// Behaviour 11.
#[test]
fn a_get_is_refused_with_the_allowed_method() {
    let lab = Lab::master_alone(&[]);
    let answer = lab.client().get(PATH).unwrap();
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("Allow"), Some("POST"));
}

/// Behaviour 12.
#[test]
fn a_call_without_its_stream_id_or_with_a_wrong_one_is_refused() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let framework = lab.framework(encoding);
        let call = json!({"type": "TEARDOWN", "framework_id": {"value": framework.id()}});
        let request = encoding.post::<Call>(PATH, &call);
        let without = lab.client().send(&request).unwrap();
        assert_eq!(without.status, 400);
        let wrong = request.clone().header("Mesos-Stream-Id", "wrong");
        assert_eq!(lab.client().send(&wrong).unwrap().status, 400);
        let right = request.header("Mesos-Stream-Id", framework.stream_id());
        assert_eq!(lab.client().send(&right).unwrap().status, 202);
    }
}

/// Behaviour 13.
#[test]
fn an_acknowledgement_with_a_short_uuid_is_refused() {
    let lab = Lab::master_alone(&[]);
    for encoding in Encoding::BOTH {
        let framework = lab.framework(encoding);
        let contents = json!({"agent_id": {"value": "a"}, "task_id": {"value": "t"}, "uuid": "bm90IGEgdXVpZA=="});
        let answer = framework.call("ACKNOWLEDGE", Some(contents)).unwrap();
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}
