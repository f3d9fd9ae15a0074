//! A tree as it was written, with the places of its values and what was doubtful about them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Format, MAX_TEXT_BYTES, json, toml, yaml};
use crate::fault::{Fault, Position, below};

/// One tree of a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    pub value: Value,
    /// By JSON pointer.
    pub(super) places: BTreeMap<String, Position>,
    /// Values whose text says more than their value: `5.10` is the number 5.1.
    pub(super) texts: BTreeMap<String, String>,
    /// Unquoted words that readers of YAML understand differently.
    pub(super) doubtful: BTreeMap<String, Doubt>,
}

/// What an unquoted word is to older readers of YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) text: String,
    pub(super) meaning: &'static str,
    /// Whether the word is a key.
    pub(super) is_key: bool,
}

/// All trees of a text, whatever they are: YAML documents, TOML objects, JSON values, and the items of lists of these.
pub fn documents(text: &str, format: Format) -> Result<Vec<Document>, Vec<Fault>> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!(
            "the text has {} bytes; {MAX_TEXT_BYTES} are allowed",
            text.len()
        );
        return Err(vec![
            Fault::new("", message).hint("split it into several files"),
        ]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read = match format {
        Format::Yaml => yaml::read(text)?,
        Format::Toml => toml::read(text)?,
        Format::Json => json::read(text)?,
    };
    Ok(read.into_iter().flat_map(Document::items).collect())
}

impl Document {
    /// The items of a list, each a document of its own; otherwise itself.
    fn items(self) -> Vec<Self> {
        let Value::Array(items) = self.value else {
            return vec![self];
        };
        let mut documents = Vec::with_capacity(items.len());
        for (index, value) in items.into_iter().enumerate() {
            let root = below("", index);
            documents.push(Self {
                value,
                places: under(&self.places, &root),
                texts: under(&self.texts, &root),
                doubtful: under(&self.doubtful, &root),
            });
        }
        documents
    }

    /// The document of one member.
    pub(super) fn inner(mut self, key: &str) -> Self {
        let root = below("", key);
        let value = self.value.get_mut(key).map(Value::take);
        Self {
            value: value.unwrap_or_default(),
            places: under(&self.places, &root),
            texts: under(&self.texts, &root),
            doubtful: under(&self.doubtful, &root),
        }
    }

    /// The place of a value, or of the nearest one around it.
    pub fn place(&self, path: &str) -> Option<Position> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(*place);
            }
            path = &path[..path.rfind('/')?];
        }
    }

    /// A fault with its place, and with the text as it was written in its hint.
    pub(super) fn placed(&self, fault: Fault) -> Fault {
        let at = self.place(&fault.path);
        let hint = match (self.texts.get(&fault.path), &fault.hint) {
            (Some(text), Some(hint)) if hint.starts_with("quote it") => {
                Some(format!("quote it: \"{text}\""))
            }
            _ => fault.hint.clone(),
        };
        Fault { hint, at, ..fault }
    }

    /// A fault for each unquoted word that readers of YAML understand differently.
    pub fn doubtful_words(&self) -> Vec<Fault> {
        let words = self.doubtful.iter().filter(|(path, doubt)| {
            // Where a boolean belongs, the words of older YAML get the error of the type.
            doubt.is_key || self.value.pointer(path).is_some()
        });
        words
            .map(|(path, doubt)| {
                Fault::new(
                    path.clone(),
                    format!(
                        "unquoted {} is {} to some readers of YAML and not to others",
                        doubt.text, doubt.meaning
                    ),
                )
                .hint(doubt.hint())
                .at(self.place(path))
            })
            .collect()
    }
}

impl Doubt {
    fn hint(&self) -> String {
        match self.meaning {
            "true" | "false" => format!(
                "quote it if a text is meant (\"{}\"), write {} otherwise",
                self.text, self.meaning
            ),
            _ => format!(
                "quote it if a text is meant (\"{}\"), write a plain decimal number otherwise",
                self.text
            ),
        }
    }
}

fn under<T: Clone>(all: &BTreeMap<String, T>, root: &str) -> BTreeMap<String, T> {
    let inside = all
        .range(root.to_owned()..)
        .take_while(|(path, _)| path.starts_with(root));
    inside
        .filter_map(|(path, item)| {
            let rest = &path[root.len()..];
            (rest.is_empty() || rest.starts_with('/')).then(|| (rest.to_owned(), item.clone()))
        })
        .collect()
}

/// Where the lines of a text begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    pub(super) fn position(&self, text: &str, offset: usize) -> Position {
        let line = self.0.partition_point(|start| *start <= offset).max(1);
        let start = self.0[line - 1];
        let before = text.get(start..offset).unwrap_or_default();
        Position {
            line: counted(line),
            column: counted(before.chars().count() + 1),
        }
    }
}

pub(super) fn counted(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
