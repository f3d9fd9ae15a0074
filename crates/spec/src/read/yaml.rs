//! YAML 1.2, many documents in a text, from the events of a parser. Keys that stand twice, keys that are no texts, tags
//! of others and aliases that grow beyond all bounds are refused.

use std::collections::BTreeMap;

use granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Value};

use super::document::{Document, Doubt, counted};
use super::{MAX_DEPTH, MAX_VALUES, scalar};
use crate::fault::{Fault, MAX_FAULTS, Position, below};

pub(super) fn read(text: &str) -> Result<Vec<Document>, Vec<Fault>> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                let at = position(*error.marker());
                builder
                    .faults
                    .push(Fault::new("", error.info()).at(Some(at)));
                break;
            }
        }
        if builder.faults.len() >= MAX_FAULTS || builder.values > MAX_VALUES {
            break;
        }
    }
    if builder.faults.is_empty() {
        Ok(builder.documents)
    } else {
        Err(builder.faults)
    }
}

fn position(marker: Marker) -> Position {
    Position {
        line: counted(marker.line()),
        column: counted(marker.col() + 1),
    }
}

/// A mapping or sequence that is still open.
struct Frame {
    path: String,
    anchor: usize,
    /// Values before it, to count those within.
    before: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Value>),
    Members {
        members: Map<String, Value>,
        key: Option<Key>,
        /// What `<<` brings in, the first before the later ones.
        merged: Vec<Value>,
    },
}

enum Key {
    Text(String),
    Merge,
    /// Told as a fault already.
    Bad,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Document>,
    document: Document,
    /// Whether the document is nothing but white space.
    is_blank: bool,
    stack: Vec<Frame>,
    /// By the parser's number, each with how many values it has.
    anchors: BTreeMap<usize, (Value, usize)>,
    values: usize,
    faults: Vec<Fault>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) {
        match event {
            Event::DocumentStart(..) => {
                self.document = Document::default();
                self.anchors.clear();
                self.is_blank = true;
            }
            Event::DocumentEnd => {
                let document = std::mem::take(&mut self.document);
                if !self.is_blank {
                    self.documents.push(document);
                }
            }
            Event::Alias(id) => self.alias(id, span),
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, (anchor, tag.as_deref()), span);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(Inside::List(Vec::new()), (anchor, tag.as_deref()), span);
            }
            Event::MappingStart(_, anchor, tag) => {
                let inside = Inside::Members {
                    members: Map::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.open(inside, (anchor, tag.as_deref()), span);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            _ => {}
        }
    }

    fn count(&mut self, values: usize, span: Span) {
        self.values = self.values.saturating_add(values);
        if self.values > MAX_VALUES {
            let message = format!("more than {MAX_VALUES} values, aliases included");
            let at = position(span.start);
            self.faults.push(Fault::new("", message).at(Some(at)));
        }
    }

    /// Whether the next scalar is a key.
    fn wants_key(&self) -> bool {
        let inside = self.stack.last().map(|frame| &frame.inside);
        matches!(inside, Some(Inside::Members { key: None, .. }))
    }

    /// The path of the next value.
    fn path(&self) -> String {
        let Some(frame) = self.stack.last() else {
            return String::new();
        };
        match &frame.inside {
            Inside::List(items) => below(&frame.path, items.len()),
            Inside::Members { key, .. } => match key {
                Some(Key::Text(key)) => below(&frame.path, key),
                Some(Key::Merge) => below(&frame.path, "<<"),
                Some(Key::Bad) | None => frame.path.clone(),
            },
        }
    }

    fn refuse(&mut self, path: String, message: impl Into<String>, hint: &str, span: Span) {
        let at = Some(position(span.start));
        let fault = Fault::new(path, message).at(at);
        self.faults.push(if hint.is_empty() {
            fault
        } else {
            fault.hint(hint)
        });
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        (anchor, tag): (usize, Option<&Tag>),
        span: Span,
    ) {
        self.is_blank &=
            self.stack.is_empty() && matches!(text, "" | "~") && style == ScalarStyle::Plain;
        self.count(1, span);
        if self.wants_key() {
            self.key(text, style, span);
            if anchor > 0 {
                self.anchors.insert(anchor, (Value::from(text), 1));
            }
            return;
        }
        let path = self.path();
        self.document
            .places
            .insert(path.clone(), position(span.start));
        let value = match self.tagged(text, style, tag, &path) {
            Ok(value) => value,
            Err(message) => {
                self.refuse(path, message, "", span);
                Value::Null
            }
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), 1));
        }
        self.put(value);
    }

    fn tagged(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        path: &str,
    ) -> Result<Value, String> {
        let core = tag.map(|tag| tag.core_suffix().ok_or_else(|| tag.original()));
        let core = core
            .transpose()
            .map_err(|tag| format!("the tag {tag} is not known"))?;
        if core == Some("str") || (core.is_none() && style != ScalarStyle::Plain) {
            return Ok(Value::from(text));
        }
        let value = scalar::plain(text).ok_or_else(|| format!("{text} is no number that fits"))?;
        let fits = match core {
            None => true,
            Some("null") => value.is_null(),
            Some("bool") => value.is_boolean(),
            Some("int") => value.is_u64() || value.is_i64(),
            Some("float") => value.is_number(),
            Some(_) => false,
        };
        if !fits {
            return Err(format!("'{text}' is not of its tag"));
        }
        if core.is_none() {
            self.note(text, &value, path);
        }
        Ok(value)
    }

    fn note(&mut self, text: &str, value: &Value, path: &str) {
        if let Some(meaning) = scalar::older_meaning(text) {
            let text = text.to_owned();
            let is_key = false;
            let doubt = Doubt {
                text,
                meaning,
                is_key,
            };
            self.document.doubtful.insert(path.into(), doubt);
        }
        if !value.is_string() && !value.is_null() {
            self.document.texts.insert(path.into(), text.into());
        }
    }

    fn key(&mut self, text: &str, style: ScalarStyle, span: Span) {
        let is_plain = style == ScalarStyle::Plain;
        let frame = self.stack.last().expect("a key stands in a mapping");
        let path = below(&frame.path, text);
        let read = if is_plain { scalar::plain(text) } else { None };
        let key = if is_plain && text == "<<" {
            Key::Merge
        } else if matches!(read, Some(Value::Null | Value::Bool(_))) {
            let message = format!("the key {text} is no text");
            self.refuse(path, message, "quote it", span);
            Key::Bad
        } else {
            let older = is_plain.then(|| scalar::older_meaning(text)).flatten();
            if let Some(meaning @ ("true" | "false")) = older {
                let text = text.to_owned();
                let is_key = true;
                let doubt = Doubt {
                    text,
                    meaning,
                    is_key,
                };
                self.document.doubtful.insert(path.clone(), doubt);
            }
            self.document
                .places
                .entry(path.clone())
                .or_insert(position(span.start));
            self.new_key(text, path, span)
        };
        if let Some(Inside::Members { key: slot, .. }) =
            self.stack.last_mut().map(|frame| &mut frame.inside)
        {
            *slot = Some(key);
        }
    }

    fn new_key(&mut self, text: &str, path: String, span: Span) -> Key {
        let frame = self.stack.last().expect("a key stands in a mapping");
        if let Inside::Members { members, .. } = &frame.inside
            && members.contains_key(text)
        {
            self.refuse(path, "is written twice", "keep one of them", span);
            return Key::Bad;
        }
        Key::Text(text.to_owned())
    }

    fn open(&mut self, inside: Inside, (anchor, tag): (usize, Option<&Tag>), span: Span) {
        self.is_blank = false;
        let before = self.values;
        self.count(1, span);
        if self.wants_key() {
            let path = self.path();
            self.refuse(path, "a key is no text", "write keys as texts", span);
            if let Some(Inside::Members { key, .. }) =
                self.stack.last_mut().map(|frame| &mut frame.inside)
            {
                *key = Some(Key::Bad);
            }
        }
        let path = self.path();
        let wanted = match inside {
            Inside::List(_) => "seq",
            Inside::Members { .. } => "map",
        };
        if let Some(tag) = tag
            && tag.core_suffix() != Some(wanted)
        {
            let message = format!("the tag {} is not known", tag.original());
            self.refuse(path.clone(), message, "", span);
        }
        self.document
            .places
            .entry(path.clone())
            .or_insert(position(span.start));
        self.stack.push(Frame {
            path,
            anchor,
            before,
            inside,
        });
    }

    fn close(&mut self, span: Span) {
        let Some(frame) = self.stack.pop() else {
            return;
        };
        let value = match frame.inside {
            Inside::List(items) => Value::Array(items),
            Inside::Members {
                members, merged, ..
            } => {
                let merged = merge(members, merged);
                merged.unwrap_or_else(|| {
                    let hint = "let << stand for an alias of a mapping, or a list of such";
                    self.refuse(below(&frame.path, "<<"), "is no mapping", hint, span);
                    Value::Null
                })
            }
        };
        if frame.anchor > 0 {
            let size = self.values - frame.before;
            self.anchors.insert(frame.anchor, (value.clone(), size));
        }
        self.put(value);
    }

    fn alias(&mut self, id: usize, span: Span) {
        let path = self.path();
        let Some((value, size)) = self.anchors.get(&id) else {
            self.refuse(path, "an alias within what it stands for", "", span);
            return;
        };
        let size = *size;
        // Counted before it is copied: that is what the bound is for.
        if self.values.saturating_add(size) > MAX_VALUES {
            self.count(size, span);
            return;
        }
        let value = value.clone();
        self.count(size, span);
        if self.wants_key() {
            match value {
                Value::String(text) => self.key(&text, ScalarStyle::DoubleQuoted, span),
                _ => self.refuse(path, "a key is no text", "write keys as texts", span),
            }
            return;
        }
        self.document.places.insert(path, position(span.start));
        self.put(value);
    }

    fn put(&mut self, value: Value) {
        let Some(frame) = self.stack.last_mut() else {
            self.document.value = value;
            return;
        };
        match &mut frame.inside {
            Inside::List(items) => items.push(value),
            Inside::Members {
                members,
                key,
                merged,
            } => match key.take() {
                Some(Key::Text(key)) => {
                    members.insert(key, value);
                }
                Some(Key::Merge) => merged.push(value),
                Some(Key::Bad) | None => {}
            },
        }
    }
}

/// Members of their own first, then what is merged in.
fn merge(mut members: Map<String, Value>, merged: Vec<Value>) -> Option<Value> {
    for source in merged {
        let sources = match source {
            Value::Array(sources) => sources,
            one => vec![one],
        };
        for source in sources {
            let Value::Object(source) = source else {
                return None;
            };
            for (key, value) in source {
                members.entry(key).or_insert(value);
            }
        }
    }
    Some(Value::Object(members))
}
