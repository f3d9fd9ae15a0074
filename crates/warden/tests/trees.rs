//! Whole trees are ended: whatever a task forks, daemonises or hides.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_launch_plan::{LaunchId, Leftovers, Survival};
use mezz_warden::{ExitStatus, Reply, Request, SignalScope};
use support::*;

/// A tree with a child, a daemon in a session of its own whose parent is gone, and one without the marker.
const GROVE: &str = "sleep 1000 & echo $! > child; \
     (setsid sh -c 'echo $$ > daemon.tmp; mv daemon.tmp daemon; exec sleep 1000' &) ; \
     env -i /bin/sh -c 'echo $$ > bare.tmp; mv bare.tmp bare; exec /bin/sleep 1000' & \
     wait";

fn grove(lab: &Lab, connection: &mut mezz_warden::Connection, means: Means, id: u64) -> Vec<u32> {
    let main = launch(connection, lab.plan(means, id, GROVE));
    let mut pids = vec![main];
    for name in ["child", "daemon", "bare"] {
        let pid = pid_in(&lab.sandbox(id).join(name));
        // Inside a pid namespace the numbers are others; there the tree is found by its descent.
        if means != Means::PidNamespace {
            pids.push(pid);
        }
    }
    if means == Means::PidNamespace {
        // The shell between the daemon and its parent is on its way out.
        eventually("the tree is complete", || {
            pids = std::iter::once(main).chain(descendants(main)).collect();
            pids.len() == 5 && pids.iter().all(|pid| lives(*pid))
        });
    }
    assert!(pids.iter().all(|pid| lives(*pid)), "{pids:?}");
    pids
}

fn descendants(pid: u32) -> Vec<u32> {
    let list =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children: Vec<u32> = list
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    children
        .into_iter()
        .flat_map(|child| std::iter::once(child).chain(descendants(child)))
        .collect()
}

#[test]
fn killing_a_tree_ends_daemons_and_children_alike_and_says_when_it_is_gone() {
    for means in Means::available() {
        let lab = Lab::start(Life::Durable);
        let mut connection = lab.connect(1);
        let pids = grove(&lab, &mut connection, means, 1);
        send(
            &mut connection,
            &[Request::KillTree {
                launch_id: LaunchId(1),
            }],
        );
        let mut order = Vec::new();
        while order.len() < 2 {
            match next(&mut connection).reply {
                Reply::Exited(exit) => {
                    assert_eq!(
                        exit.status,
                        ExitStatus::Signaled {
                            signal: 9,
                            core_dumped: false
                        },
                        "{means:?}"
                    );
                    order.push("exited");
                }
                Reply::TreeGone {
                    launch_id: LaunchId(1),
                } => order.push("gone"),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(order, ["exited", "gone"], "{means:?}");
        assert!(pids.iter().all(|pid| !lives(*pid)), "{means:?}: {pids:?}");
    }
}

#[test]
fn what_a_main_process_leaves_behind_ends_with_it() {
    for means in Means::available() {
        let lab = Lab::start(Life::Durable);
        let mut connection = lab.connect(1);
        let script = "setsid sh -c 'echo $$ > stray.tmp; mv stray.tmp stray; exec sleep 1000' & \
             while [ ! -e stray ]; do sleep 0.01; done; exit 4";
        launch(&mut connection, lab.plan(means, 1, script));
        assert_eq!(expect_status(&mut connection, 1), ExitStatus::Exited(4));
        if means != Means::PidNamespace {
            let stray = pid_in(&lab.sandbox(1).join("stray"));
            eventually("the stray is gone", || !lives(stray));
        }
    }
}

#[test]
fn leftovers_may_be_left_until_they_are_killed() {
    for means in Means::available()
        .into_iter()
        .filter(|means| *means != Means::PidNamespace)
    {
        let lab = Lab::start(Life::Durable);
        let mut connection = lab.connect(1);
        let mut plan = lab.plan(means, 1, "sleep 1000 & echo $! > stray; exit 0");
        plan.leftovers = Leftovers::Leave;
        launch(&mut connection, plan);
        expect_exit(&mut connection, 1);
        let stray = pid_in(&lab.sandbox(1).join("stray"));
        std::thread::sleep(std::time::Duration::from_millis(150));
        assert!(lives(stray), "{means:?}");
        send(
            &mut connection,
            &[Request::KillTree {
                launch_id: LaunchId(1),
            }],
        );
        expect(&mut connection, |reply| {
            matches!(reply, Reply::TreeGone { .. }).then_some(())
        });
        assert!(!lives(stray), "{means:?}");
    }
}

#[test]
fn a_signal_reaches_the_main_process_or_the_whole_tree_as_asked() {
    for means in Means::available() {
        let lab = Lab::start(Life::Durable);
        let mut connection = lab.connect(1);
        let script = "trap 'echo main >> log; exit 0' TERM; \
             sh -c 'trap \"echo child >> log; exit 0\" TERM; echo ready > ready; while :; do sleep 0.02; done' & \
             while :; do sleep 0.02; done";
        for (id, scope) in [(1, SignalScope::Process), (2, SignalScope::Tree)] {
            let mut plan = lab.plan(means, id, script);
            plan.leftovers = Leftovers::Leave;
            launch(&mut connection, plan);
            eventually("the child is ready", || {
                lab.sandbox(id).join("ready").exists()
            });
            send(
                &mut connection,
                &[Request::Signal {
                    launch_id: LaunchId(id),
                    signal: libc::SIGTERM,
                    scope,
                }],
            );
            assert_eq!(
                expect_status(&mut connection, id),
                ExitStatus::Exited(0),
                "{means:?} {scope:?}"
            );
            let log = || std::fs::read_to_string(lab.sandbox(id).join("log")).unwrap_or_default();
            match scope {
                SignalScope::Process => assert_eq!(log(), "main\n", "{means:?}"),
                // The end of a namespace's init comes before its children can write.
                SignalScope::Tree if means == Means::PidNamespace => {
                    assert!(log().contains("main"));
                }
                SignalScope::Tree => eventually("both got it", || {
                    log().contains("main") && log().contains("child")
                }),
            }
        }
    }
}

#[test]
fn a_launch_that_is_unknown_is_refused_by_name() {
    let lab = Lab::start(Life::Durable);
    let mut connection = lab.connect(1);
    send(
        &mut connection,
        &[
            Request::KillTree {
                launch_id: LaunchId(9),
            },
            Request::Signal {
                launch_id: LaunchId(9),
                signal: 15,
                scope: SignalScope::Process,
            },
            Request::Usage {
                launch_id: LaunchId(9),
            },
        ],
    );
    for word in ["kill tree", "signal", "usage"] {
        let Reply::Refused { errno, message, .. } = next(&mut connection).reply else {
            panic!("refused")
        };
        assert_eq!(errno, libc::ESRCH);
        assert!(message.starts_with(word), "{message}");
    }
}

#[test]
fn usage_counts_the_whole_tree() {
    for means in Means::available() {
        let lab = Lab::start(Life::Durable);
        let mut connection = lab.connect(1);
        grove(&lab, &mut connection, means, 1);
        send(
            &mut connection,
            &[Request::Usage {
                launch_id: LaunchId(1),
            }],
        );
        let usage = expect(&mut connection, |reply| match reply {
            Reply::Usage { usage, .. } => Some(*usage),
            _ => None,
        });
        assert!(
            usage.processes >= 4 && usage.rss_bytes > 100_000,
            "{means:?}: {usage:?}"
        );
    }
}

#[test]
fn tasks_that_do_not_survive_their_agent_end_with_the_connection_and_others_go_on() {
    for means in Means::available() {
        let lab = Lab::start(Life::Durable);
        let mut connection = lab.connect(1);
        let mut ending = lab.plan(means, 1, "exec sleep 1000");
        ending.survival = Survival::EndWithConnection;
        let ends = launch(&mut connection, ending);
        let stays = launch(&mut connection, lab.plan(means, 2, "exec sleep 1000"));
        drop(connection);
        eventually("the one has ended", || !lives(ends));
        assert!(lives(stays), "{means:?}");
        let mut later = lab.connect(2);
        assert_eq!(
            expect_status(&mut later, 1),
            ExitStatus::Signaled {
                signal: 9,
                core_dumped: false
            }
        );
    }
}

#[test]
fn without_a_work_directory_everything_ends_with_the_connection() {
    for means in Means::available() {
        let mut lab = Lab::start(Life::Ephemeral);
        let mut connection = lab.connect(1);
        let pids = grove(&lab, &mut connection, means, 1);
        drop(connection);
        assert!(lab.handle.wait().unwrap().success());
        assert!(pids.iter().all(|pid| !lives(*pid)), "{means:?}");
        assert!(!lab.socket().exists());
    }
}
