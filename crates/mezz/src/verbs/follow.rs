//! Follows a task's output to its end across broken connections and changes of the leader.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::client::api::{Api, LogQuery};
use crate::client::error::ClientError;
use crate::client::follow::{End, FollowError, Progress, Sinks, copy};
use crate::exit::Exit;

/// How long a master may be away before following is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a master that is there may not know the task: after a change of the leader agents have yet to report.
const PATIENCE_UNKNOWN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Copies output until the task has ended. `None` when our own output was closed, as by `| head`.
pub(crate) fn to_the_end(
    api: &mut Api,
    id: &str,
    query: LogQuery,
    sinks: &mut Sinks<'_>,
) -> Result<Option<End>, ClientError> {
    let mut progress = Progress::default();
    let mut broken_since: Option<Instant> = None;
    let mut pause = Duration::from_millis(50);
    loop {
        let before = progress;
        let error = match once(api, id, query, &mut progress, sinks) {
            Ok(Copied::End(end)) => return Ok(Some(end)),
            Ok(Copied::Closed) => return Ok(None),
            Ok(Copied::Stopped) => {
                let source = io::ErrorKind::UnexpectedEof.into();
                ClientError::Broken {
                    address: api.address().to_owned(),
                    source,
                }
            }
            // A refusal of the first request is an answer; later it may be a master that has yet to hear of the task.
            Err(error @ ClientError::Broken { .. }) => error,
            Err(error) if broken_since.is_some() => error,
            Err(error) => return Err(error),
        };
        if progress != before {
            broken_since = None;
            pause = Duration::from_millis(50);
        }
        let patience = if error.exit() == Exit::NotFound {
            PATIENCE_UNKNOWN
        } else {
            PATIENCE
        };
        if broken_since.get_or_insert_with(Instant::now).elapsed() > patience {
            return Err(error);
        }
        sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Copies the output that there is.
pub(crate) fn what_is_there(
    api: &mut Api,
    id: &str,
    query: LogQuery,
    sinks: &mut Sinks<'_>,
) -> Result<(), ClientError> {
    once(api, id, query, &mut Progress::default(), sinks).map(|_| ())
}

enum Copied {
    /// The task has ended.
    End(End),
    /// Our own output is closed.
    Closed,
    /// The stream stopped without saying that the task ended.
    Stopped,
}

fn once(
    api: &mut Api,
    id: &str,
    query: LogQuery,
    progress: &mut Progress,
    sinks: &mut Sinks<'_>,
) -> Result<Copied, ClientError> {
    let address = api.address().to_owned();
    let mut body = api.logs(id, query)?;
    match copy(&mut body, progress, sinks) {
        Ok(Some(end)) => Ok(Copied::End(end)),
        Ok(None) => Ok(Copied::Stopped),
        Err(FollowError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Copied::Closed)
        }
        Err(FollowError::Output(error)) => Err(ClientError::Output(error)),
        Err(FollowError::Record(error)) => Err(ClientError::Answer(error)),
        Err(FollowError::Input(source)) => Err(ClientError::Broken { address, source }),
    }
}
