//! What a container that is set apart can and cannot do; each beside one that is not, which can.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_launch_plan::isolation::{IdRange, PrivilegeGrowth, Propagation};
use mezz_launch_plan::{
    Access, Capability, CapabilitySet, CapabilitySpec, ContainerSpec, Credentials, HostFacts,
    IsolationSpec, LaunchId, NamespaceSpec, SeccompSpec, SharedMemorySpec, TemporarySpec,
    VolumeSource, VolumeSpec, plan, seccomp,
};
use mezz_warden::{ExitStatus, LaunchStep, Reply, Request};
use std::os::unix::fs::PermissionsExt;
use support::*;

/// What a command says, in a container of this kind.
fn said(lab: &Lab, id: u64, isolation: IsolationSpec, script: &str) -> String {
    said_by(lab, id, script, &facts(), |spec| spec.isolation = isolation)
}

fn said_by(
    lab: &Lab,
    id: u64,
    script: &str,
    facts: &HostFacts,
    change: impl FnOnce(&mut ContainerSpec),
) -> String {
    let mut spec = lab.spec(id, script);
    change(&mut spec);
    let mut connection = lab.connect(id);
    let plan = plan(&spec, facts).unwrap();
    send(&mut connection, &[Request::Launch(Box::new(plan))]);
    expect(&mut connection, |reply| match reply {
        Reply::Exited(exit) if exit.launch_id == LaunchId(id) => Some(exit.status),
        Reply::LaunchFailed { message, .. } => panic!("{message}"),
        _ => None,
    });
    let errors = std::fs::read_to_string(lab.sandbox(id).join("stderr")).unwrap_or_default();
    format!("{}{errors}", lab.output(id))
}

fn facts() -> HostFacts {
    Means::available()[0].facts().unwrap()
}

fn set(names: &[&str]) -> CapabilitySet {
    names
        .iter()
        .map(|name| Capability::from_name(name).unwrap())
        .collect()
}

const OWN: NamespaceSpec = NamespaceSpec::Own;

#[test]
fn a_container_with_process_numbers_of_its_own_sees_and_signals_nobody_else() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let script =
        "ls -d /proc/[0-9]* | wc -l; kill -0 $OUTSIDER 2>/dev/null && echo reached; exit 3";
    let with_outsider = |isolation: IsolationSpec| {
        move |spec: &mut ContainerSpec| {
            let pid = std::process::id().to_string();
            spec.environment = vec![vec![("OUTSIDER".into(), pid)]];
            spec.isolation = isolation;
        }
    };
    let open = said_by(
        &lab,
        1,
        script,
        &facts(),
        with_outsider(IsolationSpec::default()),
    );
    assert!(open.contains("reached"), "{open}");
    let own = IsolationSpec {
        pid: OWN,
        ..IsolationSpec::default()
    };
    let apart = said_by(&lab, 2, script, &facts(), with_outsider(own));
    assert!(!apart.contains("reached"), "{apart}");
    let seen: u32 = apart.lines().next().unwrap().trim().parse().unwrap();
    assert!(seen <= 4, "{apart}");
}

#[test]
fn the_status_of_a_program_is_told_through_the_init_of_its_container() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    for (id, script, status) in [
        (1, "exit 7", ExitStatus::Exited(7)),
        (
            2,
            "kill -9 $$",
            ExitStatus::Signaled {
                signal: 9,
                core_dumped: false,
            },
        ),
    ] {
        let mut spec = lab.spec(id, script);
        spec.isolation.pid = OWN;
        let mut connection = lab.connect(id);
        launch(&mut connection, plan(&spec, &facts()).unwrap());
        assert_eq!(expect_status(&mut connection, id), status);
    }
}

#[test]
fn a_signal_to_the_tree_reaches_a_program_with_an_init_once() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let script = "trap 'echo term' TERM; echo ready; i=0; while [ $i -lt 40 ]; do sleep 0.02; i=$((i+1)); done";
    let mut spec = lab.spec(1, script);
    spec.isolation.pid = OWN;
    let mut connection = lab.connect(1);
    launch(&mut connection, plan(&spec, &facts()).unwrap());
    eventually("the program is ready", || lab.output(1).contains("ready"));
    send(
        &mut connection,
        &[Request::Signal {
            launch_id: LaunchId(1),
            signal: libc::SIGTERM,
            scope: mezz_warden::SignalScope::Tree,
        }],
    );
    expect_status(&mut connection, 1);
    assert_eq!(lab.output(1).matches("term").count(), 1);
}

#[test]
fn capabilities_are_dropped_and_stay_dropped_for_root_and_for_others() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    std::fs::set_permissions(lab.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let script = "grep -E '^Cap(Prm|Eff|Bnd|Amb)' /proc/self/status | tr -d '\\t'; chown 1 . && echo changed";
    let open = said(&lab, 1, IsolationSpec::default(), script);
    assert!(open.contains("changed"), "{open}");
    let isolation = |bounding: Option<&[&str]>, effective: Option<&[&str]>| IsolationSpec {
        capabilities: CapabilitySpec {
            bounding: bounding.map(set),
            effective: effective.map(set),
        },
        ..IsolationSpec::default()
    };
    // KILL is number 5, NET_RAW number 13.
    let apart = said(&lab, 2, isolation(None, Some(&["KILL"])), script);
    let all = "0000000000000020";
    for name in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(apart.contains(&format!("{name}:{all}")), "{apart}");
    }
    assert!(!apart.contains("changed"), "{apart}");
    // Root has what it was given, not what it could have.
    let less = isolation(Some(&["KILL", "NET_RAW"]), Some(&["KILL"]));
    let apart = said(&lab, 3, less.clone(), script);
    assert!(apart.contains("CapEff:0000000000000020"), "{apart}");
    assert!(apart.contains("CapBnd:0000000000002020"), "{apart}");
    // Another user has it too.
    let mut facts = facts();
    facts.users.insert(
        "nobody".into(),
        Credentials {
            uid: 65534,
            gid: 65534,
            groups: vec![65534],
        },
    );
    let apart = said_by(&lab, 4, script, &facts, |spec| {
        std::os::unix::fs::chown(&spec.sandbox, Some(65534), Some(65534)).unwrap();
        spec.user = Some("nobody".into());
        spec.isolation = less;
    });
    assert!(apart.contains("CapEff:0000000000000020"), "{apart}");
    // None at all.
    let apart = said(&lab, 5, isolation(None, Some(&[])), script);
    assert!(apart.contains("CapEff:0000000000000000"), "{apart}");
}

#[test]
fn no_program_gives_new_privileges_where_none_may() {
    let lab = Lab::start(Life::Durable);
    let script = "grep NoNewPrivs /proc/self/status";
    let open = said(&lab, 1, IsolationSpec::default(), script);
    assert_eq!(open, "NoNewPrivs:\t0\n");
    let never = IsolationSpec {
        growth: PrivilegeGrowth::Never,
        ..IsolationSpec::default()
    };
    assert_eq!(said(&lab, 2, never, script), "NoNewPrivs:\t1\n");
}

#[test]
fn a_name_of_its_own_is_seen_inside_only() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let before = rustix::system::uname().nodename().to_owned();
    let named = IsolationSpec {
        hostname: Some("a-container".into()),
        ..IsolationSpec::default()
    };
    assert_eq!(said(&lab, 1, named, "uname -n"), "a-container\n");
    let open = said(&lab, 2, IsolationSpec::default(), "uname -n");
    assert_eq!(open.trim().as_bytes(), before.to_bytes());
}

#[test]
fn a_network_of_its_own_has_a_loopback_that_works_and_nothing_else() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let script = "sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' '; cat /sys/class/net/lo/flags >/dev/null; \
                  grep -c 0100007F /proc/net/fib_trie >/dev/null 2>&1; \
                  grep 127.0.0.1 /proc/net/fib_trie | sort -u | tr -d ' '";
    let own = IsolationSpec {
        network: OWN,
        pid: OWN,
        ..IsolationSpec::default()
    };
    let apart = said(&lab, 1, own, script);
    assert!(apart.starts_with("lo\n"), "{apart}");
    assert!(apart.contains("127.0.0.1"), "{apart}");
    let devices = |text: &str| text.lines().filter(|line| !line.contains("127.")).count();
    assert_eq!(devices(&apart), 1, "{apart}");
}

#[test]
fn objects_and_memory_of_its_own_are_not_shared() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let name = format!("/dev/shm/mezz-test-{}", std::process::id());
    let script =
        format!("ipcs -q | grep -c ^0x; echo x > {name}; df --output=size /dev/shm | tail -1");
    let queue = std::process::Command::new("ipcmk")
        .arg("-Q")
        .output()
        .unwrap();
    let queue = String::from_utf8_lossy(&queue.stdout).into_owned();
    let id: String = queue.chars().filter(char::is_ascii_digit).collect();
    let own = IsolationSpec {
        ipc: OWN,
        shared_memory: SharedMemorySpec::Own {
            bytes: Some(1 << 20),
        },
        ..IsolationSpec::default()
    };
    let apart = said(&lab, 1, own, &script);
    let seen_outside = std::path::Path::new(&name).exists();
    let open = said(&lab, 2, IsolationSpec::default(), &script);
    let open_outside = std::path::Path::new(&name).exists();
    let _ = std::fs::remove_file(&name);
    let removed = std::process::Command::new("ipcrm")
        .args(["-q", &id])
        .status();
    assert!(removed.unwrap().success(), "{queue}");
    let lines: Vec<&str> = apart.lines().map(str::trim).collect();
    assert_eq!(lines, ["0", "1024"], "{apart}");
    assert!(!seen_outside && open_outside);
    assert_ne!(open.lines().next(), Some("0"), "{open}");
}

#[test]
fn temporary_files_of_its_own_leave_the_sandbox_where_it_is() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let name = format!("/tmp/mezz-test-{}", std::process::id());
    std::fs::write(&name, "of the host").unwrap();
    let script = format!("cat {name}; echo kept > kept; pwd; ls /tmp | grep -c mezz-test");
    let own = IsolationSpec {
        temporary: TemporarySpec::Own,
        ..IsolationSpec::default()
    };
    let open = said(&lab, 1, IsolationSpec::default(), &script);
    let apart = said(&lab, 2, own, &script);
    std::fs::remove_file(&name).unwrap();
    assert!(open.contains("of the host"), "{open}");
    assert!(!apart.contains("of the host"), "{apart}");
    assert!(apart.contains(lab.sandbox(2).to_str().unwrap()), "{apart}");
    assert!(lab.sandbox(2).join("kept").exists());
}

#[test]
fn volumes_are_mounted_where_they_shall_be_and_cannot_be_changed_if_they_shall_not() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let host = lab.dir.path().join("data");
    std::fs::create_dir(&host).unwrap();
    std::fs::write(host.join("file"), "content\n").unwrap();
    let volume = |source: VolumeSource, target: &str, access: Access| VolumeSpec {
        source,
        target: target.into(),
        access,
        propagation: Propagation::Private,
    };
    let isolation = IsolationSpec {
        volumes: vec![
            volume(
                VolumeSource::HostPath(host.clone()),
                "a/b",
                Access::ReadOnly,
            ),
            volume(VolumeSource::HostPath(host.clone()), "c", Access::ReadWrite),
            volume(
                VolumeSource::SandboxPath("mine".into()),
                "/mnt",
                Access::ReadWrite,
            ),
            volume(
                VolumeSource::Memory { bytes: Some(65536) },
                "memory",
                Access::ReadWrite,
            ),
        ],
        ..IsolationSpec::default()
    };
    let script = "cat a/b/file; echo x > a/b/new || echo refused; echo y > c/written; echo z > /mnt/z; \
                  df --output=size memory | tail -1";
    let seen = said(&lab, 1, isolation, script);
    assert!(
        seen.contains("content\n") && seen.contains("refused"),
        "{seen}"
    );
    assert!(seen.contains("64\n"), "{seen}");
    assert!(host.join("written").exists() && !host.join("new").exists());
    assert!(lab.sandbox(1).join("mine/z").exists());
    assert!(!std::path::Path::new("/mnt/z").exists());
}

#[test]
fn a_volume_that_cannot_be_mounted_is_named() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let mut spec = lab.spec(1, "true");
    spec.isolation.volumes = vec![VolumeSpec {
        source: VolumeSource::HostPath("/no/such/folder".into()),
        target: "target".into(),
        access: Access::ReadWrite,
        propagation: Propagation::Private,
    }];
    let mut connection = lab.connect(1);
    let plan = plan(&spec, &facts()).unwrap();
    send(&mut connection, &[Request::Launch(Box::new(plan))]);
    let Reply::LaunchFailed { step, message, .. } = next(&mut connection).reply else {
        panic!("a failure")
    };
    assert_eq!(step, LaunchStep::Mounts);
    assert!(
        message.contains("target") && message.contains("No such file"),
        "{message}"
    );
}

#[test]
fn the_built_in_profile_refuses_what_acts_on_the_machine() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let script = "unshare --mount true && echo unshared; mount -t tmpfs none /mnt && umount /mnt && echo mounted; \
                  grep ^Seccomp: /proc/self/status; echo works | cat";
    // With a mount namespace, so that nothing happens to the host.
    let isolation = |seccomp: SeccompSpec, names: &[&str]| IsolationSpec {
        mount: OWN,
        seccomp,
        capabilities: CapabilitySpec {
            bounding: None,
            effective: (!names.is_empty()).then(|| set(names)),
        },
        ..IsolationSpec::default()
    };
    let open = said(&lab, 1, isolation(SeccompSpec::Unconfined, &[]), script);
    assert!(
        open.contains("unshared") && open.contains("mounted"),
        "{open}"
    );
    // It is gated by the capability: with it nothing changes.
    let gated = said(&lab, 2, isolation(SeccompSpec::Default, &[]), script);
    assert!(
        gated.contains("mounted") && gated.contains("Seccomp:\t2"),
        "{gated}"
    );
    let apart = said(&lab, 3, isolation(SeccompSpec::Default, &["CHOWN"]), script);
    assert!(
        !apart.contains("mounted") && !apart.contains("unshared"),
        "{apart}"
    );
    assert!(
        apart.contains("works") && apart.contains("Seccomp:\t2"),
        "{apart}"
    );
}

#[test]
fn a_profile_of_ones_own_holds_with_its_conditions_and_error_numbers() {
    let lab = Lab::start(Life::Durable);
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 11,
         "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}]}"#;
    let profile = seccomp::parse_profile(text).unwrap();
    let isolation = IsolationSpec {
        seccomp: SeccompSpec::Profile(Box::new(profile)),
        ..IsolationSpec::default()
    };
    let script = "mkdir a; kill -USR1 $$ 2>&1 || echo held; kill -0 $$ && echo passed";
    let open = said(&lab, 1, IsolationSpec::default(), "mkdir a && echo made");
    assert!(open.contains("made"), "{open}");
    let apart = said(&lab, 2, isolation, script);
    assert!(apart.contains("No space left on device"), "{apart}");
    assert!(
        apart.contains("held") && apart.contains("passed"),
        "{apart}"
    );
}

#[test]
fn a_filter_is_in_place_for_another_user_without_giving_up_set_user_id() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    std::fs::set_permissions(lab.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut facts = facts();
    facts.users.insert(
        "nobody".into(),
        Credentials {
            uid: 65534,
            gid: 65534,
            groups: vec![65534],
        },
    );
    let script = "grep -E '^(Seccomp:|NoNewPrivs|CapPrm)' /proc/self/status | tr '\\t' ' '";
    let seen = said_by(&lab, 1, script, &facts, |spec| {
        std::os::unix::fs::chown(&spec.sandbox, Some(65534), Some(65534)).unwrap();
        spec.user = Some("nobody".into());
        spec.isolation.seccomp = SeccompSpec::Default;
    });
    assert_eq!(
        seen,
        "CapPrm: 0000000000000000\nNoNewPrivs: 0\nSeccomp: 2\n"
    );
}

#[test]
fn users_of_its_own_are_root_inside_and_others_outside() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    std::fs::set_permissions(lab.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let sandbox = lab.sandbox(1);
    std::os::unix::fs::chown(&sandbox, Some(100_000), Some(100_000)).unwrap();
    let range = IdRange {
        inside: 0,
        outside: 100_000,
        count: 65536,
    };
    let isolation = IsolationSpec {
        user: OWN,
        pid: OWN,
        uids: vec![range],
        gids: vec![range],
        hostname: Some("rootless".into()),
        ..IsolationSpec::default()
    };
    let seen = said(
        &lab,
        1,
        isolation,
        "id -u; uname -n; touch mine; cat /etc/shadow",
    );
    assert!(seen.starts_with("0\nrootless\n"), "{seen}");
    assert!(seen.contains("Permission denied"), "{seen}");
    let owner =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(sandbox.join("mine")).unwrap());
    assert_eq!(owner, 100_000);
}

#[test]
fn a_container_joins_the_namespaces_of_another_and_shares_its_end() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let mut first = lab.spec(1, "echo $$; sleep 1000");
    first.isolation.pid = OWN;
    first.isolation.hostname = Some("shared".into());
    let mut connection = lab.connect(1);
    launch(&mut connection, plan(&first, &facts()).unwrap());
    let of = NamespaceSpec::Of(LaunchId(1));
    let mut second = lab.spec(
        2,
        "uname -n; ps -e -o args= | grep -c 'sleep 1000'; sleep 2000",
    );
    second.isolation = IsolationSpec {
        pid: of.clone(),
        mount: of.clone(),
        uts: of,
        ..IsolationSpec::default()
    };
    launch(&mut connection, plan(&second, &facts()).unwrap());
    eventually("the second has looked", || {
        lab.output(2).lines().count() == 2
    });
    let seen = lab.output(2);
    assert!(seen.starts_with("shared\n"), "{seen}");
    assert_ne!(seen.lines().nth(1), Some("0"), "{seen}");
    // What ends the first ends whoever shares its process numbers.
    send(
        &mut connection,
        &[Request::KillTree {
            launch_id: LaunchId(1),
        }],
    );
    expect_exit(&mut connection, 2);
    // Nobody can join what has ended.
    let mut late = lab.spec(3, "true");
    late.isolation.uts = NamespaceSpec::Of(LaunchId(1));
    let plan = plan(&late, &facts()).unwrap();
    send(&mut connection, &[Request::Launch(Box::new(plan))]);
    let message = expect(&mut connection, |reply| match reply {
        Reply::LaunchFailed { message, .. } => Some(message.clone()),
        _ => None,
    });
    assert!(message.contains("it shall join has ended"), "{message}");
}

#[test]
fn the_init_of_a_container_keeps_nothing_of_the_heap_of_the_warden() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    // So that there is something to keep.
    for id in 2..60 {
        launch(&mut connection, lab.plan(Means::Session, id, "sleep 100"));
    }
    let mut spec = lab.spec(1, "sleep 100");
    spec.isolation.pid = OWN;
    let init = launch(&mut connection, plan(&spec, &facts()).unwrap());
    let heap_kib = || -> u64 {
        let maps = std::fs::read_to_string(format!("/proc/{init}/smaps")).unwrap();
        let (_, heap) = maps.split_once("[heap]").unwrap();
        let resident = heap.lines().find_map(|line| line.strip_prefix("Rss:"));
        resident
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    };
    eventually("the heap is given back", || heap_kib() <= 4);
}
