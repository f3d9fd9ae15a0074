//! Making, joining, stopping, killing, removing.

use crate::host::{end, eventually, everywhere, stands_still, start};
use mezz_cgroup::{
    Controller, Counted, Freezing, GroupName, Inner, Left, Limits, Pool, Reader, sweep,
};

const ALL: &[Controller] = &[
    Controller::Cpu,
    Controller::Memory,
    Controller::Pids,
    Controller::Freezer,
];

#[test]
fn a_group_with_its_children_and_grandchildren_is_killed_and_removed() {
    everywhere(ALL, |lab| {
        let group = lab.group("one", &Limits::default());
        let mut shell = start(
            &group,
            "sleep 1000 & (sleep 1000 & setsid sleep 1000 & wait) & wait",
        );
        eventually("all have started", || group.members().len() >= 5);
        assert!(group.members().contains(&shell.pid()));
        // As a task would that is root and makes groups of its own.
        for directory in group.directories() {
            std::fs::create_dir(directory.join("own")).expect("an inner group");
        }
        // What it answers depends on how fast they die.
        let _ = group.kill_once();
        shell.wait();
        end(&group);
        assert!(
            group.directories().iter().all(|path| !path.exists()),
            "{}",
            lab.what
        );
        assert_eq!(group.kill_once(), Left::Nothing, "it is gone already");
    });
}

#[test]
fn a_group_with_somebody_in_it_is_not_removed() {
    everywhere(ALL, |lab| {
        let group = lab.group("one", &Limits::default());
        let _shell = start(&group, "sleep 1000");
        assert_eq!(group.remove_once(), Left::Something);
        end(&group);
    });
}

#[test]
fn a_frozen_group_uses_no_processor_and_goes_on_when_thawed() {
    everywhere(ALL, |lab| {
        let group = lab.group("one", &Limits::default());
        let _shell = start(&group, "while :; do :; done");
        let reader = Reader::new(&group, Counted::default()).expect("files");
        let mut buffer = Vec::new();
        let mut used = || {
            let cpu = reader.read(&mut buffer).expect("figures").cpu;
            cpu.user_us.unwrap_or(0) + cpu.system_us.unwrap_or(0)
        };
        eventually("it works", || used() > 0);
        group.freeze().expect("it is told");
        eventually("it stands still", || stands_still(&group));
        let before = used();
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(used(), before, "{}", lab.what);
        group.thaw().expect("it is told");
        eventually("it works again", || used() > before);
        assert_eq!(group.freezing().expect("a state"), Freezing::Thawed);
        end(&group);
    });
}

#[test]
fn a_frozen_group_can_be_killed() {
    everywhere(ALL, |lab| {
        let group = lab.group("one", &Limits::default());
        let mut shell = start(&group, "sleep 1000");
        group.freeze().expect("it is told");
        eventually("it stands still", || stands_still(&group));
        group.kill_once();
        assert!(!shell.wait().success());
        end(&group);
    });
}

#[test]
fn nested_groups_have_limits_of_their_own_and_go_with_the_outer_one() {
    everywhere(ALL, |lab| {
        let name = GroupName::new("outer").expect("a name");
        let none = Limits::default();
        let (outer, _) = lab
            .groups
            .create(&name, Inner::Groups, &none)
            .expect("a group");
        let mut first = start(&outer, "sleep 1000");
        let name = name.nested("inner").expect("a name");
        let few = Limits {
            pids: Some(mezz_cgroup::Ceiling::At(20)),
            ..Limits::default()
        };
        let (inner, _) = lab
            .groups
            .create(&name, Inner::None, &few)
            .expect("a group");
        let mut second = start(&inner, "sleep 1000");
        assert!(outer.members().contains(&second.pid()));
        assert!(!inner.members().contains(&first.pid()));
        outer.kill_once();
        first.wait();
        second.wait();
        end(&outer);
        assert!(inner.directories().iter().all(|path| !path.exists()));
    });
}

#[test]
fn leftovers_are_swept_by_prefix_and_what_is_kept_lives_on() {
    everywhere(ALL, |lab| {
        let none = Limits::default();
        let [lost, kept, other] =
            ["a-lost", "a-kept", "b-other"].map(|name| lab.group(name, &none));
        let mut shell = start(&lost, "sleep 1000");
        let _kept = start(&kept, "sleep 1000");
        let swept = || sweep(&lab.groups, "a-", |name| name == kept.name());
        swept();
        assert!(!shell.wait().success());
        eventually("it is swept", || swept().left.is_empty());
        assert!(!kept.members().is_empty());
        assert!(lost.directories().iter().all(|path| !path.exists()));
        assert!(other.directories().iter().all(|path| path.exists()));
        end(&kept);
    });
}

#[test]
fn groups_are_made_ahead_and_removed_later() {
    everywhere(ALL, |lab| {
        // A group of an earlier agent whose name is in the way.
        let before = lab.group("pool-1", &Limits::default());
        let mut pool =
            Pool::new(lab.groups.clone(), "pool-", Limits::default(), 3).expect("a prefix");
        assert!(pool.take().is_none());
        assert_eq!(pool.refill(2).expect("room"), 1);
        assert_eq!(pool.refill(9).expect("room"), 0);
        let group = pool.take().expect("a group");
        assert_ne!(group.name(), before.name());
        assert_eq!(pool.ready(), 2);
        let mut shell = start(&group, "sleep 1000");
        pool.retire(group.clone());
        pool.reap(1);
        shell.wait();
        eventually("it is gone", || pool.reap(1) == 0);
        assert!(group.directories().iter().all(|path| !path.exists()));
    });
}

#[test]
fn a_process_can_be_cloned_into_version_two() {
    everywhere(ALL, |lab| {
        let group = lab.group("one", &Limits::default());
        let uses_v2 = lab.groups.layout().v2.is_some();
        let directory = group.clone_directory().transpose().expect("it opens");
        assert_eq!(directory.is_some(), uses_v2);
        assert_eq!(
            group.joined().len(),
            group.joined_v1().len() + usize::from(uses_v2)
        );
    });
}
