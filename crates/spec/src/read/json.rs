//! JSON: one value, a list, or values one after another. Members that stand twice are refused.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Value};

use super::document::{Document, counted};
use super::{MAX_DEPTH, MAX_VALUES};
use crate::fault::{Fault, Position, below};

pub(super) fn read(text: &str) -> Result<Vec<Document>, Vec<Fault>> {
    let mut stream = Deserializer::from_str(text);
    let mut documents = Vec::new();
    let seen = Seen::default();
    while stream.end().is_err() {
        let path = String::new();
        let tree = Tree { seen: &seen, path };
        match tree.deserialize(&mut stream) {
            Ok(value) => documents.push(Document {
                value,
                ..Document::default()
            }),
            Err(error) => return Err(vec![fault_of(&error)]),
        }
        let doubled = seen.doubled.borrow();
        if !doubled.is_empty() {
            return Err(doubled.iter().map(|path| doubled_key(path)).collect());
        }
    }
    Ok(documents)
}

fn fault_of(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(front, _)| front);
    Fault::new("", message.to_owned()).at(Some(Position {
        line: counted(error.line()),
        column: counted(error.column()),
    }))
}

fn doubled_key(path: &str) -> Fault {
    Fault::new(path, "is written twice").hint("keep one of them")
}

#[derive(Default)]
struct Seen {
    values: RefCell<usize>,
    doubled: RefCell<BTreeSet<String>>,
}

/// Reads one value at a path.
struct Tree<'a> {
    seen: &'a Seen,
    path: String,
}

impl Tree<'_> {
    fn child(&self, key: impl fmt::Display) -> Tree<'_> {
        Tree {
            seen: self.seen,
            path: below(&self.path, key),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        use serde::de::Error;
        let mut values = self.seen.values.borrow_mut();
        *values += 1;
        if *values > MAX_VALUES {
            return Err(D::Error::custom(format!("more than {MAX_VALUES} values")));
        }
        drop(values);
        if self.path.bytes().filter(|byte| *byte == b'/').count() > MAX_DEPTH {
            return Err(D::Error::custom(format!("nested deeper than {MAX_DEPTH}")));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.child(items.len()))? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let child = self.child(&key);
            let path = child.path.clone();
            let value = map.next_value_seed(child)?;
            if members.insert(key, value).is_some() {
                self.seen.doubled.borrow_mut().insert(path);
            }
        }
        Ok(Value::Object(members))
    }
}
