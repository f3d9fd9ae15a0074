//! Puts the layers of flag values on top of each other and checks each value. Pure: the layers are given to it.

use std::collections::BTreeMap;

use super::Daemon;
use super::flag_error::{FlagError, Given, Origin};
use super::spec::{FlagSpec, Kind, Support};
use super::value::{self, ValueError};
use super::values::{Flags, Value};
use mezz_spec::nearest::nearest;

/// Lays the given values, lowest layer first, over the defaults. Also returns what the user should be warned of.
pub(crate) fn resolve(
    daemon: Daemon,
    given: Vec<Given>,
) -> Result<(Flags, Vec<String>), FlagError> {
    let mut warnings = Vec::new();
    let mut flags = Flags {
        values: BTreeMap::new(),
    };
    for spec in daemon.table() {
        if let Some(text) = spec.default {
            flags.values.insert(
                spec.name,
                Value {
                    text: text.to_owned(),
                    explicit: false,
                },
            );
        }
    }
    for Given { key, text, origin } in given {
        let spec = daemon
            .find(&key)
            .ok_or_else(|| unknown(daemon, &key, &origin))?;
        let wrong = |source| FlagError::Value {
            flag: spec.dashed(),
            origin: origin.clone(),
            source,
        };
        let text = canonical(spec.kind, &text).map_err(wrong)?;
        check_support(spec, &text, &origin, &mut warnings)?;
        flags.values.insert(
            spec.name,
            Value {
                text,
                explicit: true,
            },
        );
    }
    warn_of_small_timers(daemon, &flags, &mut warnings);
    Ok((flags, warnings))
}

fn unknown(daemon: Daemon, key: &str, origin: &Origin) -> FlagError {
    let (key, origin) = (key.to_owned(), origin.clone());
    let other = match daemon {
        Daemon::Master => Some(Daemon::Agent),
        Daemon::Agent => Some(Daemon::Master),
        Daemon::Dev => None,
    };
    if let Some(other) = other.filter(|other| other.find(&key).is_some()) {
        return FlagError::OtherDaemon {
            key,
            origin,
            daemon: other.name(),
        };
    }
    let nearest = nearest(&key, daemon.table().iter().map(|spec| spec.name)).map(str::to_owned);
    FlagError::Unknown {
        key,
        origin,
        nearest,
    }
}

fn check_support(
    spec: &FlagSpec,
    text: &str,
    origin: &Origin,
    warnings: &mut Vec<String>,
) -> Result<(), FlagError> {
    if spec.default == Some(text) {
        return Ok(());
    }
    match spec.support {
        Support::Built => Ok(()),
        Support::Inert(why) => {
            warnings.push(format!("--{}={text} changes nothing: {why}", spec.dashed()));
            Ok(())
        }
        Support::Refused(why) => Err(FlagError::Refused {
            flag: spec.dashed(),
            text: text.to_owned(),
            origin: origin.clone(),
            why,
            default: spec.default,
        }),
    }
}

fn warn_of_small_timers(daemon: Daemon, flags: &Flags, warnings: &mut Vec<String>) {
    for spec in daemon.table() {
        let Kind::Duration {
            minimum: Some(minimum),
        } = spec.kind
        else {
            continue;
        };
        let (Some(given), Ok(least)) = (flags.duration(spec.name), value::duration(minimum)) else {
            continue;
        };
        if given < least {
            let given = value::duration_text(given);
            warnings.push(format!(
                "--{}={given} is below {minimum}, the least that Mesos takes",
                spec.dashed()
            ));
        }
    }
}

/// The text of a value in the form that `/flags` shows.
fn canonical(kind: Kind, text: &str) -> Result<String, ValueError> {
    Ok(match kind {
        Kind::Text | Kind::Path => text.to_owned(),
        Kind::Switch => value::switch(text)?.to_string(),
        Kind::Count(least, most) => value::count(text, least, most)?.to_string(),
        Kind::Decimal => value::decimal(text)?.to_string(),
        Kind::Duration { .. } => value::duration_text(value::duration(text)?),
        Kind::Bytes => value::bytes_text(value::bytes(text)?),
        Kind::Ip => text
            .parse::<std::net::IpAddr>()
            .map_err(|_| ValueError::Ip(text.to_owned()))?
            .to_string(),
        Kind::Choice(words) => {
            let known = words.contains(&text);
            known
                .then(|| text.to_owned())
                .ok_or_else(|| ValueError::Choice(text.to_owned(), words.join(", ")))?
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn on_command_line(key: &str, text: &str) -> Given {
        Given {
            key: key.to_owned(),
            text: text.to_owned(),
            origin: Origin::CommandLine,
        }
    }

    fn error(daemon: Daemon, key: &str, text: &str) -> String {
        resolve(daemon, vec![on_command_line(key, text)])
            .expect_err("a refusal")
            .to_string()
    }

    #[test]
    fn every_default_is_canonical_for_its_kind() {
        for daemon in [Daemon::Master, Daemon::Agent, Daemon::Dev] {
            for spec in daemon.table() {
                if let Some(default) = spec.default {
                    assert_eq!(
                        canonical(spec.kind, default).as_deref(),
                        Ok(default),
                        "{}",
                        spec.name
                    );
                }
            }
        }
    }

    #[test]
    fn no_flag_is_in_a_table_twice() {
        for daemon in [Daemon::Master, Daemon::Agent, Daemon::Dev] {
            let mut names: Vec<_> = daemon
                .table()
                .iter()
                .flat_map(|spec| spec.aliases.iter().chain([&spec.name]))
                .collect();
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), all, "{daemon:?}");
        }
    }

    #[test]
    fn a_later_layer_wins() {
        let file = Given {
            origin: Origin::File("m.toml".into()),
            ..on_command_line("offer_timeout", "5secs")
        };
        let (flags, warnings) = resolve(
            Daemon::Master,
            vec![file, on_command_line("offer-timeout", "7s")],
        )
        .expect("flags");
        assert_eq!(
            (flags.text("offer_timeout"), warnings),
            (Some("7secs"), vec![])
        );
    }

    #[test]
    fn a_mistyped_key_names_the_nearest_one() {
        assert_eq!(
            error(Daemon::Master, "offer_timout", "1s"),
            "unknown key 'offer_timout' on the command line; did you mean 'offer_timeout'?"
        );
        assert_eq!(
            error(Daemon::Master, "resources", "cpus:1"),
            "key 'resources' on the command line belongs to `mezz agent`: put it into a table [agent]"
        );
    }

    #[test]
    fn a_flag_that_is_not_built_is_refused_unless_it_asks_for_the_default() {
        assert_eq!(
            error(Daemon::Master, "zk", "zk://h/mesos"),
            "--zk=zk://h/mesos on the command line cannot be honoured: leadership over ZooKeeper is not built yet; one master \
             runs alone; leave it out"
        );
        assert_eq!(
            error(Daemon::Master, "allocator", "other"),
            "--allocator=other on the command line cannot be honoured: the ledger is always the built-in hierarchical one; \
             only 'hierarchical' can be given"
        );
        resolve(
            Daemon::Master,
            vec![on_command_line("allocator", "hierarchical")],
        )
        .expect("the default is true");
    }

    #[test]
    fn a_tuning_flag_without_a_counterpart_warns() {
        let (_, warnings) = resolve(
            Daemon::Master,
            vec![on_command_line("allocation_interval", "100ms")],
        )
        .expect("flags");
        assert_eq!(
            warnings,
            [
                "--allocation-interval=100ms changes nothing: offers follow changes within milliseconds, not a batch interval"
            ]
        );
    }

    #[test]
    fn a_timer_below_the_minimum_of_mesos_warns_and_works() {
        let (flags, warnings) = resolve(
            Daemon::Master,
            vec![on_command_line("slave_reregister_timeout", "5secs")],
        )
        .expect("flags");
        assert_eq!(
            flags.duration("agent_reregister_timeout"),
            Some(Duration::from_secs(5))
        );
        assert_eq!(
            warnings,
            ["--agent-reregister-timeout=5secs is below 10mins, the least that Mesos takes"]
        );
    }

    #[test]
    fn dev_hands_each_daemon_its_own_flags() {
        let given = vec![
            on_command_line("resources", "cpus:4"),
            on_command_line("weights", "a=2"),
        ];
        let (flags, _) = resolve(Daemon::Dev, given).expect("flags");
        let agent = flags.as_seen_by(Daemon::Agent);
        assert_eq!(
            (
                agent.text("resources"),
                agent.text("weights"),
                agent.text("port")
            ),
            (Some("cpus:4"), None, Some("5051"))
        );
        let master = flags.as_seen_by(Daemon::Master);
        assert_eq!(
            (
                master.text("resources"),
                master.text("weights"),
                master.text("port")
            ),
            (None, Some("a=2"), Some("5050"))
        );
    }
}
