//! `mezz run`.

use std::io::{stderr, stdout};

use super::follow;
use super::interrupts::Interrupts;
use crate::client::api::{Api, LogQuery};
use crate::client::error::ClientError;
use crate::client::follow::{End, Sinks};
use crate::exit::Exit;
use crate::output::{show, talk};
use crate::run_args::RunArgs;
use crate::task_spec::TaskSpec;

/// What the shell calls a process whose reader has gone: 128 + SIGPIPE.
const READER_GONE: Exit = Exit::Task(141);

/// Runs a command on the cluster as if it ran here.
pub(crate) fn run(master: &str, args: &RunArgs) -> Result<Exit, ClientError> {
    let task = TaskSpec::of_arguments(args, |name| std::env::var(name).ok())
        .map_err(|error| ClientError::Usage(error.to_string()))?
        .to_json();
    let mut api = Api::new(master)?;
    if args.detach {
        let id = api.create_task(&task)?;
        show::write(&format!("{id}\n"))?;
        return Ok(Exit::Ok);
    }
    let interrupts = Interrupts::listen(master)
        .map_err(|error| {
            talk::warning(&format!(
                "signals cannot be heard, so Ctrl-C will leave the task running: {error}"
            ));
        })
        .ok();
    let id = api.create_task(&task)?;
    if let Some(interrupts) = &interrupts {
        interrupts.watch(&id);
    }
    let followed = {
        let mut sinks = Sinks {
            stdout: &mut stdout().lock(),
            stderr: &mut stderr(),
        };
        follow::to_the_end(
            &mut api,
            &id,
            LogQuery {
                stream: "both",
                follow: true,
                tail: None,
            },
            &mut sinks,
        )
    };
    Ok(conclude(&mut api, &id, followed))
}

fn conclude(api: &mut Api, id: &str, followed: Result<Option<End>, ClientError>) -> Exit {
    match followed {
        Ok(Some(end)) => {
            explain(id, &end);
            end.exit()
        }
        Ok(None) => {
            // Nobody reads what it writes any more.
            if let Err(error) = api.kill_task(id, None) {
                talk::client_error(&error);
            }
            READER_GONE
        }
        Err(error) => {
            talk::client_error(&error);
            talk::hint(&format!(
                "task {id} may still run: `mezz logs -f {id}`, `mezz kill {id}`"
            ));
            Exit::NotLaunched
        }
    }
}

/// A command that ran has said what it had to say; one that never ran needs words.
pub(crate) fn explain(id: &str, end: &End) {
    if end.wait_status.is_some() || end.state == "TASK_FINISHED" {
        return;
    }
    let message = end
        .message
        .as_deref()
        .filter(|message| !message.is_empty())
        .unwrap_or("no reason was given");
    talk::error(&format!("task {id} ended as {}: {message}", end.state));
    talk::hint(&format!("`mezz why {id}` tells more"));
}
