//! TOML: one object, or several as `[[object]]`.

use serde_json::{Map, Number, Value};
use toml::de::{DeTable, DeValue};

use super::document::{Document, Lines};
use super::{MAX_DEPTH, MAX_VALUES};
use crate::fault::{Fault, below};

pub(super) fn read(text: &str) -> Result<Vec<Document>, Vec<Fault>> {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let faults = errors.iter().map(|error| {
            let at = error.span().map(|span| lines.position(text, span.start));
            Fault::new("", error.message().to_owned()).at(at)
        });
        return Err(faults.collect());
    }
    let mut walk = Walk {
        text,
        lines,
        document: Document::default(),
        faults: Vec::new(),
        values: 0,
    };
    let value = walk.table(table.get_ref(), "");
    if !walk.faults.is_empty() {
        return Err(walk.faults);
    }
    let mut document = walk.document;
    document.value = value;
    objects_of(document)
}

/// `[[object]]` tables stand alone in a file.
fn objects_of(document: Document) -> Result<Vec<Document>, Vec<Fault>> {
    let Value::Object(members) = &document.value else {
        return Ok(vec![document]);
    };
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let Some(Value::Array(_)) = members.get("object") else {
        return Ok(vec![document]);
    };
    if let Some(other) = members.keys().find(|key| *key != "object") {
        let fault = Fault::new(below("", other), "stands beside [[object]] tables")
            .hint("put it into one of them, or into a file of its own")
            .at(document.place(&below("", other)));
        return Err(vec![fault]);
    }
    Ok(vec![document.inner("object")])
}

struct Walk<'a> {
    text: &'a str,
    lines: Lines,
    document: Document,
    faults: Vec<Fault>,
    values: usize,
}

impl Walk<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Value {
        let mut members = Map::new();
        for (key, value) in table {
            let inner = below(path, key.get_ref());
            let place = self.lines.position(self.text, key.span().start);
            self.document.places.insert(inner.clone(), place);
            let value = self.value(value.get_ref(), &inner);
            members.insert(key.get_ref().to_string(), value);
        }
        Value::Object(members)
    }

    fn value(&mut self, value: &DeValue<'_>, path: &str) -> Value {
        self.values += 1;
        if self.values > MAX_VALUES {
            self.refuse("", format!("more than {MAX_VALUES} values"));
            return Value::Null;
        }
        if path.bytes().filter(|byte| *byte == b'/').count() > MAX_DEPTH {
            self.refuse(path, format!("nested deeper than {MAX_DEPTH}"));
            return Value::Null;
        }
        match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => {
                let signed = i64::from_str_radix(number.as_str(), number.radix());
                let unsigned = || u64::from_str_radix(number.as_str(), number.radix());
                let read = signed
                    .map(Value::from)
                    .or_else(|_| unsigned().map(Value::from));
                read.unwrap_or_else(|_| self.unrepresentable(path, number.as_str()))
            }
            DeValue::Float(number) => {
                let text = number.as_str();
                self.document.texts.insert(path.into(), text.into());
                let read = text.parse().ok().and_then(Number::from_f64);
                read.map_or_else(|| self.unrepresentable(path, text), Value::Number)
            }
            DeValue::Boolean(value) => Value::Bool(*value),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let inner = below(path, index);
                    let place = self.lines.position(self.text, item.span().start);
                    self.document.places.insert(inner.clone(), place);
                    list.push(self.value(item.get_ref(), &inner));
                }
                Value::Array(list)
            }
            DeValue::Table(table) => self.table(table, path),
        }
    }

    fn unrepresentable(&mut self, path: &str, text: &str) -> Value {
        self.refuse(path, format!("{text} is no number that fits"));
        Value::Null
    }

    fn refuse(&mut self, path: &str, message: String) {
        if self.faults.len() < crate::fault::MAX_FAULTS {
            let at = self.document.place(path);
            self.faults.push(Fault::new(path, message).at(at));
        }
    }
}
