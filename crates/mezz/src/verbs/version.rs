//! `mezz version`.

use serde_json::{Value, json};

use crate::args::{Format, StatusArgs};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::exit::Exit;
use crate::output::{show, yaml};

/// Prints our version and that of the master; a master that is away is no error.
pub(crate) fn version(master: &str, args: &StatusArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
    let master: Value = match api.get("/v1/version") {
        Ok(answer) => serde_json::from_slice(&answer)?,
        Err(ClientError::NoMaster { .. }) => Value::Null,
        Err(error) => return Err(error),
    };
    let ours = env!("CARGO_PKG_VERSION");
    let both = json!({"client": {"mezz_version": ours}, "master": master});
    let text = match args.output.output {
        Format::Json => format!("{both}\n"),
        Format::Yaml => yaml::yaml(&both),
        Format::Name => format!("{ours}\n"),
        Format::Table | Format::Wide => format!(
            "client  mezz {ours}\nmaster  {}\n",
            words(&master, api.address())
        ),
    };
    show::write(&text)?;
    Ok(Exit::Ok)
}

fn words(master: &Value, address: &str) -> String {
    let text = |key| master.get(key).and_then(Value::as_str).unwrap_or("unknown");
    if master.is_null() {
        return format!("none answers at {address}");
    }
    format!(
        "mezz {}, speaks Mesos {}, at {address}",
        text("mezz_version"),
        text("version")
    )
}
