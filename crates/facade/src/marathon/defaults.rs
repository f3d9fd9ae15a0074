//! What Marathon writes into the lists of an app where nothing was given: by its RAML types a member with a default is always
//! answered, and clients such as marathon-lb read it without asking whether it is there.

use serde_json::{Map, Value, json};

/// Completes the entries of the lists of an app.
pub(super) fn complete(app: &mut Map<String, Value>) {
    each(app, "healthChecks", health_check);
    each(app, "portDefinitions", |port| {
        fill(port, &[("port", json!(0)), ("protocol", json!("tcp"))]);
    });
    each(app, "fetch", |artifact| {
        let no = || json!(false);
        fill(
            artifact,
            &[
                ("extract", json!(true)),
                ("executable", no()),
                ("cache", no()),
            ],
        );
    });
    each(app, "readinessChecks", |check| {
        fill(
            check,
            &[
                ("name", json!("readinessCheck")),
                ("protocol", json!("HTTP")),
                ("path", json!("/")),
                ("portName", json!("http-api")),
                ("intervalSeconds", json!(30)),
                ("timeoutSeconds", json!(10)),
                ("preserveLastResponse", json!(false)),
            ],
        );
    });
}

fn health_check(check: &mut Map<String, Value>) {
    fill(
        check,
        &[
            ("protocol", json!("HTTP")),
            ("ipProtocol", json!("IPv4")),
            ("gracePeriodSeconds", json!(300)),
            ("intervalSeconds", json!(60)),
            ("maxConsecutiveFailures", json!(3)),
            ("timeoutSeconds", json!(20)),
            ("delaySeconds", json!(15)),
        ],
    );
    let is_command = check["protocol"] == "COMMAND";
    if !is_command && !check.contains_key("port") {
        fill(check, &[("portIndex", json!(0))]);
    }
}

fn each(app: &mut Map<String, Value>, key: &str, change: impl Fn(&mut Map<String, Value>)) {
    let list = app.get_mut(key).and_then(Value::as_array_mut);
    for entry in list.into_iter().flatten() {
        if let Value::Object(entry) = entry {
            change(entry);
        }
    }
}

fn fill(entry: &mut Map<String, Value>, defaults: &[(&str, Value)]) {
    for (key, value) in defaults {
        entry.entry(*key).or_insert_with(|| value.clone());
    }
}
