//! What a plan says for a spec and a host, and what is refused.
#![allow(clippy::unwrap_used)]

use mezz_launch_plan::{
    CloneMode, CommandSpec, ContainerSpec, Credentials, HostFacts, Input, InputSpec, KillMethod,
    LaunchId, LaunchPlan, Leftovers, Output, OutputSpec, PidNamespaces, Place, PlanError, Rlimit,
    RlimitResource, SandboxContent, SessionMode, Survival, decode_plan, encode_plan, plan,
};
use std::ffi::CString;

fn root() -> HostFacts {
    HostFacts::bare("agent-1", 0)
}

fn shell(text: &str) -> ContainerSpec {
    ContainerSpec::new(
        LaunchId(0x2a),
        CommandSpec::Shell(text.into()),
        "/work/sandbox",
    )
}

fn argv(program: &str, argv: &[&str]) -> ContainerSpec {
    let argv = argv.iter().map(|&argument| argument.to_owned()).collect();
    ContainerSpec::new(
        LaunchId(1),
        CommandSpec::Argv {
            program: program.into(),
            argv,
        },
        "/work/sandbox",
    )
}

fn texts(strings: &[CString]) -> Vec<&str> {
    strings
        .iter()
        .map(|string| string.to_str().expect("UTF-8"))
        .collect()
}

fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn the_shell_form_runs_bin_sh_with_the_text_as_one_argument() {
    let plan = plan(&shell("echo 'a b' | cat"), &root()).unwrap();
    assert_eq!(texts(&plan.programs), ["/bin/sh"]);
    assert_eq!(texts(&plan.argv), ["sh", "-c", "echo 'a b' | cat"]);
    assert_eq!(plan.directory.to_str(), Ok("/work/sandbox"));
    assert_eq!(
        plan.stdout,
        Output::Append(c"/work/sandbox/stdout".to_owned())
    );
    assert_eq!(
        plan.stderr,
        Output::Append(c"/work/sandbox/stderr".to_owned())
    );
    assert_eq!(
        (plan.stdin, plan.session, plan.user),
        (Input::Null, SessionMode::NewSession, None)
    );
}

#[test]
fn the_argument_form_takes_the_first_argument_as_the_name() {
    let plan_of = |spec| plan(&spec, &root()).unwrap();
    let plan = plan_of(argv("/usr/bin/env", &["a name", "-i"]));
    assert_eq!(
        (texts(&plan.programs), texts(&plan.argv)),
        (vec!["/usr/bin/env"], vec!["a name", "-i"])
    );
    assert_eq!(
        texts(&plan_of(argv("/usr/bin/env", &[])).argv),
        ["/usr/bin/env"]
    );
}

#[test]
fn a_program_without_a_slash_is_looked_for_in_the_childs_own_path() {
    let mut spec = argv("tool", &["tool"]);
    spec.environment = vec![vec![variable("PATH", "/a/bin::/b")]];
    assert_eq!(
        texts(&plan(&spec, &root()).unwrap().programs),
        ["/a/bin/tool", "./tool", "/b/tool"]
    );
    let candidates = plan(&argv("tool", &[]), &root()).unwrap().programs;
    assert_eq!(
        candidates.first().map(CString::as_c_str),
        Some(c"/usr/local/sbin/tool")
    );
}

#[test]
fn a_later_environment_list_overrides_an_earlier_one_and_the_marker_all() {
    let mut spec = shell("true");
    spec.environment = vec![
        vec![
            variable("A", "agent"),
            variable("B", "agent"),
            variable("MEZZ_LAUNCH_ID", "forged"),
        ],
        vec![
            variable("B", "task"),
            variable("C", "first"),
            variable("C", "second=x"),
        ],
    ];
    let plan = plan(&spec, &root()).unwrap();
    let env = texts(&plan.env);
    assert_eq!(env[..3], ["A=agent", "B=task", "C=second=x"]);
    assert!(env[3].starts_with("PATH=/usr/local/sbin:"));
    assert_eq!(env[4], "MEZZ_LAUNCH_ID=agent-1.000000000000002a");
    assert_eq!(env.len(), 5);
    assert_eq!(plan.marker.to_str(), Ok(env[4]));
}

#[test]
fn the_best_means_of_ending_trees_that_the_host_has_is_taken() {
    let kill = |facts: &HostFacts| plan(&shell("true"), facts).unwrap().kill;
    let mut facts = root();
    assert_eq!(kill(&facts), KillMethod::Session);
    facts.pid_namespaces = PidNamespaces::Available;
    assert_eq!(kill(&facts), KillMethod::PidNamespace);
    let leaf = "agent-1/000000000000002a";
    let path = |root: &str| CString::new(format!("{root}/{leaf}")).unwrap();
    facts.cgroup_v2 = Some("/sys/fs/cgroup/mezz".into());
    assert_eq!(
        kill(&facts),
        KillMethod::CgroupV2 {
            path: path("/sys/fs/cgroup/mezz")
        }
    );
    facts.freezer_v1 = Some("/sys/fs/cgroup/freezer/mezz".into());
    assert_eq!(
        kill(&facts),
        KillMethod::FreezerV1 {
            path: path("/sys/fs/cgroup/freezer/mezz")
        }
    );
}

#[test]
fn memory_is_shared_with_the_child_only_where_nothing_foreign_can_delay_it() {
    let clone = |spec: &ContainerSpec, facts: &HostFacts| plan(spec, facts).unwrap().clone;
    let mut facts = root();
    facts.users.insert(
        "alice".into(),
        Credentials {
            uid: 1000,
            gid: 1000,
            groups: vec![1000],
        },
    );
    facts.users.insert(
        "root".into(),
        Credentials {
            uid: 0,
            gid: 0,
            groups: vec![0],
        },
    );
    assert_eq!(
        clone(&shell("anything"), &facts),
        CloneMode::Fork,
        "who knows where the sandbox lies"
    );
    facts.sandboxes = Place::LocalDisk;
    assert_eq!(clone(&shell("anything"), &facts), CloneMode::Vfork);
    assert_eq!(clone(&argv("/usr/bin/env", &[]), &facts), CloneMode::Vfork);
    assert_eq!(
        clone(
            &ContainerSpec {
                user: Some("root".into()),
                ..shell("x")
            },
            &facts
        ),
        CloneMode::Vfork
    );
    let foreign = [
        ContainerSpec {
            user: Some("alice".into()),
            ..shell("x")
        },
        ContainerSpec {
            working_directory: Some("/mnt/nfs".into()),
            ..shell("x")
        },
        ContainerSpec {
            sandbox_content: SandboxContent::Fetched,
            ..shell("x")
        },
        argv("/mnt/nfs/tool", &[]),
        argv("/usr/bin/../../mnt/tool", &[]),
        argv("./tool", &[]),
    ];
    for spec in foreign {
        assert_eq!(clone(&spec, &facts), CloneMode::Fork, "{spec:?}");
    }
    let on_local_disk = |spec: ContainerSpec| ContainerSpec {
        program_place: Place::LocalDisk,
        ..spec
    };
    assert_eq!(
        clone(&on_local_disk(argv("/opt/tool", &[])), &facts),
        CloneMode::Vfork
    );
    for spec in [
        argv("./tool", &[]),
        argv("/opt/../mnt/tool", &[]),
        ContainerSpec {
            user: Some("alice".into()),
            ..argv("/opt/tool", &[])
        },
        ContainerSpec {
            sandbox_content: SandboxContent::Fetched,
            ..argv("/opt/tool", &[])
        },
    ] {
        assert_eq!(
            clone(&on_local_disk(spec.clone()), &facts),
            CloneMode::Fork,
            "{spec:?}"
        );
    }
    let mut spec = argv("tool", &[]);
    assert_eq!(clone(&spec, &facts), CloneMode::Vfork);
    spec.environment = vec![vec![variable("PATH", "/usr/bin:/home/alice/bin")]];
    assert_eq!(clone(&spec, &facts), CloneMode::Fork);
    facts.pid_namespaces = PidNamespaces::Available;
    assert_eq!(clone(&shell("x"), &facts), CloneMode::Fork);
}

#[test]
fn another_user_needs_root_and_must_exist() {
    let as_user = |name: &str| ContainerSpec {
        user: Some(name.into()),
        ..shell("x")
    };
    let mut facts = HostFacts::bare("a", 1000);
    let alice = Credentials {
        uid: 1000,
        gid: 1000,
        groups: vec![1000, 27],
    };
    facts.users.insert("alice".into(), alice.clone());
    facts.users.insert(
        "bob".into(),
        Credentials {
            uid: 1001,
            gid: 1001,
            groups: vec![],
        },
    );
    assert_eq!(plan(&as_user("alice"), &facts).unwrap().user, None);
    let refused = plan(&as_user("bob"), &facts).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "cannot run as user \"bob\": the agent runs as uid 1000, not as root"
    );
    let unknown = plan(&as_user("carol"), &facts).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "user \"carol\" does not exist on this host"
    );
    let as_root = HostFacts {
        users: facts.users,
        ..root()
    };
    assert_eq!(plan(&as_user("alice"), &as_root).unwrap().user, Some(alice));
}

#[test]
fn a_relative_working_directory_starts_at_the_sandbox() {
    let spec = ContainerSpec {
        working_directory: Some("sub/dir".into()),
        ..shell("x")
    };
    assert_eq!(
        plan(&spec, &root()).unwrap().directory.to_str(),
        Ok("/work/sandbox/sub/dir")
    );
}

#[test]
fn bad_input_is_refused_with_the_name_of_the_field() {
    let message = |spec: &ContainerSpec| plan(spec, &root()).unwrap_err().to_string();
    assert_eq!(message(&argv("", &[])), "command.value is empty");
    assert_eq!(message(&shell("a\0b")), "command.value holds a NUL byte");
    assert_eq!(
        message(&argv("/x", &["x", "y\0"])),
        "command.arguments[1] holds a NUL byte"
    );
    let mut spec = shell("x");
    spec.environment = vec![vec![variable("A=B", "x")]];
    assert_eq!(
        message(&spec),
        "environment variable name \"A=B\" is empty or holds '=' or NUL"
    );
    spec.environment = vec![vec![variable("A", "x\0")]];
    assert_eq!(
        message(&spec),
        "environment variable \"A\" holds a NUL byte"
    );
    spec.environment = vec![vec![variable("PATH", "")]];
    spec.command = CommandSpec::Argv {
        program: "tool".into(),
        argv: vec![],
    };
    assert_eq!(
        message(&spec),
        "command.value \"tool\" has no slash and PATH is empty"
    );
    assert_eq!(
        message(&ContainerSpec {
            sandbox: "here".into(),
            ..shell("x")
        }),
        "sandbox \"here\" is not an absolute path"
    );
    assert_eq!(
        message(&ContainerSpec {
            umask: Some(0o1777),
            ..shell("x")
        }),
        "umask 0o1777 is above 0777"
    );
    let limit = Rlimit {
        resource: RlimitResource::Nofile,
        soft: Some(5),
        hard: Some(4),
    };
    let spec = ContainerSpec {
        rlimits: vec![limit],
        ..shell("x")
    };
    assert_eq!(
        message(&spec),
        "RLIMIT_NOFILE: soft limit Some(5) is above hard limit Some(4)"
    );
    for name in ["../x", "a/b", "", "..", "x/"] {
        let mut spec = shell("x");
        spec.stdio.stderr = OutputSpec::SandboxFile(name.into());
        assert_eq!(
            message(&spec),
            format!("stdio.stderr {name:?} is not a plain file name")
        );
    }
    for scope in ["", "..", "a/b", "a b"] {
        let error = plan(&shell("x"), &HostFacts::bare(scope, 0)).unwrap_err();
        assert_eq!(
            error,
            PlanError::Scope {
                scope: scope.into()
            }
        );
    }
}

fn rich_plan() -> LaunchPlan {
    let mut facts = root();
    facts.freezer_v1 = Some("/freezer".into());
    facts.users.insert(
        "alice".into(),
        Credentials {
            uid: 1000,
            gid: 100,
            groups: vec![100, 27],
        },
    );
    let mut spec = shell("x");
    spec.user = Some("alice".into());
    spec.umask = Some(0o027);
    spec.rlimits = vec![
        Rlimit {
            resource: RlimitResource::Nofile,
            soft: Some(5),
            hard: Some(6),
        },
        Rlimit {
            resource: RlimitResource::Core,
            soft: Some(0),
            hard: None,
        },
    ];
    spec.stdio.stdin = InputSpec::Pipe;
    spec.stdio.stdout = OutputSpec::Pipe;
    spec.stdio.stderr = OutputSpec::Null;
    spec.survival = Survival::EndWithConnection;
    spec.leftovers = Leftovers::Leave;
    let mut plan = plan(&spec, &facts).unwrap();
    plan.cgroups = vec![c"/cpu/x".to_owned(), c"/memory/x".to_owned()];
    plan
}

#[test]
fn an_encoded_plan_is_the_same_plan_again() {
    for plan in [rich_plan(), plan(&shell("y"), &root()).unwrap()] {
        let mut bytes = Vec::new();
        encode_plan(&plan, &mut bytes);
        assert_eq!(decode_plan(&bytes), Ok(plan));
    }
}

#[test]
fn a_damaged_plan_is_refused_and_never_panics() {
    let mut bytes = Vec::new();
    encode_plan(&rich_plan(), &mut bytes);
    for length in 0..bytes.len() {
        assert!(decode_plan(&bytes[..length]).is_err(), "cut at {length}");
    }
    for place in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] = value;
            // Whatever it is taken for, it is taken for something whole.
            if let Ok(plan) = decode_plan(&damaged) {
                let mut again = Vec::new();
                encode_plan(&plan, &mut again);
                assert_eq!(again, damaged);
            }
        }
    }
    bytes.push(0);
    assert_eq!(
        decode_plan(&bytes).unwrap_err().to_string(),
        "1 bytes too many"
    );
    bytes[0] = 9;
    assert_eq!(
        decode_plan(&bytes).unwrap_err().to_string(),
        "plan.version: unknown value 9"
    );
}
