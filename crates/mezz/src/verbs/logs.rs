//! `mezz logs`.

use std::io::{stderr, stdout};

use super::follow;
use crate::args::{LogsArgs, StreamChoice};
use crate::client::api::{Api, LogQuery};
use crate::client::error::ClientError;
use crate::client::follow::Sinks;
use crate::client::identify::task_id;
use crate::exit::Exit;

/// Shows the output of a task: its stdout on stdout, its stderr on stderr.
pub(crate) fn logs(args: &LogsArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(&args.cluster.master)?;
    let id = task_id(&mut api, &args.task)?;
    let stream = match args.stream {
        StreamChoice::Stdout => "stdout",
        StreamChoice::Stderr => "stderr",
        StreamChoice::Both => "both",
    };
    let query = LogQuery {
        stream,
        follow: args.follow,
        tail: args.tail,
    };
    let mut sinks = Sinks {
        stdout: &mut stdout().lock(),
        stderr: &mut stderr().lock(),
    };
    if args.follow {
        follow::to_the_end(&mut api, &id, query, &mut sinks).map(|_| Exit::Ok)
    } else {
        follow::what_is_there(&mut api, &id, query, &mut sinks).map(|()| Exit::Ok)
    }
}
