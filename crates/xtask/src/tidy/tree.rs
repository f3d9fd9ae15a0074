//! The files and crates that the checks look at, read once.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::rust_source::RustSource;

/// A text file of the repository, by its path from the root.
#[derive(Debug)]
pub(super) struct TextFile {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A crate of the workspace.
#[derive(Debug)]
pub(super) struct Crate {
    /// The folder below `crates/`.
    pub(super) folder: String,
    /// The path of its manifest from the root.
    pub(super) manifest_path: PathBuf,
    pub(super) manifest: toml::Table,
}

/// The repository.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: PathBuf,
    pub(super) files: Vec<TextFile>,
    pub(super) sources: Vec<RustSource>,
    pub(super) crates: Vec<Crate>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for path in listed(root)? {
            // A deleted file may still be listed; one that is no text is of no interest here.
            if let Ok(text) = std::fs::read_to_string(root.join(&path)) {
                files.push(TextFile { path, text });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let rust = files
            .iter()
            .filter(|file| file.path.extension().is_some_and(|e| e == "rs"));
        let sources = rust
            .map(|file| RustSource::new(&file.path, &file.text))
            .collect();
        let crates = files.iter().filter_map(as_crate).collect::<Result<_>>()?;
        Ok(Self {
            root: root.to_owned(),
            files,
            sources,
            crates,
        })
    }

    pub(super) fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == Path::new(path))
    }
}

fn as_crate(file: &TextFile) -> Option<Result<Crate>> {
    let parts: Vec<&str> = file.path.iter().filter_map(|part| part.to_str()).collect();
    let ["crates", folder, "Cargo.toml"] = parts[..] else {
        return None;
    };
    let parsed = file
        .text
        .parse::<toml::Table>()
        .with_context(|| format!("cannot parse {}", file.path.display()));
    Some(parsed.map(|manifest| Crate {
        folder: folder.to_owned(),
        manifest_path: file.path.clone(),
        manifest,
    }))
}

/// The files under version control and the new ones; without git, every file but build output.
fn listed(root: &Path) -> Result<Vec<PathBuf>> {
    let git = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output();
    if let Ok(output) = git
        && output.status.success()
    {
        let text = String::from_utf8_lossy(&output.stdout);
        return Ok(text
            .split('\0')
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .collect());
    }
    let mut found = Vec::new();
    walk(root, Path::new(""), &mut found)?;
    Ok(found)
}

fn walk(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let folder = root.join(below);
    for entry in
        std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            if !matches!(name.to_str(), Some("target" | "node_modules" | ".git")) {
                walk(root, &path, found)?;
            }
        } else {
            found.push(path);
        }
    }
    Ok(())
}
