//! Collects the layers of flag values from the configuration file, the environment and the command line. It reads,
//! and leaves every judgement to `resolve`.

use std::path::{Path, PathBuf};

use clap::ArgMatches;

use super::spec::{FlagSpec, Kind};
use super::{Daemon, FlagError, Flags, Given, Origin, resolve};
use mezz_spec::nearest::nearest;

/// Variables with our prefix that are no daemon flags.
const OTHER_VARIABLES: [&str; 5] = ["master", "output", "config", "crash_point", "test_cluster"];

/// All layers of a daemon's flags, resolved; and what to warn of.
pub(crate) fn load(
    daemon: Daemon,
    matches: &ArgMatches,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Flags, Vec<String>), FlagError> {
    let environment: Vec<_> = environment.into_iter().collect();
    let mut given = Vec::new();
    let from_environment = || {
        environment
            .iter()
            .find(|(name, _)| name == "MEZZ_CONFIG")
            .map(|(_, path)| PathBuf::from(path))
    };
    if let Some(path) = matches
        .get_one::<PathBuf>("config")
        .cloned()
        .or_else(from_environment)
    {
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

fn of_command_line(daemon: Daemon, matches: &ArgMatches) -> Vec<Given> {
    let mut given = Vec::new();
    let mut push = |spec: &FlagSpec, text: String| {
        given.push(Given {
            key: spec.name.to_owned(),
            text,
            origin: Origin::CommandLine,
        });
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
    let prefixes: &[&str] = if daemon == Daemon::Dev {
        &["MEZZ_"]
    } else {
        &["MESOS_", "MEZZ_"]
    };
    for prefix in prefixes {
        for (name, text) in environment {
            let Some(key) = name.strip_prefix(prefix).map(str::to_lowercase) else {
                continue;
            };
            if daemon.find(&key).is_some() {
                given.push(Given {
                    key,
                    text: text.clone(),
                    origin: Origin::Environment(name.clone()),
                });
            } else if *prefix == "MEZZ_"
                && !OTHER_VARIABLES.contains(&key.as_str())
                && !known_elsewhere(&key)
            {
                let table = daemon.table();
                let hint = nearest(&key, table.iter().map(|spec| spec.name))
                    .map_or_else(String::new, |name| {
                        format!("; did you mean MEZZ_{}?", name.to_uppercase())
                    });
                warnings.push(format!(
                    "the environment variable {name} is no flag of `mezz {}`{hint}",
                    daemon.name()
                ));
            }
        }
    }
    (given, warnings)
}

fn known_elsewhere(key: &str) -> bool {
    [Daemon::Master, Daemon::Agent, Daemon::Dev]
        .iter()
        .any(|daemon| daemon.find(key).is_some())
}

fn of_file(daemon: Daemon, path: &Path) -> Result<Vec<Given>, FlagError> {
    let unreadable = |source| FlagError::ConfigFile {
        path: path.to_owned(),
        source,
    };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let document: toml::Table =
        text.parse()
            .map_err(|error: toml::de::Error| FlagError::ConfigSyntax {
                path: path.to_owned(),
                message: error.to_string(),
            })?;
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
            return Err(FlagError::ConfigType {
                key: key.to_owned(),
                origin: origin.clone(),
            });
        }
    };
    Ok(Given {
        key: key.to_owned(),
        text,
        origin: origin.clone(),
    })
}

/// A text given as `file:///path` is the content of that file, as in Mesos.
fn expand_file(daemon: Daemon, given: &mut Given) -> Result<(), FlagError> {
    let Some(spec) = daemon
        .find(&given.key)
        .filter(|spec| matches!(spec.kind, Kind::Text))
    else {
        return Ok(());
    };
    let Some(path) = given.text.strip_prefix("file://").map(PathBuf::from) else {
        return Ok(());
    };
    let content = std::fs::read_to_string(&path);
    let unreadable = |source| FlagError::ValueFile {
        flag: spec.dashed(),
        origin: given.origin.clone(),
        path,
        source,
    };
    let content = content.map_err(unreadable)?;
    content.trim_end().clone_into(&mut given.text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line;

    /// Loads the flags of a daemon from a command line, an environment and a file.
    fn loaded(
        words: &[&str],
        environment: &[(&str, &str)],
        file: &str,
    ) -> Result<(Flags, Vec<String>), String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mezz.toml");
        std::fs::write(&path, file).expect("a file");
        let daemon = Daemon::of_verb(words[0]).expect("a daemon");
        let mut arguments: Vec<std::ffi::OsString> = vec!["mezz".into()];
        arguments.extend(words.iter().map(Into::into));
        arguments.extend(["--config".into(), path.clone().into()]);
        let matches = command_line::command(Some(daemon))
            .try_get_matches_from(command_line::with_dashes(arguments))
            .expect("arguments");
        let (_, matches) = matches.subcommand().expect("a verb");
        let environment = environment
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        load(daemon, matches, environment).map_err(|error| {
            error
                .to_string()
                .replace(path.to_str().expect("a text"), "mezz.toml")
        })
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = "offer_timeout = \"1s\"\nquiet = true\n[master]\nmax-completed-frameworks = 1\ncluster = \"file\"\n[agent]\nnonsense = 1\n";
        let environment = [
            ("MESOS_CLUSTER", "mesos"),
            ("MEZZ_CLUSTER", "ours"),
            ("MESOS_OFFER_TIMEOUT", "2secs"),
            ("MEZZ_MAX_COMPLETED_FRAMEWORKS", "2"),
            ("MESOS_SANDBOX", "/ignored"),
        ];
        let words = [
            "master",
            "--max_completed_frameworks=3",
            "--no-root_submissions",
        ];
        let (flags, warnings) = loaded(&words, &environment, file).expect("flags");
        let texts = [
            "offer_timeout",
            "quiet",
            "cluster",
            "max_completed_frameworks",
            "root_submissions",
            "port",
        ]
        .map(|name| flags.text(name).unwrap_or_default().to_owned());
        assert_eq!(texts, ["2secs", "true", "ours", "3", "false", "5050"]);
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn a_mistyped_key_of_the_file_names_the_nearest_one() {
        assert_eq!(
            loaded(&["master"], &[], "[master]\noffer-timout = \"1s\"").expect_err("an error"),
            "unknown key 'offer-timout' in mezz.toml; did you mean 'offer_timeout'?"
        );
        assert_eq!(
            loaded(&["master"], &[], "weights = [1]").expect_err("an error"),
            "key 'weights' in mezz.toml must be a text, a number or a switch"
        );
        let error = loaded(&["master"], &[], "weights = ").expect_err("an error");
        assert!(
            error.starts_with("the configuration file mezz.toml is not TOML: "),
            "{error}"
        );
    }

    #[test]
    fn a_mistyped_variable_of_ours_is_a_warning() {
        let (_, warnings) = loaded(
            &["agent"],
            &[("MEZZ_RESOURCE", "cpus:1"), ("MEZZ_CRASH_POINT", "x")],
            "",
        )
        .expect("flags");
        assert_eq!(
            warnings,
            [
                "the environment variable MEZZ_RESOURCE is no flag of `mezz agent`; did you mean MEZZ_RESOURCES?"
            ]
        );
    }

    #[test]
    fn a_wrong_value_names_where_it_came_from() {
        assert_eq!(
            loaded(&["agent"], &[("MESOS_GC_DELAY", "soon")], "").expect_err("an error"),
            "--gc-delay in the environment variable MESOS_GC_DELAY: 'soon' is not a duration: write a number and a unit, as in \
             10secs, 500ms or 2h"
        );
    }

    #[test]
    fn switches_take_every_spelling_and_the_last_one_wins() {
        for (words, expected) in [
            (vec!["agent", "--no-switch_user"], "false"),
            (vec!["agent", "--switch-user=false"], "false"),
            (vec!["agent", "--no-switch-user", "--switch_user"], "true"),
            (
                vec!["agent", "--switch_user=true", "--no-switch-user"],
                "false",
            ),
        ] {
            assert_eq!(
                loaded(&words, &[], "")
                    .expect("flags")
                    .0
                    .text("switch_user"),
                Some(expected),
                "{words:?}"
            );
        }
    }

    #[test]
    fn dev_does_not_listen_to_variables_of_mesos() {
        let (flags, _) = loaded(
            &["dev"],
            &[("MESOS_ZK", "zk://h/mesos"), ("MEZZ_AGENTS", "3")],
            "",
        )
        .expect("flags");
        assert_eq!(flags.text("agents"), Some("3"));
    }

    #[test]
    fn the_text_of_a_flag_can_be_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("resources");
        std::fs::write(&path, "cpus:2;mem:64\n").expect("a file");
        let given = format!("--resources=file://{}", path.display());
        assert_eq!(
            loaded(&["agent", &given], &[], "")
                .expect("flags")
                .0
                .text("resources"),
            Some("cpus:2;mem:64")
        );
    }
}
