//! The description of a facade's API, made of its table of paths.

use serde_json::{Map, Value, json};

use crate::paths::{Content, Operation, Parameter, Path, Shape};

/// How clients of any language write a flag.
const FLAG: &str = "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[01]|)$";

/// What is to be said of an API beside its paths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    /// The version of the other system whose API this is.
    pub(crate) version: &'static str,
    /// Where the master has it.
    pub(crate) base: &'static str,
    /// The schemas, as a JSON object.
    pub(crate) schemas: &'static str,
    /// What the statuses of refusals mean.
    pub(crate) refusals: &'static [(u16, &'static str)],
    /// The patterns of parameters in paths.
    pub(crate) ids: &'static [(&'static str, &'static str)],
}

/// The OpenAPI document.
pub(crate) fn document(about: &About, paths: &[Path]) -> Value {
    let schemas: Value =
        serde_json::from_str(about.schemas).expect("the embedded schemas are valid JSON");
    let described = paths.iter().filter(|path| !path.operations.is_empty());
    let paths: Map<String, Value> = described
        .map(|path| (path.template.replace("{+", "{"), item(about, path)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": about.title,
            "version": about.version,
            "description": about.description,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": about.base }],
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn item(about: &About, path: &Path) -> Value {
    let operations: Map<String, Value> = path
        .operations
        .iter()
        .map(|one| (one.method.to_lowercase(), operation(about, path, one)))
        .collect();
    operations.into()
}

fn operation(about: &About, path: &Path, own: &Operation) -> Value {
    let mut parameters = of_path(about, path);
    parameters.extend(own.query.iter().map(of_query));
    let mut described = json!({
        "summary": own.about,
        "parameters": parameters,
        "responses": responses(about, own),
    });
    if let Some(schema) = own.body {
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": reference(schema) } },
        });
    }
    described
}

fn responses(about: &About, own: &Operation) -> Map<String, Value> {
    let mut responses = Map::new();
    for (status, content) in own.answers {
        let mut answer = json!({ "description": "Done." });
        if let Some(content) = self::content(*content) {
            answer["content"] = content;
        }
        responses.insert(status.to_string(), answer);
    }
    for status in own.refusals {
        let known = about.refusals.iter().find(|(own, _)| own == status);
        let content = json!({ "application/json": { "schema": reference("Error") } });
        let description = known.map_or("Refused.", |(_, about)| about);
        responses.insert(
            status.to_string(),
            json!({ "description": description, "content": content }),
        );
    }
    for (status, about) in [
        ("307", "Another master leads: ask that one."),
        (
            "503",
            "This master does not lead, and knows nobody who does.",
        ),
    ] {
        responses.insert(status.to_owned(), json!({ "description": about }));
    }
    if own.body.is_some() {
        let long = json!({ "description": "The body is too long." });
        responses.insert("413".to_owned(), long);
    }
    responses
}

fn content(content: Content) -> Option<Value> {
    let text = json!({ "schema": { "type": "string" } });
    Some(match content {
        Content::Nothing => return None,
        Content::Json(schema) => json!({ "application/json": { "schema": reference(schema) } }),
        Content::Text(media_type) => json!({ media_type: text }),
        Content::JsonOrText(schema) => json!({
            "application/json": { "schema": reference(schema) },
            "text/plain": text,
        }),
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn of_path(about: &About, path: &Path) -> Vec<Value> {
    let names = path.template.split('/').filter_map(|word| {
        let name = word.strip_prefix('{')?.strip_suffix('}')?;
        Some(name.strip_prefix('+').unwrap_or(name))
    });
    names
        .map(|name| {
            let mut schema = json!({ "type": "string", "minLength": 1 });
            if let Some((_, pattern)) = about.ids.iter().find(|(own, _)| *own == name) {
                schema["pattern"] = (*pattern).into();
            }
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect()
}

fn of_query(parameter: &Parameter) -> Value {
    let schema = match parameter.shape {
        Shape::Flag => json!({ "type": "string", "pattern": FLAG }),
        Shape::Text => json!({ "type": "string" }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
    };
    json!({
        "name": parameter.name,
        "in": "query",
        "required": false,
        "description": parameter.about,
        "schema": schema,
    })
}
