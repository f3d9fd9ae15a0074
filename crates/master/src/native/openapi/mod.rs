//! The description of the native API. Its parameters come from the tables that queries are checked with.

mod object_paths;
mod paths;

use serde_json::{Value, json};

use crate::facades::Facade;

/// The facade whose description a file is.
pub(super) fn facade_named(file: &str) -> Option<Facade> {
    let word = file.strip_suffix(".json")?;
    Facade::ALL.into_iter().find(|facade| facade.word() == word)
}

/// The OpenAPI document.
pub(super) fn document() -> Value {
    let schemas: Value = serde_json::from_str(include_str!("schemas.json"))
        .expect("the embedded schemas are valid JSON");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mezzanine native API",
            "version": "1",
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths::paths(),
        "components": { "schemas": schemas },
    })
}

const DESCRIPTION: &str = "Names are snake_case, times are RFC 3339 in UTC, errors are application/problem+json.\n\n\
    Every GET has three modes on one URL. Plain: JSON with `ETag`, which `If-None-Match` compares, and `Mezz-Index`. \
    Waiting: `?index=N&wait=30s` answers when something has changed after the `Mezz-Index` N. Stream: with \
    `Accept: application/x-ndjson` or `text/event-stream` it tells what is there, then every change, and after all \
    that belongs to one moment a `synced` record with the index from which the stream can be resumed, by \
    `Last-Event-ID` or `?index=`. To miss no event, read a list and then `/v1/events?after=` its \
    `Mezz-Event-Sequence`.";

#[cfg(test)]
mod tests {
    #[test]
    fn every_path_of_the_document_describes_its_answers() {
        let document = super::document();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.len() >= 12);
        for (path, operations) in paths {
            assert!(path.starts_with("/v1/"), "{path}");
            for (method, operation) in operations.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(
                    !operation["responses"].as_object().unwrap().is_empty(),
                    "{method} {path}"
                );
            }
        }
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document = super::document();
        let text = document.to_string();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
