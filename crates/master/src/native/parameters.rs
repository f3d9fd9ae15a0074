//! The parameters of every query: one table from which queries are checked and the API document is made, so that
//! the two cannot differ. What a query gave is read in `given`.

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// Any text that is not empty.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Count { least: u64, most: u64 },
    /// A number of seconds from 0 to 1000000000.
    Seconds,
    /// The name of a task state.
    TaskState,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `500ms`, `30s`, `5m`, `1h`.
    Duration,
    /// A duration back from now, or an instant as RFC 3339.
    Since,
    /// `KEY` or `KEY=VALUE`.
    Pair,
    /// One of these words alone, or with `=true` or `=false`.
    Truth(&'static [&'static str]),
    /// What a page before this one gave.
    Cursor,
    /// The name of an object, with or without its first slash.
    Name,
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Whether it may be given several times; any of the values will do then.
    pub(super) repeated: bool,
    pub(super) about: &'static str,
}

const fn one(name: &'static str, shape: Shape, about: &'static str) -> Parameter {
    Parameter {
        name,
        shape,
        repeated: false,
        about,
    }
}

const fn many(name: &'static str, shape: Shape, about: &'static str) -> Parameter {
    Parameter {
        name,
        shape,
        repeated: true,
        about,
    }
}

/// The largest whole number that every JSON reader keeps exactly.
pub(super) const MOST: u64 = (1 << 53) - 1;
const INDEX: Shape = Shape::Count {
    least: 0,
    most: MOST,
};
/// Elements of one page at most.
pub(super) const PAGE_MOST: u64 = 100_000;

const FRAMEWORK: Parameter = many("framework", Shape::Text, "Id or name of a framework.");
const ROLE: Parameter = many("role", Shape::Text, "Name of a role.");
const AGENT: Parameter = many("agent", Shape::Text, "Id or host name of an agent.");
const LABEL: Parameter = many(
    "label",
    Shape::Pair,
    "KEY or KEY=VALUE; every one that is given has to be there.",
);

pub(super) const POLL: &[Parameter] = &[
    one(
        "index",
        INDEX,
        "Answer only when something has changed after this `Mezz-Index`; also where a stream goes on.",
    ),
    one(
        "wait",
        Shape::Duration,
        "How long to wait for a change with `index`, at most 10m; 5m when not given.",
    ),
];
pub(super) const PAGE: &[Parameter] = &[
    one(
        "limit",
        Shape::Count {
            least: 1,
            most: PAGE_MOST,
        },
        "At most so many elements; `Mezz-Next-Cursor` tells where the next page begins.",
    ),
    one(
        "cursor",
        Shape::Cursor,
        "Where a page begins: the `Mezz-Next-Cursor` of the page before.",
    ),
];
const SERVICE: Parameter = many("service", Shape::Name, "Only of this service.");
const JOB: Parameter = many(
    "job",
    Shape::Name,
    "Only of runs of this job, cron or dag, and of those that were begun for it.",
);
const RUN: Parameter = many(
    "run",
    Shape::Text,
    "Only of this run: its id, or NAME/ID where several objects have one of the same id.",
);
pub(super) const TASKS: &[Parameter] = &[
    one("all", Shape::Flag, "Also tasks that have ended."),
    many(
        "state",
        Shape::TaskState,
        "Only tasks in this state, ended ones too.",
    ),
    FRAMEWORK,
    ROLE,
    AGENT,
    SERVICE,
    JOB,
    RUN,
    LABEL,
];
pub(super) const AGENTS: &[Parameter] = &[
    many(
        "state",
        Shape::Word(&[
            "recovered",
            "connected",
            "disconnected",
            "unreachable",
            "gone",
        ]),
        "Only agents in this state.",
    ),
    AGENT,
    many(
        "attribute",
        Shape::Pair,
        "KEY or KEY=VALUE; every one that is given has to be there.",
    ),
];
pub(super) const FRAMEWORKS: &[Parameter] = &[
    many(
        "state",
        Shape::Word(&["active", "disconnected", "recovered", "completed"]),
        "Only frameworks in this state.",
    ),
    FRAMEWORK,
    ROLE,
    LABEL,
];
pub(super) const ROLES: &[Parameter] = &[ROLE, FRAMEWORK];
pub(super) const OFFERS: &[Parameter] = &[FRAMEWORK, ROLE, AGENT];
pub(super) const EVENTS: &[Parameter] = &[
    one(
        "after",
        INDEX,
        "Begin after this sequence: the last one that was seen, or the `Mezz-Event-Sequence` of a list; 0 begins with the oldest event that is kept.",
    ),
    one(
        "since",
        Shape::Since,
        "Begin at this time, or this long ago.",
    ),
    one(
        "wait",
        Shape::Duration,
        "How long to wait for an event when there is none yet, at most 10m.",
    ),
    one(
        "limit",
        Shape::Count {
            least: 1,
            most: PAGE_MOST,
        },
        "At most so many events.",
    ),
    many(
        "type",
        Shape::Word(super::event_json::TYPES),
        "Only events of this type.",
    ),
    many("task", Shape::Text, "Only events of this task."),
    FRAMEWORK,
    AGENT,
];
const ROLLOUT_IN_THE_WAY: Parameter = one(
    "conflict",
    Shape::Word(&["supersede", "reject"]),
    "What happens to a rollout that is under way: this change takes over (supersede), or is refused.",
);
pub(super) const APPLY: &[Parameter] = &[
    one("dry_run", Shape::Flag, "Only say what would be changed."),
    ROLLOUT_IN_THE_WAY,
];
pub(super) const CONFLICT: &[Parameter] = &[ROLLOUT_IN_THE_WAY];
pub(super) const DELETE_OBJECT: &[Parameter] = &[
    one(
        "generation",
        INDEX,
        "Refuse when the object has another generation.",
    ),
    ROLLOUT_IN_THE_WAY,
];
pub(super) const OBJECTS: &[Parameter] = &[
    one(
        "under",
        Shape::Name,
        "Only objects with this name, or below it.",
    ),
    ROLE,
    many(
        "condition",
        Shape::Truth(&["ready", "progressing", "crash_looping", "blocked"]),
        "Only objects of which this condition holds, or does not with =false; all that are given have to be so.",
    ),
    LABEL,
];
const UNDER: Parameter = one(
    "under",
    Shape::Name,
    "Only of objects with this name, or below it.",
);
pub(super) const INSTANCES: &[Parameter] = &[
    UNDER,
    SERVICE,
    JOB,
    RUN,
    many("state", Shape::TaskState, "Only instances in this state."),
    many(
        "phase",
        Shape::Word(&["starting", "running", "draining", "stopping", "unreachable"]),
        "Only instances in this phase.",
    ),
    ROLE,
    AGENT,
    LABEL,
];
pub(super) const RUNS: &[Parameter] = &[
    UNDER,
    JOB,
    many(
        "state",
        Shape::Word(&["pending", "running", "succeeded", "failed", "stopped"]),
        "Only runs in this state.",
    ),
    many(
        "cause",
        Shape::Word(&["apply", "user", "after", "cron", "dag"]),
        "Only runs that were begun so.",
    ),
    ROLE,
    LABEL,
];
pub(super) const ROLLOUTS: &[Parameter] = &[
    UNDER,
    SERVICE,
    many(
        "state",
        Shape::Word(&[
            "waiting",
            "rolling",
            "paused",
            "rolling_back",
            "succeeded",
            "rolled_back",
            "failed",
            "superseded",
            "aborted",
        ]),
        "Only rollouts in this state.",
    ),
    ROLE,
    LABEL,
];
pub(super) const END_INSTANCE: &[Parameter] = &[one(
    "scale_down",
    Shape::Flag,
    "Want one instance less instead of replacing it.",
)];
pub(super) const KILL: &[Parameter] = &[one(
    "grace_period_secs",
    Shape::Seconds,
    "Time between SIGTERM and SIGKILL; the task's own when not given.",
)];
pub(super) const LOGS: &[Parameter] = &[
    one(
        "stream",
        Shape::Word(&["stdout", "stderr", "both"]),
        "Which output.",
    ),
    one("follow", Shape::Flag, "Go on until the task has ended."),
    one(
        "tail",
        Shape::Count {
            least: 0,
            most: MOST,
        },
        "Begin this many lines before the end.",
    ),
    one(
        "offset",
        Shape::Count {
            least: 0,
            most: MOST,
        },
        "Begin at this byte of each output.",
    ),
];
