//! The JSON Schemas of all kinds, made from the types: what editors check against, what the check of documents walks,
//! and what fields are explained from.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::name::Name;
use crate::object::Kind;

/// What all schemas name as their dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

static OBJECTS: LazyLock<[Value; Kind::ALL.len()]> = LazyLock::new(|| Kind::ALL.map(object));

/// The schema of an object of one kind, envelope included.
pub fn schema(kind: Kind) -> &'static Value {
    let index = Kind::ALL.iter().position(|other| *other == kind);
    &OBJECTS[index.expect("all kinds are listed")]
}

/// The schema of a document of any kind, for editors.
pub fn any_schema() -> Value {
    let mut definitions = Map::new();
    let mut branches = Vec::new();
    for kind in Kind::ALL {
        let mut one = schema(kind).clone();
        let members = one.as_object_mut().expect("a schema is an object");
        members.remove("$schema");
        if let Some(Value::Object(inner)) = members.remove("$defs") {
            definitions.extend(inner);
        }
        let title = format!("{kind} object");
        branches.push(json!({ "$ref": format!("#/$defs/{}", title.replace(' ', "_")) }));
        definitions.insert(title.replace(' ', "_"), one);
    }
    json!({
        "$schema": DIALECT,
        "title": "Mezzanine object",
        "type": "object",
        "required": ["kind", "name"],
        "oneOf": branches,
        "$defs": definitions,
    })
}

fn object(kind: Kind) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let spec = spec(kind, &mut generator);
    let name = generator.subschema_for::<Name>().to_value();
    let mut required = vec!["kind", "name", "spec"];
    if kind == Kind::Group {
        required.pop();
    }
    json!({
        "$schema": DIALECT,
        "title": kind.word(),
        "description": summary(kind),
        "type": "object",
        "properties": {
            "kind": { "description": "What the object is.", "const": kind.word() },
            "name": name,
            "labels": {
                "description": "Words to select objects by; instances carry them, too.",
                "type": "object",
                "additionalProperties": { "type": "string" },
                "default": {},
            },
            "generation": {
                "description": "The generation that the change is based on; refused when there is a newer one.",
                "type": ["integer", "null"],
                "format": "uint64",
                "minimum": 0,
            },
            "spec": spec,
        },
        "required": required,
        "additionalProperties": false,
        "$defs": generator.take_definitions(true),
    })
}

fn spec(kind: Kind, generator: &mut SchemaGenerator) -> Value {
    fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
        generator.subschema_for::<T>().to_value()
    }
    match kind {
        Kind::Group => of::<crate::group::Group>(generator),
        Kind::Service => of::<crate::service::Service>(generator),
        Kind::Job => of::<crate::job::Job>(generator),
        Kind::Cron => of::<crate::cron::Cron>(generator),
        Kind::Dag => of::<crate::dag::Dag>(generator),
        Kind::Secret => of::<crate::material::Secret>(generator),
        Kind::Config => of::<crate::material::Config>(generator),
    }
}

/// What a kind is, in a sentence.
pub(crate) const fn summary(kind: Kind) -> &'static str {
    match kind {
        Kind::Group => "Names that hold others, with what these inherit.",
        Kind::Service => "Work that goes on until somebody ends it.",
        Kind::Job => "Work that ends. Each start is a run.",
        Kind::Cron => "Runs of a job or a dag at certain times.",
        Kind::Dag => "Jobs that depend on each other, run as one.",
        Kind::Secret => "Values that nobody is shown.",
        Kind::Config => "Texts by key, which instances are given at their start.",
    }
}

/// The schema that a schema stands for: what `$ref` points to.
pub(crate) fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    while let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let inner = target
            .strip_prefix('#')
            .and_then(|pointer| root.pointer(pointer));
        schema = inner.expect("a reference points to a definition");
    }
    schema
}

/// The branches of a union, those of no value left out, and those of unions within it.
pub(crate) fn branches<'a>(root: &'a Value, schema: &'a Value) -> Option<Vec<&'a Value>> {
    let union = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    let all = union.as_array().expect("a union has branches");
    let mut branches = Vec::new();
    for branch in all.iter().map(|branch| resolved(root, branch)) {
        match branch.get("anyOf").and(self::branches(root, branch)) {
            Some(inner) => branches.extend(inner),
            None if is_null(branch) => {}
            None => branches.push(branch),
        }
    }
    Some(branches)
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// Whether a union takes `null`, too.
pub(crate) fn takes_null(schema: &Value) -> bool {
    let union = schema.get("anyOf").and_then(Value::as_array);
    union.is_some_and(|branches| branches.iter().any(is_null))
}
