//! What the host has, read from the kernel's texts.

use mezz_cgroup::{
    Absence, Below, Controller, GroupName, Hierarchies, HostTexts, Layout, LayoutError,
    TreeControl, Version,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const HYBRID_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
const HYBRID_CGROUPS: &str = "\
#subsys_name\thierarchy\tnum_cgroups\tenabled
cpu\t1\t1\t1
cpuacct\t1\t1\t1
memory\t4\t24\t1
freezer\t6\t3\t1
net_cls\t0\t2\t1
hugetlb\t0\t2\t0
pids\t8\t1\t1
";
const HYBRID_OWN: &str = "\
9:name=systemd:/
6:freezer:/
4:memory:/service/one
1:cpu,cpuacct:/
0::/outer/inner
";

fn hybrid() -> Hierarchies {
    Hierarchies::parse(HostTexts {
        mountinfo: HYBRID_MOUNTS,
        cgroups: HYBRID_CGROUPS,
        own: HYBRID_OWN,
        v2_controllers: "",
    })
}

fn unified() -> Hierarchies {
    Hierarchies::parse(HostTexts {
        mountinfo: "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
        cgroups: "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t80\t1\nnet_cls\t0\t80\t1\n",
        own: "0::/system.slice/mezz.service\n",
        v2_controllers: "cpuset cpu io memory hugetlb pids rdma misc\n",
    })
}

fn layout(host: &Hierarchies, below: Below, wanted: &[Controller]) -> Result<Layout, LayoutError> {
    let wanted: BTreeSet<_> = wanted.iter().copied().collect();
    let name = GroupName::new("mezz").expect("a name");
    Layout::new(host, &name, below, &wanted)
}

#[test]
fn version_one_two_and_both_are_told_apart() {
    assert_eq!(Hierarchies::default().version(), Version::None);
    assert_eq!(hybrid().version(), Version::Hybrid);
    assert_eq!(unified().version(), Version::V2);
    let v1_only: String = HYBRID_MOUNTS
        .split_inclusive('\n')
        .filter(|line| !line.contains("cgroup2"))
        .collect();
    let texts = HostTexts {
        mountinfo: &v1_only,
        ..HostTexts::default()
    };
    assert_eq!(Hierarchies::parse(texts).version(), Version::V1);
}

#[test]
fn controllers_mounted_together_share_a_hierarchy_and_own_groups_are_found_by_any_of_their_names() {
    let host = hybrid();
    assert_eq!(host.v1.len(), 3, "the named one has no controller");
    assert_eq!(
        host.v1_with(Controller::Cpu),
        host.v1_with(Controller::Cpuacct)
    );
    let memory = &host.v1[host.v1_with(Controller::Memory).expect("mounted")];
    assert_eq!(memory.own, Path::new("service/one"));
    assert_eq!(host.v2.expect("mounted").own, Path::new("outer/inner"));
}

#[test]
fn every_missing_controller_has_its_reason() {
    let (both, two) = (hybrid(), unified());
    assert_eq!(both.absence(Controller::Memory), None);
    assert_eq!(both.absence(Controller::NetCls), Some(Absence::NotMounted));
    assert_eq!(both.absence(Controller::Hugetlb), Some(Absence::Disabled));
    assert_eq!(both.absence(Controller::Cpuset), Some(Absence::NotInKernel));
    assert_eq!(two.absence(Controller::NetCls), Some(Absence::OnlyInV1));
    assert_eq!(two.absence(Controller::Devices), None);
    assert_eq!(
        Hierarchies::default().absence(Controller::Cpu),
        Some(Absence::NotMounted)
    );
    let error = layout(&both, Below::Mount, &[Controller::Hugetlb]).expect_err("it is disabled");
    assert_eq!(
        error.to_string(),
        "the cgroup controller hugetlb cannot be used: it was disabled when the kernel was started"
    );
}

#[test]
fn a_mount_of_a_part_of_the_hierarchy_is_what_a_container_sees() {
    let host = Hierarchies::parse(HostTexts {
        mountinfo: "50 49 0:32 /docker/abc /sys/fs/my\\040groups/memory ro - cgroup cgroup rw,memory\n\
                    51 49 0:33 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n",
        own: "4:memory:/docker/abc/inner\n5:pids:/../../elsewhere\n",
        ..HostTexts::default()
    });
    assert_eq!(host.v1[0].mount, Path::new("/sys/fs/my groups/memory"));
    assert_eq!(host.v1[0].own, Path::new("inner"));
    assert_eq!(
        host.v1[1].own,
        Path::new(""),
        "what is above is not visible"
    );
}

#[test]
fn roots_lie_below_the_mount_or_below_the_own_group() {
    let wanted = [Controller::Cpu, Controller::Memory, Controller::Freezer];
    let host = unified();
    let top = layout(&host, Below::Mount, &wanted).expect("all is there");
    let own = layout(&host, Below::Own, &wanted).expect("all is there");
    let path = |layout: Layout| layout.v2.expect("version 2").path;
    assert_eq!(path(top), Path::new("/sys/fs/cgroup/mezz"));
    assert_eq!(
        path(own),
        Path::new("/sys/fs/cgroup/system.slice/mezz.service/mezz")
    );
}

#[test]
fn a_layout_has_only_the_hierarchies_that_are_wanted() {
    let host = hybrid();
    let found = layout(&host, Below::Mount, &[Controller::Cpu]).expect("it is there");
    let roots: Vec<_> = found.roots().map(Path::to_owned).collect();
    assert_eq!(roots, [PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/mezz")]);
    assert!(
        found.uses(Controller::Cpuacct),
        "time is counted where it is limited"
    );
    assert_eq!(found.tree, None);
    let found = layout(
        &host,
        Below::Mount,
        &[Controller::Memory, Controller::Freezer],
    );
    let found = found.expect("both are there");
    assert_eq!(found.tree, Some(TreeControl::V2), "one write kills there");
}

#[test]
fn names_that_the_kernel_could_take_for_its_own_files_are_refused() {
    for good in ["a", "a1b2-c3", "one/two", "0f.x", "container.1"] {
        assert!(GroupName::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "/a",
        "a//b",
        "a/..",
        ".",
        "a\nb",
        "tasks",
        "cgroup.procs",
        "memory.max",
        "io.x",
        "leaf",
        "a/leaf",
    ] {
        assert!(GroupName::new(bad).is_err(), "{bad:?}");
    }
    assert!(GroupName::new("x".repeat(256)).is_err());
    let outer = GroupName::new("a").expect("a name");
    assert_eq!(outer.nested("b").expect("a name").as_str(), "a/b");
}
