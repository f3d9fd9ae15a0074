//! Checks: how many, what each asks, and of which port.

use super::{Faults, templates};
use crate::fault::below;
use crate::template::{Check, Container, PortRef, Protocol};

/// The most checks of one purpose.
const MAX_CHECKS: usize = 32;

pub(super) fn check(container: &Container, path: &str, out: &mut Faults) {
    let checks = &container.checks;
    for (word, list) in [("health", &checks.health), ("ready", &checks.ready)] {
        if let Some(list) = list {
            self::list(list.as_slice(), container, &below(path, word), out);
        }
    }
    if let Some(report) = &checks.report {
        probe(report, container, &below(path, "report"), out);
    }
}

fn list(list: &[Check], container: &Container, path: &str, out: &mut Faults) {
    match list {
        [] => out.tell(path, "the list has no check", "write one, or leave it out"),
        [one] => probe(one, container, path, out),
        more => {
            if more.len() > MAX_CHECKS {
                let message = format!("{} checks; {MAX_CHECKS} are allowed", more.len());
                out.tell(path, message, "let one command check several things");
            }
            for (index, one) in more.iter().enumerate() {
                probe(one, container, &below(path, index), out);
            }
        }
    }
}

fn probe(check: &Check, container: &Container, path: &str, out: &mut Faults) {
    let count = [
        check.http.is_some(),
        check.tcp.is_some(),
        check.command.is_some(),
    ];
    let count = count.into_iter().filter(|is_there| *is_there).count();
    if count != 1 {
        let message = format!("a check has exactly one of http, tcp and command, not {count}");
        out.tell(path, message, "keep one of them");
    }
    templates::positive(check.interval, &below(path, "interval"), out);
    templates::positive(check.timeout, &below(path, "timeout"), out);
    if let Some(http) = &check.http {
        let path = below(path, "http");
        port_of_probe(&http.port, container, &below(&path, "port"), out);
        templates::url_path(&http.path, &below(&path, "path"), out);
        for (index, status) in http.statuses.iter().enumerate() {
            if !(100..=599).contains(status) {
                let path = format!("{path}/statuses/{index}");
                out.tell(
                    path,
                    format!("{status} is no status of HTTP"),
                    "write one from 100 to 599",
                );
            }
        }
    }
    if let Some(tcp) = &check.tcp {
        port_of_probe(&tcp.port, container, &format!("{path}/tcp/port"), out);
    }
    if let Some(command) = &check.command {
        templates::command(command, &below(path, "command"), out);
    }
}

pub(super) fn port_of_probe(port: &PortRef, container: &Container, path: &str, out: &mut Faults) {
    match port {
        PortRef::Number(0) => out.tell(path, "0 is no port", "write one from 1 to 65535"),
        PortRef::Number(_) => {}
        PortRef::Name(name) => {
            let known = container.ports.iter().find(|port| port.name == *name);
            match known {
                None if container.ports.is_empty() => {
                    let message = format!("there is no port '{name}'");
                    out.tell(
                        path,
                        message,
                        "write it under ports, or write a number here",
                    );
                }
                None => {
                    let names: Vec<&str> = container
                        .ports
                        .iter()
                        .map(|port| port.name.as_str())
                        .collect();
                    let message = format!("there is no port '{name}'");
                    out.tell(path, message, format!("the ports are {}", names.join(", ")));
                }
                Some(port) if port.protocol == Protocol::Udp => {
                    let message = format!("the port '{name}' is UDP only");
                    out.tell(path, message, "name a TCP port, or use a command");
                }
                Some(_) => {}
            }
        }
    }
}
