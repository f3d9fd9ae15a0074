//! A running `mezz dev` with everything in it.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::{Outcome, command, finish};

/// Longer than anything here takes, so that only a hang meets it.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running `mezz dev`; ended by force when dropped, which ends its tasks in memory mode.
pub struct Dev {
    pub child: Child,
    pub address: String,
    lines: Receiver<String>,
}

impl Dev {
    pub fn start(arguments: &[&str]) -> Self {
        let mut all = vec!["dev", "--port", "0"];
        all.extend(arguments);
        let mut child = command(&all).spawn().expect("a process");
        let (sender, lines) = mpsc::channel();
        for stream in [
            Box::new(child.stdout.take().expect("piped")) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().expect("piped")),
        ] {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let mut dev = Self {
            child,
            address: String::new(),
            lines,
        };
        dev.line("ready http://")
            .trim_start_matches("ready http://")
            .clone_into(&mut dev.address);
        dev
    }

    /// Waits for a line that begins so.
    pub fn line(&self, beginning: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if line.starts_with(beginning) {
                return line;
            }
            seen.push(line);
        }
        panic!("no line begins with {beginning:?}: {seen:#?}");
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        command(arguments)
            .env("MEZZ_MASTER", &self.address)
            .spawn()
            .expect("a process")
    }

    pub fn mezz(&self, arguments: &[&str]) -> Outcome {
        finish(self.spawn(arguments))
    }

    /// Runs a verb until its output is as wanted.
    pub fn until(&self, arguments: &[&str], wanted: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let outcome = self.mezz(arguments);
            if wanted(&outcome.stdout) {
                return outcome.stdout;
            }
            let seen = outcome.seen();
            assert!(begun.elapsed() < PATIENCE, "{arguments:?}: {seen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The whole answer to a GET.
    pub fn get(&self, path: &str) -> String {
        use std::io::{Read, Write};
        let address = self
            .address
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .expect("kill(1)");
        assert!(status.success());
    }

    pub fn stop(mut self) -> Option<i32> {
        self.signal("-INT");
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.kill();
    }
}
