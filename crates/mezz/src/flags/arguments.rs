//! The flags of a daemon as arguments of its verb.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

use super::Daemon;
use super::spec::{FlagSpec, Kind, Support};

/// Adds a daemon's flags to its verb.
pub(crate) fn add_arguments(daemon: Daemon, mut command: Command) -> Command {
    command = command.arg(
        Arg::new("config").long("config").value_name("FILE").value_parser(value_parser!(PathBuf)).help(
            "TOML file with flags, as name = value, at the top or in a table named after the verb [env: MEZZ_CONFIG]",
        ),
    );
    for spec in daemon.table() {
        command = command.arg(argument(spec));
        if matches!(spec.kind, Kind::Switch) {
            let off = format!("no-{}", spec.dashed());
            let aliases: Vec<String> = spec
                .aliases
                .iter()
                .map(|alias| format!("no-{}", alias.replace('_', "-")))
                .collect();
            command = command.arg(
                Arg::new(off.clone())
                    .long(off)
                    .aliases(aliases)
                    .action(ArgAction::SetTrue)
                    .hide(true)
                    .overrides_with(spec.name),
            );
        }
    }
    command
}

fn argument(spec: &'static FlagSpec) -> Arg {
    let built = matches!(spec.support, Support::Built);
    let mut help = spec.help.to_owned();
    if let Some(default) = spec.default.filter(|default| !default.is_empty()) {
        help = format!("{help} [default: {default}]");
    }
    let aliases: Vec<String> = spec
        .aliases
        .iter()
        .map(|alias| alias.replace('_', "-"))
        .collect();
    let argument = Arg::new(spec.name)
        .long(spec.dashed())
        .aliases(aliases)
        .hide(!built)
        .help(help)
        .action(ArgAction::Set);
    match spec.kind {
        Kind::Switch => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
            .overrides_with(format!("no-{}", spec.dashed())),
        kind => argument
            .value_name(value_name(kind))
            .overrides_with(spec.name)
            .allow_hyphen_values(true),
    }
}

fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Switch => "TEXT",
        Kind::Path => "PATH",
        Kind::Count(..) | Kind::Decimal => "NUMBER",
        Kind::Duration { .. } => "DURATION",
        Kind::Bytes => "SIZE",
        Kind::Ip => "IP",
        Kind::Choice(_) => "WORD",
    }
}
