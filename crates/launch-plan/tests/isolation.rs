//! What a container that shall be set apart becomes in its plan, and which wishes go together.
#![allow(clippy::unwrap_used)]

use mezz_launch_plan::isolation::{
    IdRange, MountAttributes, MountSource, NamespaceKind, NamespaceSource, PrivilegeGrowth,
    Propagation, Root, RootRule, RootStep,
};
use mezz_launch_plan::seccomp::Architecture;
use mezz_launch_plan::{
    Access, CapabilitySet, CapabilitySpec, CloneMode, CommandSpec, ContainerSpec, Credentials,
    HostFacts, Isolation, IsolationSpec, KernelFacts, LaunchId, MountCalls, NamespaceSpec,
    PLAN_VERSION, Place, PlanError, Privilege, RootSpec, SeccompSpec, SharedMemorySpec,
    TemporarySpec, TerminalSize, UserNamespaces, VolumeSource, VolumeSpec, decode_plan,
    encode_plan, plan,
};

fn host() -> HostFacts {
    let mut host = HostFacts::bare("test", 0);
    host.freezer_v1 = Some("/sys/fs/cgroup/freezer/mezz".into());
    host.sandboxes = Place::LocalDisk;
    host.kernel = KernelFacts {
        version: (6, 1),
        architecture: Some(Architecture::X86_64),
        capabilities: CapabilitySet::ALL,
        mount_calls: MountCalls::Present,
        user_namespaces: UserNamespaces::Available,
    };
    host
}

fn spec(isolation: IsolationSpec) -> ContainerSpec {
    let command = CommandSpec::Shell("true".into());
    let mut spec = ContainerSpec::new(LaunchId(7), command, "/run/task/sandbox");
    spec.isolation = isolation;
    spec
}

fn isolated(isolation: IsolationSpec) -> Isolation {
    *plan(&spec(isolation), &host()).unwrap().isolation.unwrap()
}

fn refused(isolation: IsolationSpec, host: &HostFacts) -> String {
    match plan(&spec(isolation), host) {
        Err(PlanError::Isolation(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn everything() -> IsolationSpec {
    let range = IdRange {
        inside: 0,
        outside: 100_000,
        count: 65536,
    };
    IsolationSpec {
        pid: NamespaceSpec::Own,
        mount: NamespaceSpec::Own,
        ipc: NamespaceSpec::Own,
        uts: NamespaceSpec::Own,
        network: NamespaceSpec::Path("/run/netns/a".into()),
        cgroup: NamespaceSpec::Own,
        user: NamespaceSpec::Own,
        uids: vec![range],
        gids: vec![range],
        root: RootSpec::Overlay {
            at: "/run/task/root".into(),
            lower: vec!["/layers/b".into(), "/layers/a".into()],
            upper: Some(("/run/task/upper".into(), "/run/task/work".into())),
        },
        hostname: Some("name".into()),
        shared_memory: SharedMemorySpec::Own { bytes: Some(4096) },
        temporary: TemporarySpec::Own,
        volumes: vec![VolumeSpec {
            source: VolumeSource::HostPath("/data".into()),
            target: "data".into(),
            access: Access::ReadOnly,
            propagation: Propagation::FromHost,
        }],
        capabilities: CapabilitySpec {
            bounding: Some(CapabilitySet(0xff)),
            effective: Some(CapabilitySet(0x0f)),
        },
        growth: PrivilegeGrowth::Never,
        seccomp: SeccompSpec::Default,
    }
}

#[test]
fn a_plan_with_isolation_survives_its_encoding_and_one_without_keeps_its_version() {
    for (wanted, version) in [(everything(), PLAN_VERSION), (IsolationSpec::default(), 1)] {
        let mut spec = spec(wanted);
        spec.terminal = (version > 1).then_some(TerminalSize {
            rows: 24,
            columns: 80,
        });
        let plan = plan(&spec, &host()).unwrap();
        let mut bytes = Vec::new();
        encode_plan(&plan, &mut bytes);
        assert_eq!(bytes[0], version);
        assert_eq!(decode_plan(&bytes).unwrap(), plan);
        for end in 0..bytes.len() {
            assert!(decode_plan(&bytes[..end]).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn damaged_bytes_of_a_plan_never_panic() {
    let plan = plan(&spec(everything()), &host()).unwrap();
    let mut bytes = Vec::new();
    encode_plan(&plan, &mut bytes);
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= change;
            let _ = decode_plan(&damaged);
        }
    }
}

#[test]
fn whatever_sets_a_container_apart_is_forked() {
    let plain = plan(&spec(IsolationSpec::default()), &host()).unwrap();
    assert_eq!(plain.clone, CloneMode::Vfork);
    let named = IsolationSpec {
        hostname: Some("a".into()),
        ..IsolationSpec::default()
    };
    assert_eq!(plan(&spec(named), &host()).unwrap().clone, CloneMode::Fork);
}

#[test]
fn process_numbers_of_its_own_bring_a_proc_of_its_own() {
    let isolation = isolated(IsolationSpec {
        pid: NamespaceSpec::Own,
        ..IsolationSpec::default()
    });
    assert!(isolation.makes(NamespaceKind::Pid) && isolation.makes(NamespaceKind::Mount));
    let [RootStep::Mount(mount)] = isolation.steps.as_slice() else {
        panic!("{:?}", isolation.steps)
    };
    assert_eq!(mount.target.path, c"/proc".to_owned());
    assert!(matches!(&mount.source, MountSource::New { kind, .. } if kind.as_c_str() == c"proc"));
    assert_eq!(isolation.root, Root::Host);
}

#[test]
fn a_root_of_its_own_has_its_sandbox_where_mesos_has_it() {
    let wanted = IsolationSpec {
        root: RootSpec::Folder {
            path: "/roots/a".into(),
            access: Access::ReadOnly,
        },
        ..IsolationSpec::default()
    };
    let plan = plan(&spec(wanted), &host()).unwrap();
    assert_eq!(plan.directory, c"/mnt/mesos/sandbox".to_owned());
    let stdout = format!("{:?}", plan.stdout);
    assert!(stdout.contains("/mnt/mesos/sandbox/stdout"), "{stdout}");
    let isolation = plan.isolation.unwrap();
    assert_eq!(isolation.root_attributes, MountAttributes::READ_ONLY);
    let masked = |path: &str| {
        isolation
            .steps
            .iter()
            .any(|step| matches!(step, RootStep::Mask { spot } if spot.path.to_str() == Ok(path)))
    };
    assert!(masked("/proc/kcore") && masked("/sys/firmware"));
}

#[test]
fn joined_namespaces_are_in_the_plan_by_launch_or_path() {
    let isolation = isolated(IsolationSpec {
        pid: NamespaceSpec::Of(LaunchId(3)),
        network: NamespaceSpec::Path("/run/netns/a".into()),
        ..IsolationSpec::default()
    });
    assert_eq!(
        isolation.namespace(NamespaceKind::Pid),
        Some(&NamespaceSource::OfLaunch(LaunchId(3)))
    );
    assert_eq!(
        isolation.namespace(NamespaceKind::Network),
        Some(&NamespaceSource::Path(c"/run/netns/a".to_owned()))
    );
    assert!(isolation.steps.is_empty() && isolation.namespace(NamespaceKind::Mount).is_none());
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let other = || NamespaceSpec::Of(LaunchId(3));
    let default = IsolationSpec::default;
    let volume = |target: &str, source: &str| VolumeSpec {
        source: VolumeSource::SandboxPath(source.into()),
        target: target.into(),
        access: Access::ReadWrite,
        propagation: Propagation::Private,
    };
    let cases = [
        (
            IsolationSpec {
                mount: other(),
                pid: NamespaceSpec::Own,
                ..default()
            },
            "another's mount namespace",
        ),
        (
            IsolationSpec {
                uts: other(),
                hostname: Some("a".into()),
                ..default()
            },
            "hostname \"a\" needs a uts namespace",
        ),
        (
            IsolationSpec {
                hostname: Some(String::new()),
                ..default()
            },
            "is empty or longer",
        ),
        (
            IsolationSpec {
                user: other(),
                pid: NamespaceSpec::Own,
                ..default()
            },
            "another's user namespace cannot have a",
        ),
        (
            IsolationSpec {
                user: NamespaceSpec::Own,
                ..default()
            },
            "at least one range of user ids",
        ),
        (
            IsolationSpec {
                pid: NamespaceSpec::Path("/x".into()),
                ..default()
            },
            "not by a path",
        ),
        (
            IsolationSpec {
                volumes: vec![volume("/a/../b", "c")],
                ..default()
            },
            "volumes[0].container_path \"/a/../b\"",
        ),
        (
            IsolationSpec {
                volumes: vec![volume("/a", "../c")],
                ..default()
            },
            "volumes[0].source.sandbox_path.path \"../c\" is not a path within the sandbox",
        ),
        (
            IsolationSpec {
                capabilities: CapabilitySpec {
                    bounding: Some(CapabilitySet(0b01)),
                    effective: Some(CapabilitySet(0b11)),
                },
                ..default()
            },
            "effective capabilities DAC_OVERRIDE are not among the bounding ones",
        ),
    ];
    for (wanted, expected) in cases {
        let message = refused(wanted, &host());
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn an_agent_that_lacks_the_means_says_which() {
    let own_pid = IsolationSpec {
        pid: NamespaceSpec::Own,
        ..IsolationSpec::default()
    };
    let mut unprivileged = host();
    unprivileged.privilege = Privilege::User { uid: 1000 };
    unprivileged.kernel.capabilities = CapabilitySet::EMPTY;
    assert!(refused(own_pid.clone(), &unprivileged).contains("runs as root"));
    let mut old = host();
    old.kernel.mount_calls = MountCalls::Missing;
    assert!(refused(own_pid, &old).contains("Linux 5.12"));
    let mut fewer = host();
    fewer.kernel.capabilities = CapabilitySet(0b01);
    let wanted = IsolationSpec {
        capabilities: CapabilitySpec {
            bounding: None,
            effective: Some(CapabilitySet(0b11)),
        },
        ..IsolationSpec::default()
    };
    assert!(refused(wanted, &fewer).contains("the agent itself lacks them"));
    // A filter alone needs no privilege where nothing can be gained any more.
    let filtered = IsolationSpec {
        seccomp: SeccompSpec::Default,
        ..IsolationSpec::default()
    };
    let plan = plan(&spec(filtered), &unprivileged).unwrap();
    let privileges = plan.isolation.unwrap().privileges;
    assert_eq!(privileges.growth, PrivilegeGrowth::Never);
}

#[test]
fn capability_sets_follow_from_what_was_given() {
    let sets = |bounding: Option<u64>, effective: Option<u64>, user: Option<&str>| {
        let mut host = host();
        let nobody = Credentials {
            uid: 65534,
            gid: 65534,
            groups: vec![],
        };
        host.users.insert("nobody".into(), nobody);
        let mut spec = spec(IsolationSpec {
            capabilities: CapabilitySpec {
                bounding: bounding.map(CapabilitySet),
                effective: effective.map(CapabilitySet),
            },
            growth: PrivilegeGrowth::Never,
            ..IsolationSpec::default()
        });
        spec.user = user.map(str::to_owned);
        let plan = plan(&spec, &host).unwrap();
        let sets = plan.isolation.unwrap().privileges.capabilities?;
        Some((sets.bounding.0, sets.effective.0, sets.root))
    };
    assert_eq!(sets(None, None, None), None);
    assert_eq!(sets(None, Some(3), None), Some((3, 3, RootRule::Special)));
    assert_eq!(sets(Some(7), None, None), Some((7, 7, RootRule::Special)));
    assert_eq!(sets(Some(7), Some(3), None), Some((7, 3, RootRule::Plain)));
    assert_eq!(
        sets(Some(7), None, Some("nobody")),
        Some((7, 0, RootRule::Special))
    );
    assert_eq!(
        sets(Some(7), Some(3), Some("nobody")),
        Some((7, 3, RootRule::Special))
    );
}
