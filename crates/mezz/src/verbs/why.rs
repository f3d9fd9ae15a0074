//! `mezz why`.

use serde_json::Value;

use crate::args::{Format, WhyArgs};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::identify::{one_of, task_id};
use crate::exit::Exit;
use crate::output::{show, yaml};

/// Says why something is in the state it is in.
pub(crate) fn why(args: &WhyArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(&args.cluster.master)?;
    let ask = |api: &mut Api, id: &str| api.get(&format!("/v1/why/{}", percent_encoded(id)));
    let answer = match ask(&mut api, &args.id) {
        Err(ClientError::Refused(problem)) if problem.status == 404 => {
            let id = meant(&mut api, &args.id)?;
            ask(&mut api, &id)?
        }
        answer => answer?,
    };
    let text = match args.output.output {
        Format::Json => show::as_lines(&answer),
        format => {
            let value: Value = serde_json::from_slice(&answer)?;
            match format {
                Format::Yaml => yaml::yaml(&value),
                Format::Name => format!(
                    "{}\n",
                    value.get("id").and_then(Value::as_str).unwrap_or(&args.id)
                ),
                _ => words(&value, &args.id),
            }
        }
    };
    show::write(&text)?;
    Ok(Exit::Ok)
}

/// A task by the beginning of its id or its name; failing that a framework or an agent.
fn meant(api: &mut Api, given: &str) -> Result<String, ClientError> {
    let unknown = match task_id(api, given) {
        Err(error @ ClientError::NotFound { .. }) => error,
        found => return found,
    };
    for (target, name) in [("/v1/frameworks", "name"), ("/v1/agents", "hostname")] {
        let list = api.list(target)?;
        match one_of(&list, given, name) {
            Ok(id) => return Ok(id),
            Err(ClientError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(match unknown {
        ClientError::NotFound { .. } if given != "last" => ClientError::NotFound {
            what: format!("no task, framework, role, agent or offer is called '{given}', or begins so"),
            hint: "`mezz ps --all`, `mezz frameworks`, `mezz roles` and `mezz agents` list what there is".to_owned(),
        },
        other => other,
    })
}

fn words(value: &Value, given: &str) -> String {
    let text = |key| value.get(key).and_then(Value::as_str);
    let mut words = format!(
        "{} {}\n",
        text("kind").unwrap_or("object"),
        text("id").unwrap_or(given)
    );
    let reasons = value
        .get("reasons")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    for reason in reasons.iter().filter_map(Value::as_str) {
        words.push_str("  ");
        words.push_str(reason);
        words.push('\n');
    }
    if reasons.is_empty() {
        words.push_str("  nothing stands in its way\n");
    }
    words
}
