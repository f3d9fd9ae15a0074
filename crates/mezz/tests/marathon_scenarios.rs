//! The seven scenarios that Marathon is known by, over its API in a real cluster: an app, an app with a health check, its
//! end, groups with dependencies, another leader, another scale, and pods.

mod support;

use std::time::{Duration, Instant};

use mezz_testkit::{Client, Request};
use serde_json::{Value, json};
use support::dev::{Dev, PATIENCE};

/// A cluster and Marathon's API in it.
struct Marathon {
    dev: Dev,
    client: Client,
}

impl Marathon {
    fn start(work_dir: &str) -> Self {
        let dev = Dev::start(&[work_dir, "--resources=cpus:4;mem:4096;ports:[21000-21999]"]);
        let client = Client::new(dev.address.clone());
        Self { dev, client }
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = Request::new(method, &format!("/service/marathon/v2/{path}"));
        if let Some(body) = body {
            request = request
                .header("Content-Type", "application/json")
                .body(body.to_string().into_bytes());
        }
        let response = self.client.send(&request).expect("an answer");
        let text = response.text();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (response.status, body)
    }

    fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).1
    }

    /// Sends something that begins a deployment, and waits for the deployment's end.
    fn deploy(&self, method: &str, path: &str, body: Option<&Value>) {
        let (status, answer) = self.call(method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        self.until("deployments", |list| list == &json!([]));
    }

    fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let seen = self.get(path);
            if wanted(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {seen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ids of the tasks of an app, with when they started.
    fn tasks(&self, app: &str) -> Vec<(String, String)> {
        let tasks = self.get(&format!("apps/{app}/tasks"));
        let list = tasks["tasks"].as_array().cloned().unwrap_or_default();
        let text = |task: &Value, field: &str| task[field].as_str().unwrap_or_default().to_owned();
        let mut found: Vec<_> = list
            .iter()
            .map(|task| (text(task, "id"), text(task, "startedAt")))
            .collect();
        found.sort();
        found
    }

    fn runs(&self, app: &str, count: u64) {
        self.until(&format!("apps/{app}"), |seen| {
            seen["app"]["tasksRunning"] == count
        });
    }
}

fn app(id: &str) -> Value {
    json!({ "id": id, "cmd": "exec sleep 1000", "cpus": 0.05, "mem": 16, "disk": 0, "instances": 1 })
}

fn an_app_runs_scales_and_ends(marathon: &Marathon) {
    let (status, created) = marathon.call("POST", "apps", Some(&app("/one")));
    assert_eq!((status, &created["id"]), (201, &json!("/one")), "{created}");
    marathon.until("deployments", |list| list == &json!([]));
    marathon.runs("one", 1);
    let first = marathon.tasks("one");
    assert_eq!(first.len(), 1, "{first:?}");

    marathon.deploy("PUT", "apps/one", Some(&json!({ "instances": 3 })));
    marathon.runs("one", 3);
    let three = marathon.tasks("one");
    assert!(three.contains(&first[0]), "{first:?} {three:?}");
    marathon.deploy("PUT", "apps/one", Some(&json!({ "instances": 1 })));
    marathon.until("apps/one/tasks", |seen| {
        seen["tasks"]
            .as_array()
            .is_some_and(|tasks| tasks.len() == 1)
    });

    let (status, gone) = marathon.call("DELETE", "apps/one", None);
    assert_eq!(status, 200, "{gone}");
    marathon.until("tasks", |seen| seen["tasks"] == json!([]));
    assert_eq!(marathon.call("GET", "apps/one", None).0, 404);
}

fn an_app_with_a_health_check_gets_healthy(marathon: &Marathon) {
    let mut checked = app("/basic");
    checked["healthChecks"] = json!([{
        "protocol": "COMMAND", "command": { "value": "true" }, "gracePeriodSeconds": 5,
        "intervalSeconds": 1, "timeoutSeconds": 5, "maxConsecutiveFailures": 3
    }]);
    marathon.deploy("POST", "apps", Some(&checked));
    marathon.until("apps/basic", |seen| seen["app"]["tasksHealthy"] == 1);
}

fn a_group_starts_in_the_order_of_its_dependencies(marathon: &Marathon) {
    let mut web = app("/shop/web");
    web["dependencies"] = json!(["/shop/db"]);
    let group = json!({ "id": "/shop", "apps": [web, app("/shop/db")] });
    marathon.deploy("POST", "groups", Some(&group));
    marathon.runs("shop/db", 1);
    marathon.runs("shop/web", 1);
    let (db, web) = (marathon.tasks("shop/db"), marathon.tasks("shop/web"));
    assert!(db[0].1 <= web[0].1, "{db:?} {web:?}");
}

fn pods_are_refused_in_words(marathon: &Marathon) {
    let pod = json!({ "id": "/pod", "containers": [{
        "name": "c", "exec": { "command": { "shell": "sleep 1000" } },
        "resources": { "cpus": 0.05, "mem": 16 }
    }] });
    let (status, answer) = marathon.call("POST", "pods", Some(&pod));
    assert!((400..=501).contains(&status), "{status} {answer}");
    let words = answer["message"].as_str().unwrap_or_default();
    assert!(words.contains("pod"), "{answer}");
}

#[test]
fn marathon_s_seven_scenarios_come_to_their_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let work_dir = format!("--work-dir={}", folder.path().display());
    let mut marathon = Marathon::start(&work_dir);
    an_app_runs_scales_and_ends(&marathon);
    an_app_with_a_health_check_gets_healthy(&marathon);
    a_group_starts_in_the_order_of_its_dependencies(&marathon);
    pods_are_refused_in_words(&marathon);

    // Another leader: what runs goes on, and what is asked is done.
    let names = ["basic", "shop/db", "shop/web"];
    let tasks = |marathon: &Marathon| names.map(|app| marathon.tasks(app));
    let before = tasks(&marathon);
    marathon.dev.kill();
    let marathon = Marathon::start(&work_dir);
    for app in names {
        marathon.runs(app, 1);
    }
    assert_eq!(tasks(&marathon), before);
    marathon.until("apps/basic", |seen| seen["app"]["tasksHealthy"] == 1);
    marathon.deploy("DELETE", "groups/shop", None);
    marathon.until("apps/basic/tasks", |seen| {
        seen["tasks"]
            .as_array()
            .is_some_and(|tasks| tasks.len() == 1)
    });
    assert_eq!(marathon.call("GET", "apps/shop/web", None).0, 404);
    assert_eq!(marathon.dev.stop(), Some(0));
}
