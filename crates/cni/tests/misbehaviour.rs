//! Plugins that hang, flood or print nonsense, agents that are killed, and what is left to be swept.

mod support;

use std::time::Duration;

use mezz_cni::{Resolver, is_namespace};
use support::{Bench, id, info, may_make_namespaces, nobody, request, run};

const ONE: &str = r#"{"cniVersion": "1.1.0", "name": "n", "type": "stub"}"#;
const RESULT: &str = r#"echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.2/24"}]}'"#;

fn bench(deadline: Duration, add: &str) -> Bench {
    let bench = Bench::with(deadline, Resolver::default());
    bench.network("n.conf", ONE);
    bench.stub("stub", &[("ADD", add)]);
    bench
}

fn long() -> Duration {
    Duration::from_secs(20)
}

#[test]
fn a_plugin_that_hangs_is_killed_with_its_children() {
    if !may_make_namespaces() {
        return;
    }
    let bench = bench(
        Duration::from_millis(700),
        r#"sleep 600 & echo $! > "$here/child"; wait"#,
    );
    run(async {
        let error = bench
            .cni
            .attach(request("c1", &[info("n")]))
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("it did not end within 700 ms and was killed"),
            "{error}"
        );
        assert!(error.is_transient());
        assert!(bench.left().is_empty());
        let child = std::fs::read_to_string(bench.path("plugins/child")).unwrap();
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z"), "{stat}");
    });
}

#[test]
fn nonsense_is_told_with_what_is_wrong_in_it() {
    if !may_make_namespaces() {
        return;
    }
    let cases = [
        ("true", "its result cannot be used: nothing was printed"),
        (
            "echo hello",
            "its result cannot be used: what was printed is no JSON",
        ),
        (
            "echo '[]'",
            "its result cannot be used: what was printed is no object",
        ),
        (
            r#"echo '{"ips": [{"address": "nowhere"}]}'"#,
            "its result cannot be used: `ips[0].address` \"nowhere\" is no address",
        ),
        (
            r#"echo '{"cniVersion": "8.0.0"}'"#,
            "its result cannot be used: `cniVersion` cannot be read: \"8.0.0\" is no version",
        ),
        ("exit 4", "it ended with exit status: 4 and said: nothing"),
        (
            "kill -9 $$",
            "it ended with signal: 9 (SIGKILL) and said: nothing",
        ),
        (
            "dd if=/dev/zero bs=1024 count=1100 2>/dev/null",
            "it printed more than 1048576 bytes and was killed",
        ),
        (
            r#"echo '{"code": 7, "msg": "bad"}' >&2; exit 1"#,
            "bad (code 7: invalid configuration)",
        ),
    ];
    for (script, expected) in cases {
        let bench = bench(long(), script);
        run(async {
            let error = bench
                .cni
                .attach(request("c1", &[info("n")]))
                .await
                .unwrap_err();
            let error = error.to_string();
            assert!(error.contains(expected), "{script}: {error}");
            assert!(bench.left().is_empty(), "{script}");
        });
    }
}

#[test]
fn a_plugin_that_leaves_a_child_behind_does_not_hold_up_its_result() {
    if !may_make_namespaces() {
        return;
    }
    let bench = bench(
        long(),
        &format!("sleep 60 & echo $! > \"$here/child\"\n{RESULT}"),
    );
    run(async {
        let attached = bench.cni.attach(request("c1", &[info("n")])).await.unwrap();
        assert_eq!(attached.network_infos.len(), 1);
        let child = std::fs::read_to_string(bench.path("plugins/child")).unwrap();
        let child = child
            .trim()
            .parse()
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(child.unwrap(), rustix::process::Signal::KILL).unwrap();
        bench.cni.detach(&id("c1")).await.unwrap();
    });
}

#[test]
fn a_result_of_another_version_is_passed_on_in_the_networks_own() {
    if !may_make_namespaces() {
        return;
    }
    let bench = bench(
        long(),
        r#"echo '{"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.2/24"}}'"#,
    );
    run(async {
        bench.cni.attach(request("c1", &[info("n")])).await.unwrap();
        bench.cni.detach(&id("c1")).await.unwrap();
        let previous = &bench.input("stub", "DEL")["prevResult"];
        assert_eq!(previous["cniVersion"], "1.1.0");
        assert_eq!(previous["ips"][0]["address"], "10.0.0.2/24");
    });
}

#[test]
fn an_agent_killed_in_the_middle_of_an_attachment_leaves_nothing_after_its_next_start() {
    if !may_make_namespaces() {
        return;
    }
    let bench = bench(long(), "sleep 600");
    run(async {
        let attaching = bench.cni.attach(request("c1", &[info("n")]));
        let given_up = tokio::time::timeout(Duration::from_millis(600), attaching).await;
        assert!(given_up.is_err());
        assert_eq!(bench.left(), ["c1"]);
        let namespace = bench.cni.namespace_path(&id("c1"));
        assert!(is_namespace(&namespace));

        let next = bench.restarted();
        assert_eq!(next.containers().unwrap(), [id("c1")]);
        assert!(next.network_infos(&id("c1")).unwrap().is_empty());
        let swept = next.sweep(&nobody()).await.unwrap();
        assert_eq!(swept.removed, [id("c1")]);
        assert_eq!(bench.calls().last().unwrap(), "stub DEL c1 eth0");
        let told = format!("CNI_NETNS={}\n", namespace.display());
        assert!(bench.environment("stub", "DEL").contains(&told));
        assert!(bench.left().is_empty() && !is_namespace(&namespace));
    });
}

#[test]
fn a_plugin_that_outlived_its_agent_is_waited_for() {
    if !may_make_namespaces() {
        return;
    }
    let bench = bench(long(), RESULT);
    run(async {
        bench.cni.attach(request("c1", &[info("n")])).await.unwrap();
        // Such a plugin holds the container's input, as it got it from the agent.
        let input = std::fs::File::open(bench.path("run/c1/input")).unwrap();
        rustix::fs::flock(&input, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let next = bench.restarted();
        let container = id("c1");
        let detaching = next.detach(&container);
        tokio::pin!(detaching);
        let early = tokio::time::timeout(Duration::from_millis(200), &mut detaching).await;
        assert!(early.is_err() && bench.calls().len() == 1);
        drop(input);
        detaching.await.unwrap();
        assert_eq!(bench.calls().last().unwrap(), "stub DEL c1 eth0");
    });
}

#[test]
fn after_a_reboot_plugins_are_told_no_namespace() {
    if !may_make_namespaces() {
        return;
    }
    let bench = bench(long(), RESULT);
    run(async {
        let attached = bench.cni.attach(request("c1", &[info("n")])).await.unwrap();
        // A reboot leaves the file without its mount.
        mezz_cni::remove_namespace(&attached.namespace).unwrap();
        std::fs::write(&attached.namespace, "").unwrap();
        let swept = bench.restarted().sweep(&nobody()).await.unwrap();
        assert_eq!(swept.removed, [id("c1")]);
        let environment = bench.environment("stub", "DEL");
        assert!(!environment.contains("CNI_NETNS="), "{environment}");
        assert!(bench.left().is_empty());
    });
}

#[test]
fn a_sweep_leaves_the_living_and_tells_what_it_could_not_read() {
    if !may_make_namespaces() {
        return;
    }
    let bench = bench(long(), RESULT);
    run(async {
        for container in ["alive", "dead", "odd", "empty"] {
            if container == "empty" {
                std::fs::create_dir(bench.path("run/empty")).unwrap();
            } else {
                bench
                    .cni
                    .attach(request(container, &[info("n")]))
                    .await
                    .unwrap();
            }
        }
        std::fs::write(bench.path("run/odd/record.json"), "{").unwrap();
        let swept = bench
            .restarted()
            .sweep(&[id("alive")].into())
            .await
            .unwrap();
        assert_eq!(swept.removed, [id("dead"), id("empty")]);
        assert_eq!(swept.failed.len(), 1);
        let error = swept.failed[0].1.to_string();
        assert!(
            error.contains("odd/record.json: EOF while parsing"),
            "{error}"
        );
        let mut left = bench.left();
        left.sort();
        assert_eq!(left, ["alive", "odd"]);
        bench.cni.detach(&id("alive")).await.unwrap();
    });
}

/// Where the process of an agent that is to be killed finds its folders.
const AGENT: &str = "MEZZ_TEST_CNI_FOLDER";

#[test]
fn a_plugin_that_a_killed_agent_left_hanging_is_killed_by_the_next() {
    if !may_make_namespaces() {
        return;
    }
    let deadline = Duration::from_millis(700);
    if let Some(folder) = std::env::var_os(AGENT) {
        // This is the agent's process, which waits for its plugin until it is killed.
        let cni = support::client(
            folder.as_ref(),
            Duration::from_mins(10),
            Resolver::default(),
        );
        run(cni.attach(request("c1", &[info("n")]))).unwrap();
        return;
    }
    let bench = bench(deadline, r#"echo $$ > "$here/pid"; exec sleep 600"#);
    let mut agent = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "a_plugin_that_a_killed_agent_left_hanging_is_killed_by_the_next",
        ])
        .env(AGENT, bench.folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = loop {
        let pid = std::fs::read_to_string(bench.path("plugins/pid")).unwrap_or_default();
        if pid.ends_with('\n') {
            break pid.trim().to_owned();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    agent.kill().unwrap();
    agent.wait().unwrap();
    let stat = format!("/proc/{pid}/stat");
    assert!(
        std::fs::read_to_string(&stat).is_ok(),
        "the plugin outlives its agent"
    );
    run(async {
        let swept = bench.restarted().sweep(&nobody()).await.unwrap();
        assert_eq!(swept.removed, [id("c1")], "{:?}", swept.failed);
    });
    let stat = std::fs::read_to_string(&stat).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z"), "{stat}");
    assert!(bench.left().is_empty());
    assert_eq!(bench.calls().last().unwrap(), "stub DEL c1 eth0");
}
