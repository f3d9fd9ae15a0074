//! Limits hold, and without them the same thing is possible.

use crate::host::{end, eventually, everywhere, run, start};
use mezz_cgroup::{
    Bytes, Ceiling, Controller, Counted, Cpu, DeviceList, Limits, Lowering, Memory, MilliCpus,
    OomVerdict, OomWatch, Reader, Standing, Swap,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::unix::process::ExitStatusExt;
use std::time::Instant;

fn memory(mib: u64) -> Limits {
    let memory = Memory::of_task(Bytes::mib(mib), None, Swap::Free);
    Limits {
        memory: Some(memory),
        ..Limits::default()
    }
}

/// Keeps more than 48 MiB in memory for a moment.
const HOG: &str = "head -c 50331648 /dev/zero | tail -c 50331647 >/dev/null";

#[test]
fn a_memory_hog_is_killed_alone_and_the_kernel_says_why() {
    everywhere(&[Controller::Memory, Controller::Freezer], |lab| {
        let (small, great) = (
            lab.group("small", &memory(32)),
            lab.group("great", &memory(256)),
        );
        let watch = OomWatch::new(&small).expect("a watch");
        let before = small.oom_counters().expect("counters");
        let quiet = great.oom_counters().expect("counters");
        let readable = |seconds| {
            let news = match &watch {
                OomWatch::V1(_) => PollFlags::IN,
                OomWatch::V2(_) => PollFlags::PRI,
            };
            let mut fds = [PollFd::new(&watch, news)];
            let wait = Timespec {
                tv_sec: seconds,
                tv_nsec: 0,
            };
            poll(&mut fds, Some(&wait)).expect("a poll") == 1
        };
        assert!(!readable(0));
        assert!(run(&great, HOG).success(), "{}", lab.what);
        assert!(
            !run(&small, &format!("{HOG}; exit $?")).success(),
            "{}",
            lab.what
        );
        assert!(readable(30));
        watch.drain().expect("it drains");
        let verdict = small
            .oom_counters()
            .expect("counters")
            .verdict_since(&before);
        assert_eq!(verdict, OomVerdict::Limit);
        let verdict = great
            .oom_counters()
            .expect("counters")
            .verdict_since(&quiet);
        assert_eq!(verdict, OomVerdict::None);
        let report = small.oom_report().expect("a report");
        assert_eq!(report.limit, Ceiling::At(Bytes::mib(32)));
        assert!(
            report
                .message()
                .starts_with("Memory limit exceeded: Requested: 32MB ")
        );
    });
}

#[test]
fn a_raised_limit_of_memory_holds_at_once() {
    everywhere(&[Controller::Memory, Controller::Freezer], |lab| {
        let group = lab.group("one", &memory(32));
        let changed = lab
            .groups
            .change(&group, &memory(32), &memory(256), Lowering::Never);
        let (held, _) = changed.expect("it changes");
        assert!(run(&group, HOG).success());
        let changed = lab
            .groups
            .change(&group, &held, &memory(32), Lowering::Never);
        let (held, _) = changed.expect("it changes");
        assert!(run(&group, HOG).success(), "a hard limit is not lowered");
        let changed = lab.groups.change(
            &group,
            &held,
            &Limits {
                memory: Some(Memory {
                    hard: Ceiling::At(Bytes::mib(32)),
                    ..memory(32).memory.expect("set")
                }),
                ..Limits::default()
            },
            Lowering::Allowed,
        );
        changed.expect("it changes");
        assert!(!run(&group, HOG).success());
    });
}

#[test]
fn limits_of_swap_can_be_set_raised_and_lowered_in_every_order() {
    everywhere(&[Controller::Memory, Controller::Freezer], |lab| {
        let limits = |mib, swap| {
            let mut limits = memory(mib);
            limits.memory.as_mut().expect("set").swap = swap;
            limits
        };
        let none = Swap::AtMost(Bytes(0));
        let mut held = limits(64, none);
        let group = lab.group("one", &held);
        for (mib, swap) in [
            (128, none),
            (48, none),
            (96, Swap::AtMost(Bytes::mib(64))),
            (64, Swap::Free),
            (80, none),
        ] {
            let wanted = limits(mib, swap);
            let changed = lab.groups.change(&group, &held, &wanted, Lowering::Allowed);
            held = changed
                .unwrap_or_else(|error| panic!("{}: {mib} {swap:?}: {error}", lab.what))
                .0;
        }
    });
}

#[test]
fn a_fork_bomb_is_contained() {
    everywhere(&[Controller::Pids, Controller::Freezer], |lab| {
        let forks = "i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done; wait";
        let limits = |most| Limits {
            pids: Some(most),
            ..Limits::default()
        };
        let free = lab.group("free", &limits(Ceiling::Infinite));
        let _running = start(&free, forks);
        eventually("all are there", || free.members().len() == 21);
        end(&free);
        let bound = lab.group("bound", &limits(Ceiling::At(8)));
        let mut shell = start(&bound, forks);
        eventually("some are there", || bound.members().len() >= 7);
        assert!(!shell.wait().success(), "the shell could not fork");
        assert!(bound.members().len() <= 8, "{}", lab.what);
        let reader = Reader::new(&bound, Counted::default()).expect("files");
        let threads = reader.read(&mut Vec::new()).expect("figures").threads;
        assert_eq!(threads, Some(7), "the shell has ended");
        end(&bound);
    });
}

#[test]
fn a_quota_of_processor_time_holds_and_its_throttling_is_counted() {
    everywhere(&[Controller::Cpu, Controller::Freezer], |lab| {
        let quota = Some(Ceiling::At(MilliCpus(200)));
        let limits = Limits {
            cpu: Some(Cpu::of_task(
                MilliCpus(1000),
                quota,
                false,
                Standing::Regular,
            )),
            ..Limits::default()
        };
        let group = lab.group("one", &limits);
        let reader = Reader::new(&group, Counted::default()).expect("files");
        let mut buffer = Vec::new();
        let started = Instant::now();
        let _shell = start(&group, "while :; do :; done");
        let mut cpu = reader.read(&mut buffer).expect("figures").cpu;
        eventually("it was throttled ten times", || {
            cpu = reader.read(&mut buffer).expect("figures").cpu;
            cpu.throttled >= Some(10)
        });
        let elapsed = started.elapsed().as_micros();
        let used = cpu.user_us.expect("counted") + cpu.system_us.expect("counted");
        // Each period's quota may be used at once: one more than have passed.
        let most = elapsed / 5 + 20_000;
        assert!(
            u128::from(used) <= most * 105 / 100,
            "{used} of {elapsed} µs"
        );
        assert!(cpu.throttled_us > Some(0) && cpu.periods >= cpu.throttled);
        end(&group);
    });
}

#[test]
fn only_listed_devices_can_be_opened_and_the_list_can_change() {
    const OPEN: &str = ": < /dev/null && : < /dev/kmsg";
    everywhere(&[Controller::Devices, Controller::Freezer], |lab| {
        let limits = |list| Limits {
            devices: Some(list),
            ..Limits::default()
        };
        let free = lab.group("free", &Limits::default());
        assert!(run(&free, OPEN).success(), "{}", lab.what);
        let standard = limits(DeviceList::standard());
        let group = lab.group("one", &standard);
        assert!(!run(&group, OPEN).success(), "{}", lab.what);
        assert!(run(&group, ": < /dev/null && : > /dev/null").success());
        let mut wider = DeviceList::standard();
        wider.allow_text("c 1:11 r").expect("a rule");
        let changed = lab
            .groups
            .change(&group, &standard, &limits(wider), Lowering::Never);
        let (held, _) = changed.expect("it changes");
        assert!(run(&group, OPEN).success(), "{}", lab.what);
        assert!(!run(&group, ": > /dev/kmsg").success(), "only to read");
        let changed = lab.groups.change(&group, &held, &standard, Lowering::Never);
        changed.expect("it changes");
        assert!(!run(&group, OPEN).success(), "{}", lab.what);
    });
}

#[test]
fn a_killed_group_is_seen_as_killed_and_not_as_out_of_memory() {
    everywhere(&[Controller::Memory, Controller::Freezer], |lab| {
        let group = lab.group("one", &memory(64));
        let before = group.oom_counters().expect("counters");
        let mut shell = start(&group, "sleep 1000");
        group.kill_once();
        assert_eq!(shell.wait().signal(), Some(9));
        let verdict = group.oom_counters().map(|now| now.verdict_since(&before));
        assert_eq!(verdict.unwrap_or(OomVerdict::None), OomVerdict::None);
        end(&group);
    });
}
