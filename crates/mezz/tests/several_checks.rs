//! An app of Marathon with several health checks and several readiness checks, with real processes.

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mezz_testkit::{Client, Request};
use serde_json::{Value, json};
use support::dev::{Dev, PATIENCE};

/// A server on the loopback that is well or not.
struct Website {
    port: u16,
    is_well: Arc<AtomicBool>,
}

impl Website {
    fn new(is_well: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let is_well = Arc::new(AtomicBool::new(is_well));
        let says = Arc::clone(&is_well);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines();
                while lines
                    .next()
                    .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
                {}
                let status = if says.load(Ordering::Relaxed) {
                    200
                } else {
                    503
                };
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        Self { port, is_well }
    }

    fn is_well(&self, is_well: bool) {
        self.is_well.store(is_well, Ordering::Relaxed);
    }
}

fn call(dev: &Dev, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let mut request = Request::new(method, &format!("/service/marathon/v2/{path}"));
    if let Some(body) = body {
        request = request
            .header("Content-Type", "application/json")
            .body(body.to_string().into_bytes());
    }
    let response = Client::new(dev.address.clone())
        .send(&request)
        .expect("an answer");
    let text = response.text();
    (
        response.status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

fn until(dev: &Dev, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let (_, seen) = call(dev, "GET", path, None);
        if wanted(&seen) {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "{path}: {seen}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether each health check of the first task is alive.
fn alive(seen: &Value) -> Vec<bool> {
    let results = seen["tasks"][0]["healthCheckResults"].as_array();
    let alive = |result: &Value| result["alive"] == true;
    results.into_iter().flatten().map(alive).collect()
}

#[test]
fn all_health_checks_of_an_app_are_run_and_each_of_them_can_end_its_task() {
    let dev = Dev::start(&["--resources=cpus:2;mem:1024;ports:[22000-22099]"]);
    let site = Website::new(true);
    let check = |more: Value| {
        let mut check = json!({
            "gracePeriodSeconds": 0, "intervalSeconds": 0.1, "timeoutSeconds": 20, "delaySeconds": 0,
            "maxConsecutiveFailures": 20,
        });
        let all = check.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        check
    };
    let app = json!({
        "id": "/web", "cmd": "touch fine; exec sleep 1000", "cpus": 0.1, "mem": 16,
        "healthChecks": [
            check(json!({ "protocol": "COMMAND", "command": { "value": "test -e fine" } })),
            check(json!({ "protocol": "MESOS_HTTP", "port": site.port, "path": "/" })),
            check(json!({ "protocol": "TCP", "port": site.port })),
        ],
    });
    let (status, answer) = call(&dev, "POST", "apps", Some(&app));
    assert_eq!(status, 201, "{answer}");
    until(&dev, "apps/web", |seen| seen["app"]["tasksHealthy"] == 1);
    let seen = until(&dev, "apps/web/tasks", |seen| alive(seen).len() == 3);
    assert_eq!(alive(&seen), [true; 3], "{seen}");
    let first = seen["tasks"][0]["id"].clone();

    site.is_well(false);
    let seen = until(&dev, "apps/web/tasks", |seen| alive(seen).contains(&false));
    assert_eq!(alive(&seen), [true, false, true], "{seen}");
    until(&dev, "apps/web/tasks", |seen| {
        let tasks = seen["tasks"].as_array().cloned().unwrap_or_default();
        !tasks.is_empty() && tasks.iter().all(|task| task["id"] != first)
    });
    site.is_well(true);
    until(&dev, "apps/web", |seen| seen["app"]["tasksHealthy"] == 1);
}

#[test]
fn a_deployment_waits_until_all_readiness_checks_of_its_tasks_pass() {
    let sites = [Website::new(true), Website::new(false)];
    let ready = |name: &str| json!({ "name": name, "portName": name, "intervalSeconds": 0.1 });
    // What is asked serves at these ports although the task itself does not.
    let app = json!({
        "id": "/web", "cmd": "exec sleep 1000", "cpus": 0.1, "mem": 16, "requirePorts": true,
        "portDefinitions": [
            { "name": "a", "port": sites[0].port }, { "name": "b", "port": sites[1].port },
        ],
        "readinessChecks": [ready("a"), ready("b")],
    });
    let range = sites.iter().map(|site| format!("{0}-{0}", site.port));
    let range: Vec<String> = range.collect();
    let resources = format!("--resources=cpus:2;mem:1024;ports:[{}]", range.join(","));
    let dev = Dev::start(&[&resources]);
    let (status, answer) = call(&dev, "POST", "apps", Some(&app));
    assert_eq!(status, 201, "{answer}");
    let path = "apps/web?embed=app.readiness";
    let results = |seen: &Value| seen["app"]["readinessCheckResults"].clone();
    let seen = until(&dev, path, |seen| {
        results(seen)[1]["lastResponse"]["status"] == 503 && results(seen)[0]["ready"] == true
    });
    assert_eq!(results(&seen)[1]["ready"], false, "{seen}");
    assert_ne!(seen["app"]["deployments"], json!([]), "{seen}");
    sites[1].is_well(true);
    until(&dev, path, |seen| seen["app"]["deployments"] == json!([]));
}
