//! Links between the documents: their files and headings exist.

use std::path::{Component, Path, PathBuf};

use super::Finding;
use super::tree::{TextFile, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| file.path.extension().is_some_and(|e| e == "md"))
    {
        for (line, target) in links(&file.text) {
            if let Some(message) = problem(tree, file, &target) {
                findings.push(Finding::new(&file.path, line, message));
            }
        }
    }
    findings
}

/// The targets of `[…](target)` outside code, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let mut rest = prose.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            found.push((number + 1, rest[..end].trim().to_owned()));
            rest = &rest[end..];
        }
    }
    found
}

fn problem(tree: &Tree, from: &TextFile, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target
        .split_once('#')
        .map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let folder = from.path.parent().unwrap_or(Path::new(""));
    let to = if path.is_empty() {
        from.path.clone()
    } else {
        normal(&folder.join(path))
    };
    if !tree.root.join(&to).exists() {
        return Some(format!("links to {target}, which does not exist"));
    }
    let anchor = anchor?;
    let file = tree.files.iter().find(|file| file.path == to)?;
    let known = file
        .text
        .lines()
        .filter(|line| line.starts_with('#'))
        .any(|line| slug(line) == anchor);
    (!known).then(|| {
        format!(
            "links to {target}, but {} has no such heading",
            to.display()
        )
    })
}

fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir => {}
            other => parts.push(other),
        }
    }
    parts
}

/// The anchor that GitHub gives to a heading.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_code_are_no_links() {
        let text = "see [a](docs/a.md) and `[b](c)`\n```\n[d](e)\n```\n[f](#g) [h](i)";
        let targets: Vec<String> = links(text).into_iter().map(|(_, target)| target).collect();
        assert_eq!(targets, ["docs/a.md", "#g", "i"]);
    }

    #[test]
    fn headings_become_anchors() {
        assert_eq!(slug("## 3. What `mezz dev` does"), "3-what-mezz-dev-does");
    }
}
