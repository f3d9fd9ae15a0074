//! What `--help` says, verb by verb.

mod support;

use support::mezz;

#[test]
fn every_verb_explains_itself() {
    let verbs = [
        "dev",
        "master",
        "agent",
        "apply",
        "plan",
        "convert",
        "get",
        "delete",
        "scale",
        "restart",
        "rollout",
        "rollback",
        "pause",
        "resume",
        "abort",
        "reset-backoff",
        "run",
        "runs",
        "stop",
        "mark-succeeded",
        "wait",
        "export",
        "init",
        "explain",
        "schema",
        "ps",
        "logs",
        "kill",
        "exec",
        "attach",
        "cp",
        "port-forward",
        "top",
        "agents",
        "frameworks",
        "roles",
        "offers",
        "freeze",
        "thaw",
        "why",
        "events",
        "replay",
        "status",
        "completions",
        "version",
    ];
    insta::assert_snapshot!("mezz", mezz(&["--help"]).seen());
    for verb in verbs {
        insta::assert_snapshot!(verb, mezz(&[verb, "--help"]).seen());
    }
}

#[test]
fn every_verb_that_exists_is_listed() {
    let help = mezz(&["--help"]).stdout;
    for verb in ["dev", "run", "ps", "events", "replay"] {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(verb)),
            "{verb}\n{help}"
        );
    }
    assert!(
        !help.contains("warden"),
        "the hidden verb is for the agent alone"
    );
}
