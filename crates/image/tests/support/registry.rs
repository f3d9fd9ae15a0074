//! A registry of a few lines, whose every answer a test can change: it speaks HTTP by hand, one request a connection.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use mezz_image::digest::Digest;
use mezz_image::media;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The connection breaks after so many bytes of the body.
    pub(crate) cut: Option<usize>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// Content by path below `/v2/`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content(pub(crate) BTreeMap<String, (String, Vec<u8>)>);

impl Content {
    pub(crate) fn blob(&mut self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let path = format!("/v2/{repository}/blobs/{digest}");
        self.0.insert(
            path,
            (String::from("application/octet-stream"), bytes.to_vec()),
        );
        digest
    }

    pub(crate) fn manifest(
        &mut self,
        repository: &str,
        tag: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Digest {
        let digest = Digest::of(bytes);
        for name in [tag, &digest.to_string()] {
            let path = format!("/v2/{repository}/manifests/{name}");
            self.0.insert(path, (media_type.to_owned(), bytes.to_vec()));
        }
        digest
    }

    /// An image of these packed layers, whose unpacked digests are given.
    pub(crate) fn image(
        &mut self,
        repository: &str,
        tag: &str,
        layers: &[(Vec<u8>, Digest)],
    ) -> Digest {
        let (bytes, _) = self.parts(repository, layers);
        self.manifest(repository, tag, media::OCI_MANIFEST, &bytes)
    }

    /// The manifest of an image whose parts are published, and its configuration.
    pub(crate) fn parts(
        &mut self,
        repository: &str,
        layers: &[(Vec<u8>, Digest)],
    ) -> (Vec<u8>, Digest) {
        let diff_ids: Vec<String> = layers.iter().map(|(_, id)| format!("\"{id}\"")).collect();
        let config = format!(
            r#"{{"architecture":"{}","os":"linux","config":{{"Cmd":["{tag}"]}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            mezz_image::platform::Platform::host().architecture,
            diff_ids.join(","),
            tag = repository,
        );
        let id = self.blob(repository, config.as_bytes());
        let layers: Vec<String> = layers
            .iter()
            .map(|(bytes, _)| {
                let digest = self.blob(repository, bytes);
                let size = bytes.len();
                format!(
                    r#"{{"mediaType":"{}","digest":"{digest}","size":{size}}}"#,
                    media::OCI_LAYER
                )
            })
            .collect();
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{id}","size":{}}},"layers":[{}]}}"#,
            media::OCI_MANIFEST,
            media::OCI_CONFIG,
            config.len(),
            layers.join(",")
        );
        (manifest.into_bytes(), id)
    }

    /// As a registry answers, with ranges.
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let Some((media_type, bytes)) = self.0.get(&request.path) else {
            return Reply::new(404)
                .body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#);
        };
        let reply = Reply::new(200)
            .header("content-type", media_type)
            .header("docker-content-digest", &Digest::of(bytes).to_string());
        let start = request.header("range").and_then(|range| {
            range
                .strip_prefix("bytes=")?
                .strip_suffix('-')?
                .parse::<usize>()
                .ok()
        });
        match start {
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                let mut reply = reply.header("content-range", &range).body(&bytes[start..]);
                reply.status = 206;
                reply
            }
            None => reply.body(bytes.clone()),
        }
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A server on the loopback, for as long as the test runs.
pub(crate) struct Server {
    pub(crate) address: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log: Arc<Mutex<Vec<Request>>> = Arc::default();
        let handler: Arc<Handler> = Arc::new(handler);
        let for_thread = Arc::clone(&log);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (handler, log) = (Arc::clone(&handler), Arc::clone(&for_thread));
                std::thread::spawn(move || serve(stream.unwrap(), &handler, &log));
            }
        });
        Self { address, log }
    }

    /// Requests so far, as `METHOD path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    pub(crate) fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// How often something was asked whose path contains this.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.requests()
            .iter()
            .filter(|line| line.contains(part))
            .count()
    }
}

fn serve(mut stream: TcpStream, handler: &Arc<Handler>, log: &Mutex<Vec<Request>>) {
    let Some(request) = read(&mut stream) else {
        return;
    };
    log.lock().unwrap().push(request.clone());
    let reply = handler(&request);
    let headers = reply.headers.iter();
    let headers: Vec<String> = headers
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let (status, headers, length) = (reply.status, headers.concat(), reply.body.len());
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
    );
    let body = if request.method == "HEAD" {
        &[][..]
    } else {
        &reply.body
    };
    let body = reply.cut.map_or(body, |cut| &body[..cut.min(body.len())]);
    // A client that has gone is no fault of the server's.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body));
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        // A client that begins with TLS never sends a line.
        if stream.read(&mut byte).ok()? == 0 || bytes.first() == Some(&0x16) {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
