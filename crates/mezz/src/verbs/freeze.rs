//! `mezz freeze` and `mezz thaw`: everything stands still, and goes on.

use serde_json::Value;

use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::exit::Exit;
use crate::output::columns::plain;
use crate::output::show;
use crate::standstill_args::FreezeArgs;

/// Where the native API tells and changes it.
const PATH: &str = "/v1/freeze";

/// Has nothing started, ended or rolled any more.
pub(super) fn freeze(master: &str, args: &FreezeArgs) -> Result<Exit, ClientError> {
    let body = args.lasts.body()?;
    Api::new(master)?.post_json(PATH, &body)?;
    show::write(&format!("everything is frozen{}\n", args.lasts.words()))?;
    Ok(Exit::Ok)
}

/// Lets all go on.
pub(super) fn thaw(master: &str) -> Result<Exit, ClientError> {
    Api::new(master)?.delete(PATH)?;
    show::write("everything goes on\n")?;
    Ok(Exit::Ok)
}

/// Whether everything is frozen, as the master tells it.
pub(super) fn standing(api: &mut Api) -> Result<Value, ClientError> {
    api.value(PATH)
}

/// The same for people; none unless it is frozen.
pub(super) fn words(standing: &Value) -> Option<String> {
    if standing["frozen"] != true {
        return None;
    }
    let what = "nothing is started, ended or rolled";
    Some(match &standing["until"] {
        Value::Null => format!("{what} until `mezz thaw`"),
        until => format!("{what} until {}, or `mezz thaw`", plain(until)),
    })
}
