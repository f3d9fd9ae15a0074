//! The verbs that look into containers, against a whole cluster: exec on pipes and on a terminal, attach, cp,
//! port-forward, top.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use support::command;
use support::dev::Dev;

/// Starts a task in the background and waits until it runs.
fn task(dev: &Dev, name: &str, script: &str) {
    let started = dev.mezz(&["run", "--detach", "--name", name, "--", "sh", "-c", script]);
    assert_eq!(started.code, 0, "{}", started.seen());
    dev.until(&["ps"], |table| {
        let row = table.lines().find(|line| line.contains(name));
        row.is_some_and(|row| row.to_lowercase().contains("running"))
    });
}

/// Drives a verb on a terminal of its own: says what is typed once a text has been seen, and how large the window is then.
const DRIVER: &str = r#"
import fcntl, json, os, pty, select, struct, sys, termios, time
steps = json.loads(sys.argv[1])
pid, fd = pty.fork()
if pid == 0:
    time.sleep(0.2)
    os.execv(sys.argv[2], sys.argv[2:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 91, 0, 0))
seen, at, end = b"", 0, time.time() + 60
def read(limit):
    global seen
    ready, _, _ = select.select([fd], [], [], limit)
    if not ready:
        return True
    try:
        data = os.read(fd, 4096)
    except OSError:
        return False
    seen += data
    return bool(data)
for wait, keys, size in steps:
    while wait.encode() not in seen[at:]:
        if time.time() > end or not read(1):
            sys.stdout.write("MISSING %r in %r\n" % (wait, seen)); sys.exit(99)
    at = len(seen)
    if size:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[0], size[1], 0, 0))
    os.write(fd, keys.encode())
while time.time() < end and read(1):
    pass
_, status = os.waitpid(pid, 0)
sys.stdout.write(seen.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(status))
"#;

fn on_terminal(dev: &Dev, steps: &serde_json::Value, arguments: &[&str]) -> (i32, String) {
    let mut driver = std::process::Command::new("python3");
    driver
        .args(["-c", DRIVER, &steps.to_string(), env!("CARGO_BIN_EXE_mezz")])
        .args(arguments)
        .env("MEZZ_MASTER", &dev.address)
        .env("TERM", "vt100")
        .stdin(Stdio::null());
    let output = driver.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

#[test]
fn exec_runs_a_command_beside_a_task_and_exits_as_it_does() {
    let dev = Dev::start(&[]);
    task(&dev, "web", "echo mine > file; export A=1; sleep 1000");
    let exec = |arguments: &[&str]| {
        let mut all = vec!["exec"];
        all.extend(arguments);
        dev.mezz(&all)
    };
    let seen = exec(&["web", "--", "sh", "-c", "cat file; echo oops >&2; exit 7"]);
    assert_eq!(
        (seen.code, seen.stdout.as_str(), seen.stderr.as_str()),
        (7, "mine\n", "oops\n")
    );
    let seen = exec(&["web", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(seen.code, 128 + 15, "{}", seen.seen());
    let seen = exec(&["--env", "B=two", "web", "--", "sh", "-c", "echo $B"]);
    assert_eq!(seen.stdout, "two\n");
    let seen = exec(&["web", "--", "no-such-program"]);
    assert_eq!(seen.code, 127, "{}", seen.seen());
    // Without --interactive there is nothing to read.
    let seen = exec(&["web", "--", "cat"]);
    assert_eq!((seen.code, seen.stdout.as_str()), (0, ""));
    let seen = exec(&["-t", "web", "--", "true"]);
    assert_eq!(seen.code, 2, "{}", seen.seen());
    assert_eq!(exec(&["nothing", "--", "true"]).code, 3);
    // What is piped in comes out again, all of it and in order.
    let big = "0123456789abcde\n".repeat(100_000);
    let mut child = command(&["exec", "-i", "web", "--", "cat"])
        .env("MEZZ_MASTER", &dev.address)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let sent = big.clone();
    let writing = std::thread::spawn(move || input.write_all(sent.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success());
    assert!(output.stdout == big.as_bytes(), "it is not the same");
}

#[test]
fn exec_on_a_terminal_has_its_size_follows_it_and_passes_keys_on() {
    let dev = Dev::start(&[]);
    task(&dev, "web", "sleep 1000");
    let script = "stty size; echo T=$TERM; trap 'stty size' WINCH; trap 'echo interrupted; exit 5' INT; \
                  echo ready; while :; do sleep 0.05; done";
    let steps = serde_json::json!([["ready", "", [44, 120]], ["44 120", "\u{3}", null],]);
    let arguments = ["exec", "-it", "web", "--", "sh", "-c", script];
    let (code, seen) = on_terminal(&dev, &steps, &arguments);
    assert!(
        seen.contains("31 91") && seen.contains("T=vt100") && seen.contains("interrupted"),
        "{seen}"
    );
    assert_eq!(code, 5, "{seen}");
}

#[test]
fn attach_shows_what_a_task_writes_from_then_on() {
    let dev = Dev::start(&[]);
    task(&dev, "talks", "while :; do echo tick; sleep 0.05; done");
    let mut child = dev.spawn(&["attach", "talks"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "tick");
    dev.mezz(&["kill", "talks"]);
    assert!(child.wait().unwrap().success());
}

#[test]
fn cp_copies_files_and_folders_both_ways() {
    let dev = Dev::start(&[]);
    task(
        &dev,
        "web",
        "mkdir -p there/deep; echo one > there/deep/file; sleep 1000",
    );
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name).display().to_string();
    let read = |name: &str| fs::read_to_string(home.path().join(name)).unwrap();
    let cp = |from: &str, to: &str| {
        let seen = dev.mezz(&["cp", from, to]);
        assert_eq!(seen.code, 0, "{from} {to}: {}", seen.seen());
    };
    cp("web:there/deep/file", &at("file"));
    assert_eq!(read("file"), "one\n");
    cp("web:there", &at("renamed"));
    assert_eq!(read("renamed/deep/file"), "one\n");
    cp("web:there", &at(""));
    assert_eq!(read("there/deep/file"), "one\n");
    // And back: a script keeps its permissions, a folder comes with all in it.
    fs::create_dir(home.path().join("up")).unwrap();
    fs::write(home.path().join("up/run"), "#!/bin/sh\necho ran\n").unwrap();
    fs::set_permissions(
        home.path().join("up/run"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    cp(&at("up"), "web:there");
    cp(&at("up/run"), "web:other-name");
    let seen = dev.mezz(&[
        "exec",
        "web",
        "--",
        "sh",
        "-c",
        "there/up/run && ./other-name",
    ]);
    assert_eq!(seen.stdout, "ran\nran\n", "{}", seen.seen());
    let absent = dev.mezz(&["cp", "web:absent", &at("x")]);
    assert_eq!(absent.code, 3, "{}", absent.seen());
    assert!(absent.stderr.contains("absent"), "{}", absent.stderr);
    assert!(!home.path().join("x").exists());
    let absent = dev.mezz(&["cp", &at("absent"), "web:x"]);
    assert_eq!(absent.code, 3, "{}", absent.seen());
    assert_eq!(dev.mezz(&["cp", "a", "b"]).code, 2);
}

#[test]
fn port_forward_reaches_a_port_of_a_task() {
    let dev = Dev::start(&[]);
    let server = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); \
                  print(s.getsockname()[1], flush=True)\nwhile 1:\n c = s.accept()[0]; c.sendall(c.recv(99).upper()); c.close()";
    let script = format!("exec python3 -u -c \"{server}\"");
    task(&dev, "shouts", &script);
    let port = dev.until(&["logs", "shouts"], |text| text.ends_with('\n'));
    let mut child = dev.spawn(&["port-forward", "shouts", &format!(":{}", port.trim())]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let local = line.split(' ').nth(2).unwrap().to_owned();
    for word in ["hello", "again"] {
        let mut stream = TcpStream::connect(&local).unwrap();
        stream.write_all(word.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, word.to_uppercase());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(dev.mezz(&["port-forward", "shouts", "x"]).code, 2);
}

#[test]
fn top_shows_what_tasks_use() {
    let dev = Dev::start(&[]);
    task(&dev, "spins", "while :; do :; done");
    task(&dev, "sleeps", "sleep 1000");
    let text = dev.until(&["top", "-o", "json"], |text| {
        let tasks: serde_json::Value = serde_json::from_str(text).unwrap();
        tasks
            .as_array()
            .unwrap()
            .iter()
            .all(|task| !task["used"]["cpus"].is_null())
    });
    let tasks: serde_json::Value = serde_json::from_str(&text).unwrap();
    let first = &tasks[0];
    assert!(
        first["used"]["cpus"].as_f64() > tasks[1]["used"]["cpus"].as_f64(),
        "{tasks}"
    );
    assert!(first["used"]["mem"].as_f64() > Some(0.0), "{tasks}");
    let table = dev.mezz(&["top", "--once"]);
    assert!(
        table.stdout.starts_with("ID") && table.stdout.lines().count() == 3,
        "{}",
        table.seen()
    );
}
