//! The descriptors in the form that the generators need: each message with its Rust path.
use std::collections::BTreeMap;

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// One message of the descriptors.
pub(crate) struct Message {
    /// Full name without a leading dot, `mesos.v1.TaskInfo`.
    pub(crate) full: String,
    /// Path in the generated module, `g::mesos::v1::TaskInfo`.
    pub(crate) path: String,
    /// Module of its nested types, `g::mesos::v1::task_info`.
    pub(crate) module: String,
    /// Name of its static tables, `MESOS_V1_TASK_INFO`.
    pub(crate) constant: String,
    /// True when its scalars have no presence.
    pub(crate) proto3: bool,
    pub(crate) descriptor: DescriptorProto,
}

/// One enum of the descriptors.
pub(crate) struct Enumeration {
    pub(crate) path: String,
    pub(crate) constant: String,
    pub(crate) descriptor: EnumDescriptorProto,
}

/// All messages and enums, by full name without a leading dot.
#[derive(Default)]
pub(crate) struct Schema {
    pub(crate) messages: BTreeMap<String, Message>,
    pub(crate) entries: BTreeMap<String, DescriptorProto>,
    pub(crate) enums: BTreeMap<String, Enumeration>,
}

impl Schema {
    /// Collects what the files declare.
    pub(crate) fn read(files: &FileDescriptorSet) -> Self {
        let mut schema = Self::default();
        for file in &files.file {
            let package = file.package();
            let module = format!("g::{}", package.replace('.', "::"));
            let proto3 = file.syntax() == "proto3";
            for message in &file.message_type {
                schema.add(package, &module, proto3, message);
            }
            for descriptor in &file.enum_type {
                schema.add_enum(package, &module, descriptor);
            }
        }
        schema
    }

    fn add(&mut self, scope: &str, module: &str, proto3: bool, descriptor: &DescriptorProto) {
        let full = format!("{scope}.{}", descriptor.name());
        if descriptor
            .options
            .as_ref()
            .is_some_and(prost_types::MessageOptions::map_entry)
        {
            self.entries.insert(full, descriptor.clone());
            return;
        }
        let nested = format!(
            "{module}::{}",
            identifier(&descriptor.name().to_snake_case())
        );
        for message in &descriptor.nested_type {
            self.add(&full, &nested, proto3, message);
        }
        for enumeration in &descriptor.enum_type {
            self.add_enum(&full, &nested, enumeration);
        }
        self.messages.insert(
            full.clone(),
            Message {
                path: format!("{module}::{}", type_name(descriptor.name())),
                module: nested,
                constant: constant(&full),
                full,
                proto3,
                descriptor: descriptor.clone(),
            },
        );
    }

    fn add_enum(&mut self, scope: &str, module: &str, descriptor: &EnumDescriptorProto) {
        let full = format!("{scope}.{}", descriptor.name());
        self.enums.insert(
            full.clone(),
            Enumeration {
                path: format!("{module}::{}", type_name(descriptor.name())),
                constant: constant(&full),
                descriptor: descriptor.clone(),
            },
        );
    }

    /// The message that a field holds, if it holds one (not a map entry).
    pub(crate) fn message_of(&self, field: &FieldDescriptorProto) -> Option<&Message> {
        self.messages.get(field.type_name().trim_start_matches('.'))
    }

    /// The enum that a field holds.
    pub(crate) fn enum_of(&self, field: &FieldDescriptorProto) -> &Enumeration {
        &self.enums[field.type_name().trim_start_matches('.')]
    }

    /// The value field of a map field.
    pub(crate) fn map_value(&self, field: &FieldDescriptorProto) -> Option<&FieldDescriptorProto> {
        let entry = self
            .entries
            .get(field.type_name().trim_start_matches('.'))?;
        assert_eq!(
            entry.field[0].r#type(),
            Type::String,
            "maps have string keys"
        );
        Some(&entry.field[1])
    }
}

/// How often a field occurs, and whether its absence can be told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
    /// A proto3 scalar: its zero is its absence.
    Implicit,
    Repeated,
    Oneof(usize),
}

/// Presence of one field of a message.
pub(crate) fn presence(message: &Message, field: &FieldDescriptorProto) -> Presence {
    match (field.oneof_index, field.label()) {
        (Some(index), _) => {
            Presence::Oneof(usize::try_from(index).expect("an index is not negative"))
        }
        (None, Label::Repeated) => Presence::Repeated,
        (None, Label::Required) => Presence::Required,
        (None, Label::Optional) if message.proto3 && field.r#type() != Type::Message => {
            Presence::Implicit
        }
        (None, Label::Optional) => Presence::Optional,
    }
}

/// The name that prost gives to a field.
pub(crate) fn field_name(field: &FieldDescriptorProto) -> String {
    identifier(&field.name().to_snake_case())
}

/// The name that prost gives to a type or a variant.
pub(crate) fn type_name(name: &str) -> String {
    identifier(&name.to_upper_camel_case())
}

fn constant(full: &str) -> String {
    full.to_snake_case().to_uppercase()
}

/// Escapes the Rust keywords that these files use as names.
fn identifier(name: &str) -> String {
    match name {
        "type" | "loop" | "match" | "move" | "ref" | "use" | "where" | "async" | "await"
        | "box" | "enum" | "fn" | "for" | "if" | "impl" | "in" | "mod" | "pub" | "static"
        | "struct" | "trait" | "gen" | "try" => {
            format!("r#{name}")
        }
        "self" | "Self" | "super" | "crate" | "extern" => format!("{name}_"),
        _ => name.to_owned(),
    }
}
