//! Health, readiness and reported checks of an app. All are run by the agent: HTTP and TCP ones see the task from its own
//! host, which is where it serves.

use mezz_spec::template::{
    Check, CheckList, Checks, Command, HttpProbe, Port, PortRef, Scheme, TcpProbe,
};

use super::template::seconds;
use crate::reading::Members;

pub(super) fn read(members: &Members<'_>, ports: &[Port]) -> Checks {
    let health = members.objects("healthChecks").unwrap_or_default();
    let health = health.iter().map(|check| self::health(check, ports));
    let ready = members.objects("readinessChecks").unwrap_or_default();
    let ready = ready.iter().filter_map(|check| readiness(check, ports));
    let report = members
        .object("check")
        .and_then(|check| reported(&check, ports));
    Checks {
        health: list(health.collect()),
        ready: list(ready.collect()),
        report,
    }
}

fn list(checks: Vec<Check>) -> Option<CheckList> {
    (!checks.is_empty()).then(|| checks.into())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Http(Scheme),
    Tcp,
    Command,
}

/// How a check asks, and whether the first failure counts when zero are allowed.
const HEALTH: [(&str, (By, bool)); 7] = [
    ("HTTP", (By::Http(Scheme::Http), false)),
    ("HTTPS", (By::Http(Scheme::Https), false)),
    ("TCP", (By::Tcp, false)),
    ("COMMAND", (By::Command, true)),
    ("MESOS_HTTP", (By::Http(Scheme::Http), true)),
    ("MESOS_HTTPS", (By::Http(Scheme::Https), true)),
    ("MESOS_TCP", (By::Tcp, true)),
];

fn health(members: &Members<'_>, ports: &[Port]) -> Check {
    let (by, strict) = members
        .word("protocol", &HEALTH)
        .unwrap_or((By::Http(Scheme::Http), false));
    let allowed = members
        .whole("maxConsecutiveFailures", 1_000_000)
        .unwrap_or(3);
    let failures = if allowed == 0 && strict { 1 } else { allowed };
    let mut check = Check {
        interval: seconds(members.number("intervalSeconds").unwrap_or(60.0)),
        timeout: seconds(members.number("timeoutSeconds").unwrap_or(20.0)),
        delay: seconds(members.number("delaySeconds").unwrap_or(15.0)),
        grace: seconds(members.number("gracePeriodSeconds").unwrap_or(300.0)),
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        ..blank()
    };
    ask(members, by, ports, &mut check);
    // How 1xx is taken makes no difference to a probe that waits for the final answer.
    members.pass(&["ignoreHttp1xx", "path", "port", "portIndex", "command"]);
    if members
        .text("ipProtocol")
        .is_some_and(|text| text != "IPv4")
    {
        members.tell(
            "ipProtocol",
            "checks over IPv6 are not built yet; write IPv4",
        );
    }
    members.finish();
    check
}

fn blank() -> Check {
    Check {
        http: None,
        tcp: None,
        command: None,
        interval: seconds(60.0),
        timeout: seconds(20.0),
        delay: seconds(0.0),
        grace: seconds(0.0),
        failures: 0,
    }
}

fn ask(members: &Members<'_>, by: By, ports: &[Port], check: &mut Check) {
    match by {
        By::Http(scheme) => {
            check.http = port_of(members, ports).map(|port| HttpProbe {
                port,
                path: members.text("path").unwrap_or("/").to_owned(),
                scheme,
                statuses: Vec::new(),
            });
        }
        By::Tcp => check.tcp = port_of(members, ports).map(|port| TcpProbe { port }),
        By::Command => {
            let value = members
                .object("command")
                .and_then(|command| command.text("value").map(str::to_owned));
            match value {
                Some(value) => check.command = Some(Command::Shell(value)),
                None => members.tell("command", "a COMMAND check needs command: {value: …}"),
            }
        }
    }
}

/// By number, by index, or the first.
fn port_of(members: &Members<'_>, ports: &[Port]) -> Option<PortRef> {
    if let Some(number) = members.whole("port", 65_535).filter(|number| *number > 0) {
        return u16::try_from(number).ok().map(PortRef::Number);
    }
    let index = members.whole("portIndex", 65_535).unwrap_or(0);
    let port = usize::try_from(index)
        .ok()
        .and_then(|index| ports.get(index));
    if port.is_none() {
        members.tell("portIndex", format!("the app has no port {index}"));
    }
    port.map(|port| PortRef::Name(port.name.clone()))
}

fn readiness(members: &Members<'_>, ports: &[Port]) -> Option<Check> {
    let scheme = members
        .word(
            "protocol",
            &[("HTTP", Scheme::Http), ("HTTPS", Scheme::Https)],
        )
        .unwrap_or_default();
    let name = members.text("portName").unwrap_or("http-api");
    if !ports.iter().any(|port| port.name == name) {
        members.tell("portName", format!("the app has no port '{name}'"));
        return None;
    }
    let statuses = members.list("httpStatusCodesForReady").unwrap_or_default();
    let statuses: Vec<u16> = statuses
        .iter()
        .filter_map(super::template::port_number)
        .collect();
    let check = Check {
        http: Some(HttpProbe {
            port: PortRef::Name(name.to_owned()),
            path: members.text("path").unwrap_or("/").to_owned(),
            scheme,
            statuses: if statuses.is_empty() {
                vec![200]
            } else {
                statuses
            },
        }),
        interval: seconds(members.number("intervalSeconds").unwrap_or(30.0)),
        timeout: seconds(members.number("timeoutSeconds").unwrap_or(10.0)),
        ..blank()
    };
    // The last answer is always kept.
    members.pass(&["name", "preserveLastResponse"]);
    members.finish();
    Some(check)
}

/// A check whose result is only shown.
fn reported(members: &Members<'_>, ports: &[Port]) -> Option<Check> {
    let mut check = Check {
        interval: seconds(members.number("intervalSeconds").unwrap_or(60.0)),
        timeout: seconds(members.number("timeoutSeconds").unwrap_or(20.0)),
        delay: seconds(members.number("delaySeconds").unwrap_or(15.0)),
        ..blank()
    };
    if let Some(http) = members.object("http") {
        let scheme = http
            .word("scheme", &[("http", Scheme::Http), ("HTTP", Scheme::Http)])
            .unwrap_or_default();
        ask(&http, By::Http(scheme), ports, &mut check);
        http.finish();
    } else if let Some(tcp) = members.object("tcp") {
        ask(&tcp, By::Tcp, ports, &mut check);
        tcp.finish();
    } else if let Some(exec) = members.object("exec") {
        ask(&exec, By::Command, ports, &mut check);
        exec.finish();
    } else {
        members.tell("http", "a check needs http, tcp or exec");
        return None;
    }
    members.finish();
    Some(check)
}
