//! What groups say of themselves, and errors that name what is wrong.

use crate::host::{end, eventually, everywhere, run, start};
use mezz_cgroup::{
    Bytes, Controller, Counted, Cpuset, GroupName, Inner, Limits, Memory, PressureLevel,
    PressureWatch, Reader, Swap,
};

#[test]
fn statistics_show_what_was_used() {
    let wanted = [
        Controller::Cpu,
        Controller::Memory,
        Controller::Pids,
        Controller::Freezer,
    ];
    everywhere(&wanted, |lab| {
        let group = lab.group("one", &Limits::default());
        let counted = Counted {
            swap: true,
            processes: true,
            pressure: true,
        };
        let reader = Reader::new(&group, counted).expect("files");
        let mut buffer = Vec::new();
        let _shell = start(
            &group,
            "x=$(head -c 4000000 /dev/zero | tr '\\0' a); while :; do :; done",
        );
        eventually("it has used time and memory, alone", || {
            let found = reader.read(&mut buffer).expect("figures");
            found.cpu.user_us > Some(0)
                && found.memory.anonymous > Some(1_000_000)
                && found.processes == Some(1)
        });
        let found = reader.read(&mut buffer).expect("figures");
        assert_eq!((found.processes, found.threads), (Some(1), Some(1)));
        assert!(found.memory.total > Some(0));
        assert!(found.memory.file.is_some());
        let mut wire = mezz_proto::v1::ResourceStatistics::default();
        found.fill(&mut wire);
        assert!(wire.cpus_user_time_secs > Some(0.0));
        assert_eq!(wire.mem_rss_bytes, found.memory.anonymous);
        assert_eq!(wire.processes, Some(1));
        end(&group);
        assert!(reader.read(&mut buffer).is_err(), "the group is gone");
    });
}

#[test]
fn a_limit_that_the_kernel_refuses_is_an_error_that_names_the_file_and_leaves_nothing() {
    everywhere(&[Controller::Cpuset, Controller::Freezer], |lab| {
        let limits = Limits {
            cpuset: Some(Cpuset {
                cpus: "4000".to_owned(),
                mems: String::new(),
            }),
            ..Limits::default()
        };
        let name = GroupName::new("one").expect("a name");
        let error = lab.groups.create(&name, Inner::None, &limits);
        let error = error
            .expect_err("there are not so many processors")
            .to_string();
        assert!(error.starts_with("cannot write \"4000\" to "), "{error}");
        assert!(error.contains("cpuset.cpus"), "{error}");
        let directories = lab.groups.layout().directories(&name);
        assert!(directories.iter().all(|path| !path.exists()));
    });
}

#[test]
fn processes_can_join_a_processor_set_that_nobody_has_limited() {
    everywhere(&[Controller::Cpuset, Controller::Freezer], |lab| {
        let group = lab.group("one", &Limits::default());
        assert!(run(&group, "true").success());
        let limits = Limits {
            cpuset: Some(Cpuset {
                cpus: "0".to_owned(),
                mems: String::new(),
            }),
            ..Limits::default()
        };
        let bound = lab.group("two", &limits);
        let one = "grep -q '^Cpus_allowed_list:.0$' /proc/self/status";
        assert!(run(&bound, one).success());
    });
}

#[test]
fn shortness_of_memory_is_counted_where_version_one_has_it() {
    everywhere(&[Controller::Memory, Controller::Freezer], |lab| {
        let memory = Memory::of_task(Bytes::mib(32), None, Swap::Free);
        let limits = Limits {
            memory: Some(memory),
            ..Limits::default()
        };
        let group = lab.group("one", &limits);
        let watch = PressureWatch::new(&group, PressureLevel::Low).expect("a watch");
        let in_v1 = lab.groups.layout().v1_root(Controller::Memory).is_some();
        assert_eq!(watch.is_some(), in_v1);
        let Some(mut watch) = watch else { return };
        assert_eq!(watch.count().expect("a count"), 0);
        run(
            &group,
            "head -c 50331648 /dev/zero | tail -c 50331647 >/dev/null",
        );
        eventually("it was short", || watch.count().expect("a count") > 0);
    });
}
