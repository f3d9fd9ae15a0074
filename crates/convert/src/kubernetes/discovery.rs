//! Service of Kubernetes: the service ports of our services whose pods it selects.

use mezz_spec::{Object, Spec};
use serde_json::Value;

use super::{Context, kind_of};
use crate::fields::{Fields, text_of};

pub(super) fn read(
    service: &Value,
    items: &[&Value],
    objects: &mut [Object],
    context: &mut Context<'_>,
) {
    let mut fields = Fields::of(service, "");
    fields.ignore(&["apiVersion", "kind", "status"]);
    let Some(meta) = context.meta("Service", &mut fields) else {
        return;
    };
    let Some(mut spec) = fields.inner("spec") else {
        return;
    };
    let selector = spec.take("selector").and_then(Value::as_object);
    let is_chosen = |item: &&&Value| {
        let labels = item.pointer("/spec/template/metadata/labels");
        let namespace = |item: &Value| item.pointer("/metadata/namespace").map(text_of);
        let wanted = selector.filter(|selector| !selector.is_empty());
        matches!(
            kind_of(item).as_str(),
            "Deployment" | "StatefulSet" | "DaemonSet"
        ) && namespace(item) == namespace(service)
            && wanted.is_some_and(|wanted| {
                wanted
                    .iter()
                    .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
            })
    };
    let chosen: Vec<String> = items
        .iter()
        .filter(is_chosen)
        .filter_map(|item| item.pointer("/metadata/name"))
        .map(text_of)
        .collect();
    let path = spec.path("ports");
    for (index, item) in spec.list("ports").iter().enumerate() {
        let mut port = Fields::of(item, format!("{path}/{index}"));
        let number = port
            .number("port")
            .and_then(|number| u16::try_from(number).ok());
        let target = port.take("targetPort").map(text_of);
        let target = target.or_else(|| number.map(|number| number.to_string()));
        port.ignore(&["name", "protocol", "appProtocol"]);
        port.refuse(
            &["nodePort"],
            "ports of services are the same everywhere",
            &mut context.notes,
        );
        port.finish(&mut context.notes);
        let is_set = objects
            .iter_mut()
            .filter(|object| chosen.iter().any(|name| object.name.last() == name))
            .any(|object| {
                object.name.parent() == meta.name.parent() && set(object, target.as_deref(), number)
            });
        if !is_set {
            let why = "no workload of these manifests has the labels and the port";
            context.notes.drop(format!("{path}/{index}"), why);
        }
    }
    let why = "names of services lead to their instances: there are no addresses of their own";
    let keys = [
        "type",
        "clusterIP",
        "clusterIPs",
        "externalIPs",
        "externalName",
        "loadBalancerIP",
        "sessionAffinity",
        "externalTrafficPolicy",
        "internalTrafficPolicy",
        "ipFamilies",
        "ipFamilyPolicy",
        "publishNotReadyAddresses",
    ];
    spec.refuse(&keys, why, &mut context.notes);
    spec.finish(&mut context.notes);
    fields.finish(&mut context.notes);
    context.notes.about(meta.title);
}

fn set(object: &mut Object, target: Option<&str>, number: Option<u16>) -> bool {
    let Spec::Service(service) = &mut object.spec else {
        return false;
    };
    let mut ports = service
        .template
        .containers
        .iter_mut()
        .flat_map(|container| container.ports.iter_mut());
    let found = ports.find(|port| {
        let own = port.container_port.map(|number| number.to_string());
        target == Some(port.name.as_str()) || (own.is_some() && own.as_deref() == target)
    });
    match found {
        Some(port) => {
            port.service_port = number;
            true
        }
        None => false,
    }
}
