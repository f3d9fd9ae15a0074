//! ConfigMap and Secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mezz_spec::{Kind, Object};
use serde_json::{Map, Value, json};

use super::{Context, Meta};
use crate::fields::{Fields, text_of};

pub(super) fn config(
    meta: &Meta,
    fields: &mut Fields<'_>,
    context: &mut Context<'_>,
) -> Option<Object> {
    let data = plain(fields.take("data"));
    fields.refuse(&["binaryData"], "entries are texts", &mut context.notes);
    fields.ignore(&["immutable"]);
    finish(Kind::Config, meta, data, context)
}

pub(super) fn secret(
    meta: &Meta,
    fields: &mut Fields<'_>,
    context: &mut Context<'_>,
) -> Option<Object> {
    let mut data = Map::new();
    if let Some(Value::Object(encoded)) = fields.take("data") {
        for (key, value) in encoded {
            let path = format!("/data/{key}");
            let bytes = STANDARD.decode(text_of(value).trim());
            match bytes.map(String::from_utf8) {
                Ok(Ok(text)) => {
                    data.insert(key.clone(), text.into());
                }
                Ok(Err(_)) => context
                    .notes
                    .drop(path, "entries are texts, and this is none"),
                Err(_) => context.notes.wrong(path, "the value is not in base64"),
            }
        }
    }
    data.extend(plain(fields.take("stringData")));
    fields.ignore(&["type", "immutable"]);
    finish(Kind::Secret, meta, data, context)
}

fn plain(value: Option<&Value>) -> Map<String, Value> {
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members
        .map(|(key, value)| (key.clone(), text_of(value).into()))
        .collect()
}

fn finish(
    kind: Kind,
    meta: &Meta,
    data: Map<String, Value>,
    context: &mut Context<'_>,
) -> Option<Object> {
    let keys = data.keys().cloned().collect();
    context.keys.insert((kind, meta.name.clone()), keys);
    let spec = json!({ "data": data });
    context
        .notes
        .object(kind, meta.name.clone(), meta.labels.clone(), spec)
}
