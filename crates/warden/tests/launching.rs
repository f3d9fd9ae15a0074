//! What a launched program finds, and what is said of one that cannot be launched.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_launch_plan::{
    CloneMode, CommandSpec, ContainerSpec, Credentials, HostFacts, InputSpec, LaunchId, OutputSpec,
    Rlimit, RlimitResource, plan,
};
use mezz_warden::{ExitStatus, LaunchStep, Reply, Request};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use support::*;

fn run(lab: &Lab, spec: &ContainerSpec, facts: &HostFacts) -> ExitStatus {
    let mut connection = lab.connect(1);
    launch(&mut connection, plan(spec, facts).unwrap());
    expect_status(&mut connection, spec.launch_id.0)
}

#[test]
fn a_command_writes_into_its_sandbox_and_its_status_is_reported() {
    for means in Means::available() {
        for clone in [CloneMode::Vfork, CloneMode::Fork] {
            if means == Means::PidNamespace && clone == CloneMode::Vfork {
                continue;
            }
            let lab = Lab::start(Life::Ephemeral);
            let mut connection = lab.connect(1);
            let mut plan = lab.plan(means, 1, "echo out; echo err >&2; exit 7");
            plan.clone = clone;
            launch(&mut connection, plan);
            assert_eq!(
                expect_status(&mut connection, 1),
                ExitStatus::Exited(7),
                "{means:?} {clone:?}"
            );
            assert_eq!(lab.output(1), "out\n");
            assert_eq!(
                std::fs::read_to_string(lab.sandbox(1).join("stderr")).unwrap(),
                "err\n"
            );
        }
    }
}

#[test]
fn a_signal_that_ends_the_program_is_reported_as_such() {
    for means in Means::available() {
        let lab = Lab::start(Life::Ephemeral);
        let mut connection = lab.connect(1);
        launch(&mut connection, lab.plan(means, 1, "kill -KILL $$"));
        let status = expect_status(&mut connection, 1);
        assert_eq!(
            status,
            ExitStatus::Signaled {
                signal: 9,
                core_dumped: false
            },
            "{means:?}"
        );
    }
}

#[test]
fn the_child_has_exactly_its_environment_and_working_directory() {
    let lab = Lab::start(Life::Ephemeral);
    let mut spec = lab.spec(5, "env | sort; pwd");
    spec.environment = vec![
        vec![("A".into(), "1".into()), ("B".into(), "x y".into())],
        vec![("A".into(), "2".into())],
    ];
    assert_eq!(
        run(&lab, &spec, &Means::Session.facts().unwrap()),
        ExitStatus::Exited(0)
    );
    let output = lab.output(5);
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| !line.starts_with("PATH="))
        .collect();
    let sandbox = lab.sandbox(5);
    let pwd = format!("PWD={}", sandbox.display());
    // The shell itself adds PWD (and some shells more).
    assert_eq!(lines.first(), Some(&"A=2"));
    assert!(
        lines.contains(&"B=x y")
            && output.contains(".0000000000000005\n")
            && lines.contains(&pwd.as_str())
    );
    assert!(
        !output.contains("CARGO"),
        "something was inherited: {output}"
    );
    assert_eq!(lines.last().copied(), sandbox.to_str());
}

#[test]
fn the_child_leads_a_session_with_default_signals_and_no_foreign_descriptors() {
    let lab = Lab::start(Life::Durable);
    for (id, clone) in [(1, CloneMode::Vfork), (2, CloneMode::Fork)] {
        let script = "ls -l /proc/self/fd | grep -c -- '->'; grep -E '^Sig(Blk|Ign)' /proc/self/status; ps -o pid=,sid= -p $$";
        let mut connection = lab.connect(1);
        let mut plan = lab.plan(Means::Session, id, script);
        plan.clone = clone;
        let pid = launch(&mut connection, plan);
        expect_status(&mut connection, id);
        let output = lab.output(id);
        let lines: Vec<&str> = output.lines().collect();
        // 0, 1, 2 and the directory that ls itself reads.
        assert_eq!(lines[0], "4", "{output}");
        assert_eq!(
            &lines[1..3],
            ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"]
        );
        let numbers: Vec<u32> = lines[3]
            .split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect();
        assert_eq!(numbers, [pid, pid]);
    }
}

#[test]
fn a_program_is_searched_in_the_childs_own_path() {
    let lab = Lab::start(Life::Ephemeral);
    let bin = lab.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let tool = bin.join("my-tool");
    std::fs::write(&tool, "echo \"script $0 $1\"\n").unwrap();
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    let command = CommandSpec::Argv {
        program: "my-tool".into(),
        argv: vec!["my-tool".into(), "an argument".into()],
    };
    let mut spec = ContainerSpec::new(LaunchId(1), command, lab.sandbox(1));
    spec.environment = vec![vec![("PATH".into(), format!("/nowhere:{}", bin.display()))]];
    // It has no interpreter line either: the shell runs it, as execvp would have it.
    assert_eq!(
        run(&lab, &spec, &Means::Session.facts().unwrap()),
        ExitStatus::Exited(0)
    );
    assert_eq!(
        lab.output(1),
        format!("script {} an argument\n", tool.display())
    );
}

#[test]
fn a_program_that_does_not_exist_is_a_failed_launch_that_names_the_step() {
    for means in Means::available() {
        for clone in [CloneMode::Vfork, CloneMode::Fork] {
            if means == Means::PidNamespace && clone == CloneMode::Vfork {
                continue;
            }
            let lab = Lab::start(Life::Durable);
            let mut connection = lab.connect(1);
            let command = CommandSpec::Argv {
                program: "/bin/no-such-program".into(),
                argv: vec![],
            };
            let spec = ContainerSpec::new(LaunchId(1), command, lab.sandbox(1));
            let facts = means.facts().unwrap();
            let mut plan = plan(&spec, &facts).unwrap();
            plan.clone = clone;
            send(&mut connection, &[Request::Launch(Box::new(plan))]);
            let Reply::LaunchFailed {
                step,
                errno,
                message,
                ..
            } = next(&mut connection).reply
            else {
                panic!("a failure")
            };
            assert_eq!(
                (step, errno),
                (LaunchStep::Exec, libc::ENOENT),
                "{means:?} {clone:?}"
            );
            assert!(
                message.contains("exec") && message.contains("No such file"),
                "{message}"
            );
            // Nothing stays behind: neither a record, nor a cgroup, nor a zombie.
            send(&mut connection, &[Request::List]);
            assert_eq!(
                next(&mut connection).reply,
                Reply::Listing { launches: vec![] }
            );
            let children = format!("/proc/{0}/task/{0}/children", lab.handle.pid());
            eventually("no child is left", || {
                std::fs::read_to_string(&children).is_ok_and(|list| list.trim().is_empty())
            });
            for root in [&facts.cgroup_v2, &facts.freezer_v1].into_iter().flatten() {
                let left = std::fs::read_dir(root.join(&facts.scope))
                    .map_or(0, |entries| entries.flatten().filter(is_dir).count());
                assert_eq!(left, 0, "a cgroup of {means:?} {clone:?}");
            }
        }
    }
}

#[test]
fn a_missing_working_directory_and_a_closed_sandbox_are_named() {
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    let mut plan = lab.plan(Means::Session, 1, "true");
    plan.directory = c"/no/such/directory".to_owned();
    let mut other = lab.plan(Means::Session, 2, "true");
    other.stdout = mezz_launch_plan::Output::Append(c"/no/such/file".to_owned());
    send(
        &mut connection,
        &[
            Request::Launch(Box::new(plan)),
            Request::Launch(Box::new(other)),
        ],
    );
    let mut steps = Vec::new();
    while steps.len() < 2 {
        if let Reply::LaunchFailed {
            launch_id, step, ..
        } = next(&mut connection).reply
        {
            steps.push((launch_id.0, step));
        }
    }
    steps.sort_by_key(|(id, _)| *id);
    assert_eq!(steps, [(1, LaunchStep::Directory), (2, LaunchStep::Stdio)]);
}

#[test]
fn limits_and_mask_reach_the_child_and_the_wardens_own_limit_does_not() {
    let lab = Lab::start(Life::Ephemeral);
    let mut spec = lab.spec(1, "ulimit -n; ulimit -c; umask");
    spec.rlimits = vec![Rlimit {
        resource: RlimitResource::Core,
        soft: Some(0),
        hard: Some(0),
    }];
    spec.umask = Some(0o077);
    run(&lab, &spec, &Means::Session.facts().unwrap());
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let own = own.map_or("unlimited".to_owned(), |limit| limit.to_string());
    assert_eq!(lab.output(1), format!("{own}\n0\n0077\n"));
}

#[test]
fn another_user_is_become_whole_with_its_groups_and_owns_its_output() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Ephemeral);
    std::fs::set_permissions(lab.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut facts = Means::available()[0].facts().unwrap();
    facts.users.insert(
        "nobody".into(),
        Credentials {
            uid: 65534,
            gid: 65534,
            groups: vec![65534, 100],
        },
    );
    let mut spec = lab.spec(1, "id -u; id -g; id -G");
    std::os::unix::fs::chown(&spec.sandbox, Some(65534), Some(65534)).unwrap();
    spec.user = Some("nobody".into());
    assert_eq!(run(&lab, &spec, &facts), ExitStatus::Exited(0));
    assert_eq!(lab.output(1), "65534\n65534\n65534 100\n");
    assert_eq!(
        std::fs::metadata(spec.sandbox.join("stdout"))
            .unwrap()
            .uid(),
        65534
    );
}

#[test]
fn pipes_are_handed_over_and_survive_the_agent() {
    for means in Means::available() {
        let lab = Lab::start(Life::Durable);
        let mut spec = lab.spec(1, "read line; echo \"got $line\"; cat; echo done >&2");
        spec.stdio.stdin = InputSpec::Pipe;
        spec.stdio.stdout = OutputSpec::Pipe;
        let plan = plan(&spec, &means.facts().unwrap()).unwrap();
        let mut first = lab.connect(1);
        send(&mut first, &[Request::Launch(Box::new(plan))]);
        let started = next(&mut first);
        assert_eq!(started.descriptors.len(), 2, "{:?}", started.reply);
        drop((started, first));
        // A later agent gets them again.
        let mut second = lab.connect(2);
        send(
            &mut second,
            &[Request::Reattach {
                launch_id: LaunchId(1),
            }],
        );
        let mut pipes = next(&mut second).descriptors.into_iter();
        let (mut stdin, mut stdout) = (
            File::from(pipes.next().unwrap()),
            File::from(pipes.next().unwrap()),
        );
        stdin.write_all(b"hello\nmore\n").unwrap();
        drop(stdin);
        send(
            &mut second,
            &[Request::CloseInput {
                launch_id: LaunchId(1),
            }],
        );
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        assert_eq!(text, "got hello\nmore\n", "{means:?}");
        assert_eq!(expect_status(&mut second, 1), ExitStatus::Exited(0));
    }
}

#[test]
fn a_launch_that_is_asked_for_twice_happens_once() {
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    let plan = lab.plan(Means::Session, 1, "echo once; sleep 100");
    let first = launch(&mut connection, plan.clone());
    assert_eq!(launch(&mut connection, plan), first);
    eventually("output", || lab.output(1) == "once\n");
}

#[test]
fn a_child_that_is_stopped_before_it_executes_blocks_nobody_and_fails_by_its_deadline() {
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    // Opening a FIFO without a reader sleeps: a path that a user could have made.
    let fifo = lab.sandbox(1).join("stdout");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .unwrap();
    let mut spec = lab.spec(1, "true");
    spec.sandbox_content = mezz_launch_plan::SandboxContent::Fetched;
    let mut plan = plan(&spec, &Means::available()[0].facts().unwrap()).unwrap();
    assert_eq!(plan.clone, CloneMode::Fork);
    plan.step_deadline_ms = 400;
    send(&mut connection, &[Request::Launch(Box::new(plan))]);
    let children = format!("/proc/{0}/task/{0}/children", lab.handle.pid());
    let mut child = None;
    eventually("the child is there", || {
        child = std::fs::read_to_string(&children)
            .ok()
            .and_then(|list| list.trim().parse().ok());
        child.is_some()
    });
    let child = child.and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::STOP).unwrap();
    // Meanwhile others start and end.
    launch(&mut connection, lab.plan(Means::Session, 2, "exit 2"));
    assert_eq!(expect_status(&mut connection, 2), ExitStatus::Exited(2));
    let (step, errno) = expect(&mut connection, |reply| match reply {
        Reply::LaunchFailed {
            launch_id: LaunchId(1),
            step,
            errno,
            ..
        } => Some((*step, *errno)),
        _ => None,
    });
    // The stop may have come before the child reached its standard streams.
    assert!(
        step <= LaunchStep::Stdio && errno == libc::ETIMEDOUT,
        "{step} {errno}"
    );
    eventually("the stuck child is gone", || {
        std::fs::read_to_string(&children).is_ok_and(|list| list.trim().is_empty())
    });
}

#[test]
fn many_launches_in_one_batch_all_run() {
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    let facts = Means::available()[0].facts().unwrap();
    let requests: Vec<Request> = (0..2000)
        .map(|id| {
            let mut plan = plan(
                &ContainerSpec::new(
                    LaunchId(id),
                    CommandSpec::Shell("exit 3".into()),
                    lab.sandbox(0),
                ),
                &facts,
            )
            .unwrap();
            plan.clone = if id % 2 == 0 {
                CloneMode::Fork
            } else {
                CloneMode::Vfork
            };
            Request::Launch(Box::new(plan))
        })
        .collect();
    let mut flush = connection.send_batch(&requests).unwrap();
    let (mut started, mut exited) = (0, 0);
    while exited < requests.len() {
        if flush == mezz_warden::Flush::Pending {
            flush = connection.flush().unwrap();
        }
        match next(&mut connection).reply {
            Reply::Started { .. } => started += 1,
            Reply::Exited(exit) => {
                assert_eq!(exit.status, ExitStatus::Exited(3));
                exited += 1;
                send_acknowledge(&mut connection, exit.launch_id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(started, requests.len());
}

fn is_dir(entry: &std::fs::DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir())
}

fn send_acknowledge(connection: &mut mezz_warden::Connection, launch_id: LaunchId) {
    let _ = connection
        .send_batch(&[Request::Acknowledge { launch_id }])
        .unwrap();
}
