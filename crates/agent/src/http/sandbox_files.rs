//! Which paths `/files/*` shows: sandboxes, under their real path and under a stable virtual one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mezz_http::files::{Files, Location};

use super::shown;
use crate::inbox::Inbox;

/// The tree of sandboxes.
pub(super) fn files(inbox: &Arc<Inbox>, work_dir: &Path) -> Files {
    let files = Files::new();
    let root = work_dir.to_owned();
    let (list_inbox, list_root) = (Arc::clone(inbox), work_dir.to_owned());
    files.attach_source(move |path| resolve(&root, path), move || list(&list_inbox, &list_root));
    files
}

/// `<work dir>/slaves/A/frameworks/F/runs/E.C/…` as it lies on the disk, the same as Mesos lays it out
/// (`…/executors/E/runs/C/…`, also with `latest` for C), or `/frameworks/F/executors/E/runs/latest/…`.
fn resolve(work_dir: &Path, path: &str) -> Option<Location> {
    if let Ok(inside) = Path::new(path).strip_prefix(work_dir) {
        return physical(work_dir, inside);
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let ["frameworks", framework, "executors", executor, "runs", "latest", rest @ ..] = parts.as_slice() else { return None };
    let (framework, executor) = (plain(framework)?, plain(executor)?);
    let agents = folders(&work_dir.join("slaves"));
    let root = newest(agents.iter().flat_map(|agent| runs(&agent.join("frameworks").join(framework), executor)))?;
    Some(Location { root, relative: rest.iter().collect() })
}

fn physical(work_dir: &Path, inside: &Path) -> Option<Location> {
    let parts: Vec<&str> = inside.iter().map(|part| plain(part.to_str()?)).collect::<Option<_>>()?;
    let ["slaves", agent, "frameworks", framework, below @ ..] = parts.as_slice() else { return None };
    let framework = work_dir.join("slaves").join(agent).join("frameworks").join(framework);
    let (root, rest) = match below {
        ["runs", run, rest @ ..] => (framework.join("runs").join(run), rest),
        ["executors", executor, "runs", "latest", rest @ ..] => (newest(runs(&framework, executor))?, rest),
        ["executors", executor, "runs", run, rest @ ..] => {
            let flat = framework.join("runs").join(format!("{executor}.{run}"));
            let nested = framework.join("executors").join(executor).join("runs").join(run);
            (if flat.is_dir() { flat } else { nested }, rest)
        }
        _ => return None,
    };
    Some(Location { root, relative: rest.iter().collect() })
}

/// A part of a path that leads nowhere else.
fn plain(part: &str) -> Option<&str> {
    (!matches!(part, "" | "." | "..") && !part.contains('/')).then_some(part)
}

/// The sandboxes of an executor of this framework, in both layouts.
fn runs(framework: &Path, executor: &str) -> Vec<PathBuf> {
    /// A dot and a container id.
    const SUFFIX_BYTES: usize = 1 + 36;
    let of_executor = |name: &str| name.len() == executor.len() + SUFFIX_BYTES && name.strip_prefix(executor).is_some_and(|rest| rest.starts_with('.'));
    let flat = std::fs::read_dir(framework.join("runs")).into_iter().flatten().flatten();
    let flat = flat.filter(|entry| entry.file_name().to_str().is_some_and(of_executor)).map(|entry| entry.path());
    flat.chain(folders(&framework.join("executors").join(executor).join("runs"))).collect()
}

/// The newest of these folders.
fn newest(runs: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let age = |path: &PathBuf| std::fs::symlink_metadata(path).and_then(|data| data.created().or_else(|_| data.modified())).ok();
    runs.into_iter().max_by_key(age)
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
                format!("/frameworks/{}/executors/{}/runs/latest", shown::framework_id(framework), executor.info().executor_id.value);
            list.push((virtual_path, real.clone()));
            list.push((real.to_string_lossy().into_owned(), real));
        }
    }
    list
}
