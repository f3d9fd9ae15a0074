//! Collects the layers of flag values from the configuration file, the environment and the command line. It reads,
//! and leaves every judgement to `resolve`.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::spec::{FlagSpec, Kind, Support};
use super::{Daemon, FlagError, Flags, Given, Origin, resolve};
use crate::nearest::nearest;

/// Variables with our prefix that are no daemon flags.
const OTHER_VARIABLES: [&str; 6] = ["master", "output", "config", "crash_point", "log", "port"];

/// All layers of a daemon's flags, resolved; and what to warn of.
pub(crate) fn load(
    daemon: Daemon,
    matches: &ArgMatches,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Flags, Vec<String>), FlagError> {
    let environment: Vec<_> = environment.into_iter().collect();
    let mut given = Vec::new();
    let from_environment = || environment.iter().find(|(name, _)| name == "MEZZ_CONFIG").map(|(_, path)| PathBuf::from(path));
    if let Some(path) = matches.get_one::<PathBuf>("config").cloned().or_else(from_environment) {
        given.extend(of_file(daemon, &path)?);
    }
    let (of_environment, mut warnings) = of_environment(daemon, &environment);
    given.extend(of_environment);
    given.extend(of_command_line(daemon, matches));
    for value in &mut given {
        expand_file(daemon, value)?;
    }
    let (flags, more) = resolve(daemon, given)?;
    warnings.extend(more);
    Ok((flags, warnings))
}

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
            let aliases: Vec<String> = spec.aliases.iter().map(|alias| format!("no-{}", alias.replace('_', "-"))).collect();
            command = command
                .arg(Arg::new(off.clone()).long(off).aliases(aliases).action(ArgAction::SetTrue).hide(true).overrides_with(spec.name));
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
    let aliases: Vec<String> = spec.aliases.iter().map(|alias| alias.replace('_', "-")).collect();
    let argument = Arg::new(spec.name).long(spec.dashed()).aliases(aliases).hide(!built).help(help).action(ArgAction::Set);
    match spec.kind {
        Kind::Switch => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
            .overrides_with(format!("no-{}", spec.dashed())),
        kind => argument.value_name(value_name(kind)).overrides_with(spec.name).allow_hyphen_values(true),
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

fn of_command_line(daemon: Daemon, matches: &ArgMatches) -> Vec<Given> {
    let mut given = Vec::new();
    let mut push = |spec: &FlagSpec, text: String| {
        given.push(Given { key: spec.name.to_owned(), text, origin: Origin::CommandLine });
    };
    for spec in daemon.table() {
        if let Some(text) = matches.get_one::<String>(spec.name) {
            push(spec, text.clone());
        }
        if matches!(spec.kind, Kind::Switch) && matches.get_flag(&format!("no-{}", spec.dashed())) {
            push(spec, "false".to_owned());
        }
    }
    given
}

/// `MESOS_` names first, so that ours win. What carries Mesos's prefix for another reason (every executor's
/// environment is full of it) is no business of a daemon; `mezz dev` looks at our own names only.
fn of_environment(daemon: Daemon, environment: &[(String, String)]) -> (Vec<Given>, Vec<String>) {
    let (mut given, mut warnings) = (Vec::new(), Vec::new());
    let prefixes: &[&str] = if daemon == Daemon::Dev { &["MEZZ_"] } else { &["MESOS_", "MEZZ_"] };
    for prefix in prefixes {
        for (name, text) in environment {
            let Some(key) = name.strip_prefix(prefix).map(str::to_lowercase) else { continue };
            if daemon.find(&key).is_some() {
                given.push(Given { key, text: text.clone(), origin: Origin::Environment(name.clone()) });
            } else if *prefix == "MEZZ_" && !OTHER_VARIABLES.contains(&key.as_str()) && !known_elsewhere(&key) {
                let table = daemon.table();
                let hint = nearest(&key, table.iter().map(|spec| spec.name))
                    .map_or_else(String::new, |name| format!("; did you mean MEZZ_{}?", name.to_uppercase()));
                warnings.push(format!("the environment variable {name} is no flag of `mezz {}`{hint}", daemon.name()));
            }
        }
    }
    (given, warnings)
}

fn known_elsewhere(key: &str) -> bool {
    [Daemon::Master, Daemon::Agent, Daemon::Dev].iter().any(|daemon| daemon.find(key).is_some())
}

fn of_file(daemon: Daemon, path: &Path) -> Result<Vec<Given>, FlagError> {
    let unreadable = |source| FlagError::ConfigFile { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let document: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| FlagError::ConfigSyntax { path: path.to_owned(), message: error.to_string() })?;
    let origin = Origin::File(path.to_owned());
    let mut given = Vec::new();
    for (key, value) in &document {
        match (Daemon::of_verb(key), value) {
            (Some(_), toml::Value::Table(_)) => {}
            _ => given.push(of_toml(key, value, &origin)?),
        }
    }
    if let Some(toml::Value::Table(own)) = document.get(daemon.name()) {
        for (key, value) in own {
            given.push(of_toml(key, value, &origin)?);
        }
    }
    Ok(given)
}

fn of_toml(key: &str, value: &toml::Value, origin: &Origin) -> Result<Given, FlagError> {
    let text = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(switch) => switch.to_string(),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
            return Err(FlagError::ConfigType { key: key.to_owned(), origin: origin.clone() });
        }
    };
    Ok(Given { key: key.to_owned(), text, origin: origin.clone() })
}

/// A text given as `file:///path` is the content of that file, as in Mesos.
fn expand_file(daemon: Daemon, given: &mut Given) -> Result<(), FlagError> {
    let Some(spec) = daemon.find(&given.key).filter(|spec| matches!(spec.kind, Kind::Text)) else { return Ok(()) };
    let Some(path) = given.text.strip_prefix("file://").map(PathBuf::from) else { return Ok(()) };
    let content = std::fs::read_to_string(&path);
    given.text = content
        .map_err(|source| FlagError::ValueFile { flag: spec.dashed(), origin: given.origin.clone(), path, source })?
        .trim_end()
        .to_owned();
    Ok(())
}
