//! A web server that checks look at: it answers what the test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves until the test ends; `/moved` leads to `/`.
pub struct Website {
    pub port: u16,
    status: Arc<AtomicU16>,
    visits: Arc<AtomicUsize>,
}

impl Website {
    /// On an address of the loopback, at any port.
    pub fn start(address: &str, status: u16) -> Self {
        Self::start_with(address, status, None)
    }

    /// The same over TLS, with a certificate that nobody trusts and whose day is over.
    pub fn start_with_tls(address: &str, status: u16) -> Self {
        let certificate = CertificateDer::from(&include_bytes!("tls/certificate.der")[..]);
        let key = PrivatePkcs8KeyDer::from(&include_bytes!("tls/key.der")[..]);
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
        Self::start_with(address, status, Some(Arc::new(config)))
    }

    fn start_with(address: &str, status: u16, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let status = Arc::new(AtomicU16::new(status));
        let visits = Arc::new(AtomicUsize::new(0));
        let (answer, count) = (Arc::clone(&status), Arc::clone(&visits));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let status = answer.load(Ordering::SeqCst);
                // A visitor that has gone does no harm.
                let _ = match &tls {
                    None => serve(stream, status),
                    Some(config) => {
                        let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                        serve(StreamOwned::new(connection, stream), status)
                    }
                };
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

fn serve(mut stream: impl Read + Write, status: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut stream);
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
    stream.write_all(
        format!("HTTP/1.1 {status} X\r\n{location}Content-Length: {length}\r\n\r\n{body}")
            .as_bytes(),
    )?;
    stream.flush()
}
