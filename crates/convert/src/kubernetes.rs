//! Manifests of Kubernetes.

mod container;
mod discovery;
mod material;
mod placement;
mod pod;
mod probes;
mod workloads;
mod write;

use std::collections::BTreeMap;

use mezz_spec::{Fault, Kind, Name, Object};
use serde_json::{Map, Value};

use crate::fields::{Fields, text_of};
use crate::notes::Notes;
use crate::{Conversion, Options};

pub(crate) use write::write;

/// What parts of a conversion share.
struct Context<'a> {
    options: &'a Options,
    notes: Notes,
    /// Keys of the configs and secrets among the manifests, by kind and name of ours.
    keys: BTreeMap<(Kind, Name), Vec<String>>,
}

/// What all manifests have.
struct Meta {
    title: String,
    name: Name,
    folder: Option<Name>,
    labels: Map<String, Value>,
}

pub(crate) fn read(documents: &[&Value], options: &Options) -> Result<Conversion, Vec<Fault>> {
    let mut items = Vec::new();
    for document in documents {
        match document.get("items").and_then(Value::as_array) {
            Some(inner) => items.extend(inner.iter()),
            None => items.push(document),
        }
    }
    let mut context = Context {
        options,
        notes: Notes::default(),
        keys: BTreeMap::new(),
    };
    let mut objects = Vec::new();
    let is_material = |item: &&Value| matches!(kind_of(item).as_str(), "ConfigMap" | "Secret");
    for item in items.iter().filter(|item| is_material(item)) {
        objects.extend(context.one(item));
    }
    for item in items
        .iter()
        .filter(|item| !is_material(item) && kind_of(item) != "Service")
    {
        objects.extend(context.one(item));
    }
    for item in items.iter().filter(|item| kind_of(item) == "Service") {
        discovery::read(item, &items, &mut objects, &mut context);
    }
    if context.notes.faults.is_empty() {
        Ok(Conversion {
            objects,
            dropped: context.notes.dropped,
        })
    } else {
        Err(context.notes.faults)
    }
}

fn kind_of(item: &Value) -> String {
    item.get("kind").map(text_of).unwrap_or_default()
}

impl Context<'_> {
    fn one(&mut self, item: &Value) -> Option<Object> {
        let kind = kind_of(item);
        let mut fields = Fields::of(item, "");
        fields.ignore(&["apiVersion", "kind", "status"]);
        let meta = self.meta(&kind, &mut fields)?;
        let object = match kind.as_str() {
            "Deployment" | "StatefulSet" | "DaemonSet" => {
                workloads::service(&kind, &meta, &mut fields, self)
            }
            "Job" => workloads::job(&meta, &mut fields, self),
            "CronJob" => workloads::cron(&meta, &mut fields, self),
            "ConfigMap" => material::config(&meta, &mut fields, self),
            "Secret" => material::secret(&meta, &mut fields, self),
            _ => {
                self.notes
                    .drop("", format!("there is nothing like a {kind} here"));
                return None;
            }
        };
        fields.finish(&mut self.notes);
        object
    }

    fn meta(&mut self, kind: &str, fields: &mut Fields<'_>) -> Option<Meta> {
        let Some(mut meta) = fields.inner("metadata") else {
            self.notes.about(kind);
            self.notes.wrong("", "the field 'metadata' is missing");
            return None;
        };
        let name = meta.text("name").unwrap_or_default();
        let title = format!("{kind} {name}");
        self.notes.about(&title);
        let namespace = meta.text("namespace").filter(|name| name != "default");
        let mut folder = self.options.folder.clone();
        if let Some(namespace) = &namespace {
            folder = Some(
                self.notes
                    .name(folder.as_ref(), &[namespace], "/metadata/namespace")?,
            );
        }
        let ours = self
            .notes
            .name(folder.as_ref(), &[&name], "/metadata/name")?;
        let labels = meta
            .take("labels")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let system = [
            "creationTimestamp",
            "generation",
            "managedFields",
            "resourceVersion",
            "selfLink",
            "uid",
            "ownerReferences",
        ];
        meta.ignore(&system);
        meta.finish(&mut self.notes);
        Some(Meta {
            title,
            name: ours,
            folder,
            labels,
        })
    }
}
