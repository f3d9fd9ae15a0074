//! The columns of users' objects and of what became of them. Pure.

use mezz_spec::Kind;

use super::columns::{Cell, Listing, left, right, wide};

/// How the objects of a kind are listed.
pub(crate) const fn of_kind(kind: Kind) -> &'static Listing {
    match kind {
        Kind::Service => &SERVICES,
        Kind::Job | Kind::Dag => &JOBS,
        Kind::Cron => &CRONS,
        Kind::Group | Kind::Secret | Kind::Config => &OTHERS,
    }
}

static SERVICES: Listing = Listing {
    key: "name",
    columns: &[
        left("NAME", Cell::At("name")),
        right("READY", Cell::Of("status.ready", "status.wanted")),
        right("RUNNING", Cell::At("status.running")),
        right("GENERATION", Cell::At("generation")),
        left("ROLLOUT", Cell::At("status.rollout")),
        right("AGE", Cell::Since("created_at")),
        wide(right("HEALTHY", Cell::At("status.healthy"))),
        wide(right("UNHEALTHY", Cell::At("status.unhealthy"))),
        wide(right("STABLE", Cell::At("status.stable_generation"))),
        wide(right("FAILURES", Cell::At("status.failures"))),
        wide(left("ROLE", Cell::At("status.role"))),
        wide(left("LABELS", Cell::Pairs("labels"))),
    ],
    empty: "no services; `mezz init service` prints one to begin with",
};

static JOBS: Listing = Listing {
    key: "name",
    columns: &[
        left("NAME", Cell::At("name")),
        right("ACTIVE", Cell::At("status.active")),
        right("SUCCEEDED", Cell::At("status.succeeded")),
        right("FAILED", Cell::At("status.failed")),
        right("GENERATION", Cell::At("generation")),
        right("AGE", Cell::Since("created_at")),
        wide(right("LAST-SUCCESS", Cell::Since("status.last_success_at"))),
        wide(right("LAST-FAILURE", Cell::Since("status.last_failure_at"))),
        wide(left("ROLE", Cell::At("status.role"))),
        wide(left("LABELS", Cell::Pairs("labels"))),
    ],
    empty: "none; `mezz init job` and `mezz init dag` print one to begin with",
};

static CRONS: Listing = Listing {
    key: "name",
    columns: &[
        left("NAME", Cell::At("name")),
        left("SCHEDULES", Cell::At("spec.schedules")),
        left("ZONE", Cell::At("spec.time_zone")),
        left("NEXT", Cell::At("status.next_at")),
        left("LAST-RUN", Cell::At("status.last_run")),
        right("AGE", Cell::Since("created_at")),
        wide(left("PAUSED", Cell::At("status.paused"))),
        wide(left("UNTIL", Cell::At("status.paused_until"))),
        wide(right("MISSED", Cell::At("status.missed"))),
        wide(right("GENERATION", Cell::At("generation"))),
        wide(left("ROLE", Cell::At("status.role"))),
        wide(left("LABELS", Cell::Pairs("labels"))),
    ],
    empty: "no crons; `mezz init cron` prints one to begin with",
};

static OTHERS: Listing = Listing {
    key: "name",
    columns: &[
        left("NAME", Cell::At("name")),
        right("GENERATION", Cell::At("generation")),
        right("AGE", Cell::Since("created_at")),
        wide(right("CHANGED", Cell::Since("changed_at"))),
        wide(left("ROLE", Cell::At("status.role"))),
        wide(left("LABELS", Cell::Pairs("labels"))),
    ],
    empty: "none of this kind",
};

pub(crate) static ROLLOUTS: Listing = Listing {
    key: "id",
    columns: &[
        left("ID", Cell::At("id")),
        left("SERVICE", Cell::At("service")),
        left("STATE", Cell::At("state")),
        right("TO", Cell::At("to")),
        right("READY", Cell::Of("new_ready", "wanted")),
        right("OLD", Cell::At("old_left")),
        right("FAILURES", Cell::At("failures")),
        right("AGE", Cell::Since("started_at")),
        wide(right("FROM", Cell::At("from"))),
        wide(right("STEP", Cell::At("step"))),
        wide(right("ENDED", Cell::Since("ended_at"))),
        wide(left("MESSAGE", Cell::At("message"))),
    ],
    empty: "no rollouts",
};

pub(crate) static RUNS: Listing = Listing {
    // Ids are made for each object alone.
    key: "name/id",
    columns: &[
        left("ID", Cell::At("id")),
        left("OF", Cell::At("name")),
        left("STATE", Cell::At("state")),
        left("CAUSE", Cell::At("cause.by")),
        right("WAITING", Cell::At("waiting")),
        right("RUNNING", Cell::At("running")),
        right("SUCCEEDED", Cell::At("succeeded")),
        right("FAILED", Cell::At("failed")),
        right("AGE", Cell::Since("created_at")),
        wide(right("RETRIED", Cell::At("retried"))),
        wide(right("ENDED", Cell::Since("ended_at"))),
        wide(right("GENERATION", Cell::At("generation"))),
        wide(left("PARAMETERS", Cell::Pairs("parameters"))),
        wide(left("MESSAGE", Cell::At("message"))),
    ],
    empty: "no runs; `mezz run NAME` begins one of a job, a dag or a cron",
};

pub(crate) static INSTANCES: Listing = Listing {
    key: "id",
    columns: &[
        left("ID", Cell::At("id")),
        left("OF", Cell::At("name")),
        left("PHASE", Cell::At("phase")),
        left("READY", Cell::At("ready")),
        left("HOST", Cell::At("hostname")),
        left("PORTS", Cell::At("ports")),
        right("AGE", Cell::Since("started_at")),
        wide(left("STATE", Cell::State("state"))),
        wide(left("HEALTHY", Cell::At("healthy"))),
        wide(right("GENERATION", Cell::At("generation"))),
        wide(left("RUN", Cell::At("run"))),
        wide(left("AGENT", Cell::At("agent_id"))),
        wide(left("MESSAGE", Cell::At("message"))),
    ],
    empty: "no instances",
};
