//! Updates of a service under load, as those see it who use the service: with visitors that follow `/v1/endpoints`.

mod support;

use support::Outcome;
use support::dev::Dev;
use support::load::Load;

/// Answers with its version after a moment, so that there are always requests under way; ends at once when told to.
const SERVER: &str = r#"
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(0.05)
        body = os.environ["VERSION"].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler)
server.daemon_threads = True
server.serve_forever()
"#;

/// A cluster with ports of its own, since its tasks really listen on them.
fn cluster() -> Dev {
    let first = 10_000 + std::process::id() % 100 * 200;
    let ports = format!("--resources=ports:[{first}-{}]", first + 199);
    Dev::start(&[&ports])
}

/// A service of web servers, written into a folder of its own.
struct Web {
    folder: tempfile::TempDir,
    replicas: u32,
    drain: &'static str,
}

impl Web {
    fn new(replicas: u32, drain: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("server.py"), SERVER).expect("a file");
        Self {
            folder,
            replicas,
            drain,
        }
    }

    /// Rolls out a version of it.
    fn apply(&self, dev: &Dev, version: &str, program: &str) -> Outcome {
        let path = self.folder.path();
        let file = path.join("web.yaml");
        let (replicas, drain) = (self.replicas, self.drain);
        let text = format!(
            "kind: service
name: /web
spec:
  replicas: {replicas}
  update: {{strategy: {{rolling: {{max_surge: 20%, max_unavailable: 0}}}}}}
  restart: {{initial: 100ms, max: 200ms}}
  template:
    kill: {{drain: {drain}, grace: 5s}}
    containers:
      - command: exec python3 {}/{program}
        env: {{VERSION: {version}}}
        resources: {{cpus: 0.01, mem: 16MiB}}
        ports: [{{name: http}}]
        checks: {{ready: {{http: {{port: http, path: /}}, interval: 200ms, timeout: 20s, grace: 1m}}}}
",
            path.display()
        );
        std::fs::write(&file, text).expect("a file");
        dev.mezz(&["apply", "--wait", "-f", &file.display().to_string()])
    }
}

#[test]
fn an_update_of_50_instances_under_load_loses_no_request_when_they_drain() {
    let (dev, web) = (cluster(), Web::new(50, "2s"));
    let first = web.apply(&dev, "first", "server.py");
    assert_eq!(first.code, 0, "{}", first.seen());
    let load = Load::start(&dev.address, "web", 16);
    let second = web.apply(&dev, "second", "server.py");
    let seen = load.stop();
    assert_eq!(second.code, 0, "{}", second.seen());
    assert_eq!(seen.failures, Vec::<String>::new(), "{:?}", seen.answers);
    assert!(seen.answers["first"] > 100, "{:?}", seen.answers);
    assert!(seen.answers["second"] > 100, "{:?}", seen.answers);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn the_same_update_without_drain_cuts_requests_off() {
    let (dev, web) = (cluster(), Web::new(50, "0s"));
    let first = web.apply(&dev, "first", "server.py");
    assert_eq!(first.code, 0, "{}", first.seen());
    let load = Load::start(&dev.address, "web", 16);
    let second = web.apply(&dev, "second", "server.py");
    let seen = load.stop();
    assert_eq!(second.code, 0, "{}", second.seen());
    assert!(!seen.failures.is_empty(), "{:?}", seen.answers);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_bad_version_goes_back_by_itself_under_load_and_why_says_what_was_wrong() {
    let (dev, web) = (cluster(), Web::new(5, "2s"));
    let first = web.apply(&dev, "first", "server.py");
    assert_eq!(first.code, 0, "{}", first.seen());
    let load = Load::start(&dev.address, "web", 4);
    let bad = web.apply(&dev, "second", "no-such-file.py");
    let seen = load.stop();
    assert_eq!(bad.code, 5, "{}", bad.seen());
    assert_eq!(seen.failures, Vec::<String>::new());
    assert_eq!(seen.answers.keys().collect::<Vec<_>>(), ["first"]);
    let why = dev.mezz(&["why", "service/web"]).stdout;
    assert!(
        why.contains("the rollout to generation 2 failed and was taken back")
            && why.contains("Command exited with status 2"),
        "{why}"
    );
    assert_eq!(dev.stop(), Some(0));
}
