//! `mezz kill`.

use crate::args::KillArgs;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::identify::task_id;
use crate::exit::Exit;
use crate::flags::value;
use crate::output::{show, talk};

/// Kills tasks; goes on after one that cannot be killed, and ends with the first failure's exit code.
pub(crate) fn kill(args: &KillArgs) -> Result<Exit, ClientError> {
    let grace = args
        .grace_period
        .as_deref()
        .map(value::duration)
        .transpose();
    let grace = grace.map_err(|error| ClientError::Usage(format!("--grace-period: {error}")))?;
    let mut api = Api::new(&args.cluster.master)?;
    let mut exit = Exit::Ok;
    for given in &args.tasks {
        let killed = task_id(&mut api, given).and_then(|id| {
            api.kill_task(&id, grace.map(|grace| grace.as_secs_f64()))?;
            show::write(&format!("{id}\n")).map(|_| ())
        });
        if let Err(error) = killed {
            let code = talk::client_error(&error);
            if exit == Exit::Ok {
                exit = code;
            }
        }
    }
    Ok(exit)
}
