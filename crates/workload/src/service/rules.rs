//! Rules of services that need more than the spec itself.

use std::collections::BTreeMap;

use mezz_spec::service::Replicas;
use mezz_spec::{Kind, Name, Object, Spec};

use crate::call::Refusal;
use crate::objects::apply::invalid;
use crate::objects::staged::Staged;

/// What a service must be for its controller to be able to run it.
pub(crate) fn check(object: &Object, _: &Staged<'_>) -> Result<(), Refusal> {
    let Spec::Service(service) = &object.spec else {
        return Ok(());
    };
    if service.template.containers.len() != 1 {
        return Err(invalid(
            object,
            "/spec/template/containers",
            format!(
                "there are {} containers; exactly one is possible until pods are built",
                service.template.containers.len()
            ),
        ));
    }
    match &service.replicas {
        Replicas::Autoscale(bounds) if bounds.min > bounds.max => Err(invalid(
            object,
            "/spec/replicas/min",
            format!("{} is more than 'max', {}", bounds.min, bounds.max),
        )),
        _ => Ok(()),
    }
}

/// A service port is the cluster's: no two services have the same.
pub(crate) fn check_ports(staged: &Staged<'_>) -> Result<(), Refusal> {
    let has_any = staged
        .applied()
        .any(|object| service_ports(&object.spec).next().is_some());
    if !has_any {
        return Ok(());
    }
    let mut owners: BTreeMap<u16, &Name> = BTreeMap::new();
    let applied: Vec<&Object> = staged
        .applied()
        .filter(|object| object.spec.kind() == Kind::Service)
        .collect();
    for (name, spec) in staged.of_kind(Kind::Service) {
        if applied.iter().all(|object| object.name != *name) {
            owners.extend(service_ports(spec).map(|(_, port)| (port, name)));
        }
    }
    for object in applied {
        for (index, port) in service_ports(&object.spec) {
            if let Some(other) = owners.insert(port, &object.name) {
                return Err(invalid(
                    object,
                    &format!("/spec/template/containers/0/ports/{index}/service_port"),
                    format!("{port} is the service port of {other} already; take another"),
                ));
            }
        }
    }
    Ok(())
}

fn service_ports(spec: &Spec) -> impl Iterator<Item = (usize, u16)> {
    let container = match spec {
        Spec::Service(service) => service.template.containers.first(),
        _ => None,
    };
    container
        .into_iter()
        .flat_map(|container| container.ports.iter().enumerate())
        .filter_map(|(index, port)| Some((index, port.service_port?)))
}
