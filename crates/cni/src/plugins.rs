//! Where plugins' programs are.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The folders in which plugins are looked for, and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFolders {
    folders: Vec<PathBuf>,
}

impl PluginFolders {
    /// These folders, the first is looked into first.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// From a search path, with colons between the folders.
    pub fn parse(path: &str) -> Self {
        let folders = path.split(':').filter(|folder| !folder.is_empty());
        Self::new(folders.map(PathBuf::from).collect())
    }

    /// The program of a plugin, which must be a name, not a path.
    pub fn find(&self, kind: &str) -> Option<PathBuf> {
        let mut candidates = self.folders.iter().map(|folder| folder.join(kind));
        candidates.find(|path| !kind.contains('/') && is_program(path))
    }

    /// As plugins are told it, in `CNI_PATH`.
    pub fn to_path(&self) -> String {
        let folders: Vec<String> = self
            .folders
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        folders.join(":")
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
