//! The `mezz` binary: one program for every role of Mezzanine. This module owns the way from the process's start to the
//! role that was asked for, and nothing of what the role does.

mod args;
mod client;
mod exit;
mod flags;
mod nearest;
mod output;
mod settings;
mod task_spec;
mod verbs;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::args::ClientVerb;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match args::daemon_of(&arguments) {
        Some(_) => todo!(),
        None => client(arguments),
    }
}

fn client(arguments: Vec<OsString>) -> ExitCode {
    let matches = args::command(None).get_matches_from(arguments);
    match ClientVerb::from_arg_matches(&matches) {
        Ok(verb) => verbs::client(verb).into(),
        Err(error) => error.exit(),
    }
}
