//! Layouts, and writes as short texts.

use mezz_cgroup::{
    Below, Bytes, Ceiling, Controller, Cpu, GroupName, Hierarchies, HostTexts, Inner, Layout,
    Limits, Memory, MilliCpus, Standing, Steps, Swap, Text, creation,
};

pub(crate) const V1: &str = "\
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
pub(crate) const V2: &str = "1 0 0:1 / /c rw - cgroup2 cgroup2 rw\n";

pub(crate) fn layout(mountinfo: &str, wanted: &[Controller]) -> Layout {
    let host = Hierarchies::parse(HostTexts {
        mountinfo,
        v2_controllers: "cpuset cpu io memory hugetlb pids",
        ..HostTexts::default()
    });
    let name = GroupName::new("m").expect("a name");
    let wanted = wanted.iter().copied().collect();
    Layout::new(&host, &name, Below::Mount, &wanted).expect("all is there")
}

pub(crate) fn name() -> GroupName {
    GroupName::new("x").expect("a name")
}

/// `file=text` of each write, with the directory where it is not the group's.
pub(crate) fn texts(steps: &Steps) -> Vec<String> {
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

pub(crate) fn made(layout: &Layout, limits: &Limits) -> Vec<String> {
    texts(&creation(layout, &name(), Inner::None, limits).expect("a plan"))
}

pub(crate) fn cpu(request: u64, limit: Option<Ceiling<MilliCpus>>, quotas: bool) -> Limits {
    let cpu = Cpu::of_task(MilliCpus(request), limit, quotas, Standing::Regular);
    Limits {
        cpu: Some(cpu),
        ..Limits::default()
    }
}

pub(crate) fn memory(soft: u64, hard: u64, swap: Swap) -> Limits {
    let hard = Some(Ceiling::At(Bytes::mib(hard)));
    Limits {
        memory: Some(Memory::of_task(Bytes::mib(soft), hard, swap)),
        ..Limits::default()
    }
}
