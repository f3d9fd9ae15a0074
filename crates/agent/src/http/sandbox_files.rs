//! Which paths `/files/*` shows: sandboxes, under their real path and under a stable virtual one.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use mezz_agent_core::{ExecutorKind, ExecutorRecord};
use mezz_http::files::{Files, Location};

use super::shown;
use crate::inbox::Inbox;

/// The tree of sandboxes.
pub(super) fn files(inbox: &Arc<Inbox>, work_dir: &Path) -> Files {
    let files = Files::new();
    let (resolve_inbox, resolve_root) = (Arc::clone(inbox), work_dir.to_owned());
    let (list_inbox, list_root) = (Arc::clone(inbox), work_dir.to_owned());
    files.attach_source(
        move |path| resolve(&resolve_inbox, &resolve_root, path),
        move || list(&list_inbox, &list_root),
    );
    files
}

/// `<work dir>/slaves/A/frameworks/F/executors/E/runs/C/…` as `/state` tells it, the sandbox's own path as its task
/// knows it, and `/frameworks/F/executors/E/runs/latest/…`. Called on threads that may wait.
fn resolve(inbox: &Inbox, work_dir: &Path, path: &str) -> Option<Location> {
    let inside = Path::new(path).strip_prefix(work_dir).ok();
    let parts: Vec<&str> = inside
        .unwrap_or(Path::new(path.trim_start_matches('/')))
        .components()
        .map(plain)
        .collect::<Option<_>>()?;
    let executor = match (inside, parts.as_slice()) {
        (Some(_), ["sandboxes", framework, container, rest @ ..]) => {
            return Some(Location {
                root: work_dir.join(own_path(framework, container)),
                relative: rest.iter().collect(),
            });
        }
        (Some(_), ["slaves", _, executor @ ..]) | (None, executor) => executor,
        _ => return None,
    };
    let [
        "frameworks",
        framework,
        "executors",
        executor,
        "runs",
        run,
        rest @ ..,
    ] = executor
    else {
        return None;
    };
    match (*run, inside) {
        ("latest", _) => {
            let run = newest(inbox, framework, executor, |_| true)?;
            Some(located(work_dir, framework, &run, rest))
        }
        (_, None) => None,
        (container, Some(_)) => {
            let is_it = |record: &ExecutorRecord| record.container_id.to_string() == container;
            // The agent may have forgotten a run whose sandbox is still there.
            let run = newest(inbox, framework, executor, is_it);
            Some(run.map_or_else(
                || Location {
                    root: work_dir.join(own_path(framework, container)),
                    relative: rest.iter().collect(),
                },
                |run| located(work_dir, framework, &run, rest),
            ))
        }
    }
}

/// The containers of a pod seem to lie in its sandbox, in `containers` by their ids and in `tasks` by their tasks.
fn located(work_dir: &Path, framework: &str, run: &ExecutorRecord, rest: &[&str]) -> Location {
    let inner = match rest {
        _ if run.kind != ExecutorKind::Default => None,
        ["containers", container, rest @ ..] => Some(((*container).to_owned(), rest)),
        ["tasks", task, rest @ ..] => run.container_of(task).map(|container| (container, rest)),
        _ => None,
    };
    let (sandbox, rest) = match inner {
        Some((container, rest)) => (own_path(framework, &container), rest),
        None => (PathBuf::from(&run.sandbox), rest),
    };
    Location {
        root: work_dir.join(sandbox),
        relative: rest.iter().collect(),
    }
}

pub(super) fn own_path(framework: &str, container: &str) -> PathBuf {
    ["sandboxes", framework, container].iter().collect()
}

fn plain(part: Component<'_>) -> Option<&str> {
    match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    }
}

/// The newest run of an executor that is the right one: of the living executor, else of one that has ended.
fn newest(
    inbox: &Inbox,
    framework: &str,
    executor: &str,
    is_right: impl Fn(&ExecutorRecord) -> bool,
) -> Option<Arc<ExecutorRecord>> {
    let records = inbox.view_blocking()?;
    let of_framework = records
        .frameworks
        .iter()
        .chain(records.completed_frameworks.iter().rev());
    let mut runs = of_framework
        .filter(|record| shown::framework_id(record) == framework)
        .flat_map(|record| {
            record
                .executors
                .iter()
                .chain(record.completed_executors.iter().rev())
        });
    runs.find(|record| record.id() == executor && is_right(record))
        .map(Arc::clone)
}

/// For `/files/debug`: the sandboxes that the agent knows. Called on a thread of the runtime, so it never blocks there.
fn list(inbox: &Arc<Inbox>, work_dir: &Path) -> Vec<(String, PathBuf)> {
    let inbox = Arc::clone(inbox);
    // The caller may be a thread of the runtime, which must not wait.
    let view = std::thread::spawn(move || inbox.view_blocking()).join();
    let Ok(Some(records)) = view else {
        return Vec::new();
    };
    let mut list = Vec::new();
    for framework in records
        .frameworks
        .iter()
        .chain(&records.completed_frameworks)
    {
        for executor in framework
            .executors
            .iter()
            .chain(&framework.completed_executors)
        {
            let real = work_dir.join(&executor.sandbox);
            let directory = shown::directory(work_dir, &records, framework, executor);
            let latest = format!(
                "/frameworks/{}/executors/{}/runs/latest",
                shown::framework_id(framework),
                executor.id()
            );
            list.extend(
                [directory, latest, real.to_string_lossy().into_owned()]
                    .map(|path| (path, real.clone())),
            );
        }
    }
    list
}
