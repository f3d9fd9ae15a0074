//! What can happen to an agent, as the shell tells it.

use crate::facts::ContainerFacts;
use crate::ids::{LaunchId, ProbeId, RequestId, StreamId};
use crate::journal::Record;
use crate::limitation::Limitation;
use crate::nested::ContainerCall;
use crate::probe::ProbeOutcome;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::executor;

/// The time of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic nanoseconds: every deadline is measured with these.
    pub mono_ns: u64,
    /// Nanoseconds since 1970: only shown to clients (`TaskStatus.timestamp`).
    pub wall_ns: u64,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The first event of every life: what the journal and the warden remember.
    Recovered(Box<Recovery>),
    /// The time asked for by [`crate::Effect::WakeAt`] has come (early or late does no harm).
    Wake,
    /// A session with a master that was dialled stands; the core answers with `Hello`.
    MasterConnected,
    /// Dialling failed, or the session ended. Also after [`crate::Effect::HangUpMaster`].
    MasterDisconnected {
        /// Why, for people.
        reason: String,
    },
    /// A frame body from the master, in order.
    FromMaster(Box<Body>),
    /// A decoded call to `/api/v1/executor`. An accepted SUBSCRIBE opens the stream `StreamId(request.0)`.
    ExecutorCall {
        /// Names the request in [`crate::Effect::Reply`].
        request: RequestId,
        /// The call, its required fields already checked by the wire layer.
        call: Box<executor::Call>,
    },
    /// A call about a container that no executor stands for.
    ContainerCall {
        /// Names the request in [`crate::Effect::AnswerContainer`].
        request: RequestId,
        /// What is asked.
        call: ContainerCall,
    },
    /// Whoever waited for the answer to a [`Self::ContainerCall`] has gone.
    ContainerCallerGone {
        /// Which request.
        request: RequestId,
    },
    /// The peer of an executor stream went away.
    ExecutorStreamClosed {
        /// Which.
        stream: StreamId,
    },
    /// A [`crate::Effect::Fetch`] ended.
    Fetched {
        /// For which launch.
        launch_id: LaunchId,
        /// How.
        outcome: FetchOutcome,
    },
    /// What was learned of a container while it was prepared, before its start. Sent only where there is something to tell.
    ContainerDescribed {
        /// Which.
        launch_id: LaunchId,
        /// What.
        facts: Box<ContainerFacts>,
    },
    /// The warden started a container.
    ContainerStarted {
        /// Which.
        launch_id: LaunchId,
        /// Its main process.
        pid: u32,
    },
    /// A container could not be started (sandbox, user, plan, clone, exec): nothing of it is left.
    ContainerLaunchFailed {
        /// Which.
        launch_id: LaunchId,
        /// Why, for people; becomes the task's message.
        message: String,
    },
    /// A container's main process ended; the warden keeps this until [`crate::Effect::AcknowledgeExit`].
    ContainerExited {
        /// Which.
        launch_id: LaunchId,
        /// Raw wait(2) status.
        wait_status: i32,
    },
    /// A container uses more than it may: it is ended, and this is why. Comes before `ContainerExited` if the kernel
    /// has ended it already.
    ContainerLimited {
        /// Which.
        launch_id: LaunchId,
        /// What it uses too much of.
        limitation: Box<Limitation>,
    },
    /// A [`crate::Effect::Probe`] ended.
    Probed {
        /// Which.
        id: ProbeId,
        /// How.
        outcome: ProbeOutcome,
    },
    /// Nothing is left of a container, and nobody can say how it ended.
    ContainerVanished {
        /// Which.
        launch_id: LaunchId,
    },
    /// The warden itself died; this is what the next one has taken up or knows the end of.
    WardenLost {
        /// What a new warden knows.
        containers: Vec<KnownContainer>,
    },
    /// A signal to the daemon.
    Stop(StopRequest),
}

/// How a fetch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// All files are in the sandbox.
    Done,
    /// At least one is not.
    Failed {
        /// Why, for people.
        message: String,
    },
}

/// Why the daemon is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopRequest {
    /// SIGTERM or SIGINT: tasks of checkpointing frameworks go on.
    Leave,
    /// SIGUSR1: everything is ended, the master is told.
    Drain,
}

/// What survived the previous life of the agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    /// The journal, in order; empty for a new work directory.
    pub records: Vec<Record>,
    /// The boot id of the running kernel.
    pub boot_id: String,
    /// The warden's list.
    pub containers: Vec<KnownContainer>,
    /// Those of them that have used more than they may.
    pub limited: Vec<(LaunchId, Limitation)>,
}

/// A container that the warden knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownContainer {
    /// Which.
    pub launch_id: LaunchId,
    /// Its state.
    pub state: KnownContainerState,
}

/// What the warden knows of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownContainerState {
    /// Running.
    Running {
        /// Its main process.
        pid: u32,
    },
    /// Ended, not yet acknowledged.
    Exited {
        /// Raw wait(2) status.
        wait_status: i32,
    },
}
