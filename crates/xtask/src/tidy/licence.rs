//! The licence, and what every manifest takes from the workspace.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let licence = tree.file("LICENSE").map_or("", |file| file.text.as_str());
    if !(licence.contains("Apache License") && licence.contains("Version 2.0")) {
        findings.push(Finding::new("LICENSE", 0, "is not the Apache License 2.0"));
    }
    for each in &tree.crates {
        let package = each.manifest.get("package");
        for key in ["license", "edition", "rust-version", "version", "publish"] {
            let inherited =
                package.and_then(|p| p.get(key)?.get("workspace")?.as_bool()) == Some(true);
            if !inherited {
                findings.push(Finding::new(
                    &each.manifest_path,
                    0,
                    format!("must say `{key}.workspace = true`"),
                ));
            }
        }
        if each
            .manifest
            .get("lints")
            .and_then(|l| l.get("workspace")?.as_bool())
            != Some(true)
        {
            findings.push(Finding::new(
                &each.manifest_path,
                0,
                "must say `[lints] workspace = true`",
            ));
        }
    }
    findings
}
