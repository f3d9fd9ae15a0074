//! Command lines, and what runtimes answer.

use mezz_oci::{ContainerName, Runtime, failure, parse_runtimes, parse_states};
use std::path::{Path, PathBuf};

fn name(name: &str) -> ContainerName {
    ContainerName::new(name).expect("a name")
}

#[test]
fn runtimes_are_named_with_their_paths() {
    let runtimes =
        parse_runtimes("runc=/usr/sbin/runc,kata=/opt/kata/bin/kata-runtime").expect("two of them");
    let found: Vec<_> = runtimes.iter().collect();
    assert_eq!(found[0].0, "kata");
    assert_eq!(found[1].1, Path::new("/usr/sbin/runc"));
    assert!(parse_runtimes("").expect("none").is_empty());
    for (wrong, why) in [
        ("runc", "is not NAME=PATH"),
        ("Run=/x", "the runtime name \"Run\""),
        ("vm=/x", "reserved"),
        ("runc=bin/runc", "is not absolute"),
        ("a=/x,a=/y", "a is named twice"),
    ] {
        let error = parse_runtimes(wrong).expect_err(wrong).to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn command_lines_are_those_that_all_runtimes_share() {
    let runtime = Runtime {
        program: PathBuf::from("/usr/bin/crun"),
        state: PathBuf::from("/srv/mezz/oci/crun"),
    };
    let own = ["/usr/bin/crun", "--root", "/srv/mezz/oci/crun"];
    let words = |words: &[&'static str]| [&own[..], words].concat();
    let run = runtime.run(
        &name("c1"),
        Path::new("/srv/mezz/b"),
        Path::new("/srv/mezz/b/log"),
    );
    assert_eq!(run.program, Path::new("/usr/bin/crun"));
    assert_eq!(
        run.arguments,
        words(&[
            "--log",
            "/srv/mezz/b/log",
            "--log-format",
            "json",
            "run",
            "--bundle",
            "/srv/mezz/b",
            "c1"
        ])
    );
    assert_eq!(
        runtime.delete(&name("c1")).arguments,
        words(&["delete", "--force", "c1"])
    );
    assert_eq!(
        runtime.kill(&name("c1"), 15).arguments,
        words(&["kill", "c1", "15"])
    );
    assert_eq!(
        runtime.list().arguments,
        words(&["list", "--format", "json"])
    );
}

#[test]
fn names_cannot_be_taken_for_options_or_folders() {
    for wrong in ["", "-a", ".", "..", "a/b", "a b"] {
        assert!(ContainerName::new(wrong).is_err(), "{wrong:?}");
    }
    assert_eq!(name("mezz-1.a_b").to_string(), "mezz-1.a_b");
}

#[test]
fn lists_of_all_runtimes_are_read() {
    let two =
        r#"[{"ociVersion":"1.0.2-dev","id":"a","pid":0,"status":"stopped"},{"id":"b","pid":7}]"#;
    assert_eq!(
        parse_states(two).expect("two of them"),
        [name("a"), name("b")]
    );
    for none in ["null", "[]", "", "\n"] {
        assert!(parse_states(none).expect("none").is_empty());
    }
    assert!(parse_states("ID PID\n").is_err());
}

#[test]
fn the_log_tells_why_a_container_could_not_be_run() {
    let log = "{\"level\":\"warning\",\"msg\":\"odd\",\"time\":\"t\"}\n\
               {\"level\":\"error\",\"msg\":\"runc run failed: no such file\",\"time\":\"t\"}\n";
    assert_eq!(
        failure(log).as_deref(),
        Some("runc run failed: no such file")
    );
    assert_eq!(failure("{\"level\":\"warning\",\"msg\":\"odd\"}\n"), None);
    assert_eq!(failure(""), None);
}
