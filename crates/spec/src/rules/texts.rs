//! Small texts that stand in many places: labels, variables, roles, keys, parameters.

use std::collections::BTreeMap;

use mezz_resource::validate_role;
use serde_json::Value;

use super::Faults;
use crate::fault::{Fault, below};
use crate::nearest::nearest;
use crate::object::Kind;

const MAX_LABELS: usize = 1_000;
const MAX_LABEL_KEY_BYTES: usize = 256;
const MAX_LABEL_VALUE_BYTES: usize = 16 << 10;
const MAX_VARIABLE_BYTES: usize = 128 << 10;
const MAX_KEY_BYTES: usize = 253;

/// Variables that the system sets itself.
const OWN_VARIABLES: [&str; 4] = ["MEZZ_ATTEMPT", "MEZZ_INDEX", "MEZZ_JOB", "MEZZ_RUN"];

/// The kind of a document, told before anything else is looked at.
pub(super) fn kind_of(value: &Value) -> Result<Kind, Fault> {
    let words = Kind::ALL.map(Kind::word);
    let list = words.join(", ");
    let Value::Object(members) = value else {
        let fault = Fault::new("", "an object is a group of fields");
        return Err(fault.hint("write kind, name and spec"));
    };
    if members.contains_key("apiVersion") {
        let fault = Fault::new("/apiVersion", "this is an object of Kubernetes");
        return Err(fault.hint("convert it first"));
    }
    let Some(kind) = members.get("kind") else {
        let fault = Fault::new("", "the field 'kind' is missing");
        return Err(fault.hint(format!("kind is one of {list}")));
    };
    let known = kind
        .as_str()
        .and_then(|word| Kind::ALL.into_iter().find(|kind| kind.word() == word));
    known.ok_or_else(|| {
        let text = kind
            .as_str()
            .map_or_else(|| kind.to_string(), str::to_owned);
        let shown: String = text.chars().take(60).collect();
        let fault = Fault::new("/kind", format!("'{shown}' is not a kind"));
        match nearest(&text, words) {
            Some(near) => fault.hint(format!("did you mean '{near}'?")),
            None => fault.hint(format!("kind is one of {list}")),
        }
    })
}

pub(super) fn labels(labels: &BTreeMap<String, String>, path: &str, out: &mut Faults) {
    if labels.len() > MAX_LABELS {
        let message = format!("{} labels; {MAX_LABELS} are allowed", labels.len());
        out.tell(path, message, "put data into a config");
    }
    for (key, value) in labels {
        let path = below(path, key);
        if key.is_empty() || key.chars().any(char::is_control) {
            out.tell(
                path,
                "a label's key is empty or has control characters",
                "name the label",
            );
        } else if key.len() > MAX_LABEL_KEY_BYTES || value.len() > MAX_LABEL_VALUE_BYTES {
            let message = format!(
                "a label has at most {MAX_LABEL_KEY_BYTES} bytes of key and {MAX_LABEL_VALUE_BYTES} of value"
            );
            out.tell(path, message, "put data into a config");
        }
    }
}

/// An environment variable; its value when it is a text.
pub(super) fn variable(name: &str, value: Option<&str>, path: &str, out: &mut Faults) {
    let path = below(path, name);
    if name.is_empty() || name.contains(['=', '\0']) {
        let message = "the name of a variable is empty or has '=' or NUL in it";
        out.tell(path, message, "name it like LOG_LEVEL");
    } else if OWN_VARIABLES.contains(&name) {
        out.tell(
            path,
            format!("{name} is set by the system"),
            "choose another name",
        );
    } else if let Some(value) = value {
        if value.contains('\0') {
            out.tell(
                path,
                "a variable cannot hold NUL",
                "put the data into a file",
            );
        } else if value.len() + name.len() > MAX_VARIABLE_BYTES {
            let message = format!("a variable has at most {MAX_VARIABLE_BYTES} bytes");
            out.tell(path, message, "put the data into a file");
        }
    }
}

pub(super) fn role(role: Option<&str>, path: &str, out: &mut Faults) {
    if let Some(Err(error)) = role.map(validate_role) {
        out.tell(
            path,
            error.to_string(),
            "write a role such as team or team/app",
        );
    }
}

/// The key of an entry of a config or a secret, which becomes the name of a file.
pub(super) fn entry_key(key: &str, out: &mut Faults) {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_good = !key.is_empty()
        && key.len() <= MAX_KEY_BYTES
        && key.bytes().all(good)
        && key != "."
        && key != "..";
    if !is_good {
        let message = "a key is of letters, digits, '-', '_' and '.', and has at most 253 of them";
        out.tell(
            below("/spec/data", key),
            message,
            "name it like password or app.conf",
        );
    }
}

/// A parameter, which becomes a part of a variable's name.
pub(super) fn parameter_name(name: &str, path: &str, out: &mut Faults) {
    let mut bytes = name.bytes();
    let first = bytes.next();
    let is_good = first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= MAX_KEY_BYTES;
    if !is_good {
        let message =
            "a parameter is of letters, digits and '_', and begins with none of the digits";
        out.tell(path, message, "name it like input_file");
    }
}
