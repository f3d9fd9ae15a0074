//! Bundles run by real runtimes: runc, and crun where its idea of cgroups is this host's.
//!
//! Without root, or where a runtime is not installed, a test says so and passes.

#![allow(clippy::disallowed_types)] // the crate is pure; what it says is held against real programs here

mod lab;

use lab::{Lab, eventually, everywhere};
use mezz_launch_plan::isolation::Propagation;
use mezz_launch_plan::{Access, NamespaceSpec, SeccompSpec, VolumeSource, VolumeSpec};
use mezz_oci::{Resources, config, failure, parse_states};
use std::process::Stdio;

#[test]
fn a_container_runs_in_its_own_root_and_ends_as_its_program() {
    everywhere(|lab| {
        let mut spec = lab.spec(
            "hostname; echo $A; pwd; ls /; ls /dev | grep -c vda; echo oops >&2; echo x > kept; exit 7",
        );
        spec.isolation.hostname = Some("box".to_owned());
        spec.environment = vec![vec![("A".to_owned(), "from far".to_owned())]];
        let ended = lab.run("one", &spec);
        let output = String::from_utf8_lossy(&ended.stdout).into_owned();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(&lines[..3], ["box", "from far", "/mnt/mesos/sandbox"]);
        assert!(lines.contains(&"bin") && !lines.contains(&"home"));
        assert_eq!(lines.last(), Some(&"0"), "no disks of the host");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "oops\n");
        assert_eq!(ended.status.code(), Some(7));
        let kept = std::fs::read_to_string(lab.sandbox().join("kept"));
        assert_eq!(kept.expect("in the sandbox"), "x\n");
        assert_eq!(failure(&lab.log("one")), None);
        assert!(lab.listed().is_empty(), "nothing is left");
    });
}

#[test]
fn a_container_that_cannot_be_run_says_why_in_the_log() {
    everywhere(|lab| {
        let mut spec = lab.spec("true");
        spec.command = mezz_launch_plan::CommandSpec::Argv {
            program: "no-such-program".to_owned(),
            argv: vec!["no-such-program".to_owned()],
        };
        let ended = lab.run("one", &spec);
        assert!(!ended.status.success());
        let why = failure(&lab.log("one")).expect("it was told");
        // Which of its processes runc hears first is chance.
        assert!(why.contains("start container process"), "{why}");
    });
}

#[test]
fn privileges_and_system_calls_are_those_of_the_plan() {
    everywhere(|lab| {
        let try_all = "mount -t tmpfs none /tmp && echo mounted; unshare -m true && echo unshared; \
                       chown 1:1 /bin/busybox && echo chowned; echo 1 > /proc/sys/vm/swappiness && echo tuned; \
                       grep -E 'CapBnd|Seccomp:' /proc/self/status; true";
        let mut spec = lab.spec(try_all);
        spec.isolation.seccomp = SeccompSpec::Default;
        spec.isolation.growth = mezz_launch_plan::isolation::PrivilegeGrowth::Never;
        let ended = lab.run("one", &spec);
        let output = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(output.contains("chowned"), "the control: {output}");
        for refused in ["mounted", "unshared", "tuned"] {
            assert!(!output.contains(refused), "{output}");
        }
        assert!(output.contains("CapBnd:\t00000000a80425fb"), "{output}");
        assert!(output.contains("Seccomp:\t2"), "{output}");
    });
}

#[test]
fn volumes_are_there_and_what_may_only_be_read_cannot_be_changed() {
    everywhere(|lab| {
        let host = lab.folder("volume");
        std::fs::write(host.join("file"), "of the host").expect("a file");
        let mut spec =
            lab.spec("cat /in/file; echo y > /in/file; df /mem | grep -c tmpfs; echo z > /in2/new");
        let volume = |source, target: &str, access| VolumeSpec {
            source,
            target: target.into(),
            access,
            propagation: Propagation::Private,
        };
        spec.isolation.volumes = vec![
            volume(
                VolumeSource::HostPath(host.clone()),
                "/in",
                Access::ReadOnly,
            ),
            volume(
                VolumeSource::HostPath(host.clone()),
                "/in2",
                Access::ReadWrite,
            ),
            volume(
                VolumeSource::Memory {
                    bytes: Some(1 << 20),
                },
                "/mem",
                Access::ReadWrite,
            ),
        ];
        let ended = lab.run("one", &spec);
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "of the host1\n");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("Read-only file system"));
        assert!(host.join("new").exists(), "the control");
    });
}

#[test]
fn limits_are_enforced_by_the_runtime() {
    everywhere(|lab| {
        let hog =
            "head -c 50331648 /dev/zero | tail -c 50331647 >/dev/null && echo fits; ulimit -n";
        let mut spec = lab.spec(hog);
        spec.rlimits = vec![mezz_launch_plan::Rlimit {
            resource: mezz_launch_plan::RlimitResource::Nofile,
            soft: Some(77),
            hard: Some(77),
        }];
        let limits = |mib: u64| Resources {
            memory: Some(config::MemoryLimits {
                limit: Some(mib << 20),
                ..config::MemoryLimits::default()
            }),
            pids: Some(20),
            ..lab.unlimited()
        };
        let free = lab.run_with("free", &spec, &limits(256));
        assert_eq!(String::from_utf8_lossy(&free.stdout), "fits\n77\n");
        let bound = lab.run_with("bound", &spec, &limits(32));
        assert!(!String::from_utf8_lossy(&bound.stdout).contains("fits"));
    });
}

#[test]
fn signals_to_the_runtime_reach_the_container() {
    everywhere(|lab| {
        let mut spec =
            lab.spec("trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.05; done");
        spec.isolation.pid = NamespaceSpec::Own;
        let mut child = lab
            .command("one", &spec, &lab.unlimited())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the runtime");
        let mut output = child.stdout.take().expect("a pipe");
        let mut up = [0; 3];
        std::io::Read::read_exact(&mut output, &mut up).expect("it is up");
        lab::signal(child.id(), "TERM");
        assert_eq!(child.wait().expect("its end").code(), Some(3));
        assert_eq!(
            std::io::read_to_string(output).expect("the rest"),
            "asked\n"
        );
    });
}

#[test]
fn what_a_killed_runtime_leaves_is_listed_and_deleted() {
    everywhere(|lab| {
        let spec = lab.spec("echo $$ > pid; while :; do sleep 0.05; done");
        let mut child = lab
            .command("mezz-one", &spec, &lab.unlimited())
            .spawn()
            .expect("the runtime");
        let pid = lab.sandbox().join("pid");
        eventually("it runs", || {
            std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
        });
        child.kill().expect("the runtime is killed");
        child.wait().expect("its end");
        let listed = lab::output(&lab.runtime().list());
        let names = parse_states(&listed).expect("a list");
        assert_eq!(names.len(), 1, "{listed}");
        let inside = std::fs::read_to_string(&pid).expect("its number");
        let process = std::path::Path::new("/proc").join(inside.trim());
        assert!(process.exists(), "it outlives its runtime");
        lab::output(&lab.runtime().delete(&names[0]));
        eventually("it is gone", || !process.exists());
        assert!(lab.listed().is_empty());
        lab::output(&lab.runtime().delete(&names[0]));
    });
}

#[test]
fn layers_that_the_caller_mounts_are_the_root() {
    everywhere(|lab| {
        let (mut spec, mounted) = lab.layered("cat /one /two; echo changed > /one");
        spec.isolation.pid = NamespaceSpec::Own;
        let ended = lab.run("one", &spec);
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "upper\nlower\n");
        assert_eq!(
            mounted.lower("one"),
            "lower\n",
            "the layers stay as they are"
        );
    });
}

#[test]
fn the_lab_ends_what_a_failed_test_left() {
    everywhere(Lab::clean_up_is_complete);
}
