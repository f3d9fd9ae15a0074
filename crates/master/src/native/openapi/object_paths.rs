//! The paths of users' objects and of what becomes of them.

use mezz_spec::Kind;
use serde_json::{Map, Value, json};

use super::paths::{
    BAD_QUERY, NO_LEADER, NOT_ACCEPTABLE, of_path, of_query, one, read, reference, refusing,
};
use crate::native::parameters::{self, Parameter};

const NAME: (&str, &str) = (
    "name",
    "Its name without the first slash, slashes as they are.",
);

/// Adds them.
pub(super) fn add(paths: &mut Map<String, Value>) {
    let apply = change(
        "Creates and changes objects: all of them, or none.",
        &[],
        &[parameters::APPLY],
        Some(objects_body()),
        &applied(),
    );
    paths.insert("/v1/apply".to_owned(), json!({ "post": apply }));
    let plan = change(
        "Tells what an apply would do, where instances would go, and what would wait and why; nothing is changed.",
        &[],
        &[parameters::CONFLICT],
        Some(objects_body()),
        &reference("Plan"),
    );
    paths.insert("/v1/plan".to_owned(), json!({ "post": plan }));
    for kind in Kind::ALL {
        add_kind(paths, kind);
    }
    for (what, element, own) in [
        ("rollouts", "Rollout", parameters::ROLLOUTS),
        ("runs", "Run", parameters::RUNS),
        ("instances", "Instance", parameters::INSTANCES),
    ] {
        add_list(paths, what, element, own);
        let id = (
            "id",
            "Its id; of a run also NAME/ID, since each object counts its own.",
        );
        let get = one(&format!("Shows one of the {what}."), &[id], element);
        let mut item = json!({ "get": get });
        if what == "instances" {
            item["delete"] = change(
                "Ends an instance, as its service or job has it: drained, and replaced or tried again.",
                &[("id", "Its id.")],
                &[parameters::END_INSTANCE],
                None,
                &json!({ "type": "object" }),
            );
        }
        paths.insert(format!("/v1/{what}/{{id}}"), item);
    }
    let about = "Where a service is reached: one entry for each port of each instance.";
    let endpoints = json!({ "type": "array", "items": reference("Endpoint") });
    let missing = ("404", "There is no such service.");
    let refusals = [BAD_QUERY, missing, NOT_ACCEPTABLE, NO_LEADER];
    let get = read(about, &[NAME], &[parameters::POLL], &endpoints, &refusals);
    paths.insert("/v1/endpoints/{name}".to_owned(), json!({ "get": get }));
    add_freeze(paths);
    add_verbs(paths);
}

fn add_freeze(paths: &mut Map<String, Value>) {
    let about = "Tells whether everything is frozen: whether nothing is started, ended or rolled.";
    let refusals = [BAD_QUERY, NOT_ACCEPTABLE, NO_LEADER];
    let schema = reference("Freeze");
    let get = read(about, &[], &[parameters::POLL], &schema, &refusals);
    let done = json!({ "type": "object" });
    let about = "Freezes everything: nothing is started, ended or rolled until it is thawed, or for a time.";
    let post = change(about, &[], &[], Some(standstill()), &done);
    let about = "Thaws everything.";
    let delete = change(about, &[], &[], None, &done);
    let item = json!({ "get": get, "post": post, "delete": delete });
    paths.insert("/v1/freeze".to_owned(), item);
}

/// How long something is to stand still: until somebody lets it go on, or one of these.
fn standstill() -> Value {
    let properties = json!({
        "for": {
            "description": "For so long, such as 2h.",
            "type": ["string", "null"],
        },
        "until": {
            "description": "Until this time, which has not passed yet.",
            "type": ["string", "null"],
            "format": "date-time",
        },
    });
    body(&properties, &[])
}

fn add_list(paths: &mut Map<String, Value>, what: &str, element: &str, own: &[Parameter]) {
    let schema = json!({ "type": "array", "items": reference(element) });
    let tables = [own, parameters::POLL];
    let refusals = [BAD_QUERY, NOT_ACCEPTABLE, NO_LEADER];
    let get = read(&format!("Lists {what}."), &[], &tables, &schema, &refusals);
    paths.insert(format!("/v1/{what}"), json!({ "get": get }));
}

fn add_kind(paths: &mut Map<String, Value>, kind: Kind) {
    let plural = kind.plural();
    add_list(paths, plural, "Object", parameters::OBJECTS);
    let get = one(&format!("Shows one {kind}."), &[NAME], "Object");
    let about = format!("Deletes a {kind}; its instances end.");
    let tables = [parameters::DELETE_OBJECT];
    let delete = change(&about, &[NAME], &tables, None, &applied());
    let item = json!({ "get": get, "delete": delete });
    paths.insert(format!("/v1/{plural}/{{name}}"), item);
}

fn applied() -> Value {
    json!({ "type": "array", "items": reference("Applied") })
}

fn objects_body() -> Value {
    let object = json!({ "schema": { "type": "object" } });
    let text = json!({ "schema": { "type": "string" } });
    json!({
        "required": true,
        "description": "Objects with `kind`, `name`, `labels`, `generation` and `spec`: one, a list, or several documents.",
        "content": {
            "application/json": object,
            "application/yaml": text,
            "application/toml": text,
        },
    })
}

fn body(properties: &Value, required: &[&str]) -> Value {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": required,
    });
    json!({
        "required": !required.is_empty(),
        "content": { "application/json": { "schema": schema } },
    })
}

fn add_verbs(paths: &mut Map<String, Value>) {
    let replicas = json!({ "replicas": {
        "description": "As in the spec of a service, where bounds to scale between are allowed, too.",
        "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": u32::MAX },
            { "type": "string", "const": "per_node" },
        ],
    } });
    let to =
        json!({ "to": { "type": ["integer", "null"], "minimum": 1, "maximum": parameters::MOST } });
    let fire = json!({
        "parameters": { "type": "object", "additionalProperties": { "type": "string" } },
        "id": { "type": ["string", "null"] },
    });
    let run = json!({
        "parameters": { "type": "object", "additionalProperties": { "type": "string" } },
        "id": { "type": ["string", "null"] },
        "arguments": {
            "description": "Added to the command of a job, for this run.",
            "type": ["string", "null"],
        },
    });
    let done = json!({ "type": "object" });
    let started = reference("Started");
    let applied = applied();
    for (plural, verb, about, body, answer) in [
        (
            "services",
            "scale",
            "Changes how many instances there are.",
            Some(body(&replicas, &["replicas"])),
            &applied,
        ),
        (
            "services",
            "restart",
            "Replaces all instances by new ones.",
            None,
            &applied,
        ),
        (
            "services",
            "rollback",
            "Goes back to an earlier generation.",
            Some(body(&to, &[])),
            &applied,
        ),
        (
            "services",
            "pause",
            "Holds the rollout, until somebody resumes it or for a time; takes the place of an earlier pause.",
            Some(standstill()),
            &done,
        ),
        ("services", "resume", "Lets the rollout go on.", None, &done),
        (
            "services",
            "abort",
            "Ends the rollout where it is.",
            None,
            &done,
        ),
        (
            "services",
            "reset-backoff",
            "Forgets failures, so that instances start at once.",
            None,
            &done,
        ),
        (
            "crons",
            "run",
            "Begins a run outside of the schedule, if the overlap of the cron lets it; `name` says whose run it is.",
            Some(body(&fire, &[])),
            &started,
        ),
        (
            "crons",
            "pause",
            "Holds the cron, until somebody resumes it or for a time; takes the place of an earlier pause.",
            Some(standstill()),
            &done,
        ),
        ("crons", "resume", "Lets the cron go on.", None, &done),
        (
            "jobs",
            "run",
            "Begins a run.",
            Some(body(&run, &[])),
            &started,
        ),
        (
            "jobs",
            "reset-backoff",
            "Forgets failures, so that attempts start at once.",
            None,
            &done,
        ),
        (
            "dags",
            "run",
            "Begins a run.",
            Some(body(&run, &[])),
            &started,
        ),
    ] {
        let post = change(about, &[NAME], &[parameters::CONFLICT], body, answer);
        paths.insert(
            format!("/v1/{plural}/{{name}}:{verb}"),
            json!({ "post": post }),
        );
    }
    add_verbs_of_runs(paths, &done);
}

fn add_verbs_of_runs(paths: &mut Map<String, Value>, done: &Value) {
    let from =
        json!({ "from": { "type": ["string", "null"] }, "node": { "type": ["string", "null"] } });
    for plural in ["jobs", "dags", "crons"] {
        for (verb, about) in [
            ("stop", "Ends a run."),
            (
                "resume",
                "Runs again what of a run did not succeed, or a node `from` which everything after it is run.",
            ),
            (
                "mark-succeeded",
                "Takes a run, or a `node` of it, as succeeded.",
            ),
        ] {
            let ids = [NAME, ("run", "The id of the run.")];
            let post = change(
                about,
                &ids,
                &[parameters::CONFLICT],
                Some(body(&from, &[])),
                done,
            );
            paths.insert(
                format!("/v1/{plural}/{{name}}:{verb}:{{run}}"),
                json!({ "post": post }),
            );
        }
    }
}

/// A request that changes something.
fn change(
    about: &str,
    ids: &[(&str, &str)],
    tables: &[&[Parameter]],
    body: Option<Value>,
    answer: &Value,
) -> Value {
    let mut responses = refusing(&[
        (
            "400",
            "Something is wrong; `errors` says what, and where. Nothing was changed.",
        ),
        ("404", "There is none of this name."),
        (
            "409",
            "The present state is in the way; the detail says which. Nothing was changed.",
        ),
        ("413", "The body is too long."),
        (
            "501",
            "What is asked for is not built yet; the detail names it.",
        ),
        NO_LEADER,
    ]);
    let content = json!({ "application/json": { "schema": answer } });
    let done = json!({ "description": "Done, and durable.", "content": content });
    responses.insert("200".to_owned(), done);
    let elsewhere = json!({ "description": "Another master leads: ask that one." });
    responses.insert("307".to_owned(), elsewhere);
    let mut parameters = of_path(ids);
    parameters.extend(of_query(tables));
    let mut operation =
        json!({ "summary": about, "parameters": parameters, "responses": responses });
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    operation
}
