//! What survives: the agent's death, the warden's death, and an upgrade in place.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_launch_plan::LaunchId;
use mezz_warden::{
    ClientError, Connection, ExitStatus, LaunchPhase, LaunchState, Reply, Request,
    connect_or_spawn, crash_point,
};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use support::*;

fn list(connection: &mut Connection) -> Vec<LaunchState> {
    send(connection, &[Request::List]);
    expect(connection, |reply| match reply {
        Reply::Listing { launches } => Some(launches.clone()),
        _ => None,
    })
}

fn ids(connection: &mut Connection) -> Vec<u64> {
    list(connection)
        .iter()
        .map(|state| state.launch_id.0)
        .collect()
}

#[test]
fn an_exit_is_reported_on_every_connection_until_it_is_acknowledged() {
    let lab = Lab::start(Life::Durable);
    let mut first = lab.connect(1);
    launch(&mut first, lab.plan(Means::Session, 1, "sleep 0.1; exit 5"));
    drop(first);
    for generation in 2..4 {
        let mut again = lab.connect(generation);
        assert_eq!(expect_status(&mut again, 1), ExitStatus::Exited(5));
    }
    let mut last = lab.connect(4);
    send(
        &mut last,
        &[Request::Acknowledge {
            launch_id: LaunchId(1),
        }],
    );
    assert_eq!(ids(&mut last), [] as [u64; 0]);
    drop(last);
    assert_eq!(lab.connect(5).welcome().launches, 0);
}

#[test]
fn a_running_launch_cannot_be_acknowledged_away() {
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    let pid = launch(
        &mut connection,
        lab.plan(Means::Session, 1, "exec sleep 1000"),
    );
    send(
        &mut connection,
        &[Request::Acknowledge {
            launch_id: LaunchId(1),
        }],
    );
    let listing = list(&mut connection);
    assert_eq!(
        (listing[0].pid, listing[0].phase),
        (pid, LaunchPhase::Running)
    );
    assert!(listing[0].start_ticks > 0);
}

#[test]
fn the_newest_generation_wins_and_an_older_one_is_told() {
    let lab = Lab::start(Life::Durable);
    let mut old = lab.connect(5);
    let refused = Connection::connect(&lab.socket(), 4);
    assert!(
        matches!(refused, Err(ClientError::Superseded { generation: 5 })),
        "{refused:?}"
    );
    let mut new = lab.connect(6);
    assert_eq!(next(&mut old).reply, Reply::Superseded { generation: 6 });
    assert!(matches!(old.receive(PATIENCE), Err(ClientError::Closed)));
    assert_eq!(ids(&mut new), [] as [u64; 0]);
}

#[test]
fn a_client_killed_in_the_middle_of_a_message_harms_nobody() {
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    let pid = launch(
        &mut connection,
        lab.plan(Means::Session, 1, "exec sleep 1000"),
    );
    let mut bytes = Vec::new();
    mezz_warden::frames::encode_request(
        &Request::Launch(Box::new(lab.plan(Means::Session, 2, "true"))),
        &mut bytes,
    );
    rustix::io::write(connection.as_fd(), &bytes[..bytes.len() / 2]).unwrap();
    drop(connection);
    assert_eq!(ids(&mut lab.connect(2)), [1]);
    assert!(lives(pid));
}

#[test]
fn garbage_ends_the_connection_and_nothing_else() {
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    launch(
        &mut connection,
        lab.plan(Means::Session, 1, "exec sleep 1000"),
    );
    rustix::io::write(connection.as_fd(), &[3, 0, 0, 0, 250, 1, 2]).unwrap();
    assert!(matches!(
        connection.receive(PATIENCE),
        Err(ClientError::Closed)
    ));
    assert_eq!(ids(&mut lab.connect(2)), [1]);
}

#[test]
fn two_wardens_never_share_a_socket_and_a_running_one_is_found() {
    let lab = Lab::start(Life::Durable);
    let options = Lab::options(lab.dir.path(), Life::Durable);
    assert!(mezz_warden::spawn(&options).is_err());
    let (connection, handle) = connect_or_spawn(&options, 1).unwrap();
    assert!(handle.is_none());
    assert_eq!(connection.welcome().warden_pid, lab.handle.pid());
}

#[test]
fn a_socket_path_longer_than_the_kernels_limit_works() {
    let dir = tempfile::Builder::new()
        .prefix(&"long-".repeat(40))
        .tempdir()
        .unwrap();
    let lab = Lab::start_in(dir, Life::Durable);
    assert_eq!(ids(&mut lab.connect(1)), [] as [u64; 0]);
}

#[test]
fn an_upgrade_in_place_keeps_children_exits_pipes_and_the_connection() {
    for means in Means::available() {
        let lab = Lab::start(Life::Durable);
        let mut connection = lab.connect(1);
        let runs = launch(
            &mut connection,
            lab.plan(means, 1, "mkfifo go; read x < go; exit 6"),
        );
        launch(&mut connection, lab.plan(means, 2, "exit 2"));
        expect_exit(&mut connection, 2);
        send(&mut connection, &[Request::Reexec { path: binary() }]);
        let pid = expect(&mut connection, |reply| match reply {
            Reply::Welcome { warden_pid, .. } => Some(*warden_pid),
            _ => None,
        });
        assert_eq!(pid, lab.handle.pid());
        // The exit that nobody acknowledged is said again, over the same connection.
        assert_eq!(expect_status(&mut connection, 2), ExitStatus::Exited(2));
        assert!(lives(runs));
        send(
            &mut connection,
            &[Request::KillTree {
                launch_id: LaunchId(1),
            }],
        );
        assert_eq!(expect_exit(&mut connection, 1).pid, runs, "{means:?}");
        launch(
            &mut connection,
            lab.plan(means, 3, "grep SigIgn /proc/self/status"),
        );
        expect_exit(&mut connection, 3);
        assert_eq!(lab.output(3), "SigIgn:\t0000000000000000\n");
    }
}

#[test]
fn an_upgrade_to_what_is_no_warden_is_refused_and_changes_nothing() {
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    let pid = launch(
        &mut connection,
        lab.plan(Means::Session, 1, "exec sleep 1000"),
    );
    for path in ["/bin/false", "/no/such/file", "relative"] {
        send(&mut connection, &[Request::Reexec { path: path.into() }]);
        expect(&mut connection, |reply| {
            matches!(reply, Reply::ReexecFailed { .. }).then_some(())
        });
    }
    assert!(lives(pid));
    assert_eq!(ids(&mut connection), [1]);
}

#[test]
fn exits_survive_the_wardens_death_and_what_runs_is_taken_up() {
    for means in Means::available() {
        let mut lab = Lab::start(Life::Durable);
        let mut connection = lab.connect(1);
        launch(&mut connection, lab.plan(means, 1, "exit 9"));
        expect_exit(&mut connection, 1);
        let plan = lab.plan(means, 2, "exec sleep 1000");
        let stray = launch(&mut connection, plan.clone());
        rustix::process::kill_process(pid(&lab), rustix::process::Signal::KILL).unwrap();
        lab.handle.wait().unwrap();
        lab.handle = mezz_warden::spawn(&Lab::options(lab.dir.path(), Life::Durable)).unwrap();
        let mut connection = lab.connect(2);
        assert_eq!(expect_status(&mut connection, 1), ExitStatus::Exited(9));
        assert_eq!(ids(&mut connection), [1, 2]);
        assert!(lives(stray), "{means:?}");
        send(
            &mut connection,
            &[Request::KillTree {
                launch_id: LaunchId(2),
            }],
        );
        let status = expect_status(&mut connection, 2);
        assert_eq!(status.raw() & 0x7f, 9, "{means:?}: {status:?}");
        expect(&mut connection, |reply| {
            matches!(
                reply,
                Reply::TreeGone {
                    launch_id: LaunchId(2)
                }
            )
            .then_some(())
        });
        eventually("the stray is gone", || !lives(stray));
    }
}

#[test]
fn a_stray_that_no_warden_has_taken_up_is_killed_by_its_marker() {
    for means in Means::available() {
        let mut lab = Lab::start(Life::Durable);
        let mut connection = lab.connect(1);
        let plan = lab.plan(means, 2, "exec sleep 1000");
        let stray = launch(&mut connection, plan.clone());
        rustix::process::kill_process(pid(&lab), rustix::process::Signal::KILL).unwrap();
        lab.handle.wait().unwrap();
        // A log that is lost is all that keeps the next warden from it.
        std::fs::remove_dir_all(lab.dir.path().join("work")).unwrap();
        lab.handle = mezz_warden::spawn(&Lab::options(lab.dir.path(), Life::Durable)).unwrap();
        let mut connection = lab.connect(2);
        assert!(ids(&mut connection).is_empty());
        send(
            &mut connection,
            &[Request::KillStray {
                launch_id: LaunchId(2),
                kill: plan.kill,
                marker: plan.marker,
            }],
        );
        expect(&mut connection, |reply| {
            matches!(reply, Reply::TreeGone { .. }).then_some(())
        });
        eventually("the stray is gone", || !lives(stray));
    }
}

fn pid(lab: &Lab) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(lab.handle.pid().cast_signed()).unwrap()
}

/// Starts a warden that dies at the point, drives it through everything, and says whether it died.
fn drive_into(point: &str) -> (tempfile::TempDir, std::process::ExitStatus, Connection) {
    let dir = tempfile::tempdir().unwrap();
    let options = Lab::options(dir.path(), Life::Durable);
    let mut command = Command::new(binary());
    command
        .arg0("mezz")
        .arg("warden")
        .arg("--socket")
        .arg(&options.socket)
        .arg("--work-dir")
        .arg(dir.path().join("work"));
    let mut child = command
        .env(crash_point::VARIABLE, point)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = [0; 6];
    std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut word).unwrap();
    let mut connection = Connection::connect(&options.socket, 1).unwrap();
    let facts = Means::Session.facts().unwrap();
    let sandbox = dir.path().join("sandbox");
    std::fs::create_dir(&sandbox).unwrap();
    let spec = mezz_launch_plan::ContainerSpec::new(
        LaunchId(1),
        mezz_launch_plan::CommandSpec::Shell("exit 3".into()),
        sandbox,
    );
    let plan = mezz_launch_plan::plan(&spec, &facts).unwrap();
    // Whatever the point is, it lies on this way; the connection breaks there.
    let _ = connection.send_batch(&[Request::Launch(Box::new(plan))]);
    let exited = loop {
        match connection.receive(PATIENCE) {
            Ok(Some(incoming)) if matches!(incoming.reply, Reply::Exited(_)) => break true,
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break false,
        }
    };
    if exited {
        if point.contains("reexec") {
            let _ = connection.send_batch(&[Request::Reexec { path: binary() }]);
        } else {
            let _ = connection.send_batch(&[Request::Acknowledge {
                launch_id: LaunchId(1),
            }]);
        }
    }
    let status = child.wait().unwrap();
    let (connection, _handle) = connect_or_spawn(&options, 2).unwrap();
    (dir, status, connection)
}

#[test]
fn death_at_any_point_loses_no_exit_that_was_written_down() {
    for point in crash_point::WARDEN_POINTS {
        let (_dir, status, mut connection) = drive_into(point);
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(9),
            "{point} was not visited"
        );
        let listing = list(&mut connection);
        let kept = listing.first().map(|state| state.phase);
        // After the write and before the acknowledgement is written, the exit must be there; before the write the
        // process was never reaped, and nothing was said of it.
        let written = [
            "after_exit_log",
            "after_reap",
            "before_acknowledge_log",
            "reexec",
        ]
        .iter()
        .any(|word| point.contains(word));
        match kept {
            Some(LaunchPhase::Exited(exit)) => {
                assert_eq!(exit.status, ExitStatus::Exited(3), "{point}");
            }
            // It had started, and was not reaped: the next warden sees its end too.
            Some(LaunchPhase::Running) => {
                assert!(!written, "{point}: the exit is lost");
                assert_eq!(expect_status(&mut connection, 1), ExitStatus::Exited(3));
            }
            None => assert!(!written, "{point}: the exit is lost"),
            other => panic!("{point}: {other:?}"),
        }
        send(
            &mut connection,
            &[Request::Shutdown {
                launches: mezz_warden::ShutdownLaunches::Kill,
            }],
        );
    }
}

#[test]
fn an_ordinary_user_gets_sessions_and_whole_trees_are_killed_all_the_same() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    std::os::unix::fs::chown(dir.path(), Some(65534), Some(65534)).unwrap();
    let program = dir.path().join("mezz");
    std::fs::copy(binary(), &program).unwrap();
    let socket = dir.path().join("run/warden.sock");
    let mut command = Command::new(&program);
    command
        .arg("warden")
        .arg("--socket")
        .arg(&socket)
        .uid(65534)
        .gid(65534)
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut word = [0; 6];
    std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut word).unwrap();
    let mut connection = Connection::connect(&socket, 1).unwrap();
    let facts = mezz_launch_plan::HostFacts::bare("user", 65534);
    let script = "setsid sleep 1000 & echo $! > stray; wait";
    let spec = mezz_launch_plan::ContainerSpec::new(
        LaunchId(1),
        mezz_launch_plan::CommandSpec::Shell(script.into()),
        dir.path(),
    );
    let main = launch(
        &mut connection,
        mezz_launch_plan::plan(&spec, &facts).unwrap(),
    );
    let stray = pid_in(&dir.path().join("stray"));
    send(
        &mut connection,
        &[Request::KillTree {
            launch_id: LaunchId(1),
        }],
    );
    expect(&mut connection, |reply| {
        matches!(reply, Reply::TreeGone { .. }).then_some(())
    });
    assert!(!lives(main) && !lives(stray));
    drop(connection);
    assert!(child.wait().unwrap().success());
}
