//! The whole command line as clap sees it, and what has to be known of the arguments before it reads them.

use std::ffi::OsString;

use clap::{Args as _, Command, Subcommand as _};

use crate::args::{ClientVerb, Cluster};
use crate::flags::{Daemon, arguments};
use crate::topics;

/// The whole command line with every flag of every verb.
pub(crate) fn everything() -> Command {
    let daemons = [Daemon::Dev, Daemon::Master, Daemon::Agent];
    daemons.into_iter().fold(command(None), |root, daemon| {
        root.mut_subcommand(daemon.name(), |command| with_flags(daemon, command))
    })
}

fn with_flags(daemon: Daemon, command: Command) -> Command {
    let command = arguments::add_arguments(daemon, command).after_help(AFTER_FLAGS);
    if daemon == Daemon::Dev {
        return add_dev_arguments(command);
    }
    command
}

/// The whole command line; the flags of a daemon only when its verb is the one that is used, since there are many.
pub(crate) fn command(verb: Option<Daemon>) -> Command {
    let root = Command::new("mezz")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .max_term_width(110);
    // Daemons have flags of their own, of which an agent's --master is one.
    let root = match verb {
        None => Cluster::augment_args(root),
        Some(_) => root,
    };
    let mut root = OFFLINE
        .into_iter()
        .fold(ClientVerb::augment_subcommands(root), without_master)
        .about("Mezzanine: many frameworks and commands share one cluster of machines");
    let daemons = [
        (
            Daemon::Dev,
            "Run a whole cluster here, in one process, until Ctrl-C",
        ),
        (Daemon::Master, "Run a master"),
        (Daemon::Agent, "Run an agent"),
    ];
    for (order, (daemon, about)) in daemons.into_iter().enumerate() {
        let mut command = Command::new(daemon.name())
            .about(about)
            .display_order(order);
        if verb == Some(daemon) {
            command = with_flags(daemon, command);
        }
        root = root.subcommand(command);
    }
    topics::by_topic(root)
}

/// Verbs that ask no master: they take --master, which may be set for all verbs, and do not speak of it.
const OFFLINE: [&str; 6] = [
    "convert",
    "init",
    "explain",
    "schema",
    "replay",
    "completions",
];

fn without_master(root: Command, verb: &str) -> Command {
    let silent = clap::Arg::new("master").long("master").hide(true);
    root.mut_subcommand(verb, |command| command.arg(silent))
}

const AFTER_FLAGS: &str = "Each flag can also be written with underscores, as --no-NAME when it is a switch, as MEZZ_NAME in the \
                           environment, and in the file of --config. Flags of Mesos that are not listed are known too: what is \
                           not built yet is refused with the reason.";

fn add_dev_arguments(command: Command) -> Command {
    let file = clap::Arg::new("file")
        .value_name("FILE")
        .value_parser(clap::value_parser!(std::path::PathBuf))
        .help("File with objects of any kinds, or one `task:`; applied at once");
    let command_words = clap::Arg::new("command")
        .value_name("COMMAND")
        .last(true)
        .num_args(1..)
        .conflicts_with("file")
        .help("Command to run at once");
    command.arg(file).arg(command_words)
}

/// The verb, when it starts a daemon.
pub(crate) fn daemon_of(arguments: &[OsString]) -> Option<Daemon> {
    let verb = arguments.get(verb_at(arguments))?;
    verb.to_str().and_then(Daemon::of_verb)
}

/// The arguments with the verb before all others: those of daemons follow it.
pub(crate) fn verb_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let at = verb_at(&arguments);
    if at < arguments.len() {
        arguments[1..=at].rotate_right(1);
    }
    arguments
}

/// Where the verb stands: before it may be which master is meant.
fn verb_at(arguments: &[OsString]) -> usize {
    let mut at = 1;
    while let Some(argument) = arguments.get(at).and_then(|argument| argument.to_str()) {
        at += match argument {
            "--master" => 2,
            _ if argument.starts_with("--master=") => 1,
            _ => break,
        };
    }
    at
}

/// Daemon flags may be written with underscores, as Mesos writes them; what follows a bare `--` is left alone.
pub(crate) fn with_dashes(arguments: Vec<OsString>) -> Vec<OsString> {
    let mut verbatim = false;
    let one = |argument: OsString| {
        verbatim |= argument == "--";
        match argument.to_str() {
            Some(text) if !verbatim && text.starts_with("--") => match text.split_once('=') {
                Some((name, value)) => format!("{}={value}", name.replace('_', "-")).into(),
                None => text.replace('_', "-").into(),
            },
            _ => argument,
        }
    };
    arguments.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_daemon_is_found_behind_the_master_that_is_meant() {
        for (given, daemon, told) in [
            ("mezz agent --master h:1", true, "mezz agent --master h:1"),
            ("mezz --master h:1 agent", true, "mezz agent --master h:1"),
            (
                "mezz --master=h:1 agent --port 0",
                true,
                "mezz agent --master=h:1 --port 0",
            ),
            ("mezz --master h:1 ps", false, "mezz ps --master h:1"),
            ("mezz --master", false, "mezz --master"),
        ] {
            assert_eq!(daemon_of(&words(given)).is_some(), daemon, "{given}");
            assert_eq!(verb_first(words(given)), words(told), "{given}");
        }
    }
}
