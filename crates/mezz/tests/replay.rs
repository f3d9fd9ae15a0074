//! `mezz replay` of what real masters recorded: it comes out the same, and what is damaged is found and named.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mezz_testkit::cluster::{Daemon, TempCluster};
use mezz_testkit::framework::{Framework, command_task, framework_info};
use mezz_testkit::wait::eventually;
use rustix::process::Signal;

const MEZZ: &str = env!("CARGO_BIN_EXE_mezz");

fn replay(recording: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(MEZZ);
    command.arg("replay").arg(recording).args(flags);
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn talk(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_same(recording: &Path) -> String {
    let output = replay(recording, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    assert!(
        out(&output).contains("the same effects and states"),
        "{}",
        out(&output)
    );
    out(&output)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// A framework runs tasks to their end, kills one, and loses its stream.
fn work(master: &Daemon, name: &str, count: usize) -> Framework {
    let mut framework = Framework::subscribe(&master.client(), &framework_info(name, &["*"]));
    for number in 0..count {
        let offer = framework.next_offer();
        let id = format!("{name}-{number}");
        let command = if number == 0 { "sleep 1000" } else { "true" };
        framework.launch(&offer, &[command_task(&offer, &id, command)]);
        if number == 0 {
            framework.wait_for(&id, "TASK_RUNNING");
            framework.kill(&id);
            framework.wait_for(&id, "TASK_KILLED");
        } else {
            framework.wait_for(&id, "TASK_FINISHED");
        }
    }
    framework
}

/// Runs a native task.
fn run(master: &Daemon) {
    let status = Command::new(MEZZ)
        .args(["run", "--master", master.address(), "--", "true"])
        .status();
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn two_masters_of_one_folder_replay_to_the_same_effects_and_states() {
    let mut cluster = TempCluster::new(MEZZ).unwrap();
    let master = cluster.master(&[]).unwrap();
    let _agent = cluster.agent("agent", &master, &[]).unwrap();
    let one = work(&master, "one", 3);
    let mut info = framework_info("one", &["*"]);
    info["id"] = serde_json::json!({"value": one.id()});
    // It would hold the only agent in an offer.
    drop(one);
    drop(work(&master, "two", 2));
    run(&master);
    let port = format!("--port={}", master.port());
    master.kill_9();

    let master = cluster.master(&[&port]).unwrap();
    eventually("the agent is back", || {
        let agents = master.client().get("/v1/agents").unwrap().json();
        (agents[0]["state"] == "connected" || agents[0]["active"] == true).then_some(())
    });
    let mut again = Framework::subscribe(&master.client(), &info);
    let offer = again.next_offer();
    again.launch(&offer, &[command_task(&offer, "later", "true")]);
    again.wait_for("later", "TASK_FINISHED");
    again.accepted("TEARDOWN", None);
    run(&master);
    let status = master.stop(Signal::TERM);
    assert!(status.success());

    let told = assert_same(&cluster.folder().join("master"));
    assert_eq!(told.lines().count(), 2, "two runs: {told}");
}

/// A master that has done some work, ended in an orderly way; its recording.
fn recorded(cluster: &mut TempCluster, flags: &[&str], tasks: usize) -> PathBuf {
    let master = cluster.master(flags).unwrap();
    let agent = cluster.agent("agent", &master, &[]).unwrap();
    work(&master, "one", tasks);
    agent.stop(Signal::USR1);
    master.stop(Signal::TERM);
    cluster.folder().join("master/recorder")
}

#[test]
fn a_recording_is_for_its_owner_only_and_shows_events_and_effects() {
    use std::os::unix::fs::PermissionsExt;
    let mut cluster = TempCluster::new(MEZZ).unwrap();
    let recording = recorded(&mut cluster, &[], 2);
    let files = segments(&recording);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&recording), mode(&files[0])), (0o700, 0o600));

    let quiet = assert_same(&files[0]);
    let output = replay(&recording, &["--until", "3", "--print"]);
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    let numbers: Vec<String> = out(&output)
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(numbers, ["1", "2", "3", "run"]);
    let effects = out(&replay(&recording, &["--effects"]));
    assert!(effects.contains("Elected("), "{effects}");
    assert!(effects.contains("    ToFramework {"), "{effects}");
    assert!(effects.ends_with(&quiet));
}

#[test]
fn the_ring_drops_its_oldest_segment() {
    let mut cluster = TempCluster::new(MEZZ).unwrap();
    let recording = recorded(&mut cluster, &["--recorder-size=160KB"], 60);
    let files = segments(&recording);
    assert!(files.len() > 1, "{files:?}");
    assert!(
        !files[0].to_str().unwrap().ends_with("-000000.mezzrec"),
        "the first is gone: {files:?}"
    );
    let bytes: u64 = files
        .iter()
        .map(|path| std::fs::metadata(path).unwrap().len())
        .sum();
    assert!(bytes <= 160 << 10, "{bytes}");
    let told = assert_same(&recording);
    assert!(!told.contains("events 1 to"), "{told}");
}

#[test]
fn no_recording_is_kept_when_its_size_is_zero() {
    let mut cluster = TempCluster::new(MEZZ).unwrap();
    let recording = recorded(&mut cluster, &["--recorder-size=0B"], 1);
    assert!(!recording.exists());
    let output = replay(&recording, &[]);
    assert_eq!(output.status.code(), Some(3), "{}", talk(&output));
    let output = replay(cluster.folder(), &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        talk(&output).starts_with("error: there is no recording in "),
        "{}",
        talk(&output)
    );
}

#[test]
fn a_torn_end_is_said_and_a_changed_byte_is_found() {
    let mut cluster = TempCluster::new(MEZZ).unwrap();
    let recording = recorded(&mut cluster, &[], 2);
    let file = segments(&recording).remove(0);
    let whole = std::fs::read(&file).unwrap();

    std::fs::write(&file, &whole[..whole.len() - 5]).unwrap();
    let output = replay(&recording, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    assert!(
        talk(&output).contains("was not written whole: the master was killed"),
        "{}",
        talk(&output)
    );

    let mut changed = whole.clone();
    let at = whole.len() * 2 / 3;
    changed[at] ^= 1;
    std::fs::write(&file, &changed).unwrap();
    let output = replay(&recording, &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = talk(&output);
    assert!(
        told.contains("after event ") && told.contains("are not those that were recorded"),
        "{told}"
    );

    let mut newer = whole.clone();
    newer[16] += 1;
    std::fs::write(&file, &newer).unwrap();
    let output = replay(&recording, &[]);
    assert_eq!(output.status.code(), Some(5));
    assert!(
        talk(&output).contains("the recording is of version 2"),
        "{}",
        talk(&output)
    );

    std::fs::write(&file, b"something else altogether").unwrap();
    let output = replay(&file, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(talk(&output).contains("this is no recording of a master"));
}
