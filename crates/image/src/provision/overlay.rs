//! A stack of layers in the words of overlayfs. It is mounted by whoever makes the container.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::unpack::Privilege;

/// What one option string of `mount` may have, its end included.
const PAGE: usize = 4096;

/// Trees of layers, highest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    /// Their places.
    pub trees: Vec<PathBuf>,
    /// Their short names in `links`, in the same order.
    pub names: Vec<String>,
    /// The folder of short names.
    pub links: PathBuf,
}

/// An overlay that is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// What is below, read only.
    pub stack: Stack,
    /// What the container writes.
    pub upper: PathBuf,
    /// The kernel's own.
    pub work: PathBuf,
    /// Where whiteouts are marked.
    pub privilege: Privilege,
}

impl Overlay {
    /// Single options, for `fsconfig`, which has room for any number: `lowerdir+` from the highest down.
    pub fn options(&self) -> Vec<(&'static str, OsString)> {
        let lower = self.stack.trees.iter();
        let mut options: Vec<(&'static str, OsString)> = lower
            .map(|tree| ("lowerdir+", tree.clone().into_os_string()))
            .collect();
        options.push(("upperdir", self.upper.clone().into_os_string()));
        options.push(("workdir", self.work.clone().into_os_string()));
        if self.privilege == Privilege::Unprivileged {
            options.push(("userxattr", OsString::new()));
        }
        options
    }

    /// One string for `mount`, and the directory to be in if it fits into a page only with short names.
    pub fn mount_data(&self) -> (OsString, Option<&Path>) {
        let trees = self
            .stack
            .trees
            .iter()
            .map(|tree| escaped(tree.as_os_str()));
        let whole = self.data(trees);
        if whole.len() < PAGE {
            return (whole, None);
        }
        let names = self.stack.names.iter().map(OsString::from);
        (self.data(names), Some(&self.stack.links))
    }

    fn data(&self, lower: impl Iterator<Item = OsString>) -> OsString {
        let mut data = OsString::from("lowerdir=");
        for (place, tree) in lower.enumerate() {
            if place > 0 {
                data.push(":");
            }
            data.push(tree);
        }
        for (name, path) in [("upperdir", &self.upper), ("workdir", &self.work)] {
            data.push(format!(",{name}="));
            data.push(escaped(path.as_os_str()));
        }
        if self.privilege == Privilege::Unprivileged {
            data.push(",userxattr");
        }
        data
    }
}

/// A colon, a comma or a backslash of a path would be taken for one of the options.
fn escaped(path: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let bytes = path.as_bytes().iter().flat_map(|byte| {
        let special = matches!(byte, b':' | b',' | b'\\');
        special.then_some(b'\\').into_iter().chain([*byte])
    });
    OsString::from_vec(bytes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlay(layers: usize) -> Overlay {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let tree = |number| PathBuf::from(format!("/store/layers/sha256-{hex}{number}/root"));
        Overlay {
            stack: Stack {
                trees: (0..layers).map(tree).collect(),
                names: (0..layers).map(|number| format!("z{number:03}")).collect(),
                links: "/store/l".into(),
            },
            upper: "/store/containers/a:b/upper".into(),
            work: "/store/containers/a:b/work".into(),
            privilege: Privilege::Root,
        }
    }

    #[test]
    fn few_layers_are_named_in_full() {
        let overlay = overlay(2);
        let (data, folder) = overlay.mount_data();
        assert_eq!(folder, None);
        let data = data.into_string().unwrap();
        assert!(data.starts_with("lowerdir=/store/layers/"), "{data}");
        assert!(
            data.ends_with(r",workdir=/store/containers/a\:b/work"),
            "{data}"
        );
    }

    #[test]
    fn as_many_layers_as_the_kernel_stacks_fit_into_one_page() {
        let overlay = overlay(500);
        let (data, folder) = overlay.mount_data();
        assert_eq!(folder, Some(Path::new("/store/l")));
        assert!(data.len() < PAGE, "{}", data.len());
        assert_eq!(overlay.options().len(), 502);
    }
}
