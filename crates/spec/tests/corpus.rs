//! Documents that are refused, each with the place and a word of the reason, and documents that are taken.
//!
//! In `corpus/invalid` a line `#### PATH | WORDS` stands before each document.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;

use mezz_spec::{Format, Kind, Object, diff, init, read, schema};

fn folder(name: &str) -> Vec<(PathBuf, String)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    let entries = fs::read_dir(root).expect("the corpus is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a text");
        (path, text)
    };
    files.into_iter().map(read).collect()
}

fn format_of(path: &std::path::Path) -> Format {
    Format::of_path(path.to_str().unwrap())
}

#[test]
fn every_invalid_document_is_refused_at_its_place_with_the_reason() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (path, text) in folder("invalid") {
        for case in text.split("#### ").skip(1) {
            let (head, document) = case.split_once('\n').unwrap();
            let (place, words) = head.split_once(" | ").unwrap();
            count += 1;
            let told = match read(document, format_of(&path)) {
                Ok(_) => "it was taken".to_owned(),
                Err(faults) => {
                    let is_told = faults.iter().any(|fault| {
                        fault.path == place
                            && fault
                                .to_string()
                                .to_lowercase()
                                .contains(&words.to_lowercase())
                    });
                    if is_told {
                        continue;
                    }
                    faults
                        .iter()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join("\n    ")
                }
            };
            wrong.push(format!("{}: {head}\n{document}    {told}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 150, "{count} documents");
}

#[test]
fn every_fault_has_something_to_do_about_it() {
    for (path, text) in folder("invalid") {
        for case in text.split("#### ").skip(1) {
            let (_, document) = case.split_once('\n').unwrap();
            for fault in read(document, format_of(&path)).unwrap_err() {
                // What the parsers of the formats say stands for itself.
                let is_syntax = fault.path.is_empty() && fault.at.is_some();
                let is_tag = fault.message.contains("tag") || fault.message.contains("no number");
                let is_deep = fault.message.contains("nested") || fault.message.contains("values");
                assert!(
                    fault.hint.is_some() || is_syntax || is_tag || is_deep,
                    "{fault}"
                );
            }
        }
    }
}

#[test]
fn every_valid_document_is_taken_and_stays_what_it_is() {
    for (path, text) in folder("valid") {
        let objects = read(&text, format_of(&path)).unwrap_or_else(|faults| {
            let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
            panic!("{}:\n{}", path.display(), told.join("\n"))
        });
        assert!(!objects.is_empty(), "{}", path.display());
        for object in objects {
            let again = Object::from_value(object.to_value()).expect("what was written is read");
            assert_eq!(object, again);
            assert_eq!(diff(&object.spec, &again.spec), []);
        }
    }
}

#[test]
fn every_example_can_be_applied_and_has_its_kind() {
    for kind in Kind::ALL {
        let objects =
            read(init(kind), Format::Yaml).unwrap_or_else(|faults| panic!("{kind}: {faults:?}"));
        assert_eq!(objects.len(), 1);
        assert_eq!(objects[0].spec.kind(), kind);
        assert_eq!(schema(kind)["title"], kind.word());
    }
}
