//! `mezz run`, `logs` and `kill` against scripted dialogues.

mod support;

use std::process::Child;

use support::{Answer, Server, command, finish, mezz_at};

const CREATED: &str = r#"{"id":"t1"}"#;
const FOLLOW: &str = "GET /v1/tasks/t1/logs?stream=both&follow=true";

fn out(offset: u64, text: &str) -> String {
    format!(r#"{{"stream":"stdout","offset":{offset},"data":"{text}\n"}}"#)
}

fn end(state: &str, wait_status: Option<i32>) -> String {
    let status =
        wait_status.map_or_else(String::new, |status| format!(r#","wait_status":{status}"#));
    format!(r#"{{"end":{{"state":"{state}","message":"said the agent"{status}}}}}"#)
}

fn running(follow: Vec<Answer>) -> Server {
    Server::new(vec![
        (
            "POST /v1/tasks",
            vec![Answer::Json(201, CREATED.to_owned())],
        ),
        (FOLLOW, follow),
        (
            "DELETE /v1/tasks/t1",
            vec![Answer::Json(202, String::new())],
        ),
        (
            "DELETE /v1/tasks/t1?grace_period_secs=0",
            vec![Answer::Json(202, String::new())],
        ),
    ])
}

fn interrupt(child: &Child) {
    let status = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill(1)");
    assert!(status.success());
}

#[test]
fn a_command_shows_both_outputs_and_exits_as_its_task() {
    let error = r#"{"stream":"stderr","offset":0,"data":"oops\n"}"#.to_owned();
    let server = running(vec![Answer::Lines(vec![
        out(0, "hello"),
        error,
        end("TASK_FAILED", Some(3 << 8)),
    ])]);
    insta::assert_snapshot!(mezz_at(&server, &["run", "--", "sh", "-c", "echo hello; exit 3"]).seen(), @"
    exit code: 3
    --- stdout
    hello
    --- stderr
    oops
    ");
    assert_eq!(
        server.requests()[0],
        r#"POST /v1/tasks {"command":["sh","-c","echo hello; exit 3"]}"#
    );
}

#[test]
fn every_argument_reaches_the_request() {
    let server = running(vec![Answer::Lines(vec![end("TASK_FINISHED", Some(0))])]);
    let arguments = [
        "run",
        "--name",
        "n",
        "--id",
        "t1",
        "--role",
        "dev",
        "--cpus",
        "0.5",
        "--mem",
        "64",
        "--disk",
        "1",
        "--gpus",
        "1",
        "--ports",
        "2",
        "-e",
        "A=b=c",
        "-l",
        "k=v",
        "--uri",
        "http://x/f",
        "--user",
        "u",
        "--kill-grace-period",
        "1500ms",
        "--shell",
        "-d",
        "--",
        "echo",
        "$HOME",
    ];
    insta::assert_snapshot!(mezz_at(&server, &arguments).seen(), @"
    exit code: 0
    --- stdout
    t1
    ");
    insta::assert_snapshot!(server.requests().join("\n"), @r#"
    POST /v1/tasks {"name":"n","id":"t1","role":"dev","cpus":0.5,"mem":64.0,"disk":1.0,"gpus":1.0,"ports":2,"command":"echo $HOME","env":{"A":"b=c"},"user":"u","labels":{"k":"v"},"uris":["http://x/f"],"kill_grace_period_secs":1.5}
    "#);
}

#[test]
fn a_task_that_a_signal_ended_gives_128_and_the_signal() {
    let server = running(vec![Answer::Lines(vec![end("TASK_KILLED", Some(9))])]);
    assert_eq!(mezz_at(&server, &["run", "--", "sleep", "9"]).code, 137);
}

#[test]
fn a_task_that_never_ran_gives_125_and_the_reason() {
    let server = running(vec![Answer::Lines(vec![end("TASK_ERROR", None)])]);
    insta::assert_snapshot!(mezz_at(&server, &["run", "--", "true"]).seen(), @"
    exit code: 125
    --- stderr
    error: task t1 ended as TASK_ERROR: said the agent
    hint: `mezz why t1` tells more
    ");
}

#[test]
fn output_goes_on_after_a_broken_connection_without_repeating_itself() {
    let server = running(vec![
        Answer::Broken(vec![out(0, "one")]),
        Answer::Lines(vec![
            out(0, "one"),
            out(4, "two"),
            end("TASK_FINISHED", Some(0)),
        ]),
    ]);
    let outcome = mezz_at(&server, &["run", "--", "x"]);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.code),
        ("one\ntwo\n", 0),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_interrupt_kills_the_task_and_a_second_one_kills_it_at_once() {
    let server = running(vec![Answer::UntilKilled(
        vec![out(0, "one")],
        vec![end("TASK_KILLED", Some(15))],
    )]);
    let child = command(&["run", "--", "sleep", "60"])
        .env("MEZZ_MASTER", server.address.to_string())
        .spawn()
        .expect("a process");
    server.wait_for_requests(2);
    interrupt(&child);
    assert_eq!(server.wait_for_requests(3)[2], "DELETE /v1/tasks/t1");
    // Two signals in one moment count once, as those of timeout(1) do.
    while server.requests().len() < 4 {
        std::thread::sleep(std::time::Duration::from_millis(300));
        interrupt(&child);
    }
    assert_eq!(
        server.requests()[3],
        "DELETE /v1/tasks/t1?grace_period_secs=0"
    );
    insta::assert_snapshot!(finish(child).seen(), @"
    exit code: 143
    --- stdout
    one
    --- stderr
    killing task t1; once more kills it at once
    killing task t1 at once; once more leaves it
    ");
}

#[test]
fn logs_take_the_beginning_of_an_id_or_the_last_task() {
    let tasks = r#"[{"id":"t1","name":"n","started_at":"2026-01-01T00:00:00Z"},{"id":"u2","started_at":"2025-01-01T00:00:00Z"}]"#;
    for (given, rest) in [
        ("t", vec![]),
        ("last", vec![]),
        ("n", vec!["-n", "5", "--stream", "stdout"]),
    ] {
        let target = if rest.is_empty() {
            "GET /v1/tasks/t1/logs?stream=both&follow=false"
        } else {
            "GET /v1/tasks/t1/logs?stream=stdout&follow=false&tail=5"
        };
        let server = Server::new(vec![
            (
                "GET /v1/tasks?all=true",
                vec![Answer::Json(200, tasks.to_owned())],
            ),
            (target, vec![Answer::Lines(vec![out(0, "said")])]),
        ]);
        let mut arguments = vec!["logs", given];
        arguments.extend(rest);
        let outcome = mezz_at(&server, &arguments);
        assert_eq!(
            (outcome.stdout.as_str(), outcome.code),
            ("said\n", 0),
            "{given}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn killing_goes_on_after_a_task_that_is_not_there() {
    let server = Server::new(vec![
        (
            "GET /v1/tasks/t1",
            vec![Answer::Json(200, r#"{"id":"t1"}"#.to_owned())],
        ),
        (
            "GET /v1/tasks?all=true",
            vec![Answer::Json(200, "[]".to_owned())],
        ),
        (
            "DELETE /v1/tasks/t1?grace_period_secs=2.5",
            vec![Answer::Json(202, String::new())],
        ),
    ]);
    insta::assert_snapshot!(mezz_at(&server, &["kill", "--grace-period", "2.5s", "x", "t1"]).seen(), @"
    exit code: 3
    --- stdout
    t1
    --- stderr
    error: no task has the id 'x', or one that begins so
    hint: `mezz ps --all` lists all tasks
    ");
}
