//! Version 2 as plain files: what reaches which of them, and what follows if one is not there.

use mezz_cgroup::{
    Below, Bytes, Ceiling, Controller, Counted, Cpu, Freezing, Group, GroupError, GroupName,
    Groups, Hierarchies, HostTexts, Inner, Layout, Left, Limits, Memory, MilliCpus, OomScope,
    OomVerdict, OomWatch, Pressure, Reader, Standing, Swap, vacate,
};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const FILES: &[(&str, &str)] = &[
    ("cgroup.subtree_control", ""),
    ("cgroup.procs", ""),
    ("cgroup.freeze", "0\n"),
    ("cgroup.events", "populated 0\nfrozen 0\n"),
    ("cgroup.kill", ""),
    ("cpu.weight", "100\n"),
    ("cpu.max", "max 100000\n"),
    (
        "cpu.stat",
        "usage_usec 9\nuser_usec 5\nsystem_usec 4\nnr_periods 2\n",
    ),
    (
        "cpu.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=8\n",
    ),
    ("memory.low", "0\n"),
    ("memory.max", "max\n"),
    ("memory.swap.max", "max\n"),
    ("memory.current", "4096\n"),
    ("memory.swap.current", "1024\n"),
    ("memory.stat", "anon 2048\nfile 1024\nkernel 512\n"),
    ("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"),
    ("pids.current", "3\n"),
];

/// A directory that looks like a mounted hierarchy with one group in it.
struct Tree {
    top: TempDir,
    groups: Groups,
}

fn fill(directory: &Path) {
    fs::create_dir_all(directory).expect("a folder");
    for (file, text) in FILES {
        fs::write(directory.join(file), text).expect("a file");
    }
}

impl Tree {
    fn new() -> Self {
        let top = TempDir::new().expect("a folder");
        let mountinfo = format!(
            "1 0 0:1 / {} rw - cgroup2 cgroup2 rw\n",
            top.path().display()
        );
        let host = Hierarchies::parse(HostTexts {
            mountinfo: &mountinfo,
            v2_controllers: "cpu memory pids",
            ..HostTexts::default()
        });
        for directory in ["", "mezz", "mezz/one", "mezz/one/leaf"] {
            fill(&top.path().join(directory));
        }
        let wanted = [
            Controller::Cpu,
            Controller::Memory,
            Controller::Pids,
            Controller::Freezer,
        ];
        let name = GroupName::new("mezz").expect("a name");
        let layout = Layout::new(&host, &name, Below::Mount, &wanted.into_iter().collect());
        let (groups, notes) = Groups::prepare(layout.expect("all is there")).expect("roots");
        assert!(notes.is_empty());
        Self { top, groups }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.top.path().join("mezz/one").join(file)
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).expect("a file")
    }

    fn put(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).expect("a file");
    }

    fn group(&self) -> Group {
        let name = GroupName::new("one").expect("a name");
        self.groups.existing(name, Inner::Groups)
    }

    fn create(&self, limits: &Limits) -> Result<Vec<&'static str>, GroupError> {
        let name = GroupName::new("one").expect("a name");
        let made = self.groups.create(&name, Inner::Groups, limits)?;
        Ok(made.1.into_iter().map(|note| note.text).collect())
    }
}

fn limits() -> Limits {
    let quota = Some(Ceiling::At(MilliCpus(500)));
    let memory = Memory::of_task(Bytes::mib(64), None, Swap::AtMost(Bytes(0)));
    Limits {
        cpu: Some(Cpu::of_task(
            MilliCpus(2000),
            quota,
            false,
            Standing::Regular,
        )),
        memory: Some(memory),
        ..Limits::default()
    }
}

#[test]
fn limits_reach_their_files_and_processes_the_leaf() {
    let tree = Tree::new();
    assert!(tree.create(&limits()).expect("a group").is_empty());
    assert_eq!(tree.text("cpu.weight"), "200");
    assert_eq!(tree.text("cpu.max"), "50000 100000");
    assert_eq!(tree.text("memory.max"), "67108864");
    assert_eq!(tree.text("memory.swap.max"), "0");
    assert_eq!(
        tree.text("cgroup.subtree_control"),
        "+pids",
        "the last of three"
    );
    tree.group().attach(4711).expect("it joins");
    assert_eq!(tree.text("leaf/cgroup.procs"), "4711");
    assert_eq!(tree.text("cgroup.procs"), "");
}

#[test]
fn a_limit_whose_file_is_not_there_is_an_error_and_a_nicety_is_a_note() {
    let tree = Tree::new();
    let mut wanted = limits();
    wanted.memory.as_mut().expect("set").oom = OomScope::Group;
    let notes = tree.create(&wanted).expect("a group");
    assert_eq!(
        notes,
        ["this kernel cannot kill a whole group when memory runs out"]
    );
    fs::remove_file(tree.path("memory.swap.max")).expect("a file");
    let error = tree.create(&wanted).expect_err("swap cannot be limited");
    assert!(matches!(&error, GroupError::Missing { path } if path.ends_with("memory.swap.max")));
}

#[test]
fn stopping_and_killing_are_one_write_each() {
    let tree = Tree::new();
    let group = tree.group();
    group.freeze().expect("it is told");
    assert_eq!(group.freezing().expect("a state"), Freezing::Underway);
    tree.put("cgroup.events", "populated 1\nfrozen 1\n");
    assert_eq!(group.freezing().expect("a state"), Freezing::Frozen);
    assert_eq!(group.kill_once(), Left::Something);
    assert_eq!(tree.text("cgroup.kill"), "1");
    group.thaw().expect("it is told");
    assert_eq!(tree.text("cgroup.freeze"), "0");
}

#[test]
fn the_counters_say_whether_memory_ran_out() {
    let tree = Tree::new();
    let group = tree.group();
    let watch = OomWatch::new(&group).expect("a watch");
    let before = group.oom_counters().expect("counters");
    tree.put("memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n");
    watch.drain().expect("it drains");
    let now = group.oom_counters().expect("counters");
    assert_eq!(now.verdict_since(&before), OomVerdict::Limit);
    tree.put("memory.max", "67108864\n");
    let report = group.oom_report().expect("a report");
    assert_eq!(
        (report.limit, report.peak),
        (Ceiling::At(Bytes::mib(64)), None)
    );
}

#[test]
fn statistics_are_read_again_from_files_that_stay_open() {
    let tree = Tree::new();
    let counted = Counted {
        swap: true,
        pressure: true,
        ..Counted::default()
    };
    let reader = Reader::new(&tree.group(), counted).expect("files");
    let mut buffer = Vec::new();
    let found = reader.read(&mut buffer).expect("figures");
    assert_eq!((found.cpu.user_us, found.cpu.periods), (Some(5), Some(2)));
    assert_eq!(
        (found.memory.total, found.memory.with_swap),
        (Some(4096), Some(5120))
    );
    assert_eq!((found.memory.kernel, found.threads), (Some(512), Some(3)));
    let waited = Pressure {
        some_us: 8,
        full_us: 0,
    };
    assert_eq!(found.pressure.expect("some").cpu, waited);
    tree.put("memory.current", "8192\n");
    let found = reader.read(&mut buffer).expect("figures");
    assert_eq!(found.memory.total, Some(8192));
}

#[test]
fn a_group_is_vacated_before_its_controllers_are_enabled() {
    let top = TempDir::new().expect("a folder");
    fill(top.path());
    fill(&top.path().join("agent"));
    assert_eq!(vacate(top.path(), "agent").expect("nobody is in it"), 0);
    // Plain files do not forget who left: the rounds are bounded.
    fs::write(top.path().join("cgroup.procs"), "4711\n").expect("a file");
    let error = vacate(top.path(), "agent").expect_err("it never gets empty");
    assert!(error.to_string().contains("faster than they can be moved"));
    let moved = fs::read_to_string(top.path().join("agent/cgroup.procs"));
    assert_eq!(moved.expect("a file"), "4711");
}
