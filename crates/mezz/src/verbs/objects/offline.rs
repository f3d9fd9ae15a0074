//! `mezz init` and `mezz explain`, which need no cluster.

use mezz_spec::Explanation;

use crate::client::error::ClientError;
use crate::client::objects::known_kind;
use crate::exit::Exit;
use crate::object_args::{ExplainArgs, InitArgs, SchemaArgs};
use crate::output::columns::plain;
use crate::output::show;

/// Prints a commented object of a kind.
pub(in super::super) fn init(args: &InitArgs) -> Result<Exit, ClientError> {
    show::write(mezz_spec::init(known_kind(&args.kind)?))?;
    Ok(Exit::Ok)
}

/// Prints the JSON Schema of a kind, or of all.
pub(in super::super) fn schema(args: &SchemaArgs) -> Result<Exit, ClientError> {
    let schema = match &args.kind {
        Some(word) => mezz_spec::schema(known_kind(word)?).clone(),
        None => mezz_spec::schema::any_schema(),
    };
    let text = serde_json::to_string_pretty(&schema)?;
    show::write(&(text + "\n"))?;
    Ok(Exit::Ok)
}

/// Says what a field is.
pub(in super::super) fn explain(args: &ExplainArgs) -> Result<Exit, ClientError> {
    let found = mezz_spec::explain(&args.path);
    let found = found.map_err(|error| ClientError::Usage(error.to_string()))?;
    let mut text = head(&found) + "\n";
    for line in found.description.lines() {
        text.extend(["  ", line, "\n"]);
    }
    if !found.fields.is_empty() {
        text.push_str("\nfields:\n");
    }
    for field in &found.fields {
        let own = field.path.rsplit('.').next().unwrap_or_default();
        let head = head(field).replacen(&field.path, own, 1);
        text.extend(["  ", &head, "\n"]);
        if let Some(line) = field.description.lines().next() {
            text.extend(["      ", line, "\n"]);
        }
    }
    show::write(&text)?;
    Ok(Exit::Ok)
}

fn head(field: &Explanation) -> String {
    let mut head = format!("{}: {}", field.path, field.shape);
    if field.required {
        head.push_str(", required");
    }
    let default = field.default.as_ref().map(plain);
    if let Some(default) = default.filter(|text| !text.is_empty()) {
        head.extend([", default ", &default]);
    }
    head
}
