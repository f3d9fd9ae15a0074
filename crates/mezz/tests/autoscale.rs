//! Services whose number of instances follows what they use, in a real `mezz dev`.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::dev::Dev;

/// Answers every request with a number.
fn metric() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let number = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&number);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let body = shown.load(Ordering::Relaxed).to_string();
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    (format!("http://{address}/queue"), number)
}

fn ready(dev: &Dev, wanted: &str) {
    dev.until(&["get", "services"], |text| {
        text.lines()
            .any(|line| line.split_whitespace().nth(1) == Some(wanted))
    });
}

fn applied(dev: &Dev, folder: &tempfile::TempDir, metric: &str, command: &str) {
    applied_with(dev, folder, metric, command, "");
}

fn applied_with(dev: &Dev, folder: &tempfile::TempDir, metric: &str, command: &str, more: &str) {
    let file = folder.path().join("service.yaml");
    let text = format!(
        "kind: service\nname: /scaled\nspec:\n  replicas: {{min: 1, max: 3, cooldown_up: 0s, cooldown_down: 0s, metrics: \
         [{metric}]}}\n  template:\n    containers:\n      - command: {command}\n        \
         resources: {{cpus: 0.05, mem: 16MiB}}\n{more}"
    );
    std::fs::write(&file, text).expect("a file");
    let file = file.display().to_string();
    let outcome = dev.mezz(&["apply", "--wait", "-f", &file]);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
}

#[test]
fn a_service_follows_the_number_that_a_url_answers_up_and_down() {
    let (dev, folder) = (
        Dev::start(&["--autoscale-interval=200ms"]),
        tempfile::tempdir(),
    );
    let folder = folder.expect("a folder");
    let (url, number) = metric();
    let of_url = format!("{{of: {{url: '{url}'}}, target: 10}}");
    number.store(10, Ordering::Relaxed);
    applied(&dev, &folder, &of_url, "sleep 1000");
    ready(&dev, "1/1");
    number.store(25, Ordering::Relaxed);
    ready(&dev, "3/3");
    number.store(4, Ordering::Relaxed);
    ready(&dev, "1/1");
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_service_grows_while_its_instances_are_busy_and_shrinks_when_they_rest() {
    let dev = Dev::start(&["--autoscale-interval=500ms"]);
    let folder = tempfile::tempdir().expect("a folder");
    let rest = folder.path().join("rest");
    let command = format!(
        "\"i=0; while [ ! -e {} ]; do i=$((i+1)); [ $((i % 2000)) = 0 ] && sleep 0.05; done; exec sleep 1000\"",
        rest.display()
    );
    applied(&dev, &folder, "{of: cpu, target: 70}", &command);
    ready(&dev, "3/3");
    std::fs::write(&rest, "").expect("a file");
    ready(&dev, "1/1");
    assert_eq!(dev.stop(), Some(0));
}

/// A server that answers all GETs alike, slowly, and tells at `/metrics` how many it is answering.
const SERVER: &str = r##"import http.server, os, sys, threading, time
count, lock = 0, threading.Lock()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        global count
        if self.path == "/metrics":
            return self.answer(f"# TYPE in_flight gauge\nin_flight{{server=\"x\"}} {count}\n")
        with lock: count += 1
        time.sleep(0.3)
        with lock: count -= 1
        self.answer("well")
    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler)
server.daemon_threads = True
server.serve_forever()
"##;

fn ports(dev: &Dev) -> Vec<u16> {
    let listed = dev.mezz(&["get", "instances", "-o", "json"]);
    let list: serde_json::Value = serde_json::from_str(&listed.stdout).expect("a list");
    let ports = list.as_array().expect("a list").iter();
    let ports = ports.filter(|one| one["ready"] == true);
    let number = |one: &serde_json::Value| u16::try_from(one["ports"][0].as_u64()?).ok();
    ports.filter_map(number).collect()
}

/// Visitors who share the instances among themselves and ask again and again, each on one connection to an instance.
struct Visitors {
    wanted: Arc<AtomicU64>,
    ports: Arc<std::sync::Mutex<Vec<u16>>>,
}

impl Visitors {
    const MOST: u64 = 12;

    fn new() -> Self {
        let wanted = Arc::new(AtomicU64::new(0));
        let ports = Arc::new(std::sync::Mutex::new(Vec::new()));
        for number in 0..Self::MOST {
            let (wanted, ports) = (Arc::clone(&wanted), Arc::clone(&ports));
            std::thread::spawn(move || {
                while Arc::strong_count(&wanted) > 1 {
                    let all: Vec<u16> = ports.lock().expect("whole").clone();
                    if number >= wanted.load(Ordering::Relaxed) || all.is_empty() {
                        std::thread::sleep(std::time::Duration::from_millis(10));
                        continue;
                    }
                    let one = usize::try_from(number).expect("small") % all.len();
                    let _ = ask(all[one]);
                }
            });
        }
        Self { wanted, ports }
    }

    /// So many ask from now on, until as many instances are ready as wanted.
    fn until_ready(&self, dev: &Dev, visitors: u64, instances: usize) {
        self.wanted.store(visitors, Ordering::Relaxed);
        let begun = std::time::Instant::now();
        loop {
            let now = ports(dev);
            let reached = now.len() == instances;
            *self.ports.lock().expect("whole") = now;
            if reached {
                return;
            }
            assert!(
                begun.elapsed() < support::dev::PATIENCE,
                "{}",
                dev.mezz(&["get", "services"]).seen()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn ask(port: u16) -> std::io::Result<()> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
        if stream.read(&mut [0; 4096])? == 0 {
            break;
        }
    }
    Ok(())
}

fn scaled_under_load(metric: &str) {
    let dev = Dev::start(&["--autoscale-interval=300ms"]);
    let folder = tempfile::tempdir().expect("a folder");
    let server = folder.path().join("server.py");
    std::fs::write(&server, SERVER).expect("a file");
    let command = format!("exec python3 {} $PORT_HTTP", server.display());
    let more = "        ports: [{name: http}]\n        checks: {ready: {tcp: {port: http}, interval: 100ms}}\n";
    applied_with(&dev, &folder, metric, &command, more);
    let visitors = Visitors::new();
    visitors.until_ready(&dev, 0, 1);
    visitors.until_ready(&dev, Visitors::MOST, 3);
    visitors.until_ready(&dev, 0, 1);
    drop(visitors);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_service_grows_with_the_connections_to_it_and_shrinks_when_they_are_closed() {
    scaled_under_load("{of: requests_in_flight, target: 4}");
}

#[test]
fn a_service_follows_the_gauge_that_its_instances_answer() {
    scaled_under_load("{of: {gauge: {metric: in_flight}}, target: 4}");
}
