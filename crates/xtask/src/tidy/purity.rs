//! Pure crates: neither their code nor their dependencies reach a clock, file, socket or random source.

use super::rust_source::line_of;
use super::tree::Tree;
use super::{Finding, layers};

/// What the code of a pure crate must not name.
const FORBIDDEN: &[(&str, &str)] = &[
    ("Instant::now", "time is an input"),
    ("SystemTime", "time is an input"),
    ("std::time::Instant", "time is an input"),
    ("std::fs", "the file system belongs to a shell"),
    ("TcpStream", "the network belongs to a shell"),
    ("TcpListener", "the network belongs to a shell"),
    ("UdpSocket", "the network belongs to a shell"),
    ("ToSocketAddrs", "resolving names belongs to a shell"),
    ("std::env::", "the environment belongs to a shell"),
    ("std::process", "processes belong to a shell"),
    ("std::thread", "threads belong to a shell"),
    ("std::os::fd", "file descriptors belong to a shell"),
    ("std::os::unix::fs", "the file system belongs to a shell"),
    ("std::os::unix::net", "the network belongs to a shell"),
    ("tokio", "no async runtime"),
    (
        "HashMap::new",
        "its order depends on chance; BTreeMap or rustc_hash",
    ),
    (
        "collections::HashMap",
        "its order depends on chance; BTreeMap or rustc_hash",
    ),
    (
        "collections::HashSet",
        "its order depends on chance; BTreeSet or rustc_hash",
    ),
    ("RandomState", "chance is an input"),
    ("thread_local!", "hidden state"),
    ("println!", "a pure crate does not talk"),
    ("eprintln!", "a pure crate does not talk"),
];

/// What a pure crate must not depend on.
const DEPENDENCIES: &[&str] = &[
    "tokio",
    "hyper",
    "hyper-util",
    "reqwest",
    "rand",
    "fastrand",
    "getrandom",
    "uuid",
    "libc",
    "rustix",
    "nix",
    "redb",
    "tempfile",
    "chrono",
    "time",
    "mio",
    "socket2",
    "notify",
];

const CLIPPY_MUST_NAME: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "std::collections::HashMap",
    "std::collections::HashSet",
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for each in tree
        .crates
        .iter()
        .filter(|each| layers::is_pure(&each.folder))
    {
        for name in layers::dependency_names(&each.manifest, "dependencies") {
            if DEPENDENCIES.contains(&name.as_str()) {
                findings.push(Finding::new(
                    &each.manifest_path,
                    0,
                    format!("a pure crate must not depend on {name}"),
                ));
            }
        }
        let clippy = format!("crates/{}/clippy.toml", each.folder);
        let named = tree.file(&clippy).map_or("", |file| file.text.as_str());
        for path in CLIPPY_MUST_NAME
            .iter()
            .filter(|path| !named.contains(**path))
        {
            findings.push(Finding::new(&clippy, 0, format!("must disallow {path}")));
        }
        let folder = format!("crates/{}/src", each.folder);
        for source in tree
            .sources
            .iter()
            .filter(|source| source.path.starts_with(&folder))
        {
            let code = source.shipped_code();
            for (name, reason) in FORBIDDEN {
                for (at, _) in code.match_indices(name) {
                    let longer = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
                    if !longer && !is_fixed_hash(&code, at, name) {
                        let message = format!("`{name}` in a pure crate: {reason}");
                        findings.push(Finding::new(&source.path, line_of(&code, at), message));
                    }
                }
            }
        }
    }
    findings.sort_by(|a, b| (&a.path, a.line, &a.message).cmp(&(&b.path, b.line, &b.message)));
    findings.dedup_by(|a, b| (&a.path, a.line) == (&b.path, b.line));
    findings
}

/// `hash_map::…` and the like of rustc_hash share names with std; only std's are meant.
fn is_fixed_hash(code: &str, at: usize, name: &str) -> bool {
    name == "HashMap::new" && code[..at].ends_with("Fx")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_dependency_is_listed_twice() {
        let mut sorted = DEPENDENCIES.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), DEPENDENCIES.len());
    }
}
