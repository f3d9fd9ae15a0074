//! Generates, per message, the table of required fields and of the children that have some.
use std::collections::BTreeSet;
use std::fmt::Write as _;

use prost_types::field_descriptor_proto::Type;

use crate::schema::{Message, Presence, Schema, presence};

/// The text of `shapes.rs`: one `Shape` per message and its `Wire` implementation.
pub(crate) fn generate(schema: &Schema) -> String {
    let relevant = with_required(schema);
    let mut out = String::new();
    for message in schema.messages.values() {
        let short = message.descriptor.name();
        let (name, path) = (&message.constant, &message.path);
        let _ = writeln!(
            out,
            "pub(crate) static {name}: Shape = Shape {{ name: {short:?}, required: &[{}], children: &[{}] }};\n\
             impl Wire for {path} {{ fn shape() -> &'static Shape {{ &{name} }} }}",
            required(schema, message),
            children(schema, message, &relevant),
        );
    }
    out
}

/// Messages that have a required field somewhere below.
fn with_required(schema: &Schema) -> BTreeSet<&str> {
    let mut relevant = BTreeSet::new();
    loop {
        let before = relevant.len();
        for message in schema.messages.values() {
            let own = message.descriptor.field.iter().any(|field| {
                presence(message, field) == Presence::Required
                    || child(schema, field)
                        .is_some_and(|(_, child)| relevant.contains(child.full.as_str()))
            });
            if own {
                relevant.insert(message.full.as_str());
            }
        }
        if relevant.len() == before {
            return relevant;
        }
    }
}

/// The message below a field: held directly, or as the value of a map.
fn child<'a>(
    schema: &'a Schema,
    field: &prost_types::FieldDescriptorProto,
) -> Option<(&'static str, &'a Message)> {
    if let Some(value) = schema.map_value(field) {
        return schema.message_of(value).map(|message| ("Map", message));
    }
    let kind = if field.label() == prost_types::field_descriptor_proto::Label::Repeated {
        "Repeated"
    } else {
        "Single"
    };
    schema.message_of(field).map(|message| (kind, message))
}

fn required(schema: &Schema, message: &Message) -> String {
    let mut out = String::new();
    for field in &message.descriptor.field {
        if presence(message, field) != Presence::Required {
            continue;
        }
        let known = if field.r#type() == Type::Enum {
            let path = &schema.enum_of(field).path;
            format!("Some(|number| {path}::try_from(number).is_ok())")
        } else {
            "None".to_owned()
        };
        let _ = write!(
            out,
            "Required {{ number: {}, name: {:?}, known: {known} }}, ",
            field.number(),
            field.name()
        );
    }
    out
}

fn children(schema: &Schema, message: &Message, relevant: &BTreeSet<&str>) -> String {
    let mut out = String::new();
    for field in &message.descriptor.field {
        let Some((kind, child)) = child(schema, field) else {
            continue;
        };
        if relevant.contains(child.full.as_str()) {
            let _ = write!(
                out,
                "Child {{ number: {}, name: {:?}, kind: Kind::{kind}, shape: &{} }}, ",
                field.number(),
                field.name(),
                child.constant
            );
        }
    }
    out
}
