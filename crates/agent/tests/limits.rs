//! Tasks on an agent that holds them to what they may use, on the cgroups that this host has.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mezz_proto::v1::task_status::Reason;
use mezz_proto::v1::{Resource, TaskInfo, TaskState, value};
use support::{Agent, FakeMaster, framework, shell};

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A name of this test's own for the agent's groups.
struct Root(String);

impl Root {
    fn new(test: &str) -> Self {
        Self(format!("mezz-test-{}-{test}", std::process::id()))
    }

    /// All groups of containers that are there, by their directories.
    fn groups(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        for hierarchy in
            folders(Path::new("/sys/fs/cgroup")).chain([PathBuf::from("/sys/fs/cgroup")])
        {
            for scope in folders(&hierarchy.join(&self.0)) {
                found.extend(folders(&scope));
            }
        }
        found
    }

    /// Those of containers that were started.
    fn labelled(&self) -> BTreeSet<PathBuf> {
        let mut groups = self.groups();
        groups.retain(|group| {
            rustix::fs::getxattr(group, "trusted.mezz.label", &mut [0u8; 64][..]).is_ok()
        });
        groups
    }

    async fn settles(&self) {
        for _ in 0..500 {
            if self.labelled().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("groups are left: {:?}", self.labelled());
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let all = folders(Path::new("/sys/fs/cgroup")).chain([PathBuf::from("/sys/fs/cgroup")]);
        for root in all.map(|hierarchy| hierarchy.join(&self.0)) {
            for scope in folders(&root) {
                for group in folders(&scope) {
                    let _ = std::fs::remove_dir(group);
                }
                let _ = std::fs::remove_dir(scope);
            }
            let _ = std::fs::remove_dir(root);
        }
    }
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}

fn scalar(name: &str, value: f64) -> Resource {
    Resource {
        name: name.into(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value }),
        ..Resource::default()
    }
}

fn task(id: &str, command: &str, resources: Vec<Resource>) -> TaskInfo {
    TaskInfo {
        resources,
        ..shell(id, command)
    }
}

/// Takes more than 48 MiB for a moment.
const HOG: &str = "head -c 50331648 /dev/zero | tail -c 50331647 >/dev/null; sleep 60";

#[tokio::test]
async fn a_task_that_takes_too_much_memory_is_ended_alone_and_it_is_told_why() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let root = Root::new("memory");
    let flags = [
        ("--isolation", "cgroups/cpu,cgroups/mem"),
        ("--cgroups-root", &root.0),
    ];
    let agent = Agent::start(&master.address, None, &flags);
    let mut link = master.accept().await;
    let resources = |mem| vec![scalar("cpus", 0.1), scalar("mem", mem)];
    let quiet = task("quiet", "sleep 60", resources(32.0));
    link.run(&framework(true), vec![quiet]);
    link.until("quiet", TaskState::TaskRunning).await;
    link.run(&framework(true), vec![task("hog", HOG, resources(32.0))]);
    let seen = link.finish(&["hog"]).await;
    let last = seen["hog"].last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed, "{last:?}");
    assert_eq!(last.reason(), Reason::ContainerLimitationMemory);
    assert!(
        last.message()
            .starts_with("Memory limit exceeded: Requested: 32MB "),
        "{last:?}"
    );
    let limited = &last.limitation.as_ref().unwrap().resources[0];
    assert_eq!(limited.name, "mem");
    let statistics = agent.json("/monitor/statistics").await;
    assert_eq!(statistics.as_array().unwrap().len(), 1, "{statistics}");
    assert_eq!(statistics[0]["executor_id"], "quiet");
    link.kill("quiet");
    link.finish(&["quiet"]).await;
    root.settles().await;
}

#[tokio::test]
async fn a_task_may_take_more_memory_than_it_asked_for_up_to_its_limit() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let root = Root::new("burst");
    let flags = [("--isolation", "cgroups/mem"), ("--cgroups-root", &root.0)];
    let _agent = Agent::start(&master.address, None, &flags);
    let mut link = master.accept().await;
    let limits = [("mem".to_owned(), value::Scalar { value: 256.0 })];
    let task = TaskInfo {
        limits: limits.into(),
        ..shell("burst", &HOG.replace("sleep 60", "true"))
    };
    link.run(&framework(true), vec![task]);
    let seen = link.finish(&["burst"]).await;
    assert_eq!(
        seen["burst"].last().unwrap().state(),
        TaskState::TaskFinished
    );
}

#[tokio::test]
async fn a_fork_bomb_is_contained() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let root = Root::new("pids");
    let flags = [
        ("--isolation", "cgroups/pids"),
        ("--cgroups-root", &root.0),
        ("--container-pids-limit", "20"),
    ];
    let agent = Agent::start(&master.address, None, &flags);
    let mut link = master.accept().await;
    let bomb = "exec python3 -c 'import os, time\nfor _ in range(100):\n  try:\n    if os.fork() == 0: break\n  except OSError: pass\ntime.sleep(60)'";
    link.run(&framework(true), vec![shell("bomb", bomb)]);
    link.until("bomb", TaskState::TaskRunning).await;
    let mut most = 0;
    for _ in 0..50 {
        let statistics = agent.json("/monitor/statistics").await;
        most = statistics[0]["statistics"]["threads"]
            .as_u64()
            .unwrap_or(0)
            .max(most);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(most, 20);
    link.kill("bomb");
    link.finish(&["bomb"]).await;
    root.settles().await;
}

#[tokio::test]
async fn a_task_gets_no_more_processor_time_than_its_quota() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let root = Root::new("cpu");
    let flags = [
        ("--isolation", "cgroups/cpu"),
        ("--cgroups-root", &root.0),
        ("--cgroups-enable-cfs", "true"),
    ];
    let agent = Agent::start(&master.address, None, &flags);
    let mut link = master.accept().await;
    let resources = vec![scalar("cpus", 0.2), scalar("mem", 32.0)];
    link.run(
        &framework(true),
        vec![task("busy", "while :; do :; done", resources)],
    );
    link.until("busy", TaskState::TaskRunning).await;
    let measure = async || {
        let statistics = agent.json("/monitor/statistics").await;
        let statistics = &statistics[0]["statistics"];
        let number = |name: &str| statistics[name].as_f64().unwrap();
        let used = number("cpus_user_time_secs") + number("cpus_system_time_secs");
        (number("timestamp"), used, number("cpus_nr_throttled"))
    };
    let (from, before, _) = measure().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (to, after, throttled) = measure().await;
    let share = (after - before) / (to - from);
    // It can get less on a busy host, never more.
    assert!(share < 0.2 * 1.05, "{share}");
    assert!(throttled > 0.0);
    link.kill("busy");
    link.finish(&["busy"]).await;
}

#[tokio::test]
async fn a_device_that_is_not_allowed_cannot_be_opened() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let opens = "head -c 1 /dev/zero >/dev/null || exit 1; (exec 3</dev/kmsg) && exit 7; exit 0";
    for (isolation, refused) in [("cgroups/devices", true), ("posix/cpu", false)] {
        let root = Root::new("devices");
        let flags = [("--isolation", isolation), ("--cgroups-root", &root.0)];
        let agent = Agent::start(&master.address, None, &flags);
        let mut link = master.accept().await;
        link.run(&framework(true), vec![shell("opens", opens)]);
        let seen = link.finish(&["opens"]).await;
        let expected = if refused {
            "Command exited with status 0"
        } else {
            "Command exited with status 7"
        };
        assert_eq!(seen["opens"].last().unwrap().message(), expected);
        drop(agent);
    }
}

#[tokio::test]
async fn a_sandbox_that_outgrows_its_disk_ends_its_task() {
    let mut master = FakeMaster::start().await;
    let flags = [
        ("--isolation", "disk/du"),
        ("--enforce", "disk"),
        ("--container-disk-watch-interval-ms", "50"),
    ];
    let agent = Agent::start(&master.address, None, &flags);
    let mut link = master.accept().await;
    let resources = || {
        vec![
            scalar("cpus", 0.1),
            scalar("mem", 32.0),
            scalar("disk", 2.0),
        ]
    };
    let writes = |mib| format!("head -c {mib}M /dev/zero > file; sleep 60");
    link.run(
        &framework(true),
        vec![
            task("large", &writes(4), resources()),
            task("small", &writes(1), resources()),
        ],
    );
    let seen = link.finish(&["large"]).await;
    let last = seen["large"].last().unwrap();
    assert_eq!(last.reason(), Reason::ContainerLimitationDisk, "{last:?}");
    assert!(last.message().ends_with("exceeds quota (2MB)"), "{last:?}");
    let mut used = 0;
    for _ in 0..200 {
        let statistics = agent.json("/monitor/statistics").await;
        let small = &statistics.as_array().unwrap()[0];
        assert_eq!(small["executor_id"], "small");
        assert_eq!(small["statistics"]["disk_limit_bytes"], 2 << 20);
        used = small["statistics"]["disk_used_bytes"].as_u64().unwrap_or(0);
        if used >= 1 << 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(used >= 1 << 20, "{used}");
}

#[tokio::test]
async fn a_task_that_listens_on_a_port_of_others_is_ended() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let flags = [
        ("--isolation", "network/ports"),
        ("--enforce", "ports"),
        ("--container-ports-watch-interval-ms", "50"),
    ];
    let _agent = Agent::start(&master.address, None, &flags);
    let mut link = master.accept().await;
    let listens = "exec python3 -c 'import socket, time\ns = socket.socket(); s.bind((\"127.0.0.1\", 0)); s.listen(); time.sleep(60)'";
    link.run(
        &framework(true),
        vec![shell("listens", listens), shell("quiet", "sleep 60")],
    );
    let seen = link.finish(&["listens"]).await;
    let last = seen["listens"].last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed);
    assert_eq!(last.reason(), Reason::ContainerLimitation, "{last:?}");
    assert!(
        last.message()
            .contains("is listening on unallocated port(s): ["),
        "{last:?}"
    );
    assert_eq!(last.limitation.as_ref().unwrap().resources[0].name, "ports");
    assert!(
        seen.get("quiet")
            .is_none_or(|quiet| quiet.last().unwrap().state() == TaskState::TaskRunning)
    );
}

#[tokio::test]
async fn limits_hold_and_ends_are_explained_after_the_agent_was_away() {
    if !is_root() {
        return;
    }
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let root = Root::new("away");
    let flags = [("--isolation", "cgroups/mem"), ("--cgroups-root", &root.0)];
    let mut agent = Agent::start(&master.address, Some(work_dir.path()), &flags);
    let mut link = master.accept().await;
    let gate = work_dir.path().join("gate");
    let waits = format!("while [ ! -e {} ]; do sleep 0.02; done; ", gate.display());
    link.run(
        &framework(true),
        vec![
            shell(
                "meanwhile",
                &format!("sleep 0.3; {}", HOG.replace("sleep 60", "exit $?")),
            ),
            shell("later", &format!("{waits}{HOG}")),
        ],
    );
    link.until("later", TaskState::TaskRunning).await;
    agent.crash();
    drop(link);
    tokio::time::sleep(Duration::from_millis(900)).await;
    let _again = Agent::start(&master.address, Some(work_dir.path()), &flags);
    let mut link = master.accept().await;
    std::fs::write(gate, "").unwrap();
    let seen = link.finish(&["later"]).await;
    let last = seen["later"].last().unwrap();
    assert_eq!(last.reason(), Reason::ContainerLimitationMemory, "{last:?}");
    root.settles().await;
}

#[tokio::test]
async fn no_group_is_left_whichever_step_of_a_launch_the_agent_dies_at() {
    if !is_root() {
        return;
    }
    let points = [
        "agent.before_sandbox:1",
        "agent.after_group:1",
        "agent.after_group:2",
        "agent.before_warden:1",
        "agent.after_warden:1",
        "agent.started:1",
        "agent.exited:1",
        "agent.before_acknowledge_exit:1",
    ];
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let root = Root::new("crash");
    let flags = [
        ("--isolation", "cgroups/all"),
        ("--cgroups-root", root.0.as_str()),
    ];
    for point in points {
        eprintln!("-- {point}");
        let mut dies = flags.to_vec();
        dies.push(("$MEZZ_CRASH_POINT", point));
        let mut agent = Agent::start(&master.address, Some(work_dir.path()), &dies);
        let link = master.accept().await;
        let ids: Vec<String> = (0..3).map(|index| format!("{point}-{index}")).collect();
        let tasks = ids.iter().map(|id| shell(id, "sleep 0.1")).collect();
        link.run(&framework(true), tasks);
        agent.wait().await;
        drop(link);
        let again = Agent::start(&master.address, Some(work_dir.path()), &flags);
        let _link = master.accept().await;
        root.settles().await;
        drop(again);
    }
}

#[tokio::test]
async fn an_isolator_that_this_host_does_not_have_is_refused_at_the_start() {
    let root = Root::new("absent");
    let listed = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    if !is_root() || listed.contains("net_cls") {
        return;
    }
    let output = std::process::Command::new(support::binary())
        .args(["--isolation", "cgroups/net_cls", "--cgroups-root", &root.0])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("--isolation: the cgroup controller net_cls cannot be used"),
        "{text}"
    );
}
