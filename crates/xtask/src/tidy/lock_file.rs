//! The lock file: its size, its sources, and the crates that must not be built.

use std::collections::BTreeSet;

use super::Finding;
use super::tree::Tree;
use crate::command::{cargo, command};

const PATH: &str = "Cargo.lock";
const MOST_PACKAGES: usize = 500;
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Crates that must not come in, each with its reason; `deny.toml` says the same.
pub(super) const BANNED: &[(&str, &str)] = &[
    ("openssl", "TLS is rustls"),
    ("openssl-sys", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    ("ring", "cryptography is aws-lc-rs"),
    ("serde_yaml", "unmaintained; serde-saphyr"),
    ("serde_yml", "unsound; serde-saphyr"),
    ("chrono", "time is jiff"),
    ("failure", "unmaintained; thiserror"),
    ("structopt", "clap"),
    ("protobuf", "protobuf is prost"),
    ("actix-web", "HTTP is hyper"),
    ("async-std", "the runtime is tokio"),
    ("atty", "std::io::IsTerminal"),
    ("dotenv", "unmaintained"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(file) = tree.file(PATH) else {
        return vec![Finding::new(PATH, 0, "is missing: it must be committed")];
    };
    let lock: toml::Table = match file.text.parse() {
        Ok(lock) => lock,
        Err(error) => return vec![Finding::new(PATH, 0, format!("cannot be parsed: {error}"))],
    };
    let packages = lock
        .get("package")
        .and_then(toml::Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut findings = Vec::new();
    if packages.len() >= MOST_PACKAGES {
        let message = format!("{} packages, {MOST_PACKAGES} or more", packages.len());
        findings.push(Finding::new(PATH, 0, message));
    }
    for package in packages {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        let name = text("name").unwrap_or_default();
        if let Some(source) = text("source").filter(|source| *source != CRATES_IO) {
            findings.push(Finding::new(
                PATH,
                0,
                format!("{name} comes from {source}, not from crates.io"),
            ));
        }
    }
    findings.extend(banned(tree));
    findings
}

/// Banned crates among those that are built: the lock file also names optional ones that are not.
fn banned(tree: &Tree) -> Vec<Finding> {
    let cargo = cargo();
    let words = [
        &cargo,
        "tree",
        "--workspace",
        "--locked",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
    ];
    let output = match command(&tree.root, &words).output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return vec![Finding::new(
                PATH,
                0,
                format!("`cargo tree --locked` fails: {error}"),
            )];
        }
        Err(error) => {
            return vec![Finding::new(
                PATH,
                0,
                format!("cannot run cargo tree: {error}"),
            )];
        }
    };
    let lines = String::from_utf8_lossy(&output.stdout);
    let built: BTreeSet<&str> = lines
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let found = BANNED.iter().filter(|(name, _)| built.contains(name));
    found
        .map(|(name, reason)| Finding::new(PATH, 0, format!("{name} is banned: {reason}")))
        .collect()
}
