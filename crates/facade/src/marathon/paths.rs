//! The paths of Marathon's API.

use serde_json::Value;

use super::system::VERSION;
use crate::openapi::{About, document};
use crate::paths::Content::{Json, JsonOrText, Nothing, Text};
use crate::paths::{Operation, Parameter, Path, Shape, delete, get, patch, post, put};

const ABOUT: About = About {
    title: "Marathon's API over services and groups",
    description: "Ids of apps and groups are paths; their slashes are written as they are, or as %2F. Unknown members of \
        bodies are dropped, but for those that are nearly a known one.",
    version: VERSION,
    base: "/service/marathon",
    schemas: include_str!("schemas.json"),
    refusals: &[
        (400, "A parameter is wrong, or the body is no JSON."),
        (404, "There is none with this id."),
        (
            405,
            "The path does not take this method, or not for what is asked for.",
        ),
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

const FORCE: Parameter = flag("force", "Drives out a deployment that is in the way.");
const PARTIAL: Parameter = flag(
    "partialUpdate",
    "Whether members that are left out stay as they are.",
);
const DRY_RUN: Parameter = flag("dryRun", "Only tells the steps.");
const SCALE: Parameter = flag("scale", "Makes the app smaller by what is ended.");
const WIPE: Parameter = flag("wipe", "Ends volumes, too.");
const EMBED: Parameter = Parameter {
    name: "embed",
    about: "What is shown beyond the thing itself; unknown names mean nothing.",
    shape: Shape::Texts,
};

const fn flag(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        about,
        shape: Shape::Flag,
    }
}

const fn text(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        about,
        shape: Shape::Text,
    }
}

const fn texts(name: &'static str, about: &'static str) -> Parameter {
    Parameter {
        name,
        about,
        shape: Shape::Texts,
    }
}

const LABEL: Parameter = text(
    "label",
    "Conditions on labels: `a`, `a==v`, `a!=v`, `a in (v,w)`, `a notin (v)`, joined by commas.",
);
const KILL: &[Parameter] = &[FORCE, SCALE, WIPE];
const KILL_AT: &[Parameter] = &[FORCE, SCALE, WIPE, text("host", "Only those on this host.")];

const fn path(template: &'static str, operations: &'static [Operation]) -> Path {
    Path {
        template,
        operations,
    }
}

/// Of one group, or of all.
const GROUP: &[Operation] = &[
    get(
        "Shows a group with all that is in it.",
        &[(200, Json("Group"))],
    )
    .query(&[EMBED])
    .refuses(&[404]),
    post("Makes a group.")
        .query(&[FORCE, DRY_RUN])
        .body("GroupUpdate")
        .answers(&[(200, Json("Steps")), (201, Json("Deployed"))])
        .refuses(&[400, 404, 409, 422]),
    put("Changes a group: its apps are those of the body.")
        .query(&[FORCE, DRY_RUN])
        .body("GroupUpdate")
        .answers(&[(200, Json("DeployedOrSteps"))])
        .refuses(&[400, 404, 409, 422]),
    patch("Says whether the apps of a group must have its role.")
        .body("GroupRole")
        .answers(&[(200, Nothing)])
        .refuses(&[400, 404, 409, 422]),
    delete("Deletes a group with all that is in it.")
        .query(&[FORCE])
        .answers(&[(200, Json("Deployed"))])
        .refuses(&[400, 404, 409, 422]),
];
const GROUP_APPS: &[Operation] = &[
    get("Lists the apps below a group.", &[(200, Json("AppList"))])
        .query(&[EMBED])
        .refuses(&[404]),
];
const GROUP_VERSIONS: &[Operation] = &[get(
    "Lists when something below a group changed, newest first.",
    &[(200, Json("Times"))],
)
.refuses(&[404])];
const GROUP_VERSION: &[Operation] = &[
    get("Shows a group as it was.", &[(200, Json("Group"))]).refuses(&[404]),
    put("Brings the apps below a group back to what they were.")
        .query(&[FORCE])
        .answers(&[(200, Json("Deployed"))])
        .refuses(&[400, 404, 409, 422]),
];
const BELOW: &[Operation] = &[get(
    "Lists the apps below a group, under the member `*`.",
    &[(200, Json("AppsBelow"))],
)
.query(&[EMBED])
.refuses(&[404])];

/// All paths. Where two are alike, the first is meant.
pub(super) const PATHS: &[Path] = &[
    path(
        "/v2/apps",
        &[
            get("Lists apps.", &[(200, Json("Apps"))])
                .query(&[
                    EMBED,
                    LABEL,
                    text("id", "A part of their ids."),
                    text("cmd", "A part of their commands."),
                ])
                .refuses(&[400]),
            post("Makes an app.")
                .query(&[FORCE])
                .body("NewApp")
                .answers(&[(201, Json("App"))])
                .refuses(&[400, 409, 422]),
            put("Makes and changes apps: all of them, or none.")
                .query(&[FORCE, PARTIAL])
                .body("NewApps")
                .answers(&[(200, Json("Deployed"))])
                .refuses(&[400, 409, 422]),
            patch("Changes apps: all of them, or none.")
                .query(&[FORCE, PARTIAL])
                .body("NewApps")
                .answers(&[(200, Json("Deployed"))])
                .refuses(&[400, 404, 409, 422]),
        ],
    ),
    path("/v2/apps/*", BELOW),
    path("/v2/apps/{+group}/*", BELOW),
    path(
        "/v2/apps/{+id}/restart",
        &[post("Replaces all tasks of an app by new ones.")
            .query(&[FORCE])
            .answers(&[(200, Json("Deployed"))])
            .refuses(&[400, 404, 409, 422])],
    ),
    path(
        "/v2/apps/{+id}/tasks",
        &[
            get(
                "Lists the tasks of an app, or with `*` of those below a group.",
                &[(200, JsonOrText("Tasks"))],
            )
            .refuses(&[404]),
            delete("Ends tasks of an app, which are replaced.")
                .query(KILL_AT)
                .answers(&[(200, Json("TasksOrDeployed"))])
                .refuses(&[400, 404, 409, 422]),
        ],
    ),
    path(
        "/v2/apps/{+id}/tasks/{task}",
        &[delete("Ends a task, which is replaced.")
            .query(KILL_AT)
            .answers(&[(200, Json("TaskOrDeployed"))])
            .refuses(&[400, 404, 409, 422])],
    ),
    path(
        "/v2/apps/{+id}/versions",
        &[get(
            "Lists the versions of an app, newest first.",
            &[(200, Json("Versions"))],
        )
        .refuses(&[404])],
    ),
    path(
        "/v2/apps/{+id}/versions/{version}",
        &[get("Shows an app as it was.", &[(200, Json("PlainApp"))]).refuses(&[404])],
    ),
    path(
        "/v2/apps/{+id}",
        &[
            get("Shows an app.", &[(200, Json("OneApp"))])
                .query(&[EMBED])
                .refuses(&[404]),
            put("Makes an app, or changes one.")
                .query(&[FORCE, PARTIAL])
                .body("AppUpdate")
                .answers(&[(200, Json("Deployed")), (201, Json("Deployed"))])
                .refuses(&[400, 404, 409, 422]),
            patch("Changes an app.")
                .query(&[FORCE, PARTIAL])
                .body("AppUpdate")
                .answers(&[(200, Json("Deployed"))])
                .refuses(&[400, 404, 409, 422]),
            delete("Deletes an app; its tasks end.")
                .query(&[FORCE])
                .answers(&[(200, Json("Deployed"))])
                .refuses(&[400, 404, 409, 422]),
        ],
    ),
    path("/v2/groups", GROUP),
    path("/v2/groups/apps", GROUP_APPS),
    path("/v2/groups/{+id}/apps", GROUP_APPS),
    path("/v2/groups/versions", GROUP_VERSIONS),
    path("/v2/groups/{+id}/versions", GROUP_VERSIONS),
    path("/v2/groups/versions/{version}", GROUP_VERSION),
    path("/v2/groups/{+id}/versions/{version}", GROUP_VERSION),
    path("/v2/groups/{+id}", GROUP),
    path(
        "/v2/deployments",
        &[get(
            "Lists what is being deployed.",
            &[(200, Json("Deployments"))],
        )],
    ),
    path(
        "/v2/deployments/{deployment}",
        &[
            delete("Goes back to what was before, or with `force` stays where it is.")
                .query(&[FORCE])
                .answers(&[(200, Json("Deployed")), (202, Nothing)])
                .refuses(&[400, 404, 409, 422]),
        ],
    ),
    path(
        "/v2/tasks",
        &[get("Lists tasks.", &[(200, JsonOrText("Tasks"))]).query(&[
            texts("status", "`running` or `staging`."),
            texts("status[]", "The same."),
        ])],
    ),
    path(
        "/v2/tasks/delete",
        &[post("Ends tasks, which are replaced.")
            .query(KILL)
            .body("TaskIds")
            .answers(&[(200, Json("TasksOrDeployed"))])
            .refuses(&[400, 404, 409, 422])],
    ),
    path(
        "/v2/queue",
        &[get(
            "Lists apps that want more tasks than have a place, and why.",
            &[(200, Json("Queue"))],
        )
        .query(&[EMBED])],
    ),
    path(
        "/v2/queue/{+id}/delay",
        &[
            delete("Lets an app that waits because it failed start at once.")
                .answers(&[(204, Nothing)])
                .refuses(&[404, 409, 422]),
        ],
    ),
    path(
        "/v2/leader",
        &[
            get("Tells who leads.", &[(200, Json("Leader"))]),
            delete("Gives up leading, where somebody can take over.")
                .answers(&[(200, Json("Message"))])
                .refuses(&[409]),
        ],
    ),
    path(
        "/v2/info",
        &[get("Tells version and settings.", &[(200, Json("Info"))])],
    ),
    path(
        "/v2/plugins",
        &[get(
            "Lists plugins: there are none.",
            &[(200, Json("Plugins"))],
        )],
    ),
    path(
        "/v2/events",
        &[get(
            "Tells events as they happen; for those who accept text/event-stream.",
            &[(200, Text("text/event-stream"))],
        )
        .query(&[texts("event_type", "Only of these types.")])
        .refuses(&[405])],
    ),
    path(
        "/v2/pods",
        &[get(
            "Lists pods: there are none.",
            &[(200, Json("Nothing"))],
        )],
    ),
    path(
        "/v2/pods/::status",
        &[get(
            "Lists the states of pods: there are none.",
            &[(200, Json("Nothing"))],
        )],
    ),
    path(
        "/v2/pods/{+id}",
        &[get("Shows a pod: there are none.", &[]).refuses(&[404])],
    ),
    path(
        "/",
        &[get("Leads to the page of the master.", &[(302, Nothing)])],
    ),
    path(
        "/help",
        &[get("Lists paths.", &[(200, Text("text/plain"))])],
    ),
    path(
        "/config",
        &[get("Shows settings.", &[(200, Json("Settings"))])],
    ),
    path(
        "/ping",
        &[get(
            "Says that it is there.",
            &[(200, JsonOrText("Pong")), (204, Nothing)],
        )],
    ),
    path(
        "/metrics",
        &[get("Shows counts.", &[(200, Json("Metrics"))])],
    ),
    path(
        "/metrics/prometheus",
        &[get(
            "Shows counts for Prometheus.",
            &[(200, Text("text/plain"))],
        )],
    ),
    path("/v2/eventSubscriptions", &[]),
    path("/v2/eventSubscriptions/{+rest}", &[]),
    path("/v2/artifacts", &[]),
    path("/v2/artifacts/{+rest}", &[]),
    path("/v2/schemas", &[]),
    path("/v2/schemas/{+rest}", &[]),
    path("/logging", &[]),
    path("/logging/{+rest}", &[]),
];
