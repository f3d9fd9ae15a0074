//! The paths of Metronome's API.

use serde_json::Value;

use super::system::VERSION;
use crate::openapi::{About, document};
use crate::paths::Content::{Json, Nothing, Text};
use crate::paths::{Operation, Parameter, Path, Shape, delete, get, post, put};

const ABOUT: About = About {
    title: "Metronome's API over jobs and crons",
    description: "Ids are names with dots. A job has one schedule at most. Unknown members of a job are refused, those of a \
        schedule dropped, but for those that are nearly a known one.",
    version: VERSION,
    base: "/service/metronome",
    schemas: include_str!("schemas.json"),
    refusals: &[
        (400, "A parameter is wrong, or the body is no JSON."),
        (404, "There is none with this id."),
        (409, "The present state is in the way; nothing was changed."),
        (
            422,
            "Members of the body are wrong; `details` says which. Nothing was changed.",
        ),
    ],
    ids: &[],
};

/// The OpenAPI document of this API.
pub fn openapi() -> Value {
    document(&ABOUT, PATHS)
}

const EMBED: Parameter = Parameter {
    name: "embed",
    about: "What is shown beyond the job itself: `activeRuns`, `schedules`, `history`, `historySummary`.",
    shape: Shape::Pattern(
        "^((activeRuns|schedules|history|historySummary)?(,(activeRuns|schedules|history|historySummary)?)*)$",
    ),
};
const STOP: Parameter = Parameter {
    name: "stopCurrentJobRuns",
    about: "Ends runs that go on.",
    shape: Shape::Flag,
};

const fn path(template: &'static str, operations: &'static [Operation]) -> Path {
    Path {
        template,
        operations,
    }
}

/// All paths.
pub(super) const PATHS: &[Path] = &[
    path(
        "/v1/jobs",
        &[
            get("Lists jobs.", &[(200, Json("Jobs"))])
                .query(&[EMBED])
                .refuses(&[400]),
            post("Makes a job, with a schedule when it is told one.")
                .body("NewJob")
                .answers(&[(201, Json("Job"))])
                .refuses(&[400, 409, 422]),
        ],
    ),
    path(
        "/v1/jobs/{id}",
        &[
            get("Shows a job.", &[(200, Json("Job"))])
                .query(&[EMBED])
                .refuses(&[400, 404]),
            put("Replaces a job; its schedule stays.")
                .body("JobUpdate")
                .answers(&[(200, Json("Job"))])
                .refuses(&[400, 404, 409, 422]),
            delete("Deletes a job with its schedule.")
                .query(&[STOP])
                .answers(&[(200, Json("Job"))])
                .refuses(&[400, 404, 409, 422]),
        ],
    ),
    path(
        "/v1/jobs/{id}/schedules",
        &[
            get("Lists the schedules of a job.", &[(200, Json("Schedules"))]).refuses(&[404]),
            post("Gives a job its schedule.")
                .body("NewSchedule")
                .answers(&[(201, Json("Schedule"))])
                .refuses(&[400, 404, 409, 422]),
        ],
    ),
    path(
        "/v1/jobs/{id}/schedules/{schedule}",
        &[
            get("Shows a schedule.", &[(200, Json("Schedule"))]).refuses(&[404]),
            put("Replaces a schedule.")
                .body("ScheduleUpdate")
                .answers(&[(200, Json("Schedule"))])
                .refuses(&[400, 404, 409, 422]),
            delete("Deletes a schedule.")
                .answers(&[(200, Nothing)])
                .refuses(&[404, 409, 422]),
        ],
    ),
    path(
        "/v1/jobs/{id}/runs",
        &[
            get("Lists the runs that go on.", &[(200, Json("Runs"))]).refuses(&[404]),
            post("Starts a run.")
                .answers(&[(201, Json("Run"))])
                .refuses(&[404, 409, 422]),
        ],
    ),
    path(
        "/v1/jobs/{id}/runs/{run}",
        &[get(
            "Shows a run, also one that has ended lately.",
            &[(200, Json("Run"))],
        )
        .refuses(&[404])],
    ),
    path(
        "/v1/jobs/{id}/runs/{run}/actions/stop",
        &[post("Ends a run.")
            .answers(&[(200, Json("Run"))])
            .refuses(&[404, 409, 422])],
    ),
    path(
        "/v0/scheduled-jobs",
        &[post("Makes a job with its schedule.")
            .body("NewJob")
            .answers(&[(201, Json("Job"))])
            .refuses(&[400, 409, 422])],
    ),
    path(
        "/v0/scheduled-jobs/{id}",
        &[put("Replaces a job with its schedule.")
            .body("JobUpdate")
            .answers(&[(200, Json("Job"))])
            .refuses(&[400, 404, 409, 422])],
    ),
    path(
        "/ping",
        &[get("Says that it is there.", &[(200, Text("text/plain"))])],
    ),
    path(
        "/info",
        &[get("Tells the version.", &[(200, Json("Info"))])],
    ),
    path(
        "/leader",
        &[get("Tells who leads.", &[(200, Json("Leader"))])],
    ),
    path(
        "/v1/metrics",
        &[get("Shows counts.", &[(200, Json("Metrics"))])],
    ),
    path(
        "/v1/queue",
        &[get(
            "Lists runs of which nothing has started.",
            &[(200, Json("Queue"))],
        )],
    ),
];
