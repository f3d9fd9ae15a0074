//! Cgroups of one test's agents: what is there, and clearing up.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A name of this test's own for the agent's groups.
pub struct Root(pub String);

impl Root {
    pub fn new(test: &str) -> Self {
        Self(format!("mezz-test-{}-{test}", std::process::id()))
    }

    /// All groups of containers that are there, by their directories.
    pub fn groups(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for hierarchy in
            folders(Path::new("/sys/fs/cgroup")).chain([PathBuf::from("/sys/fs/cgroup")])
        {
            for scope in folders(&hierarchy.join(&self.0)) {
                found.extend(folders(&scope));
            }
        }
        found
    }

    /// Those of containers that were started.
    pub fn labelled(&self) -> BTreeSet<PathBuf> {
        let mut groups = self.groups();
        groups.retain(|group| {
            rustix::fs::getxattr(group, "trusted.mezz.label", &mut [0u8; 64][..]).is_ok()
        });
        groups
    }

    pub async fn settles(&self) {
        for _ in 0..500 {
            if self.labelled().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("groups are left: {:?}", self.labelled());
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let all = folders(Path::new("/sys/fs/cgroup")).chain([PathBuf::from("/sys/fs/cgroup")]);
        for root in all.map(|hierarchy| hierarchy.join(&self.0)) {
            for scope in folders(&root) {
                for group in folders(&scope) {
                    let _ = std::fs::remove_dir(group);
                }
                let _ = std::fs::remove_dir(scope);
            }
            let _ = std::fs::remove_dir(root);
        }
    }
}

pub fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}
