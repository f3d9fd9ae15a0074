//! Objects as people would have written them: what is at its default is left out.

use serde_json::{Map, Value};

use crate::object::Object;
use crate::schema::{branches, resolved, schema};

impl Object {
    /// Like [`Object::to_value`], without fields that are at their defaults.
    pub fn to_sparse(&self) -> Value {
        let root = schema(self.spec.kind());
        let mut value = self.to_value();
        if let (Some(spec), Some(inner)) = (value.get_mut("spec"), root.pointer("/properties/spec"))
        {
            strip(root, inner, spec);
        }
        value
    }
}

fn strip(root: &Value, schema: &Value, value: &mut Value) {
    let schema = resolved(root, schema);
    if let Some(branches) = branches(root, schema) {
        if let Some(branch) = branches.into_iter().find(|branch| could_be(branch, value)) {
            strip(root, branch, value);
        }
        return;
    }
    match value {
        Value::Object(members) => strip_members(root, schema, members),
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for item in items.iter_mut() {
                    strip(root, inner, item);
                }
            }
        }
        _ => {}
    }
}

fn strip_members(root: &Value, schema: &Value, members: &mut Map<String, Value>) {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |key: &str| required.is_some_and(|all| all.iter().any(|other| other == key));
    let known = schema.get("properties").and_then(Value::as_object);
    members.retain(|key, value| {
        let Some(inner) = known.and_then(|known| known.get(key)) else {
            if let Some(inner) = schema
                .get("additionalProperties")
                .filter(|one| one.is_object())
            {
                strip(root, inner, value);
            }
            return true;
        };
        if is_required(key) {
            strip(root, inner, value);
            return true;
        }
        if inner.get("default") == Some(value) {
            return false;
        }
        strip(root, inner, value);
        let is_variant = resolved(root, inner).get("oneOf").is_some();
        is_variant || value.as_object().is_none_or(|members| !members.is_empty())
    });
}

/// Whether a value is of a branch's type and, as an object, has only fields of it.
fn could_be(branch: &Value, value: &Value) -> bool {
    let name = branch.get("type").and_then(Value::as_str);
    match value {
        Value::Object(members) => {
            let known = branch.get("properties").and_then(Value::as_object);
            let fits = |key: &String| known.is_some_and(|known| known.contains_key(key));
            name == Some("object") && members.keys().all(fits)
        }
        Value::Array(_) => name == Some("array"),
        _ => false,
    }
}
