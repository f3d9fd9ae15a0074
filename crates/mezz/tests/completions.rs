//! What a shell gets when it asks for completions.

mod support;

use support::{Server, command, finish, mezz};

#[test]
fn each_shell_gets_a_script_that_asks_this_program() {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = mezz(&["completions", shell]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(
            outcome.stdout.contains("_MEZZ_COMPLETE"),
            "{shell}: {}",
            outcome.stdout
        );
    }
    assert_eq!(mezz(&["completions", "tcsh"]).code, 2);
}

/// What bash is offered behind these words.
fn offered(server: &Server, words: &[&str]) -> Vec<String> {
    let mut arguments = vec!["--"];
    arguments.extend(words);
    let asked = command(&arguments)
        .env("MEZZ_MASTER", server.address.to_string())
        .env("_MEZZ_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n")
        .spawn()
        .expect("the binary starts");
    let outcome = finish(asked);
    outcome
        .stdout
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn verbs_flags_and_the_names_of_tasks_are_completed() {
    let server = Server::json(
        "GET /v1/tasks?all=true",
        200,
        r#"[{"id":"web-1","name":"web"}]"#,
    );
    assert_eq!(offered(&server, &["mezz", "fram"]), ["frameworks"]);
    assert_eq!(offered(&server, &["mezz", "dev", "--agen"])[0], "--agents");
    assert_eq!(offered(&server, &["mezz", "logs", "w"]), ["web-1"]);
}
