//! The core's thread: inputs in, effects out, everything in batches.
//!
//! Owns the order of a turn: inputs and warden replies are handled, then one journal append, then the rest of the
//! effects, then one write to the warden and one to the master. It decides nothing about tasks.

use std::sync::Arc;
use std::time::Duration;

use mezz_agent_core::{
    AgentCore, CallOutcome, ContainerAnswer, Event, KnownContainerState, LaunchId, RequestId,
};
use mezz_proto::agent_protocol::frame::Body;
use mezz_warden::{Incoming, ReadState, Reply, Request, crash_point};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::{oneshot, watch};

use crate::clock;
use crate::container_io::ContainerIo;
use crate::exits::Exits;
use crate::fetch::Fetcher;
use crate::garbage::GarbageCollector;
use crate::inbox::{ExecutorAnswer, Inbox, Input};
use crate::isolators::Isolators;
use crate::journal::{Journal, JournalError};
use crate::launcher::Launcher;
use crate::log_rotation::LogRotation;
use crate::master_link::MasterLink;
use crate::materials::MaterialStore;
use crate::preparing::Preparer;
use crate::probes::Prober;
use crate::streams::{Encoding, ExecutorStreams};
use crate::usage::UsageRequests;
use crate::warden_link::{WardenLink, WardenLinkError, is_gone};

/// How the agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentExit {
    /// The exit code of the process.
    pub code: u8,
    /// Why, for people.
    pub message: String,
}

/// Why the core's thread cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriverError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the warden was lost and could not be replaced: {0}")]
    Warden(#[from] WardenLinkError),
    #[error("warden: {0}")]
    WardenConnection(mezz_warden::ClientError),
    #[error("poll: {0}")]
    Poll(rustix::io::Errno),
}

/// Everything that the core's thread holds.
pub(crate) struct Driver {
    pub(crate) core: AgentCore,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) journal: Journal,
    pub(crate) warden: WardenLink,
    pub(crate) master: MasterLink,
    pub(crate) launcher: Launcher,
    pub(crate) isolators: Isolators,
    pub(crate) materials: MaterialStore,
    pub(crate) fetcher: Fetcher,
    pub(crate) preparer: Preparer,
    pub(crate) prober: Prober,
    pub(crate) garbage: GarbageCollector,
    pub(crate) rotation: LogRotation,
    pub(crate) streams: ExecutorStreams,
    pub(crate) container_io: Arc<ContainerIo>,
    pub(crate) exits: Exits,
    pub(crate) usage: UsageRequests,
    pub(crate) registered: watch::Sender<Option<String>>,
    pub(crate) state: TurnState,
}

/// What is carried through a turn and from one to the next.
#[derive(Default)]
pub(crate) struct TurnState {
    pub(crate) effects: Vec<mezz_agent_core::Effect>,
    pub(crate) requests: Vec<Request>,
    pub(crate) to_master: Vec<Body>,
    /// What the effects of this turn have brought about at once.
    pub(crate) follow_up: Vec<Event>,
    pub(crate) calls:
        std::collections::BTreeMap<RequestId, (Encoding, oneshot::Sender<ExecutorAnswer>)>,
    pub(crate) next_request: u64,
    /// Calls about containers have numbers of their own.
    pub(crate) container_calls:
        std::collections::BTreeMap<RequestId, oneshot::Sender<ContainerAnswer>>,
    pub(crate) wake_at: Option<u64>,
    /// Launches that the warden may still know.
    pub(crate) live: std::collections::BTreeSet<LaunchId>,
    /// Those of them that only check a task.
    pub(crate) checking: std::collections::BTreeSet<LaunchId>,
    pub(crate) stop: Option<AgentExit>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) replies: Vec<Incoming>,
}

impl Driver {
    /// Runs until the core stops, or something without which there is no going on is lost.
    pub(crate) fn run(mut self, first: Event) -> (AgentExit, Self) {
        let outcome = self.serve(first);
        self.inbox.close();
        let exit = match outcome {
            Ok(exit) => exit,
            Err(error) => AgentExit {
                code: 1,
                message: error.to_string(),
            },
        };
        (exit, self)
    }

    fn serve(&mut self, first: Event) -> Result<AgentExit, DriverError> {
        self.handle(first);
        crash_point("agent.recovered");
        loop {
            self.settle()?;
            if let Some(exit) = self.state.stop.take() {
                return Ok(exit);
            }
            self.wait()?;
            self.take_inputs();
            self.take_replies()?;
            if self
                .state
                .wake_at
                .is_some_and(|at| at <= clock::now().mono_ns)
            {
                self.state.wake_at = None;
                self.handle(Event::Wake);
            }
        }
    }

    pub(crate) fn handle(&mut self, event: Event) {
        self.core
            .handle(clock::now(), event, &mut self.state.effects);
    }

    /// Performs effects until none is left, then sends what they have gathered.
    fn settle(&mut self) -> Result<(), DriverError> {
        self.usage.gather(&mut self.state.requests);
        // A warden that turns out to be gone while it is sent to brings about more to do.
        while !self.state.effects.is_empty() || !self.state.requests.is_empty() {
            self.perform_all()?;
            if !self.state.requests.is_empty() {
                crash_point("agent.before_warden");
                let sent = self.warden.send(&self.state.requests);
                self.state.requests.clear();
                self.on_warden(sent)?;
                crash_point("agent.after_warden");
            }
        }
        if !self.state.to_master.is_empty() {
            crash_point("agent.before_send");
            self.master.send(&mut self.state.to_master);
            crash_point("agent.after_send");
        }
        if self.journal.is_long() {
            let snapshot = self.core.snapshot();
            self.journal.rewrite(&snapshot)?;
        }
        Ok(())
    }

    fn perform_all(&mut self) -> Result<(), DriverError> {
        while !self.state.effects.is_empty() {
            self.perform()?;
            for event in std::mem::take(&mut self.state.follow_up) {
                self.handle(event);
            }
        }
        Ok(())
    }

    fn wait(&self) -> Result<(), DriverError> {
        let timeout = self
            .state
            .wake_at
            .map(|at| Duration::from_nanos(at.saturating_sub(clock::now().mono_ns)));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let warden_flags = if self.warden.is_pending() {
            PollFlags::IN | PollFlags::OUT
        } else {
            PollFlags::IN
        };
        let inbox = self.inbox.descriptor();
        let warden = self.warden.descriptor();
        let mut descriptors = [
            PollFd::from_borrowed_fd(inbox, PollFlags::IN),
            PollFd::from_borrowed_fd(warden, warden_flags),
        ];
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(DriverError::Poll(errno)),
        }
    }

    fn take_inputs(&mut self) {
        let mut inputs = std::mem::take(&mut self.state.inputs);
        self.inbox.take(&mut inputs);
        for input in inputs.drain(..) {
            self.on_input(input);
        }
        self.state.inputs = inputs;
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Event(event) => {
                match &event {
                    Event::ExecutorStreamClosed { stream } => self.streams.forget(*stream),
                    Event::Probed { id, .. } => self.prober.ended(*id),
                    Event::ContainerCallerGone { request } => {
                        self.state.container_calls.remove(request);
                    }
                    _ => {}
                }
                self.handle(event);
            }
            Input::Prepared { launch_id, outcome } => self.on_prepared(launch_id, outcome),
            Input::Started { launch_id, facts } => self.on_described(launch_id, facts),
            Input::KillTree { launch_id } => self.kill_tree(launch_id),
            Input::MasterUp { link, sender } => {
                if self.master.is_current(link) {
                    self.master.on_up(sender);
                    self.handle(Event::MasterConnected);
                }
            }
            Input::FromMaster { link, bodies } => {
                if self.master.is_current(link) {
                    crash_point("agent.heard_master");
                    for (_, body) in bodies {
                        self.handle(Event::FromMaster(Box::new(body)));
                    }
                }
            }
            Input::MasterDown { link, reason } => {
                if self.master.is_current(link) && self.master.on_down() {
                    self.handle(Event::MasterDisconnected { reason });
                }
            }
            Input::ExecutorCall {
                call,
                encoding,
                answer,
            } => {
                self.state.next_request += 1;
                let request = RequestId(self.state.next_request);
                self.state.calls.insert(request, (encoding, answer));
                self.handle(Event::ExecutorCall { request, call });
            }
            Input::ContainerCall {
                request,
                call,
                answer,
            } => {
                self.state.container_calls.insert(request, answer);
                let call = *call;
                self.handle(Event::ContainerCall { request, call });
            }
            Input::LastOfStdin { launch_id } => self.state.requests.push(Request::CloseInput {
                launch_id: mezz_launch_plan::LaunchId(launch_id.0),
            }),
            // Whoever asked may be gone.
            Input::View { answer } => drop(answer.send(self.core.records())),
            Input::Usage { launches, answer } => self.usage.ask(launches, answer),
            Input::WatchExit { launch_id, answer } => self.exits.watch(launch_id, answer),
            Input::KnownExit { launch_id, answer } => {
                let _ = answer.send(self.exits.known(launch_id));
            }
        }
    }

    fn take_replies(&mut self) -> Result<(), DriverError> {
        if self.warden.is_pending() {
            let flushed = self.warden.flush();
            self.on_warden(flushed)?;
        }
        let mut replies = std::mem::take(&mut self.state.replies);
        let state = self.warden.read(&mut replies);
        for incoming in replies.drain(..) {
            if let Reply::Started { launch_id, .. } = &incoming.reply {
                let launch_id = LaunchId(launch_id.0);
                self.container_io.started(launch_id, incoming.descriptors);
            }
            self.on_reply(incoming.reply);
        }
        self.state.replies = replies;
        match state {
            Ok(ReadState::Open) => Ok(()),
            Ok(ReadState::Closed) => self.on_warden(Err(mezz_warden::ClientError::Closed)),
            Err(error) => self.on_warden(Err(error)),
        }
    }

    /// A warden that is gone is replaced; any other failure ends the agent, not its tasks.
    fn on_warden(
        &mut self,
        result: Result<(), mezz_warden::ClientError>,
    ) -> Result<(), DriverError> {
        match result {
            Ok(()) => Ok(()),
            Err(error) if is_gone(&error) => {
                tracing::error!(%error, "the warden is gone; starting another");
                let containers = self.warden.reopen()?;
                self.usage.give_up();
                self.state.live = containers
                    .iter()
                    .map(|container| container.launch_id)
                    .collect();
                self.state.checking.clear();
                for container in &containers {
                    if let KnownContainerState::Exited { wait_status } = container.state {
                        self.explain_end(container.launch_id, wait_status);
                    }
                }
                self.handle(Event::WardenLost { containers });
                Ok(())
            }
            Err(error) => Err(DriverError::WardenConnection(error)),
        }
    }

    fn on_reply(&mut self, reply: Reply) {
        match reply {
            Reply::Started { launch_id, pid, .. } => {
                crash_point("agent.started");
                self.on_started(LaunchId(launch_id.0), pid);
            }
            Reply::LaunchFailed {
                launch_id, message, ..
            } => {
                let launch_id = LaunchId(launch_id.0);
                self.state.live.remove(&launch_id);
                self.state.checking.remove(&launch_id);
                self.materials.forget(launch_id);
                self.isolators.release(launch_id);
                self.rotation.forget(launch_id);
                self.container_io.forget(launch_id);
                self.preparer.ended(launch_id);
                self.handle(Event::ContainerLaunchFailed { launch_id, message });
            }
            Reply::Exited(exit) => {
                crash_point("agent.exited");
                let launch_id = LaunchId(exit.launch_id.0);
                let wait_status = exit.status.raw();
                self.rotation.forget(launch_id);
                self.container_io.ended(launch_id);
                self.on_exited(launch_id, wait_status);
                // Nobody asks how a check ended, and there are many.
                if !self.state.checking.remove(&launch_id) {
                    self.exits.ended(launch_id, wait_status);
                }
            }
            Reply::Usage { launch_id, usage } => {
                self.usage.answered(LaunchId(launch_id.0), Some(usage));
            }
            Reply::Refused {
                launch_id,
                request,
                message,
                ..
            } => {
                self.usage.answered(LaunchId(launch_id.0), None);
                tracing::debug!(%launch_id, %request, message, "refused by the warden");
            }
            Reply::Superseded { generation } => {
                self.state.stop = Some(AgentExit {
                    code: 1,
                    message: format!("agent generation {generation} has taken over the warden"),
                });
            }
            Reply::ReexecFailed { message } => {
                tracing::warn!(message, "the warden could not be replaced in place");
            }
            Reply::TreeGone { launch_id } => {
                let launch_id = LaunchId(launch_id.0);
                self.preparer.ended(launch_id);
                self.handle(Event::ContainerVanished { launch_id });
            }
            Reply::Welcome { .. } | Reply::Listing { .. } => {}
        }
    }

    /// Answers a call to the executor API.
    pub(crate) fn reply(&mut self, request: RequestId, outcome: CallOutcome) {
        let Some((encoding, answer)) = self.state.calls.remove(&request) else {
            return;
        };
        let reply = if outcome == CallOutcome::Stream {
            ExecutorAnswer::Stream(self.streams.open(request.into(), encoding, &self.inbox))
        } else {
            ExecutorAnswer::Outcome(outcome)
        };
        // A caller that has gone takes its stream with it, of which the inbox is told.
        let _ = answer.send(reply);
    }

    /// Ends what the daemon holds, in order; nothing that may go on is touched.
    pub(crate) fn finish(self, keeping: crate::work_dir::Keeping) {
        self.master.finish();
        self.fetcher.finish();
        self.rotation.stop();
        let idle = self.state.live.is_empty();
        match keeping {
            crate::work_dir::Keeping::Temporary => self.warden.release(),
            crate::work_dir::Keeping::Durable if idle => self.warden.shut_down(),
            crate::work_dir::Keeping::Durable => {}
        }
        self.preparer.finish(keeping);
        self.isolators.finish(keeping);
    }
}
