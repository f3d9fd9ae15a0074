//! The test framework against a stand-in for a master.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use mezz_testkit::framework::{command_task, framework_info};
use mezz_testkit::{Framework, TempCluster};
use serde_json::Value;

/// Makes one offer, and for each launched task three updates, each after the last was acknowledged.
const MASTER: &str = r"#!/usr/bin/env python3
import http.server, json, queue, sys
out = queue.Queue(); calls = []
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *a): pass
    def update(self, task, state):
        out.put({'type': 'UPDATE', 'update': {'status': {'task_id': task, 'agent_id': {'value': 'S0'}, 'state': state, 'uuid': state}}})
    def do_GET(self):
        body = json.dumps(calls).encode()
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        call = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        calls.append(dict(call, stream=self.headers['Mesos-Stream-Id']))
        if call['type'] == 'SUBSCRIBE':
            self.send_response(200); self.send_header('Transfer-Encoding', 'chunked'); self.send_header('Mesos-Stream-Id', 's1'); self.end_headers()
            out.put({'type': 'SUBSCRIBED', 'subscribed': {'framework_id': {'value': 'F'}}})
            offer = lambda i: {'id': {'value': i}, 'agent_id': {'value': 'S0'}, 'allocation_info': {'role': 'dev'}}
            out.put({'type': 'OFFERS', 'offers': {'offers': [offer('O0'), offer('O1')]}})
            out.put({'type': 'RESCIND', 'rescind': {'offer_id': {'value': 'O1'}}})
            while True:
                b = json.dumps(out.get()).encode(); r = b'%d\n%s' % (len(b), b)
                self.wfile.write(b'%x\r\n%s\r\n' % (len(r), r)); self.wfile.flush()
        if call['type'] == 'ACCEPT':
            for t in call['accept']['operations'][0]['launch']['task_infos']: self.update(t['task_id'], 'TASK_STARTING')
        if call['type'] == 'ACKNOWLEDGE':
            a = call['acknowledge']; next = {'TASK_STARTING': 'TASK_RUNNING', 'TASK_RUNNING': 'TASK_FINISHED'}.get(a['uuid'])
            if next: self.update(a['task_id'], next)
        self.send_response(202 if call['type'] != 'KILL' else 400); self.send_header('Content-Length', '0'); self.end_headers()
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H); s.daemon_threads = True
print('ready http://127.0.0.1:%d' % s.server_port, file=sys.stderr, flush=True)
s.serve_forever()
";

#[test]
fn a_framework_subscribes_launches_and_acknowledges() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("stand-in");
    std::fs::write(&script, MASTER).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut cluster = TempCluster::new(script).unwrap();
    let master = cluster.master(&[]).unwrap();

    let mut framework = Framework::subscribe(&master.client(), &framework_info("test", &["dev"]));
    assert_eq!((framework.id(), framework.stream_id()), ("F", "s1"));
    let offer = framework.next_offer();
    assert_eq!(offer["id"]["value"], "O0");
    framework.launch(&offer, &[command_task(&offer, "t1", "true")]);
    let last = framework.wait_for("t1", "TASK_FINISHED");
    assert_eq!(last["agent_id"]["value"], "S0");
    assert_eq!(
        framework.states_of("t1"),
        ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]
    );
    assert_eq!(framework.call("KILL", None).unwrap().status, 400);

    let calls = master.client().get("/calls").unwrap().json();
    let calls: Vec<&Value> = calls.as_array().unwrap().iter().collect();
    let kinds: Vec<&str> = calls
        .iter()
        .filter_map(|call| call["type"].as_str())
        .collect();
    let expected = [
        "SUBSCRIBE",
        "ACCEPT",
        "ACKNOWLEDGE",
        "ACKNOWLEDGE",
        "ACKNOWLEDGE",
        "KILL",
    ];
    assert_eq!(kinds, expected);
    assert!(
        calls[1..]
            .iter()
            .all(|call| call["stream"] == "s1" && call["framework_id"]["value"] == "F")
    );
}
