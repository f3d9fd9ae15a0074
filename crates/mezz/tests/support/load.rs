//! Visitors of a service who find its instances through `/v1/endpoints` and keep their connections.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// What the visitors have seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Answers by their text.
    pub answers: BTreeMap<String, usize>,
    pub failures: Vec<String>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    ports: Mutex<Arc<Vec<u16>>>,
    seen: Mutex<Seen>,
}

/// Visitors that go on until they are stopped.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many visitors of a service, each with one request at a time; returns when the first has been answered.
    pub fn start(master: &str, service: &str, visitors: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let (master, path) = (master.to_owned(), format!("/v1/endpoints/{service}"));
        let follower = Arc::clone(&shared);
        let mut threads = vec![std::thread::spawn(move || follower.follow(&master, &path))];
        for number in 0..visitors {
            let visitor = Arc::clone(&shared);
            threads.push(std::thread::spawn(move || visitor.visit(number)));
        }
        let load = Self { shared, threads };
        while load.shared.seen().answers.is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
        load
    }

    pub fn stop(self) -> Seen {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("a visitor");
        }
        std::mem::take(&mut self.shared.seen())
    }
}

impl Shared {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    /// Asks for the endpoints, and again as soon as they have changed.
    fn follow(&self, master: &str, path: &str) {
        let mut connection = Connection::open(master).expect("the master");
        let mut index = String::new();
        while self.goes_on() {
            let answer = connection.get(&format!("{path}?{index}wait=1s"));
            let answer = answer.expect("an answer of the master");
            assert_eq!(answer.status, 200, "{}", answer.text);
            let endpoints: Value = serde_json::from_str(&answer.text).unwrap();
            let ports = endpoints.as_array().unwrap().iter().filter_map(|one| {
                let open = one["ready"] == true && one["draining"] == false;
                open.then(|| u16::try_from(one["port"].as_u64().unwrap()).unwrap())
            });
            *self.ports.lock().unwrap() = Arc::new(ports.collect());
            index = format!("index={}&", answer.index);
        }
    }

    fn visit(&self, number: usize) {
        let mut connections = BTreeMap::new();
        let mut turn = number;
        while self.goes_on() {
            let ports = Arc::clone(&self.ports.lock().unwrap());
            connections.retain(|port, _| ports.contains(port));
            turn += 7;
            let Some(port) = ports.get(turn % ports.len().max(1)).copied() else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            match visit_one(&mut connections, port) {
                Ok(text) => *self.seen().answers.entry(text).or_default() += 1,
                Err(error) => {
                    connections.remove(&port);
                    self.seen().failures.push(format!("port {port}: {error}"));
                }
            }
        }
    }
}

fn visit_one(connections: &mut BTreeMap<u16, Connection>, port: u16) -> std::io::Result<String> {
    let connection = match connections.entry(port) {
        std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::btree_map::Entry::Vacant(free) => {
            free.insert(Connection::open(&format!("127.0.0.1:{port}"))?)
        }
    };
    let answer = connection.get("/")?;
    match answer.status {
        200 => Ok(answer.text),
        status => Err(std::io::Error::other(format!("status {status}"))),
    }
}

/// A connection that is kept.
struct Connection(BufReader<TcpStream>);

struct Answer {
    status: u16,
    index: String,
    text: String,
}

impl Connection {
    fn open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(super::dev::PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn get(&mut self, path: &str) -> std::io::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let broken = |what: &str| std::io::Error::other(what.to_owned());
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| broken("no status line"))?;
        let (mut length, mut index) = (0, String::new());
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            match name.to_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(|_| broken("a length"))?,
                "mezz-index" => value.clone_into(&mut index),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let text = String::from_utf8(body).map_err(|_| broken("no text"))?;
        Ok(Answer {
            status,
            index,
            text,
        })
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
