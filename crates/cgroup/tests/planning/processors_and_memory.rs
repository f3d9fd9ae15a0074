//! Processor time and memory, by Mesos's numbers and in the kernel's order.

use crate::support::{V1, V2, cpu, layout, made, memory, name, texts};
use mezz_cgroup::{
    Bytes, Ceiling, Controller, Cpu, Inner, Limits, Lowering, Memory, MilliCpus, Standing, Steps,
    Swap, change, creation, oom_score_adj,
};

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
fn only_tasks_that_may_use_more_than_they_asked_for_are_killed_first() {
    let host = Bytes::mib(1000);
    let of = |soft, hard| Memory::of_task(Bytes::mib(soft), Some(hard), Swap::Free);
    let at = |mib| Ceiling::At(Bytes::mib(mib));
    assert_eq!(oom_score_adj(&of(100, at(100)), host), None);
    assert_eq!(oom_score_adj(&of(100, at(200)), host), Some(900));
    assert_eq!(oom_score_adj(&of(100, Ceiling::Infinite), host), Some(900));
    assert_eq!(oom_score_adj(&of(2000, Ceiling::Infinite), host), Some(0));
}
