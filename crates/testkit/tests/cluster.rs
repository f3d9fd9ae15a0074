//! The cluster and the client against a stand-in for the binary: a script that serves canned answers.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use mezz_testkit::{DaemonError, Request, TempCluster};
use rustix::process::Signal;
use serde_json::json;

/// Writes an executable script; without python3 the tests have nothing to talk to.
fn stand_in(folder: &std::path::Path, body: &str) -> PathBuf {
    let path = folder.join("stand-in");
    std::fs::write(&path, format!("#!/usr/bin/env python3\n{body}")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const SERVER: &str = r#"
import http.server, json, sys, time
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *a): pass
    def do_GET(self):
        body = json.dumps({'path': self.path, 'argv': sys.argv[1:]}).encode()
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        sent = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200); self.send_header('Transfer-Encoding', 'chunked'); self.send_header('Mesos-Stream-Id', 's'); self.end_headers()
        stream = b''.join(b'%d\n%s' % (len(r), r) for r in (sent, b'{"type":"HEARTBEAT"}'))
        for at in range(0, len(stream), 7):
            piece = stream[at:at + 7]
            self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
        self.wfile.write(b'0\r\n\r\n')
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
print('starting', file=sys.stderr, flush=True)
print('ready http://127.0.0.1:%d' % s.server_port, file=sys.stderr, flush=True)
s.serve_forever()
"#;

#[test]
fn a_daemon_is_started_asked_and_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = TempCluster::new(stand_in(folder.path(), SERVER)).unwrap();
    let daemon = cluster.master(&["--quorum=1"]).unwrap();
    let answer = daemon.client().get("/health").unwrap();
    assert_eq!(
        (answer.status, answer.json()["path"].as_str()),
        (200, Some("/health"))
    );
    let argv = answer.json()["argv"].to_string();
    assert!(
        argv.contains(r#""master","--port","0","--work-dir="#) && argv.contains("--quorum=1"),
        "{argv}"
    );
    assert!(daemon.lines().contains(&"starting".to_owned()));
    assert!(cluster.processes().contains(&daemon.pid()));
    daemon.kill_9();
    assert!(cluster.processes().is_empty());
}

#[test]
fn a_stream_is_read_record_by_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = TempCluster::new(stand_in(folder.path(), SERVER)).unwrap();
    let daemon = cluster.dev(&[]).unwrap();
    let call = json!({"type": "SUBSCRIBE"});
    let mut stream = daemon
        .client()
        .open(&Request::json("/api/v1/scheduler", &call))
        .unwrap();
    assert_eq!(
        (stream.status, stream.header("mesos-stream-id")),
        (200, Some("s"))
    );
    assert_eq!(stream.next_json().unwrap(), Some(call));
    let beat = stream
        .next_json_where(|event| event["type"] == "HEARTBEAT")
        .unwrap();
    assert!(beat.is_some());
    assert_eq!(stream.next_json().unwrap(), None);
    let status = daemon.stop(Signal::TERM);
    assert!(!status.success());
}

#[test]
fn dropping_a_cluster_ends_what_its_daemons_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let leave = SERVER.replace(
        "s.serve_forever()",
        "import subprocess; subprocess.Popen(['setsid', 'sleep', '1000'])\ns.serve_forever()",
    );
    let mut cluster = TempCluster::new(stand_in(folder.path(), &leave)).unwrap();
    let daemon = cluster.dev(&[]).unwrap();
    let others = mezz_testkit::wait::eventually("the left process", || {
        let all: Vec<u32> = cluster
            .processes()
            .into_iter()
            .filter(|pid| *pid != daemon.pid())
            .collect();
        (!all.is_empty()).then_some(all)
    });
    daemon.kill_9();
    assert!(
        others
            .iter()
            .any(|pid| mezz_testkit::processes::is_running(*pid))
    );
    drop(cluster);
    assert!(
        !others
            .iter()
            .any(|pid| mezz_testkit::processes::is_running(*pid))
    );
}

#[test]
fn a_daemon_that_ends_early_shows_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let script = "import sys; print('no such flag', file=sys.stderr); sys.exit(2)";
    let mut cluster = TempCluster::new(stand_in(folder.path(), script)).unwrap();
    let error = cluster.start("master", &["--port=7"]).unwrap_err();
    assert!(
        matches!(&error, DaemonError::NotReady { tail, .. } if tail.contains("no such flag")),
        "{error}"
    );
    let missing = TempCluster::new("/nowhere/mezz")
        .unwrap()
        .dev(&[])
        .unwrap_err();
    assert!(missing.to_string().contains("/nowhere/mezz"), "{missing}");
}
