//! The `mezz` binary: one program for every role of Mezzanine. This module owns the way from the process's start to the
//! role that was asked for, and nothing of what the role does.

mod args;
mod client;
mod command_line;
mod complete;
mod daemons;
mod debug_args;
mod dev;
mod exit;
mod first_work;
mod flags;
mod logging;
mod object_args;
mod output;
mod port_slices;
mod ready;
mod run_args;
mod serve;
mod settings;
mod standstill_args;
mod task_spec;
mod topics;
mod verbs;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::{ClientVerb, Cluster};
use crate::flags::Daemon;

fn main() -> ExitCode {
    // The warden forks for every task, and a fork costs as much as its parent is big: nothing else may come first.
    let mut arguments = std::env::args_os();
    match arguments.nth(1) {
        Some(verb) if verb == mezz_warden::VERB => return daemons::warden(arguments),
        // There is one for each container that another program runs.
        Some(verb) if verb == mezz_agent::RUNTIME_VERB => return daemons::runtime(arguments),
        _ => {}
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if std::env::var_os(complete::VARIABLE).is_some() {
        return complete::answer(arguments);
    }
    match command_line::daemon_of(&arguments) {
        Some(daemon) => serve(daemon, command_line::verb_first(arguments)),
        None => client(arguments),
    }
}

fn serve(daemon: Daemon, arguments: Vec<OsString>) -> ExitCode {
    let matches =
        command_line::command(Some(daemon)).get_matches_from(command_line::with_dashes(arguments));
    let (_, matches) = matches
        .subcommand()
        .expect("the verb was found before the arguments were read");
    serve::daemon(daemon, matches).into()
}

fn client(arguments: Vec<OsString>) -> ExitCode {
    let matches = command_line::command(None).get_matches_from(arguments);
    let cluster = Cluster::from_arg_matches(&matches);
    match cluster.and_then(|cluster| Ok((cluster, ClientVerb::from_arg_matches(&matches)?))) {
        Ok((cluster, verb)) => verbs::client(&cluster, verb).into(),
        Err(error) => error.exit(),
    }
}
