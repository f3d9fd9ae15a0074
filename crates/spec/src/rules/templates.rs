//! Pod templates: containers, files, ports, checks.

use std::collections::BTreeMap;

use super::{Faults, checks, counted, texts};
use crate::fault::below;
use crate::quantity::{Size, Span};
use crate::template::{
    Artifact, Command, Container, EnvValue, Limit, MaterialFile, PreStop, Protocol, Resources,
    Template,
};

const MAX_PORTS: usize = 100;
/// Files shrink by whole blocks, and there are two of them.
const LEAST_LOG: Size = Size(8);
/// What the agent fetches; the check of a scheme is the same as there.
const SCHEMES: [&str; 3] = ["http", "https", "file"];

/// Whether what runs is asked if it is ready.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    Asked,
    Meaningless,
}

pub(super) fn check(template: &Template, path: &str, readiness: Readiness, out: &mut Faults) {
    let list = below(path, "containers");
    match template.containers.as_slice() {
        [] => out.tell(
            &list,
            "a template needs a container",
            "write containers: [{command: …}]",
        ),
        [_] => {}
        [_, ..] => {
            let what = "pods (several containers in a template) are";
            out.missing(below(&list, 1), what, "write one container");
        }
    }
    for (index, container) in template.containers.iter().enumerate() {
        let path = below(&list, index);
        self::container(container, &path, out);
        if readiness == Readiness::Meaningless && container.checks.ready.is_some() {
            let path = format!("{path}/checks/ready");
            out.tell(
                path,
                "a job is not asked whether it is ready",
                "leave it out",
            );
        }
    }
    if template.user.as_deref() == Some("") {
        out.tell(
            below(path, "user"),
            "the user is empty",
            "name a user, or leave it out",
        );
    }
}

fn container(container: &Container, path: &str, out: &mut Faults) {
    if !is_word(&container.name) {
        let message = "a container's name is of letters, digits, '-' and '_', at most 63";
        out.tell(below(path, "name"), message, "name it like main");
    }
    let image = container.image.as_deref();
    if image.is_some_and(|image| image.is_empty() || image.contains(char::is_whitespace)) {
        let message = "the image is empty or has spaces in it";
        out.tell(below(path, "image"), message, "name it like busybox:1.36");
    }
    match &container.command {
        Some(command) => self::command(command, &below(path, "command"), out),
        // An image says itself what runs.
        None if image.is_some() => {}
        None => out.tell(path, "the field 'command' is missing", "write what runs"),
    }
    for (name, value) in &container.env {
        let text = match value {
            EnvValue::Text(text) => Some(text.as_str()),
            EnvValue::From(_) => None,
        };
        texts::variable(name, text, &below(path, "env"), out);
    }
    files(&container.files, &container.artifacts, path, out);
    resources(&container.resources, &below(path, "resources"), out);
    ports(container, &below(path, "ports"), out);
    checks::check(container, &below(path, "checks"), out);
    if let Some(stop) = &container.pre_stop {
        let path = below(path, "pre_stop");
        pre_stop(stop, container, &path, out);
    }
    let size = container.logs.as_ref().and_then(|logs| logs.max_size);
    if size.is_some_and(|size| size < LEAST_LOG) {
        let path = format!("{path}/logs/max_size");
        out.tell(
            path,
            "an agent cannot keep less than 8KiB of a stream",
            "write 8KiB or more, or leave it out to keep what the agent's flags say",
        );
    }
}

fn pre_stop(stop: &PreStop, container: &Container, path: &str, out: &mut Faults) {
    match (&stop.command, &stop.http) {
        (Some(own), None) => command(own, &below(path, "command"), out),
        (None, Some(http)) => {
            let path = below(path, "http");
            checks::port_of_probe(&http.port, container, &below(&path, "port"), out);
            url_path(&http.path, &below(&path, "path"), out);
        }
        _ => out.tell(
            path,
            "what is done before the end is exactly one of command and http",
            "keep one of them",
        ),
    }
    positive(stop.timeout, &below(path, "timeout"), out);
}

pub(super) fn url_path(text: &str, path: &str, out: &mut Faults) {
    if !text.starts_with('/') || text.contains(char::is_whitespace) {
        let message = format!("'{text}' is no path of a URL");
        out.tell(path, message, "begin it with a slash");
    }
}

/// A name of letters, digits, `-` and `_`.
pub(super) fn is_word(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&name.len()) && name.bytes().all(good)
}

pub(super) fn positive(span: Span, path: &str, out: &mut Faults) {
    if span.0 == 0 {
        out.tell(
            path,
            "the span must be more than 0",
            "write something like 30s",
        );
    }
}

pub(super) fn command(command: &Command, path: &str, out: &mut Faults) {
    match command {
        Command::Shell(text) if text.trim().is_empty() => {
            out.tell(path, "the command is empty", "write what runs");
        }
        Command::Words(words) if words.first().is_none_or(String::is_empty) => {
            out.tell(
                path,
                "the command has no program",
                "write the program first",
            );
        }
        Command::Shell(text) if text.contains('\0') => {
            out.tell(path, "a command cannot hold NUL", "remove it");
        }
        Command::Words(words) if words.iter().any(|word| word.contains('\0')) => {
            out.tell(path, "a command cannot hold NUL", "remove it");
        }
        _ => {}
    }
}

fn files(files: &[MaterialFile], artifacts: &[Artifact], path: &str, out: &mut Faults) {
    let mut taken = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        let path = format!("{path}/files/{index}/path");
        sandbox_path(&file.path, &path, out);
        if let Some(other) = taken.insert(file.path.as_str(), path.clone()) {
            out.tell(
                path,
                format!("'{}' is written by {other}, too", file.path),
                "choose another name",
            );
        }
    }
    for (index, artifact) in artifacts.iter().enumerate() {
        let root = format!("{path}/artifacts/{index}");
        self::artifact(artifact, &root, out);
        let path = below(&root, "path");
        if let Some(name) = &artifact.path {
            sandbox_path(name, &path, out);
            if let Some(other) = taken.insert(name, path.clone()) {
                out.tell(
                    path,
                    format!("'{name}' is written by {other}, too"),
                    "choose another name",
                );
            }
        }
    }
}

fn sandbox_path(text: &str, path: &str, out: &mut Faults) {
    let is_inside = !text.is_empty()
        && !text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains('\0')
        && text
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    if !is_inside {
        let message = format!("'{text}' is no path within the sandbox");
        out.tell(path, message, "write a relative path such as conf/app.conf");
    }
}

fn artifact(artifact: &Artifact, path: &str, out: &mut Faults) {
    let uri = artifact.uri.as_str();
    let scheme = uri
        .split_once("://")
        .map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let path = below(path, "uri");
    match scheme {
        None if uri.starts_with('/') => {}
        Some((scheme, rest)) if SCHEMES.contains(&scheme.as_str()) && !rest.is_empty() => {}
        Some((scheme, _)) if !SCHEMES.contains(&scheme.as_str()) => {
            let what = format!("fetching from {scheme} is");
            out.missing(
                path,
                &what,
                "use http, https, file, or a path of the agent's host",
            );
        }
        _ => {
            let message = format!("'{uri}' is no URI");
            out.tell(
                path,
                message,
                "write http://…, https://…, file://… or a path of the agent's host",
            );
        }
    }
}

fn resources(resources: &Resources, path: &str, out: &mut Faults) {
    if resources.cpus.0 == 0 && resources.mem.0 == 0 {
        out.tell(
            path,
            "cpus and mem are both 0",
            "ask for something, such as cpus: 0.1",
        );
    }
    let Some(limits) = &resources.limits else {
        return;
    };
    if let Some(Limit::Amount(cpus)) = limits.cpus
        && cpus < resources.cpus
    {
        let path = format!("{path}/limits/cpus");
        out.tell(
            path,
            "the limit is less than the request",
            "raise it, or lower cpus",
        );
    }
    if let Some(Limit::Amount(mem)) = limits.mem
        && mem < resources.mem
    {
        let path = format!("{path}/limits/mem");
        out.tell(
            path,
            "the limit is less than the request",
            "raise it, or lower mem",
        );
    }
}

fn ports(container: &Container, path: &str, out: &mut Faults) {
    let ports = &container.ports;
    if ports.len() > MAX_PORTS {
        let message = format!("{}; {MAX_PORTS} are allowed", counted(ports.len(), "port"));
        out.tell(path, message, "remove some");
    }
    let mut variables = BTreeMap::new();
    let mut service_ports = BTreeMap::new();
    for (index, port) in ports.iter().enumerate() {
        let path = below(path, index);
        if !is_word(&port.name) {
            let message = "a port's name is of letters, digits, '-' and '_', at most 63";
            out.tell(below(&path, "name"), message, "name it like http");
        }
        let variable = port.name.to_uppercase().replace('-', "_");
        if let Some(other) = variables.insert(variable, port.name.as_str()) {
            let message = if other == port.name {
                format!("the port '{other}' stands twice")
            } else {
                format!("'{}' and '{other}' would be one variable", port.name)
            };
            out.tell(below(&path, "name"), message, "choose another name");
        }
        if port.host_port == Some(0) {
            let hint = "leave it out to have one picked";
            out.tell(below(&path, "host_port"), "0 is no port", hint);
        }
        let clash = ports[..index].iter().find(|other| {
            other.host_port.is_some_and(|number| number > 0)
                && other.host_port == port.host_port
                && overlap(other.protocol, port.protocol)
        });
        if let Some(other) = clash {
            let message = format!("the port '{}' has the same number", other.name);
            out.tell(below(&path, "host_port"), message, "choose another number");
        }
        if port.container_port.is_some() {
            let hint =
                "leave it out: the program listens on the port of the host that PORT_<NAME> tells";
            out.missing(
                below(&path, "container_port"),
                "container networks are",
                hint,
            );
        }
        if port.service_port == Some(0) {
            out.tell(
                below(&path, "service_port"),
                "0 is no port",
                "write one from 1 to 65535",
            );
        } else if let Some(number) = port.service_port
            && let Some(other) = service_ports.insert(number, port.name.as_str())
        {
            let message = format!("the port '{other}' has the same number");
            out.tell(
                below(&path, "service_port"),
                message,
                "choose another number",
            );
        }
        texts::labels(&port.labels, &below(&path, "labels"), out);
    }
}

fn overlap(one: Protocol, other: Protocol) -> bool {
    one == other || one == Protocol::TcpUdp || other == Protocol::TcpUdp
}
