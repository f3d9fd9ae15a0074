//! CHECK, STATUS, GC and VERSION, with stub plugins of version 1.1.

mod support;

use mezz_cni::Collected;
use serde_json::json;
use support::{Bench, id, info, may_make_namespaces, request, run};

const RESULT: &str = r#"echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.2/24"}]}'"#;

fn newest(extra: &str) -> Bench {
    let bench = Bench::new();
    let text = format!(
        r#"{{"cniVersion": "1.1.0", "name": "n", {extra} "plugins": [{{"type": "one"}}, {{"type": "two"}}]}}"#
    );
    bench.network("n.conflist", &text);
    bench.stub("one", &[("ADD", RESULT)]);
    bench.stub("two", &[("ADD", RESULT)]);
    bench
}

#[test]
fn a_collection_tells_every_plugin_what_is_still_valid() {
    if !may_make_namespaces() {
        return;
    }
    let bench = newest("");
    run(async {
        bench.cni.attach(request("a", &[info("n")])).await.unwrap();
        bench.cni.attach(request("b", &[info("n")])).await.unwrap();
        bench.cni.detach(&id("b")).await.unwrap();
        assert_eq!(bench.cni.collect("n").await.unwrap(), Collected::All);
        for name in ["one", "two"] {
            let input = bench.input(name, "GC");
            let valid = &input["cni.dev/valid-attachments"];
            assert_eq!(*valid, json!([{"containerID": "a", "ifname": "eth0"}]));
            assert_eq!(input["name"], "n");
        }
        bench.script("one", "GC", "exit 1");
        let error = bench.cni.collect("n").await.unwrap_err().to_string();
        assert!(error.contains("plugin \"one\" failed at GC"), "{error}");
        assert_eq!(
            bench.calls().last().unwrap(),
            "two GC  ",
            "the others are asked all the same"
        );
        bench.cni.detach(&id("a")).await.unwrap();
    });
}

#[test]
fn networks_that_forbid_collection_or_are_older_are_left_alone() {
    run(async {
        let forbidden = newest(r#""disableGC": true,"#);
        assert_eq!(
            forbidden.cni.collect("n").await.unwrap(),
            Collected::Unsupported
        );
        let older = newest("");
        older.network(
            "old.conf",
            r#"{"cniVersion": "1.0.0", "name": "old", "type": "one"}"#,
        );
        assert_eq!(
            older.cni.collect("old").await.unwrap(),
            Collected::Unsupported
        );
        older.cni.status("old").await.unwrap();
        assert!(older.calls().is_empty());
    });
}

#[test]
fn a_network_whose_plugin_is_not_ready_says_why() {
    let bench = newest("");
    run(async {
        bench.cni.status("n").await.unwrap();
        assert_eq!(bench.calls(), ["one STATUS  ", "two STATUS  "]);
        bench.script(
            "two",
            "STATUS",
            r#"echo '{"code": 50, "msg": "daemon is down"}'; exit 1"#,
        );
        let error = bench.cni.status("n").await.unwrap_err().to_string();
        assert!(
            error.ends_with("failed at STATUS: daemon is down (code 50: not available)"),
            "{error}"
        );
    });
}

#[test]
fn a_check_that_fails_names_the_plugin_and_a_network_may_forbid_it() {
    if !may_make_namespaces() {
        return;
    }
    run(async {
        let bench = newest("");
        bench.cni.attach(request("a", &[info("n")])).await.unwrap();
        bench.script(
            "two",
            "CHECK",
            r#"echo '{"code": 100, "msg": "route is gone"}'; exit 1"#,
        );
        let error = bench.cni.check(&id("a")).await.unwrap_err().to_string();
        assert!(
            error.contains("\"two\" failed at CHECK: route is gone (code 100)"),
            "{error}"
        );
        bench.cni.detach(&id("a")).await.unwrap();

        let forbidden = newest(r#""disableCheck": true,"#);
        forbidden
            .cni
            .attach(request("a", &[info("n")]))
            .await
            .unwrap();
        forbidden.cni.check(&id("a")).await.unwrap();
        assert!(!forbidden.calls().iter().any(|call| call.contains("CHECK")));
        forbidden.cni.detach(&id("a")).await.unwrap();
    });
}

#[test]
fn the_highest_version_that_plugins_and_network_share_is_used() {
    if !may_make_namespaces() {
        return;
    }
    let bench = newest(r#""cniVersions": ["0.4.0", "1.0.0", "1.1.0"],"#);
    let old = r#"echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "9.9.9"]}'"#;
    bench.script("two", "VERSION", old);
    run(async {
        bench.cni.attach(request("a", &[info("n")])).await.unwrap();
        assert_eq!(bench.input("one", "ADD")["cniVersion"], "1.0.0");
        assert!(bench.input("one", "ADD").get("cniVersions").is_none());
        assert_eq!(
            bench.input("two", "ADD")["prevResult"]["cniVersion"],
            "1.0.0"
        );
        bench.cni.detach(&id("a")).await.unwrap();
        // A program that does not know the command is of the first version.
        bench.script("two", "VERSION", "exit 1");
        let error = bench
            .cni
            .attach(request("a", &[info("n")]))
            .await
            .unwrap_err();
        let error = error.to_string();
        assert!(error.contains("support no version in common"), "{error}");
        assert!(error.contains("two supports 0.1.0"), "{error}");
    });
}
