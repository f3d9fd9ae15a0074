//! Generates the JSON codec: per message one function that writes its fields and one that reads a field.
use std::fmt::Write as _;

use heck::ToSnakeCase;
use prost_types::FieldDescriptorProto;
use prost_types::field_descriptor_proto::Type;

use crate::schema::{Message, Presence, Schema, field_name, presence, type_name};

/// Repeated fields that Mesos prints even when they are empty, since it writes these answers by hand.
const SHOWN_EMPTY: &[(&str, &[&str])] = &[
    ("mesos.v1.master.Response.GetMetrics", &["metrics"]),
    (
        "mesos.v1.master.Response.GetAgents",
        &["agents", "recovered_agents"],
    ),
    (
        "mesos.v1.master.Response.GetFrameworks",
        &["frameworks", "completed_frameworks"],
    ),
    ("mesos.v1.master.Response.GetExecutors", &["executors"]),
    (
        "mesos.v1.master.Response.GetTasks",
        &["tasks", "unreachable_tasks", "completed_tasks"],
    ),
    ("mesos.v1.agent.Response.GetMetrics", &["metrics"]),
    (
        "mesos.v1.agent.Response.GetFrameworks",
        &["frameworks", "completed_frameworks"],
    ),
    (
        "mesos.v1.agent.Response.GetExecutors",
        &["executors", "completed_executors"],
    ),
    (
        "mesos.v1.agent.Response.GetTasks",
        &[
            "pending_tasks",
            "queued_tasks",
            "launched_tasks",
            "terminated_tasks",
            "completed_tasks",
        ],
    ),
];

/// The text of `json.rs`: enum tables and a `Fields` implementation per message.
pub(crate) fn generate(schema: &Schema) -> String {
    let mut out = String::new();
    for message in schema
        .messages
        .values()
        .filter(|message| !message.full.starts_with("mezz."))
    {
        let _ = writeln!(
            out,
            "impl Json for {path} {{}}\n\
             impl Fields for {path} {{\n\
             fn required(&self) -> &'static [Required] {{ <Self as Wire>::shape().required }}\n\
             fn write(&self, w: &mut Writer<'_>) {{ let _ = &w;\n{}}}\n\
             fn read(&mut self, key: &str, r: &mut Reader<'_>) -> Result<u64, Fail> {{\nmatch key {{\n{}_ => r.skip()?,\n}}\nOk(0) }} }}",
            writes(schema, message),
            reads(schema, message),
            path = message.path,
        );
    }
    for enumeration in schema.enums.values() {
        let (name, path) = (&enumeration.constant, &enumeration.path);
        if out.contains(&format!("&{name})")) {
            let _ = writeln!(
                out,
                "static {name}: EnumTable = EnumTable {{\n\
                 name: |number| {path}::try_from(number).ok().map(|value| value.as_str_name()),\n\
                 number: |name| {path}::from_str_name(name).map(|value| value as i32) }};"
            );
        }
    }
    out
}

/// The text of `every.rs`: a macro that hands each message with a JSON form to another, for the tests.
pub(crate) fn list(schema: &Schema) -> String {
    let mut out = "macro_rules! with_every_message { ($then:ident) => { $then! {\n".to_owned();
    for message in schema
        .messages
        .values()
        .filter(|message| message.full.starts_with("mesos."))
    {
        let _ = writeln!(out, "{:?} => {},", message.full, message.path);
    }
    out.push_str("} } }\n");
    out
}

fn writes(schema: &Schema, message: &Message) -> String {
    let mut out = String::new();
    for field in &message.descriptor.field {
        let name = field_name(field);
        let key = format!("{:?}", format!("\"{}\":", field.name()));
        let line = match presence(message, field) {
            Presence::Required => write_value(schema, field, &key, &format!("self.{name}")),
            Presence::Repeated => write_repeated(schema, message, field, &key, &name),
            Presence::Implicit => format!(
                "if self.{name} != 0 {{ {} }}",
                write_value(schema, field, &key, &format!("self.{name}"))
            ),
            Presence::Oneof(index) => format!(
                "if let Some({}(value)) = &self.{} {{ {} }}",
                variant(message, field, index),
                message.descriptor.oneof_decl[index].name().to_snake_case(),
                write_value(schema, field, &key, "*value"),
            ),
            Presence::Optional => match shown_default(schema, field) {
                Some(default) if field.r#type() == Type::String => {
                    format!("w.string({key}, self.{name}.as_deref().unwrap_or({default}));")
                }
                Some(default) if field.r#type() == Type::Enum => format!(
                    "w.enumeration_or({key}, self.{name}, {default}, &{});",
                    schema.enum_of(field).constant
                ),
                Some(default) => write_value(
                    schema,
                    field,
                    &key,
                    &format!("self.{name}.unwrap_or({default})"),
                ),
                None => format!(
                    "if let Some(value) = &self.{name} {{ {} }}",
                    write_value(schema, field, &key, "*value")
                ),
            },
        };
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// The Rust literal of a default that is printed while the field is unset.
fn shown_default(schema: &Schema, field: &FieldDescriptorProto) -> Option<String> {
    let text = field.default_value.as_deref()?;
    if field
        .options
        .as_ref()
        .is_some_and(prost_types::FieldOptions::deprecated)
    {
        return None;
    }
    Some(match field.r#type() {
        Type::String => format!("{text:?}"),
        Type::Enum => {
            let values = &schema.enum_of(field).descriptor.value;
            let value = values
                .iter()
                .find(|value| value.name() == text)
                .expect("the default is a value of its enum");
            value.number().to_string()
        }
        Type::Double => format!("{text}f64"),
        _ => text.to_owned(),
    })
}

fn write_value(schema: &Schema, field: &FieldDescriptorProto, key: &str, value: &str) -> String {
    match field.r#type() {
        Type::String => format!("w.string({key}, &{value});"),
        Type::Bytes => format!("w.bytes({key}, &{value});"),
        Type::Bool => format!("w.boolean({key}, {value});"),
        Type::Int32 | Type::Int64 => format!("w.int({key}, i64::from({value}));"),
        Type::Uint32 | Type::Uint64 => format!("w.uint({key}, u64::from({value}));"),
        Type::Double => format!("w.double({key}, {value});"),
        Type::Enum => format!(
            "w.enumeration({key}, {value}, &{});",
            schema.enum_of(field).constant
        ),
        Type::Message => format!("w.message({key}, &{value});"),
        other => panic!("no JSON form for {other:?}"),
    }
}

fn write_repeated(
    schema: &Schema,
    message: &Message,
    field: &FieldDescriptorProto,
    key: &str,
    name: &str,
) -> String {
    if let Some(value) = schema.map_value(field) {
        return match value.r#type() {
            Type::String => format!("w.string_map({key}, &self.{name});"),
            Type::Message => format!("w.message_map({key}, &self.{name});"),
            other => panic!("no JSON form for a map of {other:?}"),
        };
    }
    let shown = SHOWN_EMPTY
        .iter()
        .any(|(full, fields)| *full == message.full && fields.contains(&field.name()));
    let empty = if shown {
        "Empty::Shown"
    } else {
        "Empty::Omitted"
    };
    match field.r#type() {
        Type::String => format!("w.strings({key}, &self.{name});"),
        Type::Uint32 => format!("w.uints({key}, &self.{name});"),
        Type::Enum => format!(
            "w.enumerations({key}, &self.{name}, &{});",
            schema.enum_of(field).constant
        ),
        Type::Message => format!("w.messages({key}, &self.{name}, {empty});"),
        other => panic!("no JSON form for repeated {other:?}"),
    }
}

fn variant(message: &Message, field: &FieldDescriptorProto, index: usize) -> String {
    let oneof = type_name(message.descriptor.oneof_decl[index].name());
    format!("{}::{oneof}::{}", message.module, type_name(field.name()))
}

fn reads(schema: &Schema, message: &Message) -> String {
    let mut out = String::new();
    let mut bit = 0;
    for field in &message.descriptor.field {
        let target = format!("self.{}", field_name(field));
        let body = match presence(message, field) {
            Presence::Required => {
                bit += 1;
                format!(
                    "{} return Ok(1 << {});",
                    read_plain(schema, field, &target),
                    bit - 1
                )
            }
            Presence::Implicit => read_plain(schema, field, &target),
            Presence::Repeated => read_repeated(schema, field, &target),
            Presence::Optional => read_optional(schema, field, &target),
            Presence::Oneof(index) => read_oneof(schema, message, field, index),
        };
        let _ = writeln!(out, "{:?} => {{ {body} }}", field.name());
    }
    assert!(bit <= 64, "{} has too many required fields", message.full);
    out
}

/// The reader's function for a scalar.
fn scalar(field: &FieldDescriptorProto) -> &'static str {
    match field.r#type() {
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Bool => "boolean",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Uint32 => "uint32",
        Type::Uint64 => "uint64",
        Type::Double => "double",
        other => panic!("{other:?} is no scalar"),
    }
}

fn is_duration(field: &FieldDescriptorProto) -> bool {
    field.type_name() == ".google.protobuf.Duration"
}

fn read_plain(schema: &Schema, field: &FieldDescriptorProto, target: &str) -> String {
    match field.r#type() {
        Type::Enum => format!(
            "{target} = r.required_enumeration(&{})?;",
            schema.enum_of(field).constant
        ),
        Type::Message if is_duration(field) => format!("r.duration(&mut {target})?;"),
        Type::Message => format!("r.message(&mut {target})?;"),
        _ => format!("{target} = r.{}()?;", scalar(field)),
    }
}

fn read_optional(schema: &Schema, field: &FieldDescriptorProto, target: &str) -> String {
    match field.r#type() {
        Type::Enum => format!(
            "{target} = r.enumeration(&{})?;",
            schema.enum_of(field).constant
        ),
        Type::Message if is_duration(field) => {
            format!("r.duration({target}.insert(Default::default()))?;")
        }
        Type::Message => format!("r.message({target}.insert(Default::default()))?;"),
        _ => format!("{target} = Some(r.{}()?);", scalar(field)),
    }
}

fn read_repeated(schema: &Schema, field: &FieldDescriptorProto, target: &str) -> String {
    if let Some(value) = schema.map_value(field) {
        return match value.r#type() {
            Type::String => format!("r.string_map(&mut {target})?;"),
            _ if value.type_name() == ".mesos.v1.Value.Scalar" => {
                format!("r.scalar_map(&mut {target})?;")
            }
            _ => format!("r.message_map(&mut {target})?;"),
        };
    }
    match field.r#type() {
        Type::String => format!("r.strings(&mut {target})?;"),
        Type::Uint32 => format!("r.uints(&mut {target})?;"),
        Type::Enum => format!(
            "r.enumerations(&mut {target}, &{})?;",
            schema.enum_of(field).constant
        ),
        _ => format!("r.messages(&mut {target})?;"),
    }
}

fn read_oneof(
    schema: &Schema,
    message: &Message,
    field: &FieldDescriptorProto,
    index: usize,
) -> String {
    let variant = variant(message, field, index);
    let target = format!(
        "self.{}",
        message.descriptor.oneof_decl[index].name().to_snake_case()
    );
    match field.r#type() {
        Type::Enum => format!(
            "if let Some(value) = r.enumeration(&{})? {{ {target} = Some({variant}(value)); }}",
            schema.enum_of(field).constant
        ),
        Type::Message => {
            let path = &schema
                .message_of(field)
                .expect("the message is declared")
                .path;
            format!(
                "let mut value = {path}::default(); r.message(&mut value)?; {target} = Some({variant}(value));"
            )
        }
        _ => format!("{target} = Some({variant}(r.{}()?));", scalar(field)),
    }
}
