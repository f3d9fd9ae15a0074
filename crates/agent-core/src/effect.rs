//! What the agent wants done, in order.

use crate::allotment::Allotment;
use crate::ids::{LaunchId, ProbeId, RequestId, StreamId};
use crate::journal::Record;
use crate::launch::{Fetch, Launch, PodSandbox};
use crate::nested::ContainerAnswer;
use crate::probe::Probe;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1::executor;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append to the journal. Later effects may be performed only when this is written.
    Checkpoint {
        /// What to append, in order.
        records: Vec<Record>,
        /// What "written" means.
        durability: Durability,
    },
    /// Call back with [`crate::Event::Wake`] at this monotonic time; replaces the earlier one.
    WakeAt {
        /// When.
        mono_ns: u64,
    },
    /// Find the leading master and open a session; answered by `MasterConnected` or `MasterDisconnected`.
    DialMaster,
    /// Close the session; answered by `MasterDisconnected`.
    HangUpMaster,
    /// Send to the master, in order. (`Pong` goes outside the order.)
    ToMaster(Box<Body>),
    /// Send an event on an executor's stream.
    ToExecutor {
        /// Which stream.
        stream: StreamId,
        /// What.
        event: Box<executor::Event>,
    },
    /// End an executor's stream, after what was sent on it.
    CloseExecutorStream {
        /// Which.
        stream: StreamId,
    },
    /// Answer an executor's request.
    Reply {
        /// Which.
        request: RequestId,
        /// With what.
        outcome: CallOutcome,
    },
    /// Make the sandbox of a pod, as far as it is not there.
    MakePodSandbox(Box<PodSandbox>),
    /// Make the sandbox and fetch into it; answered by `Fetched`.
    Fetch(Box<Fetch>),
    /// A fetch is no longer wanted; no answer is expected (one does no harm).
    CancelFetch {
        /// Of which launch.
        launch_id: LaunchId,
    },
    /// Make the sandbox (if it is not there) and start the container; answered by `ContainerStarted` or `ContainerLaunchFailed`.
    Launch(Box<Launch>),
    /// A container may use more or less from now on. One that nobody knows (any more) is passed over.
    Resize {
        /// Which.
        launch_id: LaunchId,
        /// What.
        allotment: Box<Allotment>,
    },
    /// Try to reach a task over the network; answered by `Probed`.
    Probe(Box<Probe>),
    /// A probe is no longer wanted; no answer is expected (one does no harm).
    CancelProbe {
        /// Which.
        id: ProbeId,
    },
    /// Send a signal to every process of a container.
    Signal {
        /// Which.
        launch_id: LaunchId,
        /// The signal's number.
        signal: i32,
    },
    /// Send a signal to the main process of a container.
    SignalMain {
        /// Which.
        launch_id: LaunchId,
        /// The signal's number.
        signal: i32,
    },
    /// Kill every process of a container, without appeal. Legal at any time after `Launch`.
    KillTree {
        /// Which.
        launch_id: LaunchId,
    },
    /// The warden does not know this container (any more): end what may be left of it, found by its cgroup or its marker.
    EndStray {
        /// Which.
        launch_id: LaunchId,
    },
    /// The warden may forget the exit.
    AcknowledgeExit {
        /// Which.
        launch_id: LaunchId,
    },
    /// The sandbox is no longer used: collect it when its time has come.
    ScheduleSandboxRemoval {
        /// Its path, relative to the work directory.
        sandbox: String,
    },
    /// The sandbox is no longer wanted: remove it now.
    RemoveSandbox {
        /// Its path, relative to the work directory.
        sandbox: String,
    },
    /// Answer an [`crate::Event::ContainerCall`].
    AnswerContainer {
        /// Which.
        request: RequestId,
        /// With what.
        answer: ContainerAnswer,
    },
    /// Something worth a log line.
    Emit(Fact),
    /// End the daemon. The last effect.
    Stop {
        /// The process's exit code.
        exit_code: u8,
        /// Why, for people.
        message: String,
    },
}

/// What a checkpoint must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// The death of the daemon.
    Written,
    /// A loss of power.
    Synced,
}

/// The answer to an executor's call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// 200 and the stream `StreamId(request.0)`.
    Stream,
    /// 202.
    Accepted,
    /// 400 with this text.
    BadRequest(String),
    /// 403 with this text.
    Forbidden(String),
    /// 501 with this text.
    NotImplemented(String),
    /// 503 with this text.
    Unavailable(String),
}

/// Facts for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Recovery is complete.
    RecoveryCompleted {
        /// Tasks taken up again.
        tasks: usize,
    },
    /// The master took the agent in.
    Registered {
        /// Under this id.
        agent_id: String,
    },
    /// The session ended.
    MasterLost {
        /// Why.
        reason: String,
    },
    /// The master refused this agent.
    RefusedByMaster {
        /// Why.
        message: String,
    },
    /// Something that came in was ignored.
    Ignored {
        /// What and why.
        message: String,
    },
}
