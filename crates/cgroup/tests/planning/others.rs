//! Everything else that is limited, roots, and groups within groups.

use crate::support::{V1, V2, cpu, layout, made, memory, name, texts};
use mezz_cgroup::{
    Bytes, Ceiling, Controller, Cpuset, DeviceList, DeviceNumber, Inner, Limits, Lowering, Missing,
    OomScope, PlanError, Swap, Throttle, change, creation, joined, root_steps,
};

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
