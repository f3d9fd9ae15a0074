//! The description of the native API, served as it is.

use serde_json::Value;

/// The OpenAPI document.
pub(super) fn document() -> Value {
    serde_json::from_str(include_str!("openapi.json")).expect("the embedded document is valid JSON")
}

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
}
