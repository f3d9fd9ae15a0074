//! Containers are attached and detached by stub plugins that note what they were told.

mod support;

use mezz_cni::{Bandwidth, is_namespace};
use mezz_proto::v1;
use serde_json::json;
use support::{Bench, id, info, may_make_namespaces, request, run};

const CHAIN: &str = r#"{"cniVersion": "1.0.0", "name": "blue", "plugins": [
    {"type": "first", "own": "field", "capabilities": {"bandwidth": true}},
    {"type": "second", "capabilities": {"portMappings": true}}]}"#;
const FIRST: &str = r#"echo '{"cniVersion": "1.0.0", "interfaces": [{"name": "v"}, {"name": "eth0", "sandbox": "ns"}],
    "ips": [{"address": "10.0.0.2/24", "interface": 1}, {"address": "fd00::2/64", "interface": 1}]}'"#;
const PASS_ON: &str = r#"sed 's/.*"prevResult":\(.*\),"runtimeConfig".*/\1/; s/.*"prevResult":\(.*\),"type".*/\1/' "$here/$name.ADD.input""#;

fn chain() -> Bench {
    let bench = Bench::new();
    bench.network("10-blue.conflist", CHAIN);
    bench.stub("first", &[("ADD", FIRST)]);
    bench.stub("second", &[("ADD", PASS_ON)]);
    bench
}

fn mapped(host_port: u32) -> v1::NetworkInfo {
    let mut blue = info("blue");
    blue.port_mappings = vec![v1::network_info::PortMapping {
        host_port,
        container_port: 80,
        protocol: Some("TCP".to_owned()),
    }];
    blue.labels = Some(v1::Labels {
        labels: vec![
            v1::Label {
                key: "app".to_owned(),
                value: Some("shop".to_owned()),
            },
            v1::Label {
                key: "not.a-word".to_owned(),
                value: None,
            },
        ],
    });
    blue
}

#[test]
fn a_chain_is_run_in_order_and_undone_in_reverse() {
    if !may_make_namespaces() {
        return;
    }
    let bench = chain();
    run(async {
        let attached = bench
            .cni
            .attach(request("c1", &[mapped(8080)]))
            .await
            .unwrap();
        assert!(is_namespace(&attached.namespace));
        assert_eq!(bench.calls(), ["first ADD c1 eth0", "second ADD c1 eth0"]);
        let addresses: Vec<_> = attached.network_infos[0]
            .ip_addresses
            .iter()
            .map(|address| address.ip_address.clone().unwrap())
            .collect();
        assert_eq!(addresses, ["10.0.0.2", "fd00::2"]);
        assert_eq!(attached.network_infos[0].name.as_deref(), Some("blue"));
        assert_eq!(attached.network_infos[0].port_mappings[0].host_port, 8080);
        assert!(attached.network_infos[0].labels.is_some());
        assert!(attached.unserved.is_empty(), "{:?}", attached.unserved);
        assert!(attached.files.hosts.ends_with("10.0.0.2 c1\nfd00::2 c1\n"));
        let hosts = std::fs::read_to_string(attached.folder.join("hosts")).unwrap();
        assert_eq!(hosts, attached.files.hosts);
        assert_eq!(
            bench.restarted().network_infos(&id("c1")).unwrap(),
            attached.network_infos
        );

        bench.cni.detach(&id("c1")).await.unwrap();
        assert_eq!(
            bench.calls()[2..],
            ["second DEL c1 eth0", "first DEL c1 eth0"]
        );
        assert!(bench.left().is_empty() && !is_namespace(&attached.namespace));
        bench.cni.detach(&id("c1")).await.unwrap();
        assert_eq!(bench.calls().len(), 4, "what is undone is not undone again");
    });
}

#[test]
fn plugins_are_told_the_request_in_every_way_the_interface_knows() {
    if !may_make_namespaces() {
        return;
    }
    let bench = chain();
    run(async {
        let mut request = request("c1", &[mapped(8080)]);
        request.networks[0].arguments.set_bandwidth(Bandwidth {
            ingress_rate: 1000,
            ..Bandwidth::default()
        });
        let attached = bench.cni.attach(request).await.unwrap();
        let first = bench.input("first", "ADD");
        assert_eq!(first["name"], "blue");
        assert_eq!(first["cniVersion"], "1.0.0");
        assert_eq!(first["own"], "field");
        assert_eq!(first["runtimeConfig"]["bandwidth"]["ingressRate"], 1000);
        assert!(first["runtimeConfig"].get("portMappings").is_none());
        assert!(first.get("prevResult").is_none() && first.get("capabilities").is_none());
        let second = bench.input("second", "ADD");
        assert_eq!(
            second["runtimeConfig"]["portMappings"],
            json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}])
        );
        assert_eq!(second["prevResult"]["ips"][0]["address"], "10.0.0.2/24");
        let mesos = &second["args"]["org.apache.mesos"]["network_info"];
        assert_eq!(mesos["port_mappings"][0]["host_port"], 8080);
        assert_eq!(second["args"]["cni"]["labels"][0]["key"], "app");
        let environment = bench.environment("second", "ADD");
        assert!(
            environment.contains("CNI_ARGS=IgnoreUnknown=1;app=shop\n"),
            "{environment}"
        );
        let namespace = format!("CNI_NETNS={}\n", attached.namespace.display());
        assert!(environment.contains(&namespace), "{environment}");
        assert!(environment.contains(":/usr/lib/cni\n"), "{environment}");
        assert!(
            !environment.contains("CARGO"),
            "the agent's environment is its own"
        );

        bench.cni.check(&id("c1")).await.unwrap();
        assert_eq!(
            bench.input("first", "CHECK")["prevResult"],
            second["prevResult"]
        );
        bench.cni.detach(&id("c1")).await.unwrap();
        assert_eq!(
            bench.input("first", "DEL")["prevResult"],
            second["prevResult"]
        );
        let after = bench.cni.check(&id("c1")).await.unwrap_err().to_string();
        assert_eq!(after, "container c1 is attached to no network");
    });
}

#[test]
fn after_a_failure_everything_is_undone_and_the_plugins_words_are_told() {
    if !may_make_namespaces() {
        return;
    }
    let bench = chain();
    bench.script(
        "second",
        "ADD",
        r#"echo '{"cniVersion": "1.0.0", "code": 11, "msg": "pool is empty", "details": "0 of 254 left"}'; exit 1"#,
    );
    run(async {
        let error = bench
            .cni
            .attach(request("c1", &[mapped(1)]))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "network \"blue\": plugin \"second\" failed at ADD: pool is empty; 0 of 254 left (code 11: try again later)"
        );
        assert!(error.is_transient());
        assert_eq!(
            bench.calls()[2..],
            ["second DEL c1 eth0", "first DEL c1 eth0"]
        );
        assert!(bench.input("first", "DEL").get("prevResult").is_none());
        assert!(bench.left().is_empty());
    });
}

#[test]
fn what_cannot_be_undone_is_kept_until_it_can() {
    if !may_make_namespaces() {
        return;
    }
    let bench = chain();
    run(async {
        bench.cni.attach(request("c1", &[mapped(1)])).await.unwrap();
        bench.script("second", "DEL", "echo broken >&2; exit 3");
        let error = bench.cni.detach(&id("c1")).await.unwrap_err().to_string();
        assert!(
            error.contains("failed at DEL: it ended with exit status: 3 and said: broken"),
            "{error}"
        );
        assert_eq!(bench.left(), ["c1"]);
        // The operator removes the network meanwhile; what was recorded is used.
        std::fs::remove_file(bench.path("config/10-blue.conflist")).unwrap();
        bench.script("second", "DEL", "true");
        let swept = bench.restarted().sweep(&support::nobody()).await.unwrap();
        assert_eq!(swept.removed, [id("c1")]);
        assert!(bench.left().is_empty());
    });
}

#[test]
fn a_container_joins_several_networks_in_the_order_it_names_them() {
    if !may_make_namespaces() {
        return;
    }
    let bench = chain();
    bench.network("20-old.conf", r#"{"name": "old", "type": "single"}"#);
    bench.stub(
        "single",
        &[(
            "ADD",
            r#"echo '{"ip4": {"ip": "10.7.0.9/24"}, "dns": {"nameservers": ["10.7.0.1"]}}'"#,
        )],
    );
    run(async {
        let infos = [info("old"), v1::NetworkInfo::default(), info("blue")];
        let attached = bench.cni.attach(request("c1", &infos)).await.unwrap();
        let calls = bench.calls();
        assert_eq!(
            calls,
            [
                "single ADD c1 eth0",
                "first ADD c1 eth1",
                "second ADD c1 eth1"
            ]
        );
        assert_eq!(
            attached.network_infos.len(),
            2,
            "the host's network is passed over"
        );
        let old = attached.network_infos[0].ip_addresses[0]
            .ip_address
            .as_deref();
        assert_eq!(old, Some("10.7.0.9"));
        assert_eq!(
            attached.files.resolv_conf.as_deref(),
            Some("nameserver 10.7.0.1\n")
        );
        assert_eq!(bench.input("single", "ADD")["cniVersion"], "0.1.0");
        bench.cni.detach(&id("c1")).await.unwrap();
        let calls = bench.calls();
        assert_eq!(
            calls[3..],
            [
                "second DEL c1 eth1",
                "first DEL c1 eth1",
                "single DEL c1 eth0"
            ]
        );
        assert!(bench.input("single", "DEL").get("prevResult").is_none());
    });
}

#[test]
fn requests_that_cannot_be_met_are_refused_before_anything_is_made() {
    let bench = chain();
    bench.network("30-broken.conf", r#"{"name": "broken", "type": ""}"#);
    bench.network("40-blue-again.conf", r#"{"name": "blue", "type": "first"}"#);
    bench.network("50-absent.conf", r#"{"name": "absent", "type": "nowhere"}"#);
    run(async {
        let refused = async |infos: &[v1::NetworkInfo]| {
            let error = bench.cni.attach(request("c1", infos)).await.unwrap_err();
            error.to_string()
        };
        let unknown = refused(&[info("red")]).await;
        assert!(
            unknown.starts_with("no network is named \"red\" in "),
            "{unknown}"
        );
        assert!(unknown.contains("there are: blue, absent"), "{unknown}");
        assert!(
            unknown.contains("40-blue-again.conf is left out: `name` \"blue\" is configured"),
            "{unknown}"
        );
        let broken = refused(&[info("broken")]).await;
        assert!(
            broken.contains("30-broken.conf: `type` is empty"),
            "{broken}"
        );
        let absent = refused(&[info("absent")]).await;
        assert!(
            absent.starts_with(
                "network \"absent\" needs the plugin \"nowhere\", which is in none of"
            ),
            "{absent}"
        );
        let twice = refused(&[info("blue"), info("blue")]).await;
        assert_eq!(
            twice,
            "network_infos[1].name: \"blue\" is joined already; a container joins a network once"
        );
        assert!(bench.calls().is_empty() && bench.left().is_empty());
    });
    let of = |info| {
        mezz_cni::AttachRequest::of(id("c"), None, &[info])
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        of(mapped(70000)),
        "network_infos[0].port_mappings[0].host_port: 70000 is no port; ports are 1 to 65535"
    );
    let mut odd = mapped(1);
    odd.port_mappings[0].protocol = Some("ipx".to_owned());
    assert_eq!(
        of(odd),
        "network_infos[0].port_mappings[0].protocol: \"ipx\" is not known; known: tcp, udp, sctp"
    );
}

#[test]
fn a_network_is_read_anew_at_each_use_and_takes_plugins_from_its_folder() {
    if !may_make_namespaces() {
        return;
    }
    let bench = chain();
    run(async {
        bench.network("blue/20-more.conf", r#"{"type": "third"}"#);
        let error = bench
            .cni
            .attach(request("c1", &[info("blue")]))
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("needs the plugin \"third\""),
            "{error}"
        );
        bench.stub("third", &[("ADD", PASS_ON)]);
        bench
            .cni
            .attach(request("c1", &[info("blue")]))
            .await
            .unwrap();
        assert_eq!(bench.calls().last().unwrap(), "third ADD c1 eth0");
        let again = bench
            .cni
            .attach(request("c1", &[info("blue")]))
            .await
            .unwrap_err();
        assert_eq!(
            again.to_string(),
            "container c1 is attached already: detach it first"
        );
        bench.cni.detach(&id("c1")).await.unwrap();
    });
}

#[test]
fn a_port_that_no_plugin_maps_is_told() {
    if !may_make_namespaces() {
        return;
    }
    let bench = chain();
    bench.network(
        "10-blue.conflist",
        r#"{"cniVersion": "1.0.0", "name": "blue", "type": "first"}"#,
    );
    run(async {
        let attached = bench
            .cni
            .attach(request("c1", &[mapped(8080)]))
            .await
            .unwrap();
        assert_eq!(attached.unserved, ["network \"blue\": portMappings"]);
        bench.cni.detach(&id("c1")).await.unwrap();
    });
}
