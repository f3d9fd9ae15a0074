//! Probes as checks.

use serde_json::{Value, json};

use crate::fields::{Fields, text_of};
use crate::notes::Notes;

/// A check from a probe; none when its way of asking has no meaning here.
pub(super) fn check(mut probe: Fields<'_>, notes: &mut Notes) -> Option<Value> {
    let mut ours = json!({
        "delay": span(probe.number("initialDelaySeconds").unwrap_or(0)),
        "interval": span(probe.number("periodSeconds").unwrap_or(10)),
        "timeout": span(probe.number("timeoutSeconds").unwrap_or(1)),
        "failures": probe.number("failureThreshold").unwrap_or(3),
        "grace": "0s",
    });
    let mut is_there = true;
    if let Some(mut http) = probe.inner("httpGet") {
        let mut get = json!({ "port": http.take("port").cloned().unwrap_or_default() });
        if let Some(path) = http.text("path") {
            get["path"] = if path.starts_with('/') {
                path
            } else {
                format!("/{path}")
            }
            .into();
        }
        if let Some(scheme) = http.text("scheme") {
            get["scheme"] = scheme.to_lowercase().into();
        }
        http.refuse(
            &["host", "httpHeaders"],
            "the instance itself is asked, without headers of one's own",
            notes,
        );
        http.finish(notes);
        ours["http"] = get;
    } else if let Some(mut tcp) = probe.inner("tcpSocket") {
        ours["tcp"] = json!({ "port": tcp.take("port").cloned().unwrap_or_default() });
        tcp.refuse(&["host"], "the instance itself is asked", notes);
        tcp.finish(notes);
    } else if let Some(mut exec) = probe.inner("exec") {
        ours["command"] = exec.list("command").iter().map(text_of).collect();
        exec.finish(notes);
    } else {
        is_there = false;
        let why = "a check asks by HTTP, TCP or a command";
        notes.drop(probe.path(""), why);
        probe.ignore(&["grpc"]);
    }
    probe.refuse(&["successThreshold"], "one success is enough", notes);
    probe.refuse(
        &["terminationGracePeriodSeconds"],
        "there is one grace period, that of the template",
        notes,
    );
    probe.finish(notes);
    is_there.then_some(ours)
}

/// How long a start-up probe gives the program, in seconds.
pub(super) fn patience(mut probe: Fields<'_>, notes: &mut Notes) -> u64 {
    let delay = probe.number("initialDelaySeconds").unwrap_or(0);
    let period = probe.number("periodSeconds").unwrap_or(10);
    let failures = probe.number("failureThreshold").unwrap_or(3);
    probe.ignore(&[
        "httpGet",
        "tcpSocket",
        "exec",
        "timeoutSeconds",
        "successThreshold",
    ]);
    probe.finish(notes);
    delay.saturating_add(period.saturating_mul(failures))
}

pub(super) fn span(seconds: u64) -> Value {
    format!("{seconds}s").into()
}
