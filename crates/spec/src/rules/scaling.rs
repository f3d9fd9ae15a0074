//! Metrics that a service is scaled by: whether they can be measured of its instances.

use super::Faults;
use crate::fault::below;
use crate::service::{Gauge, Metric, MetricSource};
use crate::template::{Port, Protocol, Template};

pub(super) fn metric(metric: &Metric, template: &Template, path: &str, out: &mut Faults) {
    if metric.target.0 == 0 {
        out.tell(
            below(path, "target"),
            "the target must be more than 0",
            "write what is wanted of each instance",
        );
    }
    let mut ports = template.containers.iter().flat_map(|own| &own.ports);
    match &metric.of {
        MetricSource::Cpu | MetricSource::Memory => {}
        MetricSource::RequestsInFlight => {
            if !ports.any(is_tcp) {
                out.tell(
                    below(path, "of"),
                    "requests in flight are counted at the TCP ports of an instance, and it has none",
                    "write ports: [{name: http}] in the container",
                );
            }
        }
        MetricSource::Gauge(own) => gauge(own, ports, &format!("{path}/of/gauge"), out),
        MetricSource::Url(url) => {
            let rest = url
                .strip_prefix("http://")
                .or_else(|| url.strip_prefix("https://"));
            if rest.is_none_or(str::is_empty) || url.contains(char::is_whitespace) {
                let message = format!("'{url}' is no URL of HTTP");
                out.tell(
                    format!("{path}/of/url"),
                    message,
                    "write http://… or https://…",
                );
            }
        }
    }
}

const fn is_tcp(port: &Port) -> bool {
    !matches!(port.protocol, Protocol::Udp)
}

fn gauge<'a>(own: &Gauge, mut ports: impl Iterator<Item = &'a Port>, path: &str, out: &mut Faults) {
    let wanted = own.port.as_deref();
    let is_wanted = |port: &Port| is_tcp(port) && wanted.is_none_or(|name| name == port.name);
    if !ports.any(is_wanted) {
        let message = wanted.map_or_else(
            || "the container has no TCP port that could answer".to_owned(),
            |name| format!("the container has no TCP port '{name}'"),
        );
        out.tell(
            below(path, "port"),
            message,
            "write the name of one of the container's ports",
        );
    }
    let is_path = own.path.starts_with('/') && !own.path.contains(char::is_whitespace);
    if !is_path || own.path.contains('#') {
        let message = format!("'{}' is no path of HTTP", own.path);
        out.tell(
            below(path, "path"),
            message,
            "write a path such as /metrics",
        );
    }
    if let Some(metric) = own.metric.as_deref().filter(|name| !is_metric(name)) {
        let message = format!("'{metric}' is no name of a metric");
        out.tell(
            below(path, "metric"),
            message,
            "write letters, digits, '_' and ':', without labels",
        );
    }
}

fn is_metric(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}
