//! Runs the real binary against a small scripted HTTP server.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses a part of it, and none is a library"
)]

pub mod dev;
pub mod load;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// How a scripted answer is sent.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status and a JSON body.
    Json(u16, String),
    /// Lines, one chunk each, then the end of the body.
    Lines(Vec<String>),
    /// Lines, one chunk each, then the connection breaks.
    Broken(Vec<String>),
    /// Lines; the rest comes when a DELETE has been seen.
    UntilKilled(Vec<String>, Vec<String>),
}

/// A scripted server. Each request target has answers; the last one is repeated.
pub struct Server {
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

type Script = Arc<Mutex<Vec<(String, Vec<Answer>)>>>;

impl Server {
    pub fn new(script: Vec<(&str, Vec<Answer>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script = script
            .into_iter()
            .map(|(target, answers)| (target.to_owned(), answers))
            .collect();
        let script: Script = Arc::new(Mutex::new(script));
        let seen = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen) = (script.clone(), seen.clone());
                thread::spawn(move || {
                    let _ = serve(stream, &script, &seen);
                });
            }
        });
        Self { address, requests }
    }

    /// A server with one answer to one request.
    pub fn json(target: &str, status: u16, body: &str) -> Self {
        Self::new(vec![(target, vec![Answer::Json(status, body.to_owned())])])
    }

    /// What was requested so far: method, target and body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub fn wait_for_requests(&self, count: usize) -> Vec<String> {
        loop {
            let requests = self.requests();
            if requests.len() >= count {
                return requests;
            }
            thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

fn serve(stream: TcpStream, script: &Script, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let target = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        seen.lock().unwrap().push(
            format!("{target} {}", String::from_utf8_lossy(&body))
                .trim()
                .to_owned(),
        );
        answer(&mut writer, next(script, &target), seen)?;
    }
}

fn next(script: &Script, target: &str) -> Answer {
    let mut script = script.lock().unwrap();
    match script.iter_mut().find(|(known, _)| known == target) {
        Some((_, answers)) if answers.len() > 1 => answers.remove(0),
        Some((_, answers)) => answers[0].clone(),
        None => Answer::Json(
            404,
            format!(r#"{{"title":"Not found","status":404,"detail":"nothing is at {target}"}}"#),
        ),
    }
}

fn answer(
    writer: &mut TcpStream,
    answer: Answer,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = |writer: &mut TcpStream, lines: &[String]| {
        lines
            .iter()
            .try_for_each(|line| write!(writer, "{:x}\r\n{line}\n\r\n", line.len() + 1))
    };
    match answer {
        Answer::Json(status, body) => {
            let length = body.len();
            write!(
                writer,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        }
        Answer::Lines(lines) => {
            writer.write_all(STREAM)?;
            chunks(writer, &lines)?;
            writer.write_all(b"0\r\n\r\n")
        }
        Answer::Broken(lines) => {
            writer.write_all(STREAM)?;
            chunks(writer, &lines)?;
            writer.shutdown(std::net::Shutdown::Both)
        }
        Answer::UntilKilled(before, after) => {
            writer.write_all(STREAM)?;
            chunks(writer, &before)?;
            while !seen
                .lock()
                .unwrap()
                .iter()
                .any(|request| request.starts_with("DELETE") && request.contains("grace"))
            {
                thread::sleep(std::time::Duration::from_millis(2));
            }
            chunks(writer, &after)?;
            writer.write_all(b"0\r\n\r\n")
        }
    }
}

/// What a run of the binary left.
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Outcome {
    /// All that a user sees, for snapshots.
    pub fn seen(&self) -> String {
        let mut text = format!("exit code: {}\n", self.code);
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                text.extend(["--- ", name, "\n", stream]);
            }
        }
        text
    }
}

/// The binary with these arguments, in an environment without our variables.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mezz"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars() {
        if name.starts_with("MEZZ_") || name.starts_with("MESOS_") {
            command.env_remove(name);
        }
    }
    command.env_remove("COLUMNS");
    command
}

/// Waits for the end.
pub fn finish(child: Child) -> Outcome {
    let output = child.wait_with_output().unwrap();
    Outcome {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap_or(-1),
    }
}

/// Runs the binary to its end.
pub fn mezz(arguments: &[&str]) -> Outcome {
    finish(command(arguments).spawn().unwrap())
}

/// Runs the binary against a server; its address in the output becomes `MASTER`.
pub fn mezz_at(server: &Server, arguments: &[&str]) -> Outcome {
    let address = server.address.to_string();
    let child = command(arguments)
        .env("MEZZ_MASTER", &address)
        .spawn()
        .unwrap();
    let outcome = finish(child);
    Outcome {
        stdout: outcome.stdout.replace(&address, "MASTER"),
        stderr: outcome.stderr.replace(&address, "MASTER"),
        code: outcome.code,
    }
}
