//! What is told of containers that the Engine runs.

use std::time::Duration;

use mezz_agent_core::{ContainerFacts, Limitation, LimitationCause};
use mezz_docker::Inspected;

use super::files::ContainerFolder;

/// How often a container that is being started is looked at: at first, and at most.
const LOOKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// What is to be told of a container when it runs.
pub(super) async fn facts(folder: &ContainerFolder) -> ContainerFacts {
    let reports = folder.reports();
    let running = until(|| {
        let running = reports.read_running();
        let ended = reports.read_ended().is_some();
        running.map(Some).or(ended.then_some(None))
    });
    match running.await {
        Some(running) => told(folder, running),
        None => ContainerFacts::default(),
    }
}

/// What a container that ran has to show.
pub(super) fn told(
    folder: &ContainerFolder,
    (inspected, text): (Inspected, String),
) -> ContainerFacts {
    let network = inspected.network_info(&folder.asked());
    ContainerFacts {
        network_infos: network.into_iter().collect(),
        data: Some(format!("[{text}]").into()),
        ..ContainerFacts::default()
    }
}

/// The Engine has no more to say of it.
pub(super) fn out_of_memory(code: i64) -> Limitation {
    Limitation {
        cause: LimitationCause::Memory,
        message: format!(
            "Memory limit exceeded: the kernel has ended a process of the container. Container exited with status {code}"
        ),
        resources: Vec::new(),
    }
}

/// Looks until there is something to be seen.
async fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let (mut pause, longest) = LOOKS;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}
