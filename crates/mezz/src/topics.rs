//! The verbs as `mezz --help` lists them: by what one wants to do.

use std::fmt::Write;

use clap::Command;

/// Topics with their verbs, in the order of being shown.
const TOPICS: &[(&str, &[&str])] = &[
    ("Begin", &["dev", "init", "apply", "run"]),
    (
        "Objects",
        &[
            "plan", "get", "status", "delete", "wait", "export", "convert", "explain", "schema",
        ],
    ),
    (
        "Services",
        &[
            "scale",
            "restart",
            "rollout",
            "rollback",
            "pause",
            "resume",
            "abort",
            "reset-backoff",
        ],
    ),
    (
        "Runs of jobs, crons and dags",
        &["runs", "stop", "mark-succeeded"],
    ),
    (
        "Tasks",
        &[
            "ps",
            "logs",
            "kill",
            "top",
            "exec",
            "attach",
            "cp",
            "port-forward",
        ],
    ),
    (
        "Cluster",
        &[
            "why",
            "events",
            "agents",
            "frameworks",
            "roles",
            "offers",
            "freeze",
            "thaw",
        ],
    ),
    ("Daemons", &["master", "agent", "replay"]),
    ("This program", &["completions", "version"]),
];

/// Lists the verbs of a command by topics.
pub(crate) fn by_topic(command: Command) -> Command {
    let width = TOPICS
        .iter()
        .flat_map(|(_, verbs)| verbs.iter())
        .map(|verb| verb.len())
        .max()
        .unwrap_or_default();
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (topic, verbs) in TOPICS {
        let _ = writeln!(text, "\n{topic}:");
        for verb in *verbs {
            let about = command.find_subcommand(verb).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {verb:<width$}  {about}");
        }
    }
    text.push_str("\nOptions:\n{options}\n\n`mezz VERB --help` says everything about a verb.\n");
    command.help_template(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_verb_is_listed_under_one_topic() {
        let listed: Vec<&str> = TOPICS
            .iter()
            .flat_map(|(_, verbs)| verbs.iter().copied())
            .collect();
        let once: BTreeSet<&str> = listed.iter().copied().collect();
        assert_eq!(once.len(), listed.len());
        let command = crate::command_line::command(None);
        let known: BTreeSet<&str> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(once, known);
    }
}
