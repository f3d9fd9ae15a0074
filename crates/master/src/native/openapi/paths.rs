//! The paths of the native API: for each one its methods, parameters and answers.

use serde_json::{Map, Value, json};

use crate::native::parameters::{self, Parameter, Shape};

/// The answers that refuse, with what they mean here.
pub(super) type Refusals<'a> = &'a [(&'a str, &'a str)];

pub(super) const BAD_QUERY: (&str, &str) = (
    "400",
    "A parameter is unknown or wrong; the detail names it.",
);
pub(super) const NOT_ACCEPTABLE: (&str, &str) =
    ("406", "None of the types in Accept can be given.");
pub(super) const NO_LEADER: (&str, &str) = (
    "503",
    "This master does not lead, and knows nobody who does.",
);

/// One component of an object's name.
const COMPONENT: &str = "[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?";

/// All paths.
pub(super) fn paths() -> Value {
    let mut paths = Map::new();
    add_lists(&mut paths);
    add_tasks(&mut paths);
    add_others(&mut paths);
    super::object_paths::add(&mut paths);
    Value::Object(paths)
}

const OF_TASKS: &str =
    "Lists tasks of every framework; without `all` or `state` only those that have not ended.";

fn add_lists(paths: &mut Map<String, Value>) {
    let refusals = [BAD_QUERY, NOT_ACCEPTABLE, NO_LEADER];
    let of_frameworks = "Lists frameworks, those that have ended too.";
    let of_offers = "Lists the offers that frameworks hold.";
    for (name, element, selectors, about) in [
        ("tasks", "Task", parameters::TASKS, OF_TASKS),
        ("agents", "Agent", parameters::AGENTS, "Lists agents."),
        (
            "frameworks",
            "Framework",
            parameters::FRAMEWORKS,
            of_frameworks,
        ),
        (
            "roles",
            "Role",
            parameters::ROLES,
            "Lists roles with their shares.",
        ),
        ("offers", "Offer", parameters::OFFERS, of_offers),
    ] {
        let schema = json!({ "type": "array", "items": reference(element) });
        let tables = [selectors, parameters::PAGE, parameters::POLL];
        let get = read(about, &[], &tables, &schema, &refusals);
        paths.insert(format!("/v1/{name}"), json!({ "get": get }));
    }
    for (name, element, about) in [
        ("agents", "Agent", "Shows one agent."),
        ("frameworks", "Framework", "Shows one framework."),
        ("roles", "Role", "Shows one role."),
        ("offers", "Offer", "Shows one offer."),
    ] {
        let get = one(about, &[("id", "Its id; for a role its name.")], element);
        paths.insert(format!("/v1/{name}/{{id}}"), json!({ "get": get }));
    }
}

fn add_tasks(paths: &mut Map<String, Value>) {
    paths["/v1/tasks"]["post"] = post_task();
    let id = ("id", "The task's id.");
    let framework = ("framework_id", "Its framework's id.");
    for (path, ids) in [
        ("/v1/tasks/{id}", &[id][..]),
        ("/v1/tasks/{framework_id}/{id}", &[framework, id][..]),
    ] {
        let get = one("Shows one task.", ids, "TaskDetails");
        let item = json!({ "get": get, "delete": delete_task(ids) });
        paths.insert(path.to_owned(), item);
        paths.insert(format!("{path}/logs"), json!({ "get": logs(ids) }));
        for (way, about) in [
            (
                "exec",
                "Runs a command in the container of a task, and makes a tunnel of the connection: frames of a kind \
                      (one byte), a length (four bytes, big-endian) and so many bytes. Kinds: 0 stdin, 1 its end, 2 the \
                      terminal's rows and columns (two bytes each), 3 a signal (four bytes), 16 stdout, 17 stderr, 18 the \
                      end with the wait status (four bytes) or a text, 19 nothing.",
            ),
            (
                "attach",
                "Attaches to the terminal of a task; frames as those of `exec`.",
            ),
            (
                "ports/{port}",
                "Connects to a TCP port in the network of a task's container; the tunnel is that connection.",
            ),
        ] {
            let post = tunnel(way, about, ids);
            paths.insert(format!("{path}/{way}"), json!({ "post": post }));
        }
    }
}

fn add_others(paths: &mut Map<String, Value>) {
    let about = "Says why something got nothing yet, or is in the state that it is in.";
    let id = (
        "id",
        "Id of a task, instance, run, rollout, framework, agent or offer, the name of a role, or KIND/NAME of an object.",
    );
    let why = json!({ "get": one(about, &[id], "Why") });
    paths.insert("/v1/why/{id}".to_owned(), why);
    paths.insert("/v1/events".to_owned(), json!({ "get": events() }));
    let about = "Tells what the tasks that run have used so far; null where an agent does not say. Two answers make a rate.";
    let schema = json!({ "type": "array", "items": reference("Usage") });
    let usage = read(about, &[], &[], &schema, &[BAD_QUERY]);
    paths.insert("/v1/usage".to_owned(), json!({ "get": usage }));
    let document = json!({ "type": "object" });
    let refusals = [BAD_QUERY, NOT_ACCEPTABLE];
    for (path, about, schema) in [
        ("/v1/version", "Tells the version.", reference("Version")),
        ("/v1/openapi.json", "This document.", document.clone()),
        (
            "/v1/openapi/marathon.json",
            "The description of the API below /service/marathon.",
            document.clone(),
        ),
        (
            "/v1/openapi/metronome.json",
            "The description of the API below /service/metronome.",
            document.clone(),
        ),
        (
            "/v1/openapi/chronos.json",
            "The description of the API below /service/chronos.",
            document.clone(),
        ),
        (
            "/v1/schema",
            "The JSON Schema of objects of all kinds, for editors.",
            document.clone(),
        ),
    ] {
        let get = read(about, &[], &[parameters::POLL], &schema, &refusals);
        paths.insert(path.to_owned(), json!({ "get": get }));
    }
    let about = "The JSON Schema of objects of one kind.";
    let refusals = [BAD_QUERY, ("404", "There is no such kind."), NOT_ACCEPTABLE];
    let kind = ("kind", "The word for the kind, such as `service`.");
    let get = read(about, &[kind], &[parameters::POLL], &document, &refusals);
    paths.insert("/v1/schema/{kind}".to_owned(), json!({ "get": get }));
}

pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A GET of one thing.
pub(super) fn one(about: &str, ids: &[(&str, &str)], schema: &str) -> Value {
    let mut refusals = vec![
        BAD_QUERY,
        ("404", "There is none with this id."),
        NOT_ACCEPTABLE,
        NO_LEADER,
    ];
    if matches!(schema, "TaskDetails" | "Why") {
        let several = "Several frameworks have a task of this id; `why` lists them.";
        refusals.push(("409", several));
    }
    if schema == "Run" {
        let several = "Several objects have a run of this id; the hint names them.";
        refusals.push(("409", several));
    }
    read(
        about,
        ids,
        &[parameters::POLL],
        &reference(schema),
        &refusals,
    )
}

/// A GET in its three modes.
pub(super) fn read(
    about: &str,
    ids: &[(&str, &str)],
    tables: &[&[Parameter]],
    schema: &Value,
    refusals: Refusals<'_>,
) -> Value {
    let text = json!({ "type": "string", "description": "Records as in the schema Change." });
    let mut responses = refusing(refusals);
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "What there is; as a stream also every change.",
            "headers": headers(),
            "content": {
                "application/json": { "schema": schema },
                "application/x-ndjson": { "schema": text },
                "text/event-stream": { "schema": text },
            },
        }),
    );
    responses.insert(
        "304".to_owned(),
        json!({ "description": "As `If-None-Match` has it." }),
    );
    responses.insert(
        "307".to_owned(),
        json!({ "description": "Another master leads: ask that one." }),
    );
    let mut parameters = of_path(ids);
    parameters.extend(of_query(tables));
    json!({ "summary": about, "parameters": parameters, "responses": responses })
}

fn headers() -> Value {
    let header = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    json!({
        "ETag": header("Changes with the answer."),
        "Mezz-Index": header("What `index` waits for a change of."),
        "Mezz-Event-Sequence": header("Events after this one are not in the answer yet."),
        "Mezz-Next-Cursor": header("Where the next page begins; absent on the last one."),
    })
}

pub(super) fn of_path(ids: &[(&str, &str)]) -> Vec<Value> {
    ids.iter()
        .map(|(name, about)| {
            let schema = match *name {
                "name" => json!({ "type": "string", "pattern": format!("^{COMPONENT}$") }),
                _ => json!({ "type": "string", "minLength": 1 }),
            };
            json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
        })
        .collect()
}

pub(super) fn of_query(tables: &[&[Parameter]]) -> Vec<Value> {
    tables
        .iter()
        .flat_map(|table| table.iter())
        .map(|parameter| {
            let mut schema = schema_of(parameter.shape);
            if parameter.repeated {
                schema = json!({ "type": "array", "items": schema });
            }
            json!({
                "name": parameter.name,
                "in": "query",
                "required": false,
                "description": parameter.about,
                "schema": schema,
            })
        })
        .collect()
}

fn schema_of(shape: Shape) -> Value {
    let duration = json!({ "type": "string", "pattern": "^[0-9]{1,6}(ms|s|m|h)$" });
    match shape {
        Shape::Text => json!({ "type": "string", "minLength": 1 }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Count { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Seconds => json!({ "type": "number", "minimum": 0, "maximum": 1_000_000_000 }),
        Shape::TaskState => reference("TaskState"),
        Shape::Word(words) => json!({ "type": "string", "enum": words }),
        Shape::Duration => duration,
        Shape::Since => json!({ "anyOf": [duration, { "type": "string", "format": "date-time" }] }),
        Shape::Pair => json!({ "type": "string", "pattern": "^[^=]", "minLength": 1 }),
        Shape::Truth(words) => {
            let pattern = format!("^({})(=(true|false))?$", words.join("|"));
            json!({ "type": "string", "pattern": pattern })
        }
        Shape::Name => json!({
            "type": "string",
            "maxLength": 200,
            "pattern": format!("^/?{COMPONENT}(/{COMPONENT})*$"),
        }),
        Shape::Cursor => json!({ "type": "string", "pattern": "^[0-9a-f]{1,16}\\..+$" }),
    }
}

pub(super) fn refusing(refusals: Refusals<'_>) -> Map<String, Value> {
    refusals
        .iter()
        .map(|(status, about)| {
            let content = json!({ "application/problem+json": { "schema": reference("Problem") } });
            (
                (*status).to_owned(),
                json!({ "description": about, "content": content }),
            )
        })
        .collect()
}

fn post_task() -> Value {
    let mut responses = refusing(&[
        ("400", "A field is wrong; the detail names it."),
        ("409", "The id is in use."),
        ("413", "The body is too long."),
        NO_LEADER,
    ]);
    let content = json!({ "application/json": { "schema": reference("Created") } });
    responses.insert(
        "201".to_owned(),
        json!({ "description": "Taken, and durable.", "content": content }),
    );
    responses.insert(
        "307".to_owned(),
        json!({ "description": "Another master leads: ask that one." }),
    );
    json!({
        "summary": "Runs a task under the built-in framework.",
        "requestBody": {
            "required": true,
            "content": { "application/json": { "schema": reference("NewTask") } },
        },
        "responses": responses,
    })
}

fn delete_task(ids: &[(&str, &str)]) -> Value {
    let mut responses = refusing(&[
        BAD_QUERY,
        ("404", "There is no such task."),
        (
            "409",
            "Several frameworks have a task of this id; `why` lists them.",
        ),
        NO_LEADER,
    ]);
    responses.insert(
        "202".to_owned(),
        json!({ "description": "The kill is under way." }),
    );
    responses.insert(
        "307".to_owned(),
        json!({ "description": "Another master leads: ask that one." }),
    );
    let mut parameters = of_path(ids);
    parameters.extend(of_query(&[parameters::KILL]));
    json!({ "summary": "Kills a task.", "parameters": parameters, "responses": responses })
}

fn tunnel(way: &str, about: &str, ids: &[(&str, &str)]) -> Value {
    let mut responses = refusing(&[
        ("400", "The body or the port is wrong."),
        ("404", "There is no such task."),
        (
            "409",
            "The task does not run, or several frameworks have a task of this id.",
        ),
        ("422", "The command cannot be started in the container."),
        (
            "426",
            "The `Upgrade` header does not name the protocol `mezz-tunnel/1`.",
        ),
        ("501", "The task has no terminal."),
        (
            "502",
            "Its agent cannot be reached, or nothing listens at the port.",
        ),
        NO_LEADER,
    ]);
    responses.insert(
        "101".to_owned(),
        json!({ "description": "The connection is a tunnel from here on." }),
    );
    responses.insert(
        "307".to_owned(),
        json!({ "description": "Another master leads: ask that one." }),
    );
    let mut parameters = of_path(ids);
    if way.ends_with("{port}") {
        parameters.push(json!({
            "name": "port",
            "in": "path",
            "required": true,
            "schema": { "type": "integer", "minimum": 1, "maximum": 65_535 },
        }));
    }
    let mut post = json!({ "summary": about, "parameters": parameters, "responses": responses });
    if way == "exec" {
        post["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference("Exec") } },
        });
    }
    post
}

fn logs(ids: &[(&str, &str)]) -> Value {
    let mut responses = refusing(&[
        BAD_QUERY,
        ("404", "There is no such task, or its output is gone."),
        (
            "409",
            "Several frameworks have a task of this id; `why` lists them.",
        ),
        NOT_ACCEPTABLE,
        ("502", "Its agent cannot be reached."),
        NO_LEADER,
    ]);
    let text = |about: &str| json!({ "schema": { "type": "string", "description": about } });
    let lines = "One record to a line, as in the schemas LogRecord and LogEnd.";
    let events = "Events `output` and `end` with those records; an id like `stdout=120,stderr=0` tells how far each \
                  output has been read.";
    let content = json!({
        "application/x-ndjson": text(lines),
        "text/event-stream": text(events),
        "text/plain": text("What the task wrote and nothing else."),
    });
    responses.insert(
        "200".to_owned(),
        json!({ "description": "The output.", "content": content }),
    );
    responses.insert(
        "204".to_owned(),
        json!({ "description": "`Last-Event-ID` has the end: there is nothing more." }),
    );
    responses.insert(
        "307".to_owned(),
        json!({ "description": "Another master leads: ask that one." }),
    );
    let mut parameters = of_path(ids);
    parameters.extend(of_query(&[parameters::LOGS]));
    parameters.push(json!({
        "name": "Last-Event-ID",
        "in": "header",
        "required": false,
        "description": "The id of the last event that was read; goes before `tail` and `offset`.",
        "schema": { "type": "string", "pattern": "^(((stdout=|stderr=)[0-9]{1,18}|end)(,((stdout=|stderr=)[0-9]{1,18}|end))*)?$" },
    }));
    json!({
        "summary": "Tells what a task writes; waits for a place when the task has none and `follow` is set. \
                    A broken stream goes on with `Last-Event-ID`, or with `stream` and `offset`.",
        "parameters": parameters,
        "responses": responses,
    })
}

fn events() -> Value {
    let schema = json!({ "type": "array", "items": reference("Event") });
    let refusals = [
        BAD_QUERY,
        NOT_ACCEPTABLE,
        (
            "410",
            "Events after this sequence are no longer kept; the hint says where to begin.",
        ),
        NO_LEADER,
    ];
    let about = "The last events, or with `Accept: application/x-ndjson` or `text/event-stream` every event as it happens.";
    read(about, &[], &[parameters::EVENTS], &schema, &refusals)
}
