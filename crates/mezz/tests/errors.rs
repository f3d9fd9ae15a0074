//! What a user reads when something is wrong, and the exit code a script sees.

mod support;

use support::{Server, mezz, mezz_at};

#[test]
fn without_a_master_the_user_is_told_how_to_get_one() {
    insta::assert_snapshot!(mezz(&["ps", "--master", "127.0.0.1:1"]).seen(), @"
    exit code: 4
    --- stderr
    error: no master answers at 127.0.0.1:1: Connection refused (os error 111)
    hint: start a cluster here with `mezz dev`, or name one with --master HOST:PORT or MEZZ_MASTER
    ");
}

#[test]
fn the_master_is_named_before_or_after_the_verb() {
    for arguments in [
        ["--master", "127.0.0.1:2", "ps"],
        ["ps", "--master", "127.0.0.1:2"],
    ] {
        let seen = mezz(&arguments);
        assert_eq!(seen.code, 4, "{}", seen.seen());
        assert!(seen.stderr.contains("127.0.0.1:2"), "{}", seen.seen());
    }
    // A verb of a verb, too; and one that asks no master is not disturbed by a choice for all verbs.
    let nested = mezz(&["--master=127.0.0.1:2", "rollout", "status", "web"]);
    assert!(nested.stderr.contains("127.0.0.1:2"), "{}", nested.seen());
    assert_eq!(mezz(&["--master", "127.0.0.1:2", "init", "job"]).code, 0);
}

#[test]
fn an_address_that_is_none_is_a_usage_error() {
    insta::assert_snapshot!(mezz(&["ps", "--master", "http://h:x/"]).seen(), @"
    exit code: 2
    --- stderr
    error: 'http://h:x/' is not the address of a master: write HOST:PORT
    hint: start a cluster here with `mezz dev`, or name one with --master HOST:PORT or MEZZ_MASTER
    ");
}

#[test]
fn an_unknown_flag_names_the_nearest_one() {
    insta::assert_snapshot!(mezz(&["master", "--offer_timout=3s"]).seen(), @"
    exit code: 2
    --- stderr
    error: unexpected argument '--offer-timout' found

      tip: a similar argument exists: '--offer-timeout'

    Usage: mezz master --offer-timeout <DURATION>

    For more information, try '--help'.
    ");
}

#[test]
fn a_flag_of_mesos_that_is_not_built_stops_the_daemon() {
    insta::assert_snapshot!(mezz(&["agent", "--resource_provider_config_dir=/x"]).seen(), @"
    exit code: 2
    --- stderr
    error: --resource-provider-config-dir=/x on the command line cannot be honoured: resource providers and CSI storage are not built yet; leave it out
    hint: `mezz agent --help` lists the flags
    ");
}

#[test]
fn a_mistyped_key_of_the_configuration_file_stops_the_daemon() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mezz.toml");
    std::fs::write(&path, "[agent]\nresource = \"cpus:1\"\n").expect("a file");
    let seen = mezz(&["agent", "--config", path.to_str().expect("a text")]).seen();
    insta::assert_snapshot!(seen.replace(path.to_str().expect("a text"), "mezz.toml"), @"
    exit code: 2
    --- stderr
    error: unknown key 'resource' in mezz.toml; did you mean 'resources'?
    hint: `mezz agent --help` lists the flags
    ");
}

#[test]
fn a_task_file_with_a_mistyped_key_starts_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("task.yaml");
    std::fs::write(&path, "task:\n  comand: echo hi\n").expect("a file");
    let seen = mezz(&["dev", path.to_str().expect("a text")]).seen();
    insta::assert_snapshot!(seen.replace(path.to_str().expect("a text"), "task.yaml"), @"
    exit code: 2
    --- stderr
    error: task.yaml: unknown key 'comand' in `task`; did you mean 'command'?
    ");
}

#[test]
fn a_refusal_says_why_and_what_to_do() {
    let problem = r#"{"type":"about:blank","title":"Refused","status":409,"detail":"task a exists","why":["it runs on host h"],"hint":"give another --id"}"#;
    let server = Server::json("POST /v1/tasks", 409, problem);
    insta::assert_snapshot!(mezz_at(&server, &["run", "--id", "a", "--", "true"]).seen(), @"
    exit code: 5
    --- stderr
    error: task a exists
    because: it runs on host h
    hint: give another --id
    ");
}

#[test]
fn an_id_that_nothing_has_is_not_found() {
    let server = Server::json("GET /v1/tasks?all=true", 200, r#"[{"id":"b1","name":"n"}]"#);
    insta::assert_snapshot!(mezz_at(&server, &["logs", "x"]).seen(), @"
    exit code: 3
    --- stderr
    error: no service, job, cron, dag, run, instance or task is called 'x', or begins so
    hint: `mezz get all`, `mezz runs` and `mezz ps --all` list them
    ");
}

#[test]
fn a_server_that_is_no_master_is_recognised() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH\r\n").expect("a line");
        let _ = std::io::Read::read(&mut stream, &mut [0; 1024]);
    });
    let seen = mezz(&["ps", "--master", &address])
        .seen()
        .replace(&address, "MASTER");
    insta::assert_snapshot!(seen, @"
    exit code: 4
    --- stderr
    error: what answers at MASTER is no master: it does not speak HTTP
    hint: start a cluster here with `mezz dev`, or name one with --master HOST:PORT or MEZZ_MASTER
    ");
}

#[test]
fn arguments_of_a_task_are_checked_before_the_master_is_asked() {
    insta::assert_snapshot!(mezz(&["run", "--env", "NO_SUCH_VARIABLE_HERE", "--", "true"]).seen(), @"
    exit code: 2
    --- stderr
    error: --env NO_SUCH_VARIABLE_HERE: this variable is not set here, so it needs a value: --env NO_SUCH_VARIABLE_HERE=VALUE
    hint: the verb's `--help` tells what it takes
    ");
    insta::assert_snapshot!(mezz(&["run", "--cpus", "0", "--", "true"]).seen(), @"
    exit code: 2
    --- stderr
    error: --cpus 0 is not above zero
    hint: the verb's `--help` tells what it takes
    ");
    insta::assert_snapshot!(mezz(&["run", "--kill-grace-period", "5", "--", "true"]).seen(), @"
    exit code: 2
    --- stderr
    error: --kill-grace-period: '5' is not a duration: write a number and a unit, as in 10secs, 500ms or 2h
    hint: the verb's `--help` tells what it takes
    ");
}
