//! `mezz kill`.

use crate::args::KillArgs;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::http::percent_encoded;
use crate::client::identify::task_id;
use crate::exit::Exit;
use crate::flags::value;
use crate::output::{show, talk};

/// Kills tasks; goes on after one that cannot be killed, and ends with the first failure's exit code.
pub(crate) fn kill(master: &str, args: &KillArgs) -> Result<Exit, ClientError> {
    let grace = args
        .grace_period
        .as_deref()
        .map(value::duration)
        .transpose();
    let grace = grace.map_err(|error| ClientError::Usage(format!("--grace-period: {error}")))?;
    let mut api = Api::new(master)?;
    let mut exit = Exit::Ok;
    for given in &args.tasks {
        let killed = task_id(&mut api, given).and_then(|id| {
            match grace {
                Some(grace) => api.kill_task(&id, Some(grace.as_secs_f64()))?,
                None => end(&mut api, &id, args.scale_down)?,
            }
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

/// Ends an instance as its service or job has it, drained and in its turn; any other task is killed.
fn end(api: &mut Api, id: &str, scale_down: bool) -> Result<(), ClientError> {
    let target = format!("/v1/instances/{}", percent_encoded(id));
    match api.get(&target) {
        Ok(_) => api
            .delete(&format!("{target}?scale_down={scale_down}"))
            .map(|_| ()),
        Err(error) if error.exit() == Exit::NotFound && scale_down => Err(ClientError::Usage(
            format!("'{id}' is no instance of a service: leave --scale-down out"),
        )),
        Err(error) if error.exit() == Exit::NotFound => api.kill_task(id, None),
        Err(error) => Err(error),
    }
}
