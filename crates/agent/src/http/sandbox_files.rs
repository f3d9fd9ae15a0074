//! Which paths `/files/*` shows: sandboxes, under their real path and under a stable virtual one.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use mezz_http::files::{Files, Location};

use super::shown;
use crate::inbox::Inbox;

/// The folders between the work directory and a sandbox.
const SANDBOX_DEPTH: usize = 8;

/// The tree of sandboxes.
pub(super) fn files(inbox: &Arc<Inbox>, work_dir: &Path) -> Files {
    let files = Files::new();
    let root = work_dir.to_owned();
    let (list_inbox, list_root) = (Arc::clone(inbox), work_dir.to_owned());
    files.attach_source(move |path| resolve(&root, path), move || list(&list_inbox, &list_root));
    files
}

/// `<work dir>/slaves/A/frameworks/F/executors/E/runs/C/…`, or `/frameworks/F/executors/E/runs/latest/…`.
fn resolve(work_dir: &Path, path: &str) -> Option<Location> {
    if let Ok(inside) = Path::new(path).strip_prefix(work_dir) {
        return physical(work_dir, inside);
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let ["frameworks", framework, "executors", executor, "runs", "latest", rest @ ..] = parts.as_slice() else { return None };
    let runs = runs(work_dir, framework, executor);
    let root = newest(&runs)?;
    Some(Location { root, relative: rest.iter().collect() })
}

fn physical(work_dir: &Path, inside: &Path) -> Option<Location> {
    let parts: Vec<&str> = inside.components().map(plain).collect::<Option<_>>()?;
    let ["slaves", _, "frameworks", _, "executors", _, "runs", run, rest @ ..] = parts.as_slice() else { return None };
    let mut root = work_dir.to_owned();
    if *run == "latest" {
        root.extend(&parts[..SANDBOX_DEPTH - 1]);
        root = newest(&[root])?;
    } else {
        root.extend(&parts[..SANDBOX_DEPTH]);
    }
    Some(Location { root, relative: rest.iter().collect() })
}

fn plain(part: Component<'_>) -> Option<&str> {
    match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    }
}

/// The `runs` folders of an executor under every id that this agent has had.
fn runs(work_dir: &Path, framework: &str, executor: &str) -> Vec<PathBuf> {
    let ids = [framework, executor];
    if ids.iter().any(|id| id.is_empty() || *id == "." || *id == "..") {
        return Vec::new();
    }
    folders(&work_dir.join("slaves"))
        .into_iter()
        .map(|agent| agent.join("frameworks").join(framework).join("executors").join(executor).join("runs"))
        .collect()
}

/// The newest run in these folders.
fn newest(runs: &[PathBuf]) -> Option<PathBuf> {
    let age = |path: &PathBuf| std::fs::symlink_metadata(path).and_then(|data| data.created().or_else(|_| data.modified())).ok();
    runs.iter().flat_map(|runs| folders(runs)).max_by_key(age)
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// For `/files/debug`: the sandboxes that the agent knows. Called on a thread of the runtime, so it never blocks there.
fn list(inbox: &Arc<Inbox>, work_dir: &Path) -> Vec<(String, PathBuf)> {
    let inbox = Arc::clone(inbox);
    // The caller may be a thread of the runtime, which must not wait.
    let view = std::thread::spawn(move || inbox.view_blocking()).join();
    let Ok(Some(records)) = view else { return Vec::new() };
    let mut list = Vec::new();
    for framework in records.frameworks.iter().chain(&records.completed_frameworks) {
        for executor in framework.executors.iter().chain(&framework.completed_executors) {
            let real = work_dir.join(&executor.sandbox);
            let virtual_path =
                format!("/frameworks/{}/executors/{}/runs/latest", shown::framework_id(framework), executor.info.executor_id.value);
            list.push((virtual_path, real.clone()));
            list.push((real.to_string_lossy().into_owned(), real.clone()));
            if let Some(runs) = real.parent() {
                list.push((runs.join("latest").to_string_lossy().into_owned(), real));
            }
        }
    }
    list
}
