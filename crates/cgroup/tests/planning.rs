//! What is written for which limits, in which order.

use mezz_cgroup::{
    Below, Bytes, Ceiling, Controller, Cpu, Cpuset, DeviceList, DeviceNumber, GroupName,
    Hierarchies, HostTexts, Inner, Layout, Limits, Lowering, Memory, MilliCpus, Missing, OomScope,
    PlanError, Standing, Steps, Swap, Text, Throttle, change, creation, joined, oom_score_adj,
    root_steps,
};

const V1: &str = "\
1 0 0:1 / /c/cpu rw - cgroup cgroup rw,cpu
2 0 0:2 / /c/cpuacct rw - cgroup cgroup rw,cpuacct
3 0 0:3 / /c/cpuset rw - cgroup cgroup rw,cpuset
4 0 0:4 / /c/memory rw - cgroup cgroup rw,memory
5 0 0:5 / /c/pids rw - cgroup cgroup rw,pids
6 0 0:6 / /c/blkio rw - cgroup cgroup rw,blkio
7 0 0:7 / /c/devices rw - cgroup cgroup rw,devices
8 0 0:8 / /c/hugetlb rw - cgroup cgroup rw,hugetlb
9 0 0:9 / /c/net_cls rw - cgroup cgroup rw,net_cls
";
const V2: &str = "1 0 0:1 / /c rw - cgroup2 cgroup2 rw\n";

fn layout(mountinfo: &str, wanted: &[Controller]) -> Layout {
    let host = Hierarchies::parse(HostTexts {
        mountinfo,
        v2_controllers: "cpuset cpu io memory hugetlb pids",
        ..HostTexts::default()
    });
    let name = GroupName::new("m").expect("a name");
    let wanted = wanted.iter().copied().collect();
    Layout::new(&host, &name, Below::Mount, &wanted).expect("all is there")
}

fn name() -> GroupName {
    GroupName::new("x").expect("a name")
}

/// `file=text` of each write, with the directory where it is not the group's.
fn texts(steps: &Steps) -> Vec<String> {
    steps
        .writes
        .iter()
        .map(|write| {
            let text = match &write.text {
                Text::Literal(text) => text.as_str(),
                Text::Inherited => "(inherited)",
            };
            format!("{}={text}", write.file)
        })
        .collect()
}

fn made(layout: &Layout, limits: &Limits) -> Vec<String> {
    texts(&creation(layout, &name(), Inner::None, limits).expect("a plan"))
}

fn cpu(request: u64, limit: Option<Ceiling<MilliCpus>>, quotas: bool) -> Limits {
    let cpu = Cpu::of_task(MilliCpus(request), limit, quotas, Standing::Regular);
    Limits {
        cpu: Some(cpu),
        ..Limits::default()
    }
}

fn memory(soft: u64, hard: u64, swap: Swap) -> Limits {
    let hard = Some(Ceiling::At(Bytes::mib(hard)));
    Limits {
        memory: Some(Memory::of_task(Bytes::mib(soft), hard, swap)),
        ..Limits::default()
    }
}

#[test]
fn processor_time_follows_mesoss_numbers_in_both_versions() {
    let (v1, v2) = (
        layout(V1, &[Controller::Cpu]),
        layout(V2, &[Controller::Cpu]),
    );
    let quota = |milli| Some(Ceiling::At(MilliCpus(milli)));
    let cases: [(Limits, &[&str], &[&str]); 5] = [
        (
            cpu(1500, None, false),
            &["cpu.shares=1536"],
            &["cpu.weight=150"],
        ),
        (
            cpu(1500, None, true),
            &[
                "cpu.shares=1536",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=150000",
            ],
            &["cpu.weight=150", "cpu.max=150000 100000"],
        ),
        (
            cpu(1, quota(1), false),
            &[
                "cpu.shares=2",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=1000",
            ],
            &["cpu.weight=1", "cpu.max=1000 100000"],
        ),
        (
            cpu(500, quota(2000), true),
            &[
                "cpu.shares=512",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=200000",
            ],
            &["cpu.weight=50", "cpu.max=200000 100000"],
        ),
        (
            cpu(500, Some(Ceiling::Infinite), true),
            &[
                "cpu.shares=512",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=-1",
            ],
            &["cpu.weight=50", "cpu.max=max 100000"],
        ),
    ];
    for (limits, in_v1, in_v2) in cases {
        assert_eq!(made(&v1, &limits), in_v1);
        assert_eq!(made(&v2, &limits), in_v2);
    }
}

#[test]
fn revocable_processors_weigh_a_hundredth_and_the_greatest_weights_are_the_kernels() {
    let of = |milli, standing| Cpu::of_task(MilliCpus(milli), None, false, standing);
    assert_eq!(of(8000, Standing::Revocable).shares(), 80);
    assert_eq!(of(8000, Standing::Revocable).weight(), 8);
    assert_eq!(of(1_000_000, Standing::Regular).shares(), 262_144);
    assert_eq!(of(1_000_000, Standing::Regular).weight(), 10_000);
}

#[test]
fn saved_quota_is_written_after_a_greater_quota_and_before_a_smaller_one() {
    let layout = layout(V1, &[Controller::Cpu]);
    let with = |quota, burst_us| {
        let mut limits = cpu(1000, Some(Ceiling::At(MilliCpus(quota))), false);
        limits.cpu.as_mut().expect("set").burst_us = burst_us;
        limits
    };
    let (small, great) = (with(500, 10_000), with(2000, 200_000));
    let up = change(&layout, &name(), &small, &great, Lowering::Never).expect("a plan");
    assert_eq!(
        texts(&up.steps)[2..],
        ["cpu.cfs_quota_us=200000", "cpu.cfs_burst_us=200000"]
    );
    let down = change(&layout, &name(), &great, &small, Lowering::Never).expect("a plan");
    assert_eq!(texts(&down.steps)[1], "cpu.cfs_burst_us=10000");
    assert_eq!(texts(&down.steps)[3], "cpu.cfs_quota_us=50000");
    let error = creation(&layout, &name(), Inner::None, &with(100, 20_000)).expect_err("too much");
    assert_eq!(
        error.to_string(),
        "cpu.burst_us: it is greater than the quota of one period"
    );
}

#[test]
fn memory_is_never_below_mesoss_least_and_the_limit_of_the_task_is_the_hard_one() {
    let (v1, v2) = (
        layout(V1, &[Controller::Memory]),
        layout(V2, &[Controller::Memory]),
    );
    let least = Memory::of_task(Bytes::of_mem(1_999), None, Swap::Free);
    assert_eq!(
        (least.soft, least.hard),
        (Bytes::mib(32), Ceiling::At(Bytes::mib(32)))
    );
    assert_eq!(
        made(&v1, &memory(64, 128, Swap::Free)),
        [
            "memory.soft_limit_in_bytes=67108864",
            "memory.limit_in_bytes=134217728"
        ]
    );
    assert_eq!(
        made(&v2, &memory(64, 128, Swap::Free)),
        ["memory.low=67108864", "memory.max=134217728"]
    );
    let endless = Memory::of_task(
        Bytes::mib(64),
        Some(Ceiling::Infinite),
        Swap::AtMost(Bytes(0)),
    );
    let endless = Limits {
        memory: Some(endless),
        ..Limits::default()
    };
    assert_eq!(
        made(&v1, &endless)[1..],
        ["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"]
    );
    assert_eq!(
        made(&v2, &endless)[1..],
        ["memory.max=max", "memory.swap.max=0"]
    );
}

#[test]
fn memory_with_swap_is_raised_first_and_lowered_last() {
    let layout = layout(V1, &[Controller::Memory]);
    let no_swap = Swap::AtMost(Bytes(0));
    let (small, great) = (memory(64, 64, no_swap), memory(128, 128, no_swap));
    let hard = |steps: &Steps| texts(steps)[1..].to_vec();
    let first = creation(&layout, &name(), Inner::None, &small).expect("a plan");
    assert_eq!(
        hard(&first),
        [
            "memory.limit_in_bytes=67108864",
            "memory.memsw.limit_in_bytes=67108864"
        ]
    );
    let up = change(&layout, &name(), &small, &great, Lowering::Never).expect("a plan");
    assert_eq!(
        hard(&up.steps),
        [
            "memory.memsw.limit_in_bytes=134217728",
            "memory.limit_in_bytes=134217728"
        ]
    );
    let down = change(&layout, &name(), &great, &small, Lowering::Allowed).expect("a plan");
    assert_eq!(
        hard(&down.steps),
        [
            "memory.limit_in_bytes=67108864",
            "memory.memsw.limit_in_bytes=67108864"
        ]
    );
}

#[test]
fn a_hard_limit_of_memory_is_not_lowered_unless_that_is_allowed() {
    let layout = layout(V2, &[Controller::Memory]);
    let (small, great) = (memory(64, 64, Swap::Free), memory(128, 128, Swap::Free));
    let down = change(&layout, &name(), &great, &small, Lowering::Never).expect("a plan");
    assert_eq!(
        texts(&down.steps),
        ["memory.low=67108864", "memory.max=134217728"]
    );
    let kept = down.limits.memory.expect("set");
    assert_eq!(
        kept.hard,
        Ceiling::At(Bytes::mib(128)),
        "for the next change"
    );
}

#[test]
fn what_a_change_leaves_open_stays_and_what_is_the_same_is_not_written() {
    let layout = layout(V1, &[Controller::Cpu, Controller::Memory, Controller::Pids]);
    let mut held = memory(64, 64, Swap::Free);
    held.pids = Some(Ceiling::At(100));
    held.cpu = cpu(1000, None, false).cpu;
    let wanted = Limits {
        pids: Some(Ceiling::Infinite),
        cpu: held.cpu,
        ..Limits::default()
    };
    let change = change(&layout, &name(), &held, &wanted, Lowering::Never).expect("a plan");
    assert_eq!(texts(&change.steps), ["pids.max=max"]);
    assert_eq!(change.limits.memory, held.memory);
}

#[test]
fn a_processor_set_is_inherited_in_version_one_and_left_empty_in_version_two() {
    let (v1, v2) = (
        layout(V1, &[Controller::Cpuset]),
        layout(V2, &[Controller::Cpuset]),
    );
    let none = Limits::default();
    let inherited = ["cpuset.cpus=(inherited)", "cpuset.mems=(inherited)"];
    assert_eq!(made(&v1, &none), inherited);
    assert_eq!(texts(&root_steps(&v1)), inherited);
    assert!(made(&v2, &none).is_empty());
    let set = |cpus: &str| Limits {
        cpuset: Some(Cpuset {
            cpus: cpus.to_owned(),
            mems: String::new(),
        }),
        ..Limits::default()
    };
    assert_eq!(
        made(&v1, &set("0-1")),
        ["cpuset.cpus=0-1", "cpuset.mems=(inherited)"]
    );
    assert_eq!(made(&v2, &set("0-1")), ["cpuset.cpus=0-1"]);
    let back = change(&v2, &name(), &set("0"), &set(""), Lowering::Never).expect("a plan");
    assert_eq!(texts(&back.steps)[0], "cpuset.cpus=\n");
    let error = creation(&v2, &name(), Inner::None, &set("0..1")).expect_err("no list");
    assert_eq!(
        error.to_string(),
        "cpuset.cpus: it is not a list like 0-3,8"
    );
}

#[test]
fn block_devices_have_weights_and_throttles() {
    let (v1, v2) = (layout(V1, &[Controller::Io]), layout(V2, &[Controller::Io]));
    let device = DeviceNumber {
        major: 8,
        minor: 16,
    };
    let throttle = Throttle {
        read_bytes: Some(1_000_000),
        write_operations: Some(50),
        ..Throttle::default()
    };
    let mut limits = Limits::default();
    limits.io.weight = Some(2000);
    limits.io.throttles.insert(device, throttle);
    assert_eq!(
        made(&v1, &limits),
        [
            "blkio.bfq.weight=1000",
            "blkio.throttle.read_bps_device=8:16 1000000",
            "blkio.throttle.write_iops_device=8:16 50",
        ]
    );
    assert_eq!(
        made(&v2, &limits),
        [
            "io.weight=default 2000",
            "io.max=8:16 rbps=1000000 wbps=max riops=max wiops=50",
        ]
    );
    let mut lifted = Limits::default();
    lifted.io.throttles.insert(device, Throttle::default());
    let lift = |layout| change(layout, &name(), &limits, &lifted, Lowering::Never);
    assert_eq!(
        texts(&lift(&v1).expect("a plan").steps),
        [
            "blkio.throttle.read_bps_device=8:16 0",
            "blkio.throttle.write_iops_device=8:16 0",
        ]
    );
    assert_eq!(
        texts(&lift(&v2).expect("a plan").steps),
        ["io.max=8:16 rbps=max wbps=max riops=max wiops=max"]
    );
}

#[test]
fn devices_are_denied_as_a_whole_first_and_later_only_what_differs() {
    let layout = layout(V1, &[Controller::Devices]);
    let list = |rules: &[&str]| {
        let mut list = DeviceList::default();
        for rule in rules {
            list.allow_text(rule).expect("a rule");
        }
        Limits {
            devices: Some(list),
            ..Limits::default()
        }
    };
    let first = list(&["c 1:3 rw", "c 1:3 m", "b 8:* r"]);
    assert_eq!(
        made(&layout, &first),
        [
            "devices.deny=a",
            "devices.allow=b 8:* r",
            "devices.allow=c 1:3 rwm"
        ]
    );
    let second = list(&["c 1:3 r", "c 1:5 rw"]);
    let change = change(&layout, &name(), &first, &second, Lowering::Never).expect("a plan");
    assert_eq!(
        texts(&change.steps),
        [
            "devices.allow=c 1:5 rw",
            "devices.deny=b 8:* r",
            "devices.deny=c 1:3 wm"
        ]
    );
}

#[test]
fn huge_pages_processes_and_packet_marks_have_their_files() {
    let mut limits = Limits {
        pids: Some(Ceiling::At(512)),
        net_cls: Some(0x10_0001),
        ..Limits::default()
    };
    let huge = Ceiling::At(Bytes::mib(4));
    limits.hugetlb.insert("2MB".to_owned(), huge);
    let all = [Controller::Pids, Controller::NetCls, Controller::Hugetlb];
    assert_eq!(
        made(&layout(V1, &all), &limits),
        [
            "pids.max=512",
            "hugetlb.2MB.limit_in_bytes=4194304",
            "net_cls.classid=1048577"
        ]
    );
    limits.net_cls = None;
    assert_eq!(
        made(
            &layout(V2, &[Controller::Pids, Controller::Hugetlb]),
            &limits
        ),
        ["pids.max=512", "hugetlb.2MB.max=4194304"]
    );
    limits.hugetlb.insert("../x".to_owned(), huge);
    let error = creation(&layout(V1, &all), &name(), Inner::None, &limits).expect_err("no size");
    assert!(matches!(
        error,
        PlanError::Value {
            setting: "hugetlb",
            ..
        }
    ));
}

#[test]
fn a_limit_whose_controller_is_not_used_is_an_error_and_never_ignored() {
    let layout = layout(V1, &[Controller::Cpu]);
    let error = creation(&layout, &name(), Inner::None, &memory(64, 64, Swap::Free));
    assert_eq!(
        error.expect_err("memory is not used").to_string(),
        "memory is limited, but the agent does not isolate with the cgroup controller memory"
    );
}

#[test]
fn what_old_kernels_lack_is_noted_and_what_limits_is_required() {
    let layout = layout(V2, &[Controller::Memory]);
    let mut limits = memory(64, 64, Swap::AtMost(Bytes(0)));
    limits.memory.as_mut().expect("set").oom = OomScope::Group;
    let steps = creation(&layout, &name(), Inner::None, &limits).expect("a plan");
    for write in &steps.writes {
        let optional = write.file == "memory.oom.group";
        assert_eq!(
            matches!(write.missing, Missing::Skip(_)),
            optional,
            "{}",
            write.file
        );
    }
}

#[test]
fn controllers_are_enabled_from_the_top_and_processes_go_to_a_leaf_where_groups_are_nested() {
    let layout = layout(V2, &[Controller::Cpu, Controller::Memory]);
    let roots = root_steps(&layout);
    let places: Vec<_> = roots
        .writes
        .iter()
        .map(|write| write.directory.display().to_string())
        .collect();
    assert_eq!(places, ["/c", "/c", "/c/m", "/c/m"]);
    assert_eq!(
        texts(&roots)[..2],
        [
            "cgroup.subtree_control=+cpu",
            "cgroup.subtree_control=+memory"
        ]
    );
    let steps = creation(&layout, &name(), Inner::Groups, &Limits::default()).expect("a plan");
    let made: Vec<_> = steps
        .directories
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(made, ["/c/m/x", "/c/m/x/leaf"]);
    assert_eq!(
        joined(&layout, &name(), Inner::Groups),
        [steps.directories[1].clone()]
    );
    assert_eq!(
        joined(&layout, &name(), Inner::None),
        [steps.directories[0].clone()]
    );
}

#[test]
fn only_tasks_that_may_use_more_than_they_asked_for_are_killed_first() {
    let host = Bytes::mib(1000);
    let of = |soft, hard| Memory::of_task(Bytes::mib(soft), Some(hard), Swap::Free);
    let at = |mib| Ceiling::At(Bytes::mib(mib));
    assert_eq!(oom_score_adj(&of(100, at(100)), host), None);
    assert_eq!(oom_score_adj(&of(100, at(200)), host), Some(900));
    assert_eq!(oom_score_adj(&of(100, Ceiling::Infinite), host), Some(900));
    assert_eq!(oom_score_adj(&of(2000, Ceiling::Infinite), host), Some(0));
}
