//! Writing JSON straight into a buffer, with numbers as Mesos prints them.

use std::io::Write as _;

use mezz_resource::{Resources, SummaryValue};

/// A JSON document that grows.
#[derive(Debug, Default)]
pub(crate) struct Json {
    out: Vec<u8>,
    /// Whether a comma is due before the next item.
    comma: bool,
}

impl Json {
    pub(crate) fn new() -> Self {
        Self {
            out: Vec::with_capacity(4096),
            comma: false,
        }
    }

    /// A part of a document that others have begun.
    pub(crate) fn part() -> Self {
        Self {
            out: Vec::with_capacity(64 * 1024),
            comma: false,
        }
    }

    /// Says whether an item stands before the next one.
    pub(crate) fn after_item(&mut self, after_item: bool) {
        self.comma = after_item;
    }

    /// The finished text.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }

    /// Writes `{…}`.
    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.open(b'{');
        fill(self);
        self.close(b'}');
    }

    /// Writes `[…]`.
    pub(crate) fn array(&mut self, fill: impl FnOnce(&mut Self)) {
        self.open(b'[');
        fill(self);
        self.close(b']');
    }

    /// Begins an object or array whose end is written apart.
    pub(crate) fn open(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
        self.comma = false;
    }

    /// Ends an object or array that was begun apart.
    pub(crate) fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.comma = true;
    }

    /// An item that is JSON already.
    pub(crate) fn raw(&mut self, text: &[u8]) {
        self.separate();
        self.out.extend_from_slice(text);
    }

    /// An item that somebody else writes.
    pub(crate) fn item(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        write(&mut self.out);
    }

    /// Writes the name of the next value.
    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.out.push(b':');
        self.comma = false;
        self
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.separate();
        let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
        if text.as_bytes().iter().all(is_plain) {
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            self.out.push(b'"');
        } else {
            serde_json::to_writer(&mut self.out, text).expect("writing to memory cannot fail");
        }
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.separate();
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn integer(&mut self, value: impl Into<i128>) {
        self.separate();
        write!(self.out, "{}", value.into()).expect("writing to memory cannot fail");
    }

    /// A number with a fraction or an exponent, as Mesos prints doubles.
    pub(crate) fn double(&mut self, value: f64) {
        self.separate();
        if value.is_finite() {
            write!(self.out, "{value:?}").expect("writing to memory cannot fail");
        } else {
            self.out.extend_from_slice(if value > 0.0 {
                b"\"Infinity\""
            } else {
                b"\"-Infinity\""
            });
        }
    }

    /// A message by the rules of the v1 API.
    pub(crate) fn message<M: mezz_proto::Json>(&mut self, message: &M) {
        self.separate();
        mezz_proto::write_json(message, &mut self.out);
    }

    /// Any value of serde's model.
    pub(crate) fn value(&mut self, value: &impl serde::Serialize) {
        self.separate();
        serde_json::to_writer(&mut self.out, value).expect("writing to memory cannot fail");
    }

    pub(crate) fn strings<T: AsRef<str>>(&mut self, items: impl IntoIterator<Item = T>) {
        self.array(|json| {
            for item in items {
                json.string(item.as_ref());
            }
        });
    }

    /// The summary of resources: `cpus`, `gpus`, `mem` and `disk` always, ranges and sets as text.
    pub(crate) fn resources(&mut self, resources: &Resources) {
        self.object(|json| {
            for (name, value) in resources.summary() {
                match value {
                    SummaryValue::Number(number) => json.key(&name).double(number),
                    SummaryValue::Text(text) => json.key(&name).string(&text),
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_items_only() {
        let mut json = Json::new();
        json.object(|json| {
            json.key("a").double(1.0);
            json.key("b").array(|json| {
                json.string("x\"y");
                json.integer(2);
                json.object(|_| {});
            });
            json.key("c").boolean(true);
        });
        assert_eq!(
            String::from_utf8(json.finish()).unwrap(),
            r#"{"a":1.0,"b":["x\"y",2,{}],"c":true}"#
        );
    }
}
