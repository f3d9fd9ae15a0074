//! Writes an answer of the API to stdout in the format that was asked for.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::Value;

use super::columns::{Listing, Width};
use super::{table, talk, yaml};
use crate::args::Format;
use crate::client::error::ClientError;

/// Writes a list.
pub(crate) fn list(
    listing: &Listing,
    answer: &[u8],
    format: Format,
    now: Timestamp,
) -> Result<Reader, ClientError> {
    if format == Format::Json {
        return write(&as_lines(answer));
    }
    let elements: Vec<Value> = serde_json::from_slice(answer)?;
    match format {
        Format::Json | Format::Yaml => write(&yaml::yaml(&Value::Array(elements))),
        Format::Name => write(
            &elements
                .iter()
                .map(|element| name(listing, element) + "\n")
                .collect::<String>(),
        ),
        Format::Table | Format::Wide if elements.is_empty() => {
            talk::note(listing.empty);
            Ok(Reader::There)
        }
        Format::Table => write(&rows(listing, &elements, Width::Plain, now)),
        Format::Wide => write(&rows(listing, &elements, Width::Wide, now)),
    }
}

/// Whether anybody still reads our stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    /// It has seen enough, as `head` has; that is no error.
    Gone,
}

/// Writes text to stdout.
pub(crate) fn write(text: &str) -> Result<Reader, ClientError> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(ClientError::Output(error)),
    }
}

/// The JSON as it came, ending in a line end.
pub(crate) fn as_lines(answer: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(answer).into_owned();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn name(listing: &Listing, element: &Value) -> String {
    let part = |key: &str| {
        let value = element.get(key).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let parts: Vec<String> = listing.key.split('/').map(part).collect();
    parts.join("/")
}

fn rows(listing: &Listing, elements: &[Value], width: Width, now: Timestamp) -> String {
    let columns: Vec<_> = listing
        .columns
        .iter()
        .filter(|column| width == Width::Wide || column.width == Width::Plain)
        .collect();
    let titles: Vec<_> = columns
        .iter()
        .map(|column| (column.title, column.align))
        .collect();
    let rows: Vec<Vec<String>> = elements
        .iter()
        .map(|element| {
            columns
                .iter()
                .map(|column| column.cell.text(element, now))
                .collect()
        })
        .collect();
    table::table(&titles, &rows)
}
