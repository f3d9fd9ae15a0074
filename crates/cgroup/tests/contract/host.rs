//! The ways to use this host's hierarchies, and processes to put into groups.

use mezz_cgroup::{
    Below, Controller, Freezing, Group, GroupName, Groups, Hierarchies, Inner, Layout, Left,
    Limits, hierarchies, sweep,
};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The agent's roots of one test, gone with what is in them when it ends.
pub(crate) struct Lab {
    pub(crate) groups: Groups,
    pub(crate) what: &'static str,
}

/// Runs a test in each way in which the host's hierarchies offer the controllers.
pub(crate) fn everywhere(wanted: &[Controller], test: impl Fn(&Lab)) {
    let mut ran = 0;
    for (what, host) in ways() {
        if let Some(lab) = Lab::new(what, &host, wanted) {
            test(&lab);
            ran += 1;
        }
    }
    let required = std::env::var("MEZZ_CGROUP_CONTRACT").is_ok_and(|value| value == "required");
    if ran == 0 {
        let names: Vec<_> = wanted.iter().map(|each| each.v1_name()).collect();
        let message = format!("not run: this needs root and the controllers {names:?}");
        assert!(!required, "{message}");
        eprintln!("{message}");
    }
}

fn ways() -> Vec<(&'static str, Hierarchies)> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let host = hierarchies().expect("the kernel's texts");
    let mut ways = vec![("as it is", host.clone())];
    if host.v2.is_some() && !host.v1.is_empty() {
        let mut without = host.clone();
        without.v2 = None;
        ways.push(("without version 2", without));
        let mut gated = host;
        gated
            .v1
            .retain(|each| !each.controllers.contains(&Controller::Devices));
        ways.push(("devices in version 2", gated));
    }
    ways
}

impl Lab {
    fn new(what: &'static str, host: &Hierarchies, wanted: &[Controller]) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mezz-contract-{}-{number}", std::process::id());
        let name = GroupName::new(name).expect("a name");
        let wanted: BTreeSet<_> = wanted.iter().copied().collect();
        let layout = Layout::new(host, &name, Below::Mount, &wanted).ok()?;
        let (groups, _) = Groups::prepare(layout).expect("roots");
        Some(Self { groups, what })
    }

    pub(crate) fn group(&self, name: &str, limits: &Limits) -> Group {
        let name = GroupName::new(name).expect("a name");
        let made = self.groups.create(&name, Inner::None, limits);
        made.unwrap_or_else(|error| panic!("{}: {error}", self.what))
            .0
    }
}

/// A shell command in the group from its first step on.
pub(crate) fn start(group: &Group, command: &str) -> Held {
    let mut child = Command::new("sh")
        .args(["-c", &format!("read go; {command}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    group.attach(child.id()).expect("it joins");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(b"go\n").expect("it waits");
    Held(child)
}

pub(crate) fn run(group: &Group, command: &str) -> ExitStatus {
    start(group, command).wait()
}

/// Kills and removes the group, however long it takes.
pub(crate) fn end(group: &Group) {
    eventually("the group is gone", || group.kill_once() == Left::Nothing);
}

impl Drop for Lab {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !sweep(&self.groups, "", |_| false).left.is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        for root in self.groups.layout().roots() {
            let _ = std::fs::remove_dir(root);
        }
    }
}

/// A child that does not outlive the test.
pub(crate) struct Held(Child);

impl Held {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("a child")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn stands_still(group: &Group) -> bool {
    group.freezing().expect("a state") == Freezing::Frozen
}
