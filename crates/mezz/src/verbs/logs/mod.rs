//! `mezz logs`: the output of a task as it is, or that of all instances of a service, a job or a run, each line behind the
//! name of its instance.

mod merged;
mod sources;

use std::io::{stderr, stdout};

use super::follow;
use crate::args::{LogsArgs, StreamChoice};
use crate::client::api::{Api, LogQuery};
use crate::client::error::ClientError;
use crate::client::follow::Sinks;
use crate::exit::Exit;
use crate::output::talk;
use sources::{Meant, Source};

/// Shows output: what went to stdout on stdout, what went to stderr on stderr.
pub(crate) fn logs(master: &str, args: &LogsArgs) -> Result<Exit, ClientError> {
    let mut api = Api::new(master)?;
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
    let meant = Meant::find(&mut api, &args.what)?;
    if args.previous {
        let previous = meant.previous(&mut api)?;
        talk::note(&format!("of {}, which has ended:", previous.id));
        let query = LogQuery {
            follow: false,
            ..query
        };
        return alone(&mut api, &previous, query);
    }
    let Some(meant) = meant.pinned(&mut api)? else {
        talk::note(&format!("{} has not begun: there is none", meant.words()));
        return Ok(Exit::Ok);
    };
    let sources = meant.sources(&mut api)?;
    if let (Meant::Task(_), [one]) = (&meant, sources.as_slice()) {
        return alone(&mut api, one, query);
    }
    if args.follow {
        return merged::follow(master, &meant, sources, query, args.no_prefix);
    }
    match sources.as_slice() {
        [] => {
            talk::note(&format!("{} has no instance with output", meant.words()));
            Ok(Exit::Ok)
        }
        [one] => alone(&mut api, one, query),
        several => merged::one_by_one(&mut api, several, query, args.no_prefix),
    }
}

/// The output of one task, untouched.
fn alone(api: &mut Api, source: &Source, query: LogQuery) -> Result<Exit, ClientError> {
    let mut sinks = Sinks {
        stdout: &mut stdout().lock(),
        stderr: &mut stderr().lock(),
    };
    if query.follow {
        follow::to_the_end(api, &source.id, query, &mut sinks).map(|_| Exit::Ok)
    } else {
        follow::what_is_there(api, &source.id, query, &mut sinks).map(|()| Exit::Ok)
    }
}
