//! The same as an ordinary user: everything works, and what cannot be enforced is said once.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use mezz_testkit::processes::{is_running, kill_marked, signal};
use mezz_testkit::wait::eventually;
use rustix::process::Signal;

use crate::lab::{SOON, started_at};
use crate::load::Load;

const NOBODY: u32 = 65534;

/// Ends what the test has left, by the folder that all of it names.
struct Sweep(String);

impl Drop for Sweep {
    fn drop(&mut self) {
        kill_marked(&self.0);
    }
}

#[test]
fn an_ordinary_user_runs_recovers_and_stops_a_cluster_and_is_told_once_what_is_not_enforced() {
    let root = rustix::process::geteuid().is_root();
    let folder = tempfile::Builder::new()
        .prefix("mezz-nobody-")
        .tempdir()
        .unwrap();
    let _sweep = Sweep(folder.path().display().to_string());
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let binary = folder.path().join("mezz");
    std::fs::copy(env!("CARGO_BIN_EXE_mezz"), &binary).unwrap();
    if root {
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let start = |life: &str, port: u16| {
        let log = folder.path().join(format!("log-{life}"));
        let mut command = Command::new(&binary);
        command.args([
            "dev",
            &format!("--port={port}"),
            "--resources=cpus:4;mem:4096",
        ]);
        command.arg(format!(
            "--work-dir={}",
            folder.path().join("work").display()
        ));
        command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap());
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let child = command.spawn().unwrap();
        let address = eventually("it is ready", || {
            let text = std::fs::read_to_string(&log).unwrap();
            text.lines()
                .find_map(|line| line.strip_prefix("ready http://").map(str::to_owned))
        });
        (child, address, log)
    };
    let (mut first, address, log) = start("first", 0);
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(
        text.matches("not root: tasks run as this user").count(),
        1,
        "{text}"
    );

    let mut load = Load::new(&address, "load");
    let trace = folder.path().join("trace");
    // A child that leaves the session: found by its environment alone.
    load.want(
        "tree",
        format!(
            "setsid sleep 1000 & echo $! > {0}.stray; echo $$ > {0}; exec sleep 1000",
            trace.display()
        ),
    );
    load.want("brief", "true");
    load.until("one runs, one has ended", SOON, |load| {
        load.count("TASK_RUNNING") == 1 && load.count("TASK_FINISHED") == 1
    });
    let pid_in = |path: String| {
        eventually("a process id", || {
            std::fs::read_to_string(&path).ok()?.trim().parse().ok()
        })
    };
    let (pid, stray) = (
        pid_in(trace.display().to_string()),
        pid_in(format!("{}.stray", trace.display())),
    );
    let began = started_at(pid);

    first.kill().unwrap();
    first.wait().unwrap();
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let (mut second, _, _) = start("second", port);
    // An offer of the master that is gone would take the task along.
    load.until("it is subscribed anew", SOON, |load| load.subscriptions > 1);
    load.want("again", "true");
    load.until("a new task ends", SOON, |load| {
        load.count("TASK_FINISHED") == 2
    });
    assert_eq!(started_at(pid), began, "the task has gone on");
    assert_eq!(load.count("TASK_RUNNING"), 1, "{}", load.summary());
    load.kill("tree");
    load.until_all_ended(SOON);
    assert_eq!(load.tasks["tree"].end(), Some("TASK_KILLED"));
    eventually("the whole tree ends", || {
        (!is_running(pid) && !is_running(stray)).then_some(())
    });
    signal(second.id(), Signal::INT);
    assert_eq!(second.wait().unwrap().code(), Some(0));
}
