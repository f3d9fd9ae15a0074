//! `/v1/freeze`: told in the modes of every GET, changed by POST and DELETE, and exact about what is wrong.

#![allow(clippy::unwrap_used)]

mod support;

use mezz_testkit::http_client::{Request, Response};
use serde_json::{Value, json};
use support::TestMaster;

fn index(answer: &Response) -> u64 {
    answer.header("Mezz-Index").unwrap().parse().unwrap()
}

#[test]
fn a_freeze_is_told_to_whoever_waits_for_it_and_ends_by_itself() {
    let master = TestMaster::start();
    let before = master.client().get("/v1/freeze").unwrap();
    assert_eq!(before.json(), json!({ "frozen": false, "until": null }));
    let client = master.client();
    let path = format!("/v1/freeze?index={}&wait=30s", index(&before));
    let reader = std::thread::spawn(move || client.get(&path).unwrap());
    let body = json!({ "for": "1s" });
    let frozen = master.client().post_json("/v1/freeze", &body).unwrap();
    assert_eq!(frozen.status, 200, "{}", frozen.text());
    let told = reader.join().unwrap();
    assert_eq!(told.json()["frozen"], true);
    assert!(told.json()["until"].is_string(), "{}", told.text());
    let path = format!("/v1/freeze?index={}&wait=30s", index(&told));
    let over = master.client().get(&path).unwrap();
    assert_eq!(over.json(), json!({ "frozen": false, "until": null }));
}

#[test]
fn a_freeze_without_an_end_lasts_until_it_is_taken_away() {
    let master = TestMaster::start();
    let frozen = master.client().post_json("/v1/freeze", &json!({})).unwrap();
    assert_eq!(frozen.status, 200, "{}", frozen.text());
    let told = master.client().get("/v1/freeze").unwrap().json();
    assert_eq!(told, json!({ "frozen": true, "until": null }));
    for _ in 0..2 {
        let thaw = Request::new("DELETE", "/v1/freeze");
        assert_eq!(master.client().send(&thaw).unwrap().status, 200);
    }
    let told = master.client().get("/v1/freeze").unwrap().json();
    assert_eq!(told["frozen"], false);
}

#[test]
fn a_time_that_cannot_be_is_refused_by_its_member_and_nothing_is_frozen() {
    let master = TestMaster::start();
    for (body, status, said) in [
        (json!({ "for": "soon" }), 400, "for: "),
        (json!({ "for": "0s" }), 400, "for: 0s is no time"),
        (json!({ "until": "noon" }), 400, "until: 'noon'"),
        (
            json!({ "until": "1950-01-01T00:00:00Z" }),
            400,
            "before 1970",
        ),
        (
            json!({ "until": "2020-01-01T00:00:00Z" }),
            409,
            "has passed already",
        ),
        (
            json!({ "for": "1h", "until": "2500-01-01T00:00:00Z" }),
            400,
            "both given",
        ),
        (json!({ "fro": "1h" }), 400, "fro"),
    ] {
        for path in ["/v1/freeze", "/v1/crons/none:pause"] {
            let answer = master.client().post_json(path, &body).unwrap();
            // Without such a cron nothing is held against the clock.
            let expected = if path.contains("none") && status == 409 {
                404
            } else {
                status
            };
            assert_eq!(answer.status, expected, "{path} {body}: {}", answer.text());
            let detail = answer.json()["detail"].clone();
            let detail = detail.as_str().unwrap_or_default();
            assert!(expected == 404 || detail.contains(said), "{body}: {detail}");
        }
    }
    let told: Value = master.client().get("/v1/freeze").unwrap().json();
    assert_eq!(told["frozen"], false);
    let put = Request::new("PUT", "/v1/freeze");
    assert_eq!(master.client().send(&put).unwrap().status, 405);
}
