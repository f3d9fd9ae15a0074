//! Many launches while agent and warden are killed at random: no end is lost, and nothing is left behind.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use mezz_proto::v1::{ContainerInfo, LinuxInfo, TaskInfo, TaskState, container_info, linux_info};
use support::groups::{Root, folders};
use support::{Agent, FakeMaster, Link, framework, is_terminal, shell};

/// In the full run: `MEZZ_TEST_LAUNCHES=2000`.
const LAUNCHES: usize = 200;
const BATCH: usize = 20;

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn isolated(id: &str, command: &str) -> TaskInfo {
    let container = ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        hostname: Some("inside".into()),
        linux_info: Some(LinuxInfo {
            share_pid_namespace: Some(false),
            ipc_mode: Some(linux_info::IpcMode::Private.into()),
            ..LinuxInfo::default()
        }),
        ..ContainerInfo::default()
    };
    TaskInfo {
        container: Some(Box::new(container)),
        ..shell(id, command)
    }
}

/// What the agent and its tasks have of the host, beside the daemons themselves.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    groups: usize,
    trees: usize,
    mounts: usize,
    processes: usize,
}

fn holdings(root: &Root, work_dir: &Path) -> Holdings {
    let scope = std::fs::read_to_string(work_dir.join("scope")).unwrap_or_default();
    let trees = ["freezer/mezz", "unified/mezz", "mezz"].map(|below| {
        let parent = Path::new("/sys/fs/cgroup").join(below).join(scope.trim());
        folders(&parent).count()
    });
    let place = work_dir.to_str().unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    Holdings {
        groups: root.labelled().len(),
        trees: trees.iter().sum(),
        mounts: mounts.lines().filter(|line| line.contains(place)).count(),
        processes: processes(place),
    }
}

/// Tasks know their sandbox by their environment.
fn processes(place: &str) -> usize {
    let mentions = |folder: &Path| {
        let environment = std::fs::read(folder.join("environ")).unwrap_or_default();
        let sandbox = format!("MESOS_SANDBOX={place}");
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable.starts_with(sandbox.as_bytes()))
    };
    folders(Path::new("/proc"))
        .filter(|folder| mentions(folder))
        .count()
}

/// The warden of this work directory, whoever is its parent now.
fn kill_warden(work_dir: &Path) {
    let place = work_dir.to_str().unwrap();
    let is_it = |folder: &Path| {
        let line = std::fs::read(folder.join("cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        let inside = |word: &&[u8]| String::from_utf8_lossy(word).contains(place);
        words.get(1) == Some(&b"warden".as_slice()) && words.iter().any(inside)
    };
    let found = folders(Path::new("/proc")).find(|folder| is_it(folder));
    let number = found.and_then(|folder| folder.file_name()?.to_str()?.parse().ok());
    let pid = number.and_then(rustix::process::Pid::from_raw);
    let pid = pid.expect("the work directory has a warden");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

/// One life after another of an agent, and what was heard of its tasks.
struct Lives<'a> {
    master: FakeMaster,
    work_dir: &'a Path,
    flags: [(&'a str, &'a str); 2],
    agent: Agent,
    link: Link,
    wanted: BTreeMap<String, TaskInfo>,
    ended: BTreeMap<String, TaskState>,
}

impl Lives<'_> {
    fn launch(&mut self, tasks: Vec<TaskInfo>) {
        for task in &tasks {
            self.wanted.insert(task.task_id.value.clone(), task.clone());
        }
        self.link.run(&framework(true), tasks);
    }

    /// Takes one update in, if one comes within that time.
    async fn hear(&mut self, time: Duration) {
        let Ok(status) = tokio::time::timeout(time, self.link.update()).await else {
            return;
        };
        self.link.acknowledge(&status);
        if is_terminal(status.state()) {
            let id = status.task_id.value.clone();
            self.wanted.remove(&id);
            let before = self.ended.insert(id, status.state());
            assert!(
                before.is_none_or(|before| before == status.state()),
                "{before:?} {status:?}"
            );
        }
    }

    async fn hear_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.hear(end.saturating_duration_since(Instant::now()))
                .await;
        }
    }

    async fn hear_all(&mut self) {
        let end = Instant::now() + Duration::from_mins(1);
        while !self.wanted.is_empty() {
            assert!(
                Instant::now() < end,
                "never ended: {:?}",
                self.wanted.keys()
            );
            self.hear(Duration::from_secs(1)).await;
        }
    }

    /// What the agent may not have heard before it died is said again.
    async fn restart(&mut self) {
        self.agent.crash();
        self.agent = Agent::start(&self.master.address, Some(self.work_dir), &self.flags);
        self.link = self.master.accept().await;
        let tasks = self.wanted.values().cloned().collect();
        self.link.run(&framework(true), tasks);
    }
}

#[tokio::test]
async fn launches_among_random_kills_of_agent_and_warden_lose_no_end_and_leave_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let asked = std::env::var("MEZZ_TEST_LAUNCHES").ok();
    let launches = asked.and_then(|text| text.parse().ok()).unwrap_or(LAUNCHES);
    let root = Root::new("churn");
    let work_dir = tempfile::tempdir().unwrap();
    let mut master = FakeMaster::start().await;
    let flags = [
        ("--isolation", "filesystem/linux,cgroups/all"),
        ("--cgroups-root", root.0.as_str()),
    ];
    let agent = Agent::start(&master.address, Some(work_dir.path()), &flags);
    let link = master.accept().await;
    let before = holdings(&root, work_dir.path());
    let mut lives = Lives {
        master,
        work_dir: work_dir.path(),
        flags,
        agent,
        link,
        wanted: BTreeMap::new(),
        ended: BTreeMap::new(),
    };
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut wardens, mut agents) = (0, 0);
    for batch in 0..launches / BATCH {
        let task = |index: usize, dice: &mut Dice| {
            let command = match dice.roll(4) {
                0 => "true",
                1 => "sleep 0.05",
                2 => "sleep 60 & sleep 0.02",
                _ => "exit 3",
            };
            isolated(&format!("t-{batch}-{index}"), command)
        };
        let tasks = (0..BATCH).map(|index| task(index, &mut dice)).collect();
        lives.launch(tasks);
        lives.hear_for(Duration::from_millis(dice.roll(60))).await;
        let fate = dice.roll(4);
        if fate & 1 != 0 {
            wardens += 1;
            kill_warden(work_dir.path());
            lives.hear_for(Duration::from_millis(dice.roll(40))).await;
        }
        if fate & 2 != 0 {
            agents += 1;
            lives.restart().await;
        }
        lives.hear_all().await;
    }
    let ids: BTreeSet<_> = lives.ended.keys().collect();
    assert_eq!(ids.len(), launches / BATCH * BATCH);
    eprintln!("{launches} launches, {wardens} wardens and {agents} agents killed");
    let mut after = holdings(&root, work_dir.path());
    for _ in 0..500 {
        if after == before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        after = holdings(&root, work_dir.path());
    }
    assert_eq!(after, before);
}
