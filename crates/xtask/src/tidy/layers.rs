//! Arrows between crates: from a layer to a lower one, and the few stated ones within a layer.

use std::collections::BTreeMap;

use super::Finding;
use super::tree::{Crate, Tree};

/// A layer of the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    Words,
    Cores,
    Drivers,
    Assemblies,
    Development,
}

const LAYERS: &[(Layer, &[&str])] = &[
    (
        Layer::Words,
        &["proto", "resource", "state", "spec", "convert"],
    ),
    (
        Layer::Cores,
        &[
            "sched",
            "workload",
            "core",
            "recording",
            "agent-core",
            "launch-plan",
            "oci",
            "facade",
        ],
    ),
    (
        Layer::Drivers,
        &[
            "store",
            "container",
            "cgroup",
            "warden",
            "cni",
            "http",
            "image",
            "docker",
            "vm",
        ],
    ),
    (
        Layer::Assemblies,
        &["master", "agent", "mezz", "ui", "libmesos"],
    ),
    (Layer::Development, &["sim", "testkit", "bench", "xtask"]),
];

/// Arrows within a layer, each with its reason.
const WITHIN: &[(&str, &str, &str)] = &[
    (
        "resource",
        "proto",
        "the algebra reads and writes the wire's resources",
    ),
    (
        "convert",
        "spec",
        "the converters read and write our objects",
    ),
    ("spec", "resource", "quantities of a specification"),
    ("core", "sched", "the core owns the fairness ledger"),
    (
        "workload",
        "sched",
        "the controllers say what they want placed in the ledger's words",
    ),
    ("core", "workload", "the core owns the controllers"),
    (
        "facade",
        "workload",
        "other systems' APIs are read from and turned into the controllers' words",
    ),
    (
        "recording",
        "core",
        "a recording holds the core's events and is replayed in it",
    ),
    ("agent-core", "launch-plan", "the agent's core emits plans"),
    (
        "oci",
        "launch-plan",
        "a bundle says in other words what a plan says",
    ),
    (
        "container",
        "warden",
        "the native runtime launches through the warden",
    ),
    ("mezz", "master", "the binary is the master"),
    ("mezz", "agent", "the binary is the agent"),
    ("mezz", "ui", "the binary carries the web app"),
    ("master", "ui", "the master serves the web app"),
    ("sim", "testkit", "builders and recorders"),
];

/// The layer of the crate in `crates/FOLDER`.
pub(super) fn layer_of(folder: &str) -> Option<Layer> {
    LAYERS
        .iter()
        .find(|(_, folders)| folders.contains(&folder))
        .map(|(layer, _)| *layer)
}

/// Whether the crate must stay free of I/O, time and chance.
pub(super) fn is_pure(folder: &str) -> bool {
    layer_of(folder).is_some_and(|layer| layer <= Layer::Cores)
}

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let folders: BTreeMap<String, &str> = tree
        .crates
        .iter()
        .filter_map(|c| Some((package_name(c)?, c.folder.as_str())))
        .collect();
    let mut findings = Vec::new();
    for from in &tree.crates {
        let Some(layer) = layer_of(&from.folder) else {
            let message = "this crate has no layer: give it one in xtask's tidy/layers.rs";
            findings.push(Finding::new(&from.manifest_path, 0, message));
            continue;
        };
        for table in ["dependencies", "build-dependencies"] {
            for name in dependency_names(&from.manifest, table) {
                let Some(to) = folders.get(&name) else {
                    continue;
                };
                let Some(below) = layer_of(to) else { continue };
                let stated = WITHIN.iter().any(|(a, b, _)| *a == from.folder && b == to);
                if below >= layer && !stated {
                    let message = format!(
                        "{} ({layer:?}) must not depend on {to} ({below:?})",
                        from.folder
                    );
                    findings.push(Finding::new(&from.manifest_path, 0, message));
                }
            }
        }
    }
    findings
}

fn package_name(of: &Crate) -> Option<String> {
    Some(
        of.manifest
            .get("package")?
            .get("name")?
            .as_str()?
            .to_owned(),
    )
}

/// The names in a table of dependencies, also in those for one target only.
pub(super) fn dependency_names(manifest: &toml::Table, table: &str) -> Vec<String> {
    let mut names = Vec::new();
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let of_targets = targets
        .into_iter()
        .flat_map(|t| t.values())
        .filter_map(|target| target.get(table));
    for dependencies in manifest.get(table).into_iter().chain(of_targets) {
        for (name, value) in dependencies.as_table().into_iter().flatten() {
            let renamed = value.get("package").and_then(toml::Value::as_str);
            names.push(renamed.unwrap_or(name).to_owned());
        }
    }
    names
}
