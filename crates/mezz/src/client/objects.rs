//! How people name objects, and where those are in the API.

use mezz_spec::{Kind, Name};

use super::error::ClientError;
use super::http::percent_encoded;

/// The kind of a word, in the singular or the plural.
pub(crate) fn kind(word: &str) -> Option<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| kind.word() == word || kind.plural() == word)
}

/// The kind of a word that has to be one.
pub(crate) fn known_kind(word: &str) -> Result<Kind, ClientError> {
    kind(word).ok_or_else(|| {
        let words = Kind::ALL.map(Kind::word);
        let near = mezz_spec::nearest::nearest(word, words);
        let tip = near.map_or_else(
            || format!("the kinds are {}", words.join(", ")),
            |near| format!("did you mean '{near}'?"),
        );
        ClientError::Usage(format!("'{word}' is no kind of object; {tip}"))
    })
}

/// `KIND/NAME` in its parts. A text that begins with a slash or with no kind is a name alone.
pub(crate) fn split(text: &str) -> (Option<Kind>, &str) {
    match text.split_once('/') {
        Some((word, name)) if kind(word).is_some() && !name.is_empty() => (kind(word), name),
        _ => (None, text),
    }
}

/// `KINDS/NAME` as the API knows it: with the kind in the singular.
pub(crate) fn singular(text: &str) -> String {
    match split(text) {
        (Some(kind), rest) => format!("{kind}/{}", rest.trim_start_matches('/')),
        (None, text) => text.to_owned(),
    }
}

/// A name, checked.
pub(crate) fn name(text: &str) -> Result<Name, ClientError> {
    Name::new(text).map_err(|error| ClientError::Usage(error.to_string()))
}

/// The path of an object.
pub(crate) fn path(kind: Kind, name: &Name) -> String {
    format!("/v1/{}{name}", kind.plural())
}

/// A path with what a query selects.
pub(crate) fn selected(path: &str, under: Option<&str>, labels: &[String]) -> String {
    let under = under.map(|name| format!("under={}", percent_encoded(name)));
    let labels = labels
        .iter()
        .map(|label| format!("label={}", percent_encoded(label)));
    let query: Vec<String> = under.into_iter().chain(labels).collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}
