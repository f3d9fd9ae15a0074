//! What users ask of the controllers, and how that is answered.

use std::collections::BTreeMap;

use mezz_spec::service::Replicas;
use mezz_spec::{Kind, Name, Object};
use mezz_state::time::Wall;

/// A user's call.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Call {
    /// All of these objects, or none.
    Apply {
        objects: Vec<Object>,
        mode: ApplyMode,
        /// What happens when a service is in the middle of a rollout.
        conflict: Conflict,
    },
    /// Removes an object; a group with all that is below it.
    Delete {
        kind: Kind,
        name: Name,
        /// Refused when the object has another generation.
        generation: Option<u64>,
        conflict: Conflict,
    },
    Scale {
        name: Name,
        replicas: Replicas,
        conflict: Conflict,
    },
    /// New instances of the same generation, rolled.
    Restart {
        name: Name,
        conflict: Conflict,
    },
    /// A new generation with the spec of an earlier one: the one before without `to`.
    Rollback {
        name: Name,
        to: Option<u64>,
        conflict: Conflict,
    },
    /// Of the rollout of a service, or a cron.
    Pause {
        name: Name,
        lasts: Lasting,
    },
    /// Of the rollout of a service (the next step of a canary, the move of blue-green), or a cron.
    Resume {
        name: Name,
    },
    /// Ends a rollout where it is.
    Abort {
        name: Name,
    },
    /// Starts a run of a job or dag.
    Run {
        name: Name,
        parameters: BTreeMap<String, String>,
        /// A second call with the same id is answered with the run of the first.
        id: Option<String>,
        /// Added to the command of a job, for this run.
        arguments: Option<String>,
    },
    /// Ends a run.
    StopRun {
        name: Name,
        run: String,
    },
    /// Runs a dag's run again from a node; what succeeded elsewhere stays.
    ResumeRun {
        name: Name,
        run: String,
        from: Option<String>,
    },
    /// Says that a run, or a node of a dag's run, has succeeded.
    MarkSucceeded {
        name: Name,
        run: String,
        node: Option<String>,
    },
    /// Ends instances; a service replaces them, unless it is scaled down by as many.
    KillInstances {
        ids: Vec<String>,
        scale_down: bool,
    },
    /// Forgets the failures of a service or run.
    ResetBackoff {
        name: Name,
    },
    /// Nothing is started, killed or rolled any more, until `Thaw` or for a time.
    Freeze {
        lasts: Lasting,
    },
    Thaw,
    /// All of these objects are applied and all of these services deleted, or nothing is.
    Replace {
        objects: Vec<Object>,
        ends: Vec<Name>,
        conflict: Conflict,
    },
    /// Starts a run of a cron outside of its schedule; its overlap holds for that one too.
    Fire {
        name: Name,
        parameters: BTreeMap<String, String>,
        /// As of `Run`.
        id: Option<String>,
    },
}

/// How long what somebody stops stands still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Lasting {
    /// Until somebody lets it go on.
    #[default]
    UntilLetGo,
    /// From the moment of the call.
    For {
        ns: u64,
    },
    Until(Wall),
}

/// Do it, or only say what would be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ApplyMode {
    Commit,
    DryRun,
}

/// What happens when a service is in the middle of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Conflict {
    /// The new generation takes over from where the old rollout is.
    #[default]
    Supersede,
    /// The call is refused.
    Reject,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub enum Reply {
    Applied(Vec<Applied>),
    /// A run was started, or was there before.
    Started {
        run: String,
        is_new: bool,
    },
    Done,
    Refused(Refusal),
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Applied {
    pub kind: Kind,
    pub name: Name,
    pub generation: u64,
    pub change: Change,
    /// The rollout that the change began.
    pub rollout: Option<String>,
}

/// How an object changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Change {
    Created,
    Updated,
    Unchanged,
    Deleted,
}

/// Why a call changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
pub enum Refusal {
    /// Against a rule that needs the other objects: a cycle, a port that another service has.
    #[error("{path}: {message}")]
    Invalid {
        kind: Kind,
        name: String,
        /// A JSON path in the object.
        path: String,
        message: String,
    },
    #[error("there is no {kind} '{name}'")]
    NotFound { kind: &'static str, name: String },
    /// Against the present state: another generation, a rollout in progress, a run with this id.
    #[error("{message}")]
    Conflict {
        message: String,
        /// Rollouts in the way.
        rollouts: Vec<String>,
    },
}
