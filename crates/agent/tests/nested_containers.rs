//! Containers inside of containers and by themselves, through the operator API: their lives, their ends, their streams.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::Duration;

use http_body_util::BodyExt;
use mezz_proto::v1::{ContainerInfo, TaskInfo, TaskState, TtyInfo, container_info, tty_info};
use serde_json::{Value, json};
use support::{Agent, FakeMaster, Link, framework, shell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];

async fn call(agent: &Agent, body: Value) -> (u16, String) {
    let text = body.to_string();
    let answered = agent.request("POST", "/api/v1", JSON, &text);
    tokio::time::timeout(Duration::from_secs(30), answered)
        .await
        .expect("an answer")
}

/// The id of a container inside others, the outermost first.
fn id(path: &[&str]) -> Value {
    let mut path = path.iter();
    let mut id = json!({ "value": path.next().unwrap() });
    for name in path {
        id = json!({ "value": name, "parent": id });
    }
    id
}

async fn launch(agent: &Agent, path: &[&str], command: &str) -> (u16, String) {
    let body = json!({
        "type": "LAUNCH_CONTAINER",
        "launch_container": { "container_id": id(path), "command": { "value": command } },
    });
    call(agent, body).await
}

async fn about(agent: &Agent, verb: &str, path: &[&str]) -> (u16, String) {
    let key = format!("{}_container", verb.to_lowercase());
    let body = json!({
        "type": format!("{verb}_CONTAINER"),
        key: { "container_id": id(path) },
    });
    call(agent, body).await
}

async fn exit_status(agent: &Agent, path: &[&str]) -> i64 {
    let (status, body) = about(agent, "WAIT", path).await;
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    answer["wait_container"]["exit_status"].as_i64().unwrap()
}

/// Names of all containers that run, with those around them.
async fn names(agent: &Agent) -> Vec<String> {
    let body = json!({
        "type": "GET_CONTAINERS",
        "get_containers": { "show_nested": true, "show_standalone": true },
    });
    let (status, body) = call(agent, body).await;
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let none = Vec::new();
    let containers = answer["get_containers"]["containers"].as_array();
    let name = |container: &Value| {
        let mut name = String::new();
        let mut id = &container["container_id"];
        while !id.is_null() {
            let dot = if name.is_empty() { "" } else { "." };
            name = format!("{}{dot}{name}", id["value"].as_str().unwrap());
            id = &id["parent"];
        }
        name
    };
    containers.unwrap_or(&none).iter().map(name).collect()
}

/// Starts a task and tells its container's name.
async fn task(link: &mut Link, task: TaskInfo, checkpoint: bool) -> String {
    let name = task.task_id.value.clone();
    link.run(&framework(checkpoint), vec![task]);
    let status = link.until(&name, TaskState::TaskRunning).await;
    let container = status.container_status.unwrap().container_id.unwrap();
    container.value
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}");
}

fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid.trim()).join("stat").exists()
}

#[tokio::test]
async fn containers_three_deep_live_and_end_with_what_is_around_them() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let root = task(&mut link, shell("t", "sleep 1000"), true).await;
    let (one, two, three) = (
        [root.as_str(), "one"],
        [root.as_str(), "one", "two"],
        [root.as_str(), "one", "two", "three"],
    );
    assert_eq!(
        launch(&agent, &two, "true").await.0,
        400,
        "its parent is not there"
    );
    assert_eq!(launch(&agent, &one, "sleep 1000").await.0, 200);
    assert_eq!(launch(&agent, &one, "sleep 1000").await.0, 202);
    assert_eq!(launch(&agent, &two, "sleep 1000").await.0, 200);
    let script = "pwd; echo $MESOS_SANDBOX; sleep 1000";
    assert_eq!(launch(&agent, &three, script).await, (200, String::new()));
    let dotted = |path: &[&str]| path.join(".");
    let mut seen = names(&agent).await;
    seen.sort();
    assert_eq!(
        seen,
        [root.clone(), dotted(&one), dotted(&two), dotted(&three)]
    );
    assert_eq!(about(&agent, "REMOVE", &two).await.0, 500, "it runs");
    // The end of one that is in the middle is that of those inside.
    let waiting = exit_status(&agent, &three);
    let killing = about(&agent, "KILL", &two);
    let (ended, (status, _)) = tokio::join!(waiting, killing);
    assert_eq!((ended, status), (9, 200));
    assert_eq!(exit_status(&agent, &two).await, 9);
    assert_eq!(names(&agent).await.len(), 2);
    assert_eq!(about(&agent, "KILL", &two).await.0, 404);
    assert_eq!(about(&agent, "REMOVE", &two).await.0, 200);
    assert_eq!(about(&agent, "WAIT", &two).await.0, 404);
    // A container's name is free again when it has ended.
    assert_eq!(launch(&agent, &two, "exit 3").await.0, 200);
    assert_eq!(exit_status(&agent, &two).await, 3 << 8);
    let waiting = about(&agent, "WAIT", &one);
    let ending = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        link.kill("t");
    };
    let ((status, body), ()) = tokio::join!(waiting, ending);
    assert_eq!(status, 200, "{body}");
    eventually("something of the task is left", async || {
        names(&agent).await.is_empty()
    })
    .await;
    assert_eq!(about(&agent, "WAIT", &one).await.0, 404);
}

#[tokio::test]
async fn a_container_by_itself_has_a_sandbox_until_it_is_removed() {
    let mut master = FakeMaster::start().await;
    let home = tempfile::tempdir().unwrap();
    let agent = Agent::start(&master.address, Some(home.path()), &[]);
    let _link = master.accept().await;
    let command = "echo out; echo err >&2; kill -TERM $$; sleep 100";
    assert_eq!(launch(&agent, &["alone"], command).await.0, 200);
    assert_eq!(exit_status(&agent, &["alone"]).await, 15);
    let sandbox = home.path().join("containers/alone");
    let read = |name: &str| std::fs::read_to_string(sandbox.join(name)).unwrap();
    assert_eq!(
        (read("stdout").as_str(), read("stderr").as_str()),
        ("out\n", "err\n")
    );
    assert_eq!(about(&agent, "REMOVE", &["alone"]).await.0, 200);
    eventually("the sandbox is left", async || !sandbox.exists()).await;
    let (status, body) = launch(&agent, &["alone"], "").await;
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("command.value"), "{body}");
}

#[tokio::test]
async fn calls_about_containers_are_refused_in_the_words_of_mesos() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let _link = master.accept().await;
    let cases = [
        (
            json!({"type": "LAUNCH_NESTED_CONTAINER"}),
            400,
            "Expecting 'launch_nested_container' to be present",
        ),
        (
            json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": {"container_id": {"value": "a"}}}),
            400,
            "Expecting 'launch_nested_container.container_id.parent' to be present",
        ),
        (
            json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": {"value": "a.b"}}}),
            400,
            "'wait_container.container_id' is invalid: 'ContainerID.value' 'a.b' contains invalid characters",
        ),
        (
            json!({"type": "KILL_CONTAINER", "kill_container": {"container_id": {"value": "a", "parent": {"value": "x/y"}}}}),
            400,
            "'ContainerID.parent' is invalid: 'x/y' contains invalid characters",
        ),
        (
            json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": {"value": "a"}}}),
            404,
            "Container a cannot be found",
        ),
        (
            json!({"type": "KILL_NESTED_CONTAINER", "kill_nested_container": {"container_id": id(&["a", "b"])}}),
            404,
            "Container 'a.b' cannot be found (or is already killed)",
        ),
        (
            json!({"type": "LAUNCH_CONTAINER", "launch_container": {"container_id": {"value": "a"}, "command": {"value": "true"},
                   "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}, "revocable": {}}]}}),
            400,
            "'launch_container.resources' must be non-revocable",
        ),
        (
            json!({"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": {"value": "a"}}}),
            404,
            "Container a cannot be found",
        ),
        (
            json!({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": {"type": "CONTAINER_ID", "container_id": {"value": "a"}}}),
            415,
            "Expecting 'Content-Type' to be application/recordio for ATTACH_CONTAINER_INPUT call",
        ),
    ];
    for (body, status, text) in cases {
        let (seen, words) = call(&agent, body.clone()).await;
        assert_eq!(seen, status, "{body}: {words}");
        assert!(words.contains(text), "{body}: {words}");
    }
    let headers = [
        ("Content-Type", "application/recordio"),
        ("Message-Content-Type", "application/json"),
    ];
    let record = |body: Value| {
        let text = body.to_string();
        format!("{}\n{text}", text.len())
    };
    let first = record(
        json!({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": {
        "type": "PROCESS_IO", "process_io": {"type": "DATA", "data": {"type": "STDIN", "data": ""}}}}),
    );
    let (status, words) = agent.request("POST", "/api/v1", &headers, &first).await;
    assert_eq!(status, 400);
    assert_eq!(
        words,
        "Expecting 'attach_container_input.type' to be CONTAINER_ID"
    );
    let (status, words) = agent.request("POST", "/api/v1", &headers, "").await;
    assert_eq!(
        (status, words.as_str()),
        (400, "Received EOF while reading request body")
    );
    let (status, words) = agent
        .request("POST", "/api/v1", &headers[..1], &first)
        .await;
    assert_eq!(status, 400, "{words}");
    let wait = record(json!({"type": "GET_HEALTH"}));
    let (status, words) = agent.request("POST", "/api/v1", &headers, &wait).await;
    assert_eq!(status, 415, "{words}");
}

/// Decodes what an output stream has brought: the outputs by name, and how many signs of life.
fn outputs(stream: &str) -> (String, String, usize) {
    let (mut out, mut err, mut beats) = (String::new(), String::new(), 0);
    let mut rest = stream;
    while let Some((length, after)) = rest.split_once('\n') {
        let length: usize = length.parse().unwrap();
        if after.len() < length {
            break;
        }
        let record: Value = serde_json::from_str(&after[..length]).unwrap();
        rest = &after[length..];
        if record["type"] == "CONTROL" {
            beats += 1;
            continue;
        }
        let data = record["data"]["data"].as_str().unwrap_or_default();
        let text = String::from_utf8(decode64(data)).unwrap();
        match record["data"]["type"].as_str().unwrap() {
            "STDOUT" => out += &text,
            _ => err += &text,
        }
    }
    (out, err, beats)
}

fn decode64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let digit = digits.iter().position(|digit| *digit == byte).unwrap();
        bits = bits << 6 | u32::try_from(digit).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    bytes
}

fn encode64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut bits = 0u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(three.get(index).copied().unwrap_or(0));
        }
        for index in 0..4 {
            if index <= three.len() {
                let digit = bits >> (18 - 6 * index) & 63;
                text.push(char::from(digits[digit as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

fn session(path: &[&str], command: &str, size: Option<(u32, u32)>) -> Value {
    let container = size.map(|(rows, columns)| {
        json!({"type": "MESOS", "tty_info": {"window_size": {"rows": rows, "columns": columns}}})
    });
    json!({
        "type": "LAUNCH_NESTED_CONTAINER_SESSION",
        "launch_nested_container_session": {
            "container_id": id(path), "command": {"value": command}, "container": container,
        },
    })
}

async fn open(agent: &Agent, body: Value) -> hyper::Response<hyper::body::Incoming> {
    agent.open("POST", "/api/v1", JSON, body.to_string()).await
}

/// A streaming request whose records leave one by one.
struct Sending(TcpStream);

impl Sending {
    async fn begin(agent: &Agent, path: &[&str]) -> Self {
        let address = agent.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/recordio\r\n\
                    Message-Content-Type: application/json\r\nAccept: application/json\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut sending = Self(stream);
        let first = json!({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": {
            "type": "CONTAINER_ID", "container_id": id(path)}});
        sending.record(&first).await;
        sending
    }

    async fn record(&mut self, record: &Value) {
        let text = record.to_string();
        // Chunks are no records: this one is cut in two.
        let record = format!("{}\n{text}", text.len());
        let (first, second) = record.split_at(record.len() / 2);
        for part in [first, second] {
            let chunk = format!("{:x}\r\n{part}\r\n", part.len());
            self.0.write_all(chunk.as_bytes()).await.unwrap();
        }
    }

    async fn io(&mut self, io: Value) {
        self.record(
            &json!({"type": "ATTACH_CONTAINER_INPUT", "attach_container_input": {
            "type": "PROCESS_IO", "process_io": io}}),
        )
        .await;
    }

    async fn data(&mut self, data: &str) {
        let data = encode64(data.as_bytes());
        self.io(json!({"type": "DATA", "data": {"type": "STDIN", "data": data}}))
            .await;
    }

    async fn size(&mut self, rows: u32, columns: u32) {
        let size = json!({"rows": rows, "columns": columns});
        self.io(json!({"type": "CONTROL", "control": {"type": "TTY_INFO", "tty_info": {"window_size": size}}}))
            .await;
    }

    /// Ends the request and reads the answer's status.
    async fn end(mut self) -> u16 {
        // The answer may have come already.
        let _ = self.0.write_all(b"0\r\n\r\n").await;
        self.status().await
    }

    async fn status(&mut self) -> u16 {
        let mut answer = Vec::new();
        while !answer.windows(2).any(|two| two == b"\r\n") {
            let mut some = [0; 512];
            let read = tokio::time::timeout(Duration::from_secs(20), self.0.read(&mut some));
            let count = read.await.expect("an answer").unwrap();
            assert!(count > 0, "the connection ended");
            answer.extend_from_slice(&some[..count]);
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// Reads a stream until its text has what is wanted.
async fn read_until(
    body: &mut hyper::body::Incoming,
    seen: &mut String,
    wanted: impl Fn(&str) -> bool,
) {
    while !wanted(&outputs(seen).0) {
        let frame = tokio::time::timeout(Duration::from_secs(20), body.frame()).await;
        let frame = frame.unwrap_or_else(|_| panic!("{:?}", outputs(seen)));
        let Some(frame) = frame else {
            panic!("the stream ended: {:?}", outputs(seen));
        };
        seen.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
    }
}

#[tokio::test]
async fn a_session_streams_both_outputs_takes_input_and_tells_how_it_ended() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let mut own = shell("t", "echo mine > file; sleep 1000");
    let variables = vec![mezz_proto::v1::environment::Variable {
        name: "GREETING".into(),
        value: Some("hello".into()),
        ..Default::default()
    }];
    own.command.as_mut().unwrap().environment = Some(mezz_proto::v1::Environment { variables });
    let root = task(&mut link, own, true).await;
    let path = [root.as_str(), "s"];
    let script = "cat file; echo $GREETING >&2; cat; exit 7";
    let response = open(&agent, session(&path, script, None)).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut sending = Sending::begin(&agent, &path).await;
    sending.data("from outside\n").await;
    let mut seen = String::new();
    read_until(&mut body, &mut seen, |out| out.contains("outside")).await;
    let second = Sending::begin(&agent, &path).await;
    assert_eq!(second.end().await, 409, "there is one writer");
    // No bytes are the end of the input.
    sending.data("").await;
    let rest = body.collect().await.unwrap().to_bytes();
    seen += std::str::from_utf8(&rest).unwrap();
    let (out, err, beats) = outputs(&seen);
    assert_eq!(
        (out.as_str(), err.as_str()),
        ("mine\nfrom outside\n", "hello\n")
    );
    assert!(beats >= 1, "a sign of life comes at once");
    assert_eq!(sending.end().await, 200);
    assert_eq!(exit_status(&agent, &path).await, 7 << 8);
}

#[tokio::test]
async fn a_session_ends_with_its_connection_and_nothing_of_it_is_left() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[]);
    let mut link = master.accept().await;
    let root = task(&mut link, shell("t", "sleep 1000"), true).await;
    let path = [root.as_str(), "s"];
    let script = "echo $$; sleep 1000 & wait";
    let mut body = open(&agent, session(&path, script, None)).await.into_body();
    let mut seen = String::new();
    read_until(&mut body, &mut seen, |out| out.ends_with('\n')).await;
    let pid = outputs(&seen).0;
    assert!(is_alive(&pid));
    drop(body);
    eventually("the session goes on", async || !is_alive(&pid)).await;
    assert_eq!(exit_status(&agent, &path).await, 9);
    assert_eq!(names(&agent).await, [root]);
}

#[tokio::test]
async fn a_session_on_a_terminal_has_its_size_and_follows_it() {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, None, &[("--heartbeat-ms", "20")]);
    let mut link = master.accept().await;
    let root = task(&mut link, shell("t", "sleep 1000"), true).await;
    let path = [root.as_str(), "s"];
    let script = "stty size; trap 'stty size' WINCH; trap 'echo interrupted; exit 5' INT; echo ready; \
                  while :; do sleep 0.05; done";
    let response = open(&agent, session(&path, script, Some((33, 101)))).await;
    let mut body = response.into_body();
    let mut seen = String::new();
    read_until(&mut body, &mut seen, |out| out.contains("ready")).await;
    assert!(outputs(&seen).0.contains("33 101\r\n"), "{seen}");
    let mut sending = Sending::begin(&agent, &path).await;
    sending.size(44, 120).await;
    read_until(&mut body, &mut seen, |out| out.contains("44 120")).await;
    sending.data("\u{3}").await;
    read_until(&mut body, &mut seen, |out| out.contains("interrupted")).await;
    assert_eq!(exit_status(&agent, &path).await, 5 << 8);
    assert_eq!(sending.end().await, 200);
}

fn on_terminal(id: &str, command: &str) -> TaskInfo {
    TaskInfo {
        container: Some(Box::new(ContainerInfo {
            r#type: container_info::Type::Mesos.into(),
            tty_info: Some(TtyInfo {
                window_size: Some(tty_info::WindowSize {
                    rows: 20,
                    columns: 70,
                }),
            }),
            ..ContainerInfo::default()
        })),
        ..shell(id, command)
    }
}

#[tokio::test]
async fn a_task_on_a_terminal_can_be_attached_to_also_by_a_later_agent() {
    let mut master = FakeMaster::start().await;
    let home = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&master.address, Some(home.path()), &[]);
    let mut link = master.accept().await;
    let script = "stty size; while read line; do echo \"got $line\"; done";
    let root = task(&mut link, on_terminal("t", script), true).await;
    let path = [root.as_str()];
    let attach = json!({"type": "ATTACH_CONTAINER_OUTPUT", "attach_container_output": {"container_id": id(&path)}});
    let mut body = open(&agent, attach.clone()).await.into_body();
    let mut sending = Sending::begin(&agent, &path).await;
    sending.data("one\n").await;
    let mut seen = String::new();
    read_until(&mut body, &mut seen, |out| out.contains("got one")).await;
    agent.crash();
    let agent = Agent::start(&master.address, Some(home.path()), &[]);
    let _link = master.accept().await;
    let mut body = open(&agent, attach).await.into_body();
    let mut sending = Sending::begin(&agent, &path).await;
    sending.data("two\n").await;
    let mut seen = String::new();
    read_until(&mut body, &mut seen, |out| out.contains("got two")).await;
    let logs = agent.get("/v1/tasks/fw-0000/t/logs").await.1;
    for part in ["20 70", "got one", "got two"] {
        assert!(logs.contains(part), "{part} in {logs}");
    }
    // The key that ends the input ends the program.
    sending.data("\u{4}").await;
    while body.frame().await.is_some() {}
}

#[tokio::test]
async fn containers_outlive_the_agent_and_sessions_do_not() {
    let mut master = FakeMaster::start().await;
    let home = tempfile::tempdir().unwrap();
    let mut agent = Agent::start(&master.address, Some(home.path()), &[]);
    let mut link = master.accept().await;
    let root = task(&mut link, shell("t", "sleep 1000"), true).await;
    let (kept, short, watcher) = (
        [root.as_str(), "kept"],
        [root.as_str(), "short"],
        [root.as_str(), "kept", "watcher"],
    );
    let script = "trap 'exit 4' TERM; while :; do sleep 0.05; done";
    assert_eq!(launch(&agent, &kept, script).await.0, 200);
    assert_eq!(launch(&agent, &short, "sleep 0.3; exit 6").await.0, 200);
    assert_eq!(launch(&agent, &["alone"], "sleep 1000").await.0, 200);
    let mut body = open(&agent, session(&watcher, "echo $$; sleep 1000", None))
        .await
        .into_body();
    let mut seen = String::new();
    read_until(&mut body, &mut seen, |out| out.ends_with('\n')).await;
    let pid = outputs(&seen).0;
    agent.crash();
    eventually("the session goes on", async || !is_alive(&pid)).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let agent = Agent::start(&master.address, Some(home.path()), &[]);
    let _link = master.accept().await;
    let mut seen = names(&agent).await;
    seen.sort();
    let mut wanted = vec!["alone".to_owned(), root.clone(), kept.join(".")];
    wanted.sort();
    assert_eq!(seen, wanted);
    assert_eq!(exit_status(&agent, &short).await, 6 << 8);
    assert_eq!(launch(&agent, &kept, "true").await.0, 202);
    let body = json!({"type": "KILL_NESTED_CONTAINER", "kill_nested_container": {"container_id": id(&kept), "signal": 15}});
    assert_eq!(call(&agent, body).await.0, 200);
    assert_eq!(exit_status(&agent, &kept).await, 4 << 8);
    assert_eq!(about(&agent, "KILL", &["alone"]).await.0, 200);
    assert_eq!(exit_status(&agent, &["alone"]).await, 9);
}
