//! `mezz events`.

use std::io::BufRead;

use serde_json::Value;

use crate::args::{EventsArgs, Format};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::exit::Exit;
use crate::output::columns::plain;
use crate::output::show::{self, Reader};
use crate::output::table::printable;
use crate::output::yaml;

/// Shows what happens until it is interrupted or the master ends the stream.
pub(crate) fn events(args: &EventsArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(&args.cluster.master)?;
    let address = api.address().to_owned();
    let body = api.events()?;
    for line in body.lines() {
        let line = line.map_err(|source| ClientError::Broken {
            address: address.clone(),
            source,
        })?;
        if line.trim().is_empty() {
            continue;
        }
        if show::write(&shown(&line, args.output.output)?)? == Reader::Gone {
            return Ok(Exit::Ok);
        }
    }
    let source = std::io::ErrorKind::UnexpectedEof.into();
    Err(ClientError::Broken { address, source })
}

fn shown(line: &str, format: Format) -> Result<String, ClientError> {
    if format == Format::Json {
        return Ok(format!("{line}\n"));
    }
    let event: Value = serde_json::from_str(line)?;
    let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or("-");
    Ok(match format {
        Format::Yaml => format!("---\n{}", yaml::yaml(&event)),
        Format::Name => format!("{}\n", text("type")),
        _ => {
            let details = event.as_object().into_iter().flatten();
            let details = details.filter(|(key, value)| {
                !["sequence", "type", "at"].contains(&key.as_str()) && !value.is_null()
            });
            let details: Vec<String> = details
                .map(|(key, value)| format!("{key}={}", printable(&plain(value))))
                .collect();
            format!(
                "{}  {}  {}",
                text("at"),
                printable(text("type")),
                details.join(" ")
            )
            .trim_end()
            .to_owned()
                + "\n"
        }
    })
}
