//! Services, jobs and crons in a real `mezz dev`, by the verbs that people use.

mod support;

use std::path::PathBuf;

use support::Outcome;
use support::dev::Dev;

/// A folder with the files of a test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }
}

/// A service whose instances run a command; ready as soon as they run for a moment.
fn service(name: &str, replicas: u32, command: &str) -> String {
    format!(
        "kind: service\nname: {name}\nspec:\n  replicas: {replicas}\n  update: {{failure_budget: 2, deadline: 30s}}\n  \
         restart: {{initial: 100ms, max: 200ms}}\n  template:\n    containers:\n      - command: {command}\n        \
         resources: {{cpus: 0.01, mem: 16MiB}}\n        checks:\n          ready:\n            command: test -f up\n            \
         interval: 100ms\n"
    )
}

fn apply(dev: &Dev, file: &str) -> Outcome {
    dev.mezz(&["apply", "--wait", "-f", file])
}

fn ready(dev: &Dev, name: &str, wanted: &str) {
    dev.until(&["get", "services"], |text| {
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(name) && words.next() == Some(wanted)
        })
    });
}

#[test]
fn a_service_is_rolled_out_updated_scaled_and_deleted() {
    let (dev, files) = (Dev::start(&[]), Files::new());
    let up = "touch up; exec sleep 1000";
    let file = files.write("web.yaml", &service("/team/web", 2, up));
    let first = apply(&dev, &file);
    assert_eq!(first.code, 0, "{}", first.seen());
    assert_eq!(first.stdout, "service /team/web created, generation 1\n");
    ready(&dev, "/team/web", "2/2");
    let before = dev.mezz(&["get", "instances", "-o", "name"]).stdout;

    let again = apply(&dev, &file);
    assert_eq!(again.stdout, "service /team/web unchanged, generation 1\n");
    let file = files.write(
        "web.yaml",
        &service("/team/web", 2, "touch up; exec sleep 2000"),
    );
    let second = apply(&dev, &file);
    assert_eq!(second.code, 0, "{}", second.seen());
    assert_eq!(second.stdout, "service /team/web updated, generation 2\n");
    let after = dev.mezz(&["get", "instances", "-o", "name"]).stdout;
    assert!(
        before.lines().all(|id| !after.contains(id)),
        "{before}{after}"
    );

    let scaled = dev.mezz(&["scale", "team/web", "3", "--wait"]);
    assert_eq!(scaled.code, 0, "{}", scaled.seen());
    ready(&dev, "/team/web", "3/3");
    let deleted = dev.mezz(&["delete", "-f", &file]);
    assert_eq!(deleted.stdout, "service /team/web deleted\n");
    dev.until(&["get", "instances", "-o", "name"], str::is_empty);
    assert_eq!(dev.mezz(&["get", "service/team/web"]).code, 3);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_version_that_fails_goes_back_to_the_one_before() {
    let (dev, files) = (Dev::start(&[]), Files::new());
    let file = files.write("web.yaml", &service("/web", 2, "touch up; exec sleep 1000"));
    assert_eq!(apply(&dev, &file).code, 0);
    let before = dev.mezz(&["get", "instances", "-o", "name"]).stdout;
    let file = files.write("web.yaml", &service("/web", 2, "exit 7"));
    let failed = apply(&dev, &file);
    assert_eq!(failed.code, 5, "{}", failed.seen());
    ready(&dev, "/web", "2/2");
    let after = dev.mezz(&["get", "instances", "-o", "name"]).stdout;
    assert!(
        before.lines().all(|id| after.contains(id)),
        "{before}{after}"
    );
    let why = dev.mezz(&["why", "service/web"]);
    assert!(
        why.stdout.contains("2 of 2 instances are ready"),
        "{}",
        why.seen()
    );
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_run_of_a_job_ends_with_the_status_of_its_command() {
    let (dev, files) = (Dev::start(&[]), Files::new());
    let file = files.write(
        "job.yaml",
        "kind: job\nname: /end\nspec:\n  start: manual\n  retries: 0\n  parameters:\n    status: {default: '0'}\n  \
         template:\n    containers:\n      - command: exit $PARAM_STATUS\n        resources: {cpus: 0.01, mem: 16MiB}\n",
    );
    assert_eq!(apply(&dev, &file).code, 0);
    let well = dev.mezz(&["run", "/end"]);
    assert_eq!(well.code, 0, "{}", well.seen());
    let bad = dev.mezz(&["run", "/end", "--param", "status=9"]);
    assert_eq!(bad.code, 9, "{}", bad.seen());
    let runs = dev.mezz(&["runs", "/end", "-o", "name"]).stdout;
    assert_eq!(runs.lines().count(), 2);
    let why = dev.mezz(&["why", bad.stdout.trim()]);
    assert!(why.stdout.contains("with status 9"), "{}", why.seen());
    assert_eq!(dev.mezz(&["run", "/no-such-job"]).code, 3);
    assert_eq!(dev.mezz(&["run", "/end", "--param", "other=1"]).code, 5);
    assert_eq!(dev.stop(), Some(0));
}

const CRON: &str = "kind: cron\nname: /tick\nspec:\n  schedules: ['* * * * * *']\n  run:\n    job:\n      template:\n        \
                    containers:\n          - command: 'true'\n            resources: {cpus: 0.01, mem: 16MiB}\n";

#[test]
fn services_and_crons_go_on_after_the_master_was_killed() {
    let files = Files::new();
    let work_dir = format!("--work-dir={}", files.0.path().join("work").display());
    let mut dev = Dev::start(&[&work_dir]);
    let web = files.write("web.yaml", &service("/web", 1, "touch up; exec sleep 1000"));
    let tick = files.write("tick.yaml", CRON);
    let both = dev.mezz(&["apply", "--wait", "-f", &web, "-f", &tick]);
    assert_eq!(both.code, 0, "{}", both.seen());
    let before = dev
        .mezz(&["get", "instances", "--under=/web", "-o", "name"])
        .stdout;
    let runs = |dev: &Dev, more_than: usize| {
        let list = ["runs", "tick", "-o", "name"];
        let text = dev.until(&list, |text| text.lines().count() > more_than);
        text.lines().count()
    };
    let seen = runs(&dev, 1);
    dev.kill();
    let dev = Dev::start(&[&work_dir]);
    ready(&dev, "/web", "1/1");
    let after = dev
        .mezz(&["get", "instances", "--under=/web", "-o", "name"])
        .stdout;
    assert_eq!(before, after);
    runs(&dev, seen.min(8));
    assert_eq!(dev.mezz(&["pause", "tick"]).stdout, "cron /tick paused\n");
    assert_eq!(dev.mezz(&["delete", "cron", "tick"]).code, 0);
    let all = dev.mezz(&["get", "all", "-o", "name"]).stdout;
    assert_eq!(all, "service/web\n");
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_its_place_and_changes_nothing() {
    let (dev, files) = (Dev::start(&[]), Files::new());
    let text = "kind: service\nname: /web\nspec:\n  replica: 2\n  template:\n    containers: [{command: 'true'}]\n";
    let file = files.write("web.yaml", text);
    let one = dev.mezz(&["apply", "-f", &file]);
    assert_eq!(one.code, 5, "{}", one.seen());
    assert!(one.stderr.contains("web.yaml:4:"), "{}", one.seen());
    assert!(one.stderr.contains("replicas"), "{}", one.seen());
    files.write("tick.yaml", CRON);
    let folder = files.0.path().display().to_string();
    let both = dev.mezz(&["apply", "-f", &folder]);
    assert_eq!(both.code, 5, "{}", both.seen());
    assert!(both.stderr.contains("web.yaml:4:"), "{}", both.seen());
    assert_eq!(dev.mezz(&["get", "all", "-o", "name"]).stdout, "");
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn what_is_exported_can_be_applied_again() {
    let (dev, files) = (Dev::start(&[]), Files::new());
    let init = dev.mezz(&["init", "service"]).stdout;
    let file = files.write("service.yaml", &init);
    assert_eq!(dev.mezz(&["apply", "--no-wait", "-f", &file]).code, 0);
    let exported = dev.mezz(&["export"]).stdout;
    let file = files.write("again.yaml", &exported);
    let again = dev.mezz(&["apply", "--dry-run", "-f", &file]);
    assert_eq!(
        again.stdout,
        "service /team/app/web unchanged, generation 1 (dry run)\n",
        "{}\n{exported}",
        again.seen()
    );
    assert_eq!(dev.stop(), Some(0));
}
