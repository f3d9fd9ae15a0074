//! The APIs of other systems at listeners of their own, in a real `mezz dev`.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use serde_json::Value;
use support::dev::{Dev, PATIENCE};

/// A port that nobody listens on just now.
fn free() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

/// Status and body of an answer.
fn ask(address: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a listener");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.expect("a status"), body.to_owned())
}

fn until(address: &str, path: &str, wanted: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    loop {
        let (status, body) = ask(address, "GET", path, "");
        let value = serde_json::from_str(&body).unwrap_or(Value::Null);
        if status == 200 && wanted(&value) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {status} {body}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn each_api_is_at_the_root_of_its_listener_and_its_jobs_run_and_outlive_the_master() {
    let folder = tempfile::tempdir().expect("a folder");
    let work_dir = folder.path().display().to_string();
    let [marathon, metronome, chronos] = [free(), free(), free()];
    let flags = [
        "--work-dir",
        &work_dir,
        "--marathon-listen",
        &marathon,
        "--metronome-listen",
        &metronome,
        "--chronos-listen",
        &chronos,
    ];
    let mut dev = Dev::start(&flags);
    for address in [&marathon, &metronome, &chronos] {
        let (status, body) = ask(address, "GET", "/ping", "");
        assert_eq!((status, body.trim()), (200, "pong"));
    }
    let job = r#"{"id": "a.b", "run": {"cpus": 0.01, "mem": 32, "disk": 0, "cmd": "true"}}"#;
    assert_eq!(ask(&metronome, "POST", "/v1/jobs", job).0, 201);
    assert_eq!(ask(&metronome, "POST", "/v1/jobs/a.b/runs", "").0, 201);
    let parent =
        r#"{"name": "parent", "command": "true", "cpus": 0.01, "mem": 16, "schedule": "R1//PT1H"}"#;
    let child =
        r#"{"name": "Child", "command": "true", "cpus": 0.01, "mem": 16, "parents": ["parent"]}"#;
    assert_eq!(ask(&chronos, "POST", "/scheduler/iso8601", parent).0, 204);
    assert_eq!(
        ask(&chronos, "POST", "/v1/scheduler/dependency", child).0,
        204
    );
    let has_run = |job: &Value| job["successCount"] == 1;
    until(&metronome, "/v1/jobs/a.b?embed=history", |job| {
        has_run(&job["history"])
    });
    until(&chronos, "/v1/scheduler/job/Child", has_run);
    dev.child.kill().expect("it runs");
    dev.child.wait().expect("it ended");
    drop(dev);

    let _dev = Dev::start(&flags);
    until(&metronome, "/v1/jobs/a.b?embed=history", |job| {
        has_run(&job["history"])
    });
    until(&chronos, "/v1/scheduler/job/Child", has_run);
    until(&chronos, "/v1/scheduler/job/parent", |job| {
        has_run(job) && job["disabled"] == true
    });
}
