//! A web server that checks look at: it answers what the test wants.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

/// Serves until the test ends; `/moved` leads to `/`.
pub struct Website {
    pub port: u16,
    status: Arc<AtomicU16>,
    visits: Arc<AtomicUsize>,
}

impl Website {
    /// On an address of the loopback, at any port.
    pub fn start(address: &str, status: u16) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let status = Arc::new(AtomicU16::new(status));
        let visits = Arc::new(AtomicUsize::new(0));
        let (answer, count) = (Arc::clone(&status), Arc::clone(&visits));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                // A visitor that has gone does no harm.
                let _ = serve(stream, answer.load(Ordering::SeqCst));
            }
        });
        Self {
            port,
            status,
            visits,
        }
    }

    /// From now on it answers this.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// How many connections there were.
    pub fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, status: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(&stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, location) = if first.starts_with("GET /moved ") {
        (302, "Location: /\r\n")
    } else {
        (status, "")
    };
    let body = "fine";
    let length = body.len();
    (&stream).write_all(
        format!("HTTP/1.1 {status} X\r\n{location}Content-Length: {length}\r\n\r\n{body}")
            .as_bytes(),
    )
}
