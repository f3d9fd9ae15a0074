//! Pod templates: containers, volumes of configs and secrets, placement.

use std::collections::BTreeMap;

use mezz_spec::{Kind, Name};
use serde_json::{Map, Value, json};

use super::container::container;
use super::placement::placement;
use super::probes::span;
use super::{Context, Meta};
use crate::fields::{Fields, text_of};

/// Fills template and placement of a spec; the labels of the pods.
pub(super) fn read(
    mut template: Fields<'_>,
    spec: &mut Value,
    meta: &Meta,
    context: &mut Context<'_>,
) -> Map<String, Value> {
    let mut labels = Map::new();
    if let Some(mut inner) = template.inner("metadata") {
        labels = inner
            .take("labels")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        inner.ignore(&["creationTimestamp", "name"]);
        inner.finish(&mut context.notes);
    }
    if let Some(mut pod) = template.inner("spec") {
        let volumes = volumes(&mut pod, meta, context);
        let path = pod.path("containers");
        let mut containers = Vec::new();
        for (index, item) in pod.list("containers").iter().enumerate() {
            let fields = Fields::of(item, format!("{path}/{index}"));
            containers.push(container(fields, &volumes, meta, context));
        }
        spec["template"]["containers"] = containers.into();
        let grace = pod.number("terminationGracePeriodSeconds").unwrap_or(30);
        spec["template"]["kill"] = json!({ "grace": span(grace) });
        placement(&mut pod, spec, context);
        let why = "containers that run before others are not built yet";
        pod.refuse(
            &["initContainers", "ephemeralContainers"],
            why,
            &mut context.notes,
        );
        let why = "isolation of containers is not built yet";
        pod.refuse(
            &[
                "securityContext",
                "runtimeClassName",
                "hostPID",
                "hostIPC",
                "shareProcessNamespace",
            ],
            why,
            &mut context.notes,
        );
        let why = "there are no accounts of services here";
        pod.refuse(
            &[
                "serviceAccount",
                "serviceAccountName",
                "automountServiceAccountToken",
            ],
            why,
            &mut context.notes,
        );
        let why = "containers use the network of their host until container networks are built";
        pod.refuse(
            &[
                "dnsPolicy",
                "dnsConfig",
                "hostname",
                "subdomain",
                "hostAliases",
            ],
            why,
            &mut context.notes,
        );
        pod.ignore(&[
            "restartPolicy",
            "schedulerName",
            "hostNetwork",
            "enableServiceLinks",
        ]);
        pod.finish(&mut context.notes);
    }
    template.finish(&mut context.notes);
    labels
}

/// Files of a volume, relative to where it is mounted, with where they come from.
pub(super) type Volumes = BTreeMap<String, Vec<(String, Value)>>;

fn volumes(pod: &mut Fields<'_>, meta: &Meta, context: &mut Context<'_>) -> Volumes {
    let mut volumes = Volumes::new();
    let path = pod.path("volumes");
    for (index, item) in pod.list("volumes").iter().enumerate() {
        let mut volume = Fields::of(item, format!("{path}/{index}"));
        let name = volume.text("name").unwrap_or_default();
        let mut files = None;
        for (key, field, kind) in [
            ("configMap", "name", Kind::Config),
            ("secret", "secretName", Kind::Secret),
        ] {
            if let Some(mut source) = volume.inner(key) {
                let theirs = source.text(field).unwrap_or_default();
                let picked = source.list("items");
                source.ignore(&["optional", "defaultMode"]);
                source.finish(&mut context.notes);
                let ours = context.notes.name(meta.folder.as_ref(), &[&theirs], &path);
                files = ours.map(|ours| files_of(kind, &ours, picked, &path, context));
            }
        }
        if files.is_none() {
            context
                .notes
                .drop(format!("{path}/{index}"), "volumes are not built yet");
            let keys: Vec<&str> = item
                .as_object()
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str)
                .collect();
            volume.ignore(&keys);
        }
        volume.finish(&mut context.notes);
        volumes.insert(name, files.unwrap_or_default());
    }
    volumes
}

pub(super) fn files_of(
    kind: Kind,
    name: &Name,
    picked: &[Value],
    path: &str,
    context: &mut Context<'_>,
) -> Vec<(String, Value)> {
    let from = |key: &str| json!({ kind.word(): { "name": name.as_str(), "key": key } });
    if !picked.is_empty() {
        let pair = |item: &Value| {
            let key = item.get("key").map(text_of).unwrap_or_default();
            let place = item.get("path").map_or_else(|| key.clone(), text_of);
            (place, from(&key))
        };
        return picked.iter().map(pair).collect();
    }
    if let Some(keys) = context.keys.get(&(kind, name.clone())) {
        return keys.iter().map(|key| (key.clone(), from(key))).collect();
    }
    let why =
        format!("{name} is not among the manifests: its keys are not known; list them as items");
    context.notes.drop(path, why);
    Vec::new()
}
