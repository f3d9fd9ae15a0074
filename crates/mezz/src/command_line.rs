//! The whole command line as clap sees it, and what has to be known of the arguments before it reads them.

use std::ffi::OsString;

use clap::{Command, Subcommand as _};

use crate::args::ClientVerb;
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
    let mut root = ClientVerb::augment_subcommands(root)
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

/// The verb that the arguments begin with, when it starts a daemon.
pub(crate) fn daemon_of(arguments: &[OsString]) -> Option<Daemon> {
    arguments.get(1)?.to_str().and_then(Daemon::of_verb)
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
