//! `mezz events`.

use std::io::BufRead;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::args::{EventsArgs, Format};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::exit::Exit;
use crate::output::columns::plain;
use crate::output::show::{self, Reader};
use crate::output::table::printable;
use crate::output::terminal::{Paint, on_stdout};
use crate::output::{talk, yaml};

/// How long a master may be away before following is given up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

/// Shows the last events, or what happens until it is interrupted.
pub(crate) fn events(master: &str, args: &EventsArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    if args.follow {
        return follow(&mut api, args);
    }
    let events = api.list(&target(args, None))?;
    if events.is_empty() {
        talk::note("no such event is kept; `mezz events --follow` waits for the next one");
    }
    for event in &events {
        if show::write(&shown(event, args.output.output))? == Reader::Gone {
            break;
        }
    }
    Ok(Exit::Ok)
}

/// Goes on where it was when the connection breaks or the leader changes.
fn follow(api: &mut Api, args: &EventsArgs) -> Result<Exit, ClientError> {
    let mut seen: Option<u64> = None;
    let mut broken_since: Option<Instant> = None;
    loop {
        let before = seen;
        let error = match once(api, args, &mut seen) {
            Ok(Reader::Gone) => return Ok(Exit::Ok),
            Ok(Reader::There) => ClientError::Broken {
                address: api.address().to_owned(),
                source: std::io::ErrorKind::UnexpectedEof.into(),
            },
            Err(ClientError::Refused(problem)) if problem.status == 410 && seen.is_some() => {
                talk::warning("some events were missed: they are no longer kept");
                seen = Some(0);
                continue;
            }
            Err(error @ (ClientError::Broken { .. } | ClientError::NoMaster { .. }))
                if seen.is_some() || broken_since.is_some() =>
            {
                error
            }
            Err(error) => return Err(error),
        };
        if seen != before {
            broken_since = None;
        }
        if broken_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            return Err(error);
        }
        sleep(PAUSE);
    }
}

fn once(api: &mut Api, args: &EventsArgs, seen: &mut Option<u64>) -> Result<Reader, ClientError> {
    let address = api.address().to_owned();
    let body = api.events(&target(args, *seen))?;
    for line in body.lines() {
        let line = line.map_err(|source| ClientError::Broken {
            address: address.clone(),
            source,
        })?;
        if line.trim().is_empty() {
            continue;
        }
        let event: Value = serde_json::from_str(&line)?;
        if event.get("type").and_then(Value::as_str) == Some("events_lost") {
            talk::warning("some events were missed: this program read them too slowly");
            *seen = event.get("begin").and_then(Value::as_u64);
            return Ok(Reader::There);
        }
        if show::write(&shown(&event, args.output.output))? == Reader::Gone {
            return Ok(Reader::Gone);
        }
        *seen = event.get("sequence").and_then(Value::as_u64).or(*seen);
    }
    Ok(Reader::There)
}

fn target(args: &EventsArgs, seen: Option<u64>) -> String {
    let mut query = Vec::new();
    match (seen, &args.since) {
        (Some(seen), _) => query.push(format!("after={seen}")),
        (None, Some(since)) => query.push(format!("since={}", percent_encoded(since))),
        (None, None) => {}
    }
    for (name, values) in [
        ("type", &args.types),
        ("task", &args.task),
        ("framework", &args.framework),
        ("agent", &args.agent),
    ] {
        for value in values {
            query.push(format!("{name}={}", percent_encoded(value)));
        }
    }
    if query.is_empty() {
        "/v1/events".to_owned()
    } else {
        format!("/v1/events?{}", query.join("&"))
    }
}

fn shown(event: &Value, format: Format) -> String {
    let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or("-");
    match format {
        Format::Json => format!("{event}\n"),
        Format::Yaml => format!("---\n{}", yaml::yaml(event)),
        Format::Name => format!("{}\n", text("type")),
        Format::Table | Format::Wide => {
            let details = event.as_object().into_iter().flatten();
            let details = details.filter(|(key, value)| {
                !["sequence", "type", "at"].contains(&key.as_str()) && !value.is_null()
            });
            let details: Vec<String> = details
                .map(|(key, value)| format!("{key}={}", printable(&plain(value))))
                .collect();
            let kind = on_stdout(&printable(text("type")), Paint::Title);
            let line = format!("{}  {kind}  {}", text("at"), details.join(" "));
            line.trim_end().to_owned() + "\n"
        }
    }
}
