//! The files that hold objects: which ones are meant, and what stands in them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use mezz_spec::read::Format;
use mezz_spec::{Fault, Object};

use crate::client::error::ClientError;

/// The endings of files that are taken from a folder.
const ENDINGS: [&str; 4] = ["yaml", "yml", "toml", "json"];

/// A text and where it came from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) format: Format,
}

/// All files that are meant, in the order of their names within a folder.
pub(crate) fn sources(given: &[PathBuf]) -> Result<Vec<Source>, ClientError> {
    let mut sources = Vec::new();
    for path in given {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let read = io::stdin().read_to_string(&mut text);
            read.map_err(|error| ClientError::Usage(format!("stdin cannot be read: {error}")))?;
            sources.push(Source {
                path: "stdin".to_owned(),
                text,
                format: Format::Yaml,
            });
        } else if path.is_dir() {
            let mut found = Vec::new();
            walk(path, &mut found)?;
            if found.is_empty() {
                let path = path.display();
                let message = format!("{path} holds no .yaml, .yml, .toml or .json file");
                return Err(ClientError::Usage(message));
            }
            for path in found {
                sources.push(source(&path)?);
            }
        } else {
            sources.push(source(path)?);
        }
    }
    Ok(sources)
}

fn unreadable(path: &Path, error: &io::Error) -> ClientError {
    ClientError::Usage(format!("{} cannot be read: {error}", path.display()))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), ClientError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        paths.push(entry.map_err(|error| unreadable(folder, &error))?.path());
    }
    paths.sort();
    for path in paths {
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path.extension().and_then(|ending| ending.to_str());
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            walk(&path, found)?;
        } else if ending.is_some_and(|ending| ENDINGS.contains(&ending)) {
            found.push(path);
        }
    }
    Ok(())
}

/// A file with its text.
pub(crate) fn source(path: &Path) -> Result<Source, ClientError> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let path = path.display().to_string();
    let format = Format::of_path(&path);
    Ok(Source { path, text, format })
}

impl Source {
    /// Its media type.
    pub(crate) fn media_type(&self) -> &'static str {
        match self.format {
            Format::Yaml => "application/yaml",
            Format::Toml => "application/toml",
            Format::Json => "application/json",
        }
    }

    /// The objects in it.
    pub(crate) fn objects(&self) -> Result<Vec<Object>, Vec<Fault>> {
        mezz_spec::read(&self.text, self.format)
    }
}
