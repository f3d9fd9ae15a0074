//! The paths of Chronos's API.

use serde_json::Value;

use crate::openapi::{About, document};
use crate::paths::Content::{Json, Nothing, Text};
use crate::paths::{Operation, Parameter, Path, Shape, delete, get, post, put};

const ABOUT: About = About {
    title: "Chronos's API over jobs and crons",
    description: "Only jobs that were made by this API are shown by it. Every path below /v1/scheduler is below /scheduler, \
        too. Unknown members of jobs are dropped, but for those that are nearly a known one. Numbers and flags may be \
        written as texts.",
    version: "3.0.0",
    base: "/service/chronos",
    schemas: include_str!("schemas.json"),
    refusals: &[
        (
            400,
            "There is no such job, something about it is wrong, or its present state is in the way; the message says which. \
             Nothing was changed.",
        ),
        (404, "There is no such path."),
    ],
    ids: &[],
};

/// The OpenAPI document of this API.
pub fn openapi() -> Value {
    document(&ABOUT, PATHS)
}

/// Before version 3 there was no version in the paths.
pub(super) fn versioned<'p>(parts: &[&'p str]) -> Vec<&'p str> {
    let version = (parts.first() == Some(&"scheduler")).then_some("v1");
    version.into_iter().chain(parts.iter().copied()).collect()
}

const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        about,
        shape: Shape::Text,
    }
}

const fn count(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        about,
        shape: Shape::Pattern("^(\\+?[0-9]{1,18})?$"),
    }
}

const fn path(template: &'static str, operations: &'static [Operation]) -> Path {
    Path {
        template,
        operations,
    }
}

/// What a job is written by: both methods do the same.
const fn write(about: &'static str, schema: &'static str) -> [Operation; 2] {
    let answers: &[(u16, crate::paths::Content)] = &[(204, Nothing)];
    [
        post(about).body(schema).answers(answers).refuses(&[400]),
        put(about).body(schema).answers(answers).refuses(&[400]),
    ]
}

const SCHEDULED: &[Operation] = &write(
    "Makes or replaces a job with a schedule; without one it runs once, now.",
    "ScheduledJob",
);
const DEPENDENT: &[Operation] = &write(
    "Makes or replaces a job that comes after others.",
    "DependentJob",
);

/// All paths.
pub(super) const PATHS: &[Path] = &[
    path("/v1/scheduler/iso8601", SCHEDULED),
    path("/v1/scheduler/dependency", DEPENDENT),
    path(
        "/v1/scheduler/jobs",
        &[get("Lists jobs.", &[(200, Json("Jobs"))])],
    ),
    path(
        "/v1/scheduler/jobs/search",
        &[get(
            "Lists jobs by parts of their names and commands.",
            &[(200, Json("Jobs"))],
        )
        .query(&[
            text("name", "A part of the name."),
            text("command", "A part of the command."),
            text("any", "A part of either."),
            count("limit", "So many at most; 10 when it is not said."),
            count("offset", "So many are passed over."),
        ])
        .refuses(&[400])],
    ),
    path(
        "/v1/scheduler/jobs/summary",
        &[get("Lists jobs in short.", &[(200, Json("Summary"))])],
    ),
    path(
        "/v1/scheduler/job/stat/{name}",
        &[get(
            "Tells how long the runs of a job took.",
            &[(200, Json("JobStatistics"))],
        )
        .refuses(&[400])],
    ),
    path(
        "/v1/scheduler/job/success/{name}",
        &[
            put("Takes the last run of a job as succeeded; what comes after it starts.")
                .answers(&[(200, Text("text/plain"))]),
        ],
    ),
    path(
        "/v1/scheduler/job/{name}",
        &[
            get("Shows a job.", &[(200, Json("Job"))]).refuses(&[400]),
            put("Runs a job now.")
                .query(&[text("arguments", "Added to the command, for this run.")])
                .answers(&[(204, Nothing)])
                .refuses(&[400]),
            delete("Deletes a job; what came after it comes after its parents then.")
                .answers(&[(204, Nothing)])
                .refuses(&[400]),
        ],
    ),
    path(
        "/v1/scheduler/job/{name}/task/{task}/progress",
        &[post("Counts elements that a task has processed: not built.").refuses(&[400])],
    ),
    path(
        "/v1/scheduler/task/kill/{name}",
        &[delete("Ends all runs of a job.")
            .answers(&[(204, Nothing)])
            .refuses(&[400])],
    ),
    path(
        "/v1/scheduler/graph/csv",
        &[get(
            "Shows jobs and what comes after what, as lines.",
            &[(200, Text("text/plain"))],
        )],
    ),
    path(
        "/v1/scheduler/graph/dot",
        &[get(
            "Shows jobs and what comes after what, for graphviz.",
            &[(200, Text("text/plain"))],
        )],
    ),
    path(
        "/v1/scheduler/stats/{which}",
        &[get(
            "Lists jobs by how long they took, such as `median` or `99thPercentile`.",
            &[(200, Json("Slowest"))],
        )],
    ),
    path("/v1/scheduler/leader", LEADER),
    path("/v1/leader", LEADER),
    path("/leader", LEADER),
    path(
        "/ping",
        &[get("Says that it is there.", &[(200, Text("text/plain"))])],
    ),
    path(
        "/metrics",
        &[get("Shows counts.", &[(200, Json("Metrics"))])],
    ),
];

const LEADER: &[Operation] = &[get("Tells who leads.", &[(200, Json("Leader"))])];
