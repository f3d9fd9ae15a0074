//! The step between the core's wish for a container and the request to the warden: images, networks, foreign runtimes.
//!
//! Owns what is being prepared and what was prepared for containers that live, until it is undone. Launches that need
//! nothing of it never come here. What each runtime does is its own affair; see [`Runtime`].

mod choice;
mod progress;
mod runtime;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mezz_agent_core::{ContainerFacts, ContainerId, Launch, LaunchId, Surroundings};
use mezz_launch_plan::Credentials;
use mezz_warden::crash_point;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::inbox::{Inbox, Input};
use crate::log_rotation::LogLimits;

pub(crate) use choice::{Need, Way};
pub(crate) use progress::ProgressBoard;
pub(crate) use runtime::{
    Ending, Failure, Furnished, HostProcess, Later, PrepareError, Prepared, Runtime, Signaled,
    Wanted,
};

/// How long the end of the daemon waits for what is being undone; the rest is done at the next start.
const FINISH: Duration = Duration::from_secs(20);

/// A launch whose sandbox is there.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) launch: Launch,
    pub(crate) sandbox: PathBuf,
    pub(crate) owner: Option<Credentials>,
    pub(crate) limits: LogLimits,
}

/// What became of a launch that was prepared.
#[derive(Debug)]
pub(crate) enum Finished {
    /// It can go to the warden.
    Ready {
        wanted: Arc<Wanted>,
        limits: LogLimits,
        prepared: Box<Prepared>,
    },
    /// It cannot; nothing is left of it.
    Failed(String),
    /// It is being undone first.
    Later,
}

/// Prepares launches, and undoes what was prepared.
#[derive(Debug)]
pub(crate) struct Preparer {
    runtimes: Vec<Arc<dyn Runtime>>,
    inbox: Arc<Inbox>,
    runtime: Handle,
    board: ProgressBoard,
    preparing: BTreeMap<LaunchId, Preparing>,
    held: BTreeMap<LaunchId, Held>,
    /// Started, but TASK_RUNNING waits for what its runtime finds out.
    starting: BTreeMap<LaunchId, u32>,
    swept: watch::Sender<bool>,
    under_way: JoinSet<()>,
}

#[derive(Debug)]
struct Preparing {
    wanted: Arc<Wanted>,
    limits: LogLimits,
    way: Way,
    cancel: watch::Sender<bool>,
}

/// A container that something was made for.
#[derive(Debug)]
struct Held {
    container: ContainerId,
    runtime: Arc<dyn Runtime>,
}

impl Preparer {
    /// The first runtime that takes a container has it.
    pub(crate) fn new(
        runtimes: Vec<Arc<dyn Runtime>>,
        inbox: Arc<Inbox>,
        runtime: Handle,
        board: ProgressBoard,
    ) -> Self {
        Self {
            runtimes,
            inbox,
            runtime,
            board,
            preparing: BTreeMap::new(),
            held: BTreeMap::new(),
            starting: BTreeMap::new(),
            swept: watch::Sender::new(false),
            under_way: JoinSet::new(),
        }
    }

    /// Begins to prepare; the end goes to the inbox.
    pub(crate) fn start(&mut self, job: Job, way: Way) {
        let (cancel, canceled) = watch::channel(false);
        let launch_id = job.launch.launch_id;
        let wanted = Arc::new(Wanted {
            progress: self.board.place(job.launch.container_id),
            launch: job.launch,
            sandbox: job.sandbox,
            owner: job.owner,
            canceled,
        });
        let (runtime, within) = (Arc::clone(&way.runtime), way.within);
        let preparing = Preparing {
            wanted: Arc::clone(&wanted),
            limits: job.limits,
            way,
            cancel,
        };
        self.preparing.insert(launch_id, preparing);
        let (inbox, mut swept) = (Arc::clone(&self.inbox), self.swept.subscribe());
        self.spawn(async move {
            // What is left of an earlier life could bear the same names.
            let _ = swept.wait_for(|swept| *swept).await;
            crash_point("agent.before_prepare");
            let outcome = prepare(&runtime, wanted, within).await;
            inbox.put(Input::Prepared { launch_id, outcome });
        });
    }

    /// A preparation has ended.
    pub(crate) fn finished(
        &mut self,
        launch_id: LaunchId,
        outcome: Result<Box<Prepared>, String>,
    ) -> Finished {
        let Some(preparing) = self.preparing.remove(&launch_id) else {
            return Finished::Later;
        };
        let canceled = *preparing.cancel.borrow();
        match outcome {
            Err(message) => Finished::Failed(message),
            // It was canceled after its preparation had ended.
            Ok(_) if canceled => {
                self.undo_canceled(launch_id, preparing);
                Finished::Later
            }
            Ok(prepared) => {
                let Preparing {
                    wanted,
                    limits,
                    way,
                    ..
                } = preparing;
                if way.within.is_none() {
                    self.hold(launch_id, wanted.container(), way.runtime);
                }
                Finished::Ready {
                    wanted,
                    limits,
                    prepared,
                }
            }
        }
    }

    fn undo_canceled(&mut self, launch_id: LaunchId, preparing: Preparing) {
        let (inbox, way) = (Arc::clone(&self.inbox), &preparing.way);
        let (runtime, within) = (Arc::clone(&way.runtime), way.within);
        let container = preparing.wanted.container();
        self.preparing.insert(launch_id, preparing);
        self.spawn(async move {
            if within.is_none() {
                clean_up(&runtime, container).await;
            }
            let outcome = Err(PrepareError::Canceled.to_string());
            inbox.put(Input::Prepared { launch_id, outcome });
        });
    }

    /// A launch is no longer wanted. Says whether it was being prepared: then its end comes through the inbox.
    pub(crate) fn cancel(&mut self, launch_id: LaunchId) -> bool {
        let preparing = self.preparing.get(&launch_id);
        if let Some(preparing) = preparing {
            preparing.cancel.send_replace(true);
        }
        preparing.is_some()
    }

    fn hold(&mut self, launch_id: LaunchId, container: ContainerId, runtime: Arc<dyn Runtime>) {
        self.held.insert(launch_id, Held { container, runtime });
    }

    /// The network namespace of a launch that runs, where it is not the host's.
    pub(crate) fn network(&self, launch_id: LaunchId) -> Option<PathBuf> {
        let held = self.held.get(&launch_id)?;
        held.runtime.network(held.container)
    }

    /// A container runs. Says whether that is to be told only when more has been found out, through the inbox.
    pub(crate) fn started(&mut self, launch_id: LaunchId, pid: u32) -> bool {
        let Some(held) = self.held.get(&launch_id) else {
            return false;
        };
        let (runtime, container) = (Arc::clone(&held.runtime), held.container);
        if runtime.started(container, pid).is_none() {
            return false;
        }
        self.starting.insert(launch_id, pid);
        let inbox = Arc::clone(&self.inbox);
        self.spawn(async move {
            let facts = match runtime.started(container, pid) {
                Some(learning) => learning.await,
                None => ContainerFacts::default(),
            };
            let facts = Box::new(facts);
            inbox.put(Input::Started { launch_id, facts });
        });
        true
    }

    /// The process of a container whose start has not been told; it is to be told now.
    pub(crate) fn told(&mut self, launch_id: LaunchId) -> Option<u32> {
        self.starting.remove(&launch_id)
    }

    /// Whom a signal to a launch is for.
    pub(crate) fn signaled(&self, launch_id: LaunchId) -> Signaled {
        let held = self.held.get(&launch_id);
        held.map_or(Signaled::Tree, |held| held.runtime.signaled())
    }

    /// A container is to be killed. Says whether that takes more than killing its process, which is killed afterwards,
    /// through the inbox.
    pub(crate) fn kill(&mut self, launch_id: LaunchId) -> bool {
        let Some(held) = self.held.get(&launch_id) else {
            return false;
        };
        let (runtime, container) = (Arc::clone(&held.runtime), held.container);
        if runtime.kill(container).is_none() {
            return false;
        }
        let inbox = Arc::clone(&self.inbox);
        self.spawn(async move {
            if let Some(killing) = runtime.kill(container) {
                killing.await;
            }
            inbox.put(Input::KillTree { launch_id });
        });
        true
    }

    /// What is known of a container that has ended before its start was told.
    pub(crate) fn known(&self, launch_id: LaunchId) -> ContainerFacts {
        let held = self.held.get(&launch_id);
        held.map_or_else(ContainerFacts::default, |held| {
            held.runtime.known(held.container)
        })
    }

    /// What the end of a launch's process means.
    pub(crate) fn ending(&self, launch_id: LaunchId) -> Ending {
        let held = self.held.get(&launch_id);
        held.map_or(Ending::Told, |held| held.runtime.ending(held.container))
    }

    /// A launch has ended, or did not begin: what was made for it is undone.
    pub(crate) fn ended(&mut self, launch_id: LaunchId) {
        let Some(Held { container, runtime }) = self.held.remove(&launch_id) else {
            return;
        };
        self.starting.remove(&launch_id);
        self.spawn(async move { clean_up(&runtime, container).await });
    }

    fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        while self.under_way.try_join_next().is_some() {}
        self.under_way.spawn_on(work, &self.runtime);
    }

    /// Once at start: these live; everything else is swept, and only then is anything prepared.
    pub(crate) fn recovered(&mut self, living: Vec<(LaunchId, ContainerId, Surroundings)>) {
        let mut containers = BTreeSet::new();
        for (launch_id, container, surroundings) in living {
            containers.insert(container);
            if let Some(runtime) = self.taker(&surroundings) {
                self.hold(launch_id, container, runtime);
            }
        }
        let (runtimes, swept) = (self.runtimes.clone(), self.swept.clone());
        self.spawn(async move {
            sweep(&runtimes, Arc::new(containers)).await;
            swept.send_replace(true);
        });
    }

    /// Ends what is under way. With a work directory that goes, nothing may be left anywhere.
    pub(crate) fn finish(mut self, keeping: crate::work_dir::Keeping) {
        for preparing in self.preparing.values() {
            preparing.cancel.send_replace(true);
        }
        let runtimes = std::mem::take(&mut self.runtimes);
        let mut under_way = self.under_way;
        let rest = async move {
            while under_way.join_next().await.is_some() {}
            if keeping == crate::work_dir::Keeping::Temporary {
                sweep(&runtimes, Arc::default()).await;
            }
        };
        let waited = self
            .runtime
            .block_on(async { tokio::time::timeout(FINISH, rest).await });
        if waited.is_err() {
            tracing::warn!("what containers had is not undone in time; the next start does it");
        }
    }
}

async fn prepare(
    runtime: &Arc<dyn Runtime>,
    wanted: Arc<Wanted>,
    within: Option<ContainerId>,
) -> Result<Box<Prepared>, String> {
    let container = wanted.container();
    // In a task of its own, so that a fault of a runtime ends one launch only.
    let work = {
        let runtime = Arc::clone(runtime);
        async move {
            match within {
                None => runtime.prepare(wanted).await,
                Some(container) => runtime.prepare_within(wanted, container).await,
            }
        }
    };
    let message = match tokio::spawn(work).await {
        Ok(Ok(prepared)) => return Ok(Box::new(prepared)),
        Ok(Err(error)) => error.to_string(),
        Err(error) => format!("the runtime {} has failed: {error}", runtime.name()),
    };
    if within.is_none() {
        clean_up(runtime, container).await;
    }
    Err(message)
}

async fn clean_up(runtime: &Arc<dyn Runtime>, container: ContainerId) {
    crash_point("agent.before_clean_up");
    if let Err(error) = runtime.clean_up(container).await {
        let runtime = runtime.name();
        tracing::error!(%container, runtime, error, "what a container had is left until the next start");
    }
    crash_point("agent.after_clean_up");
}

async fn sweep(runtimes: &[Arc<dyn Runtime>], living: Arc<BTreeSet<ContainerId>>) {
    for runtime in runtimes {
        if let Err(error) = runtime.sweep(Arc::clone(&living)).await {
            let runtime = runtime.name();
            tracing::error!(
                runtime,
                error,
                "what containers of earlier lives had is not all removed"
            );
        }
    }
}
