//! Debian's plugins: bridge, host-local, portmap. Each test has a network namespace in the place of the host, so that
//! the machine's own links and rules stay as they are.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mezz_cni::{enter, is_namespace, make_namespace, remove_namespace};
use mezz_proto::v1;
use support::{Bench, id, info, may_make_namespaces, nobody, request, run};

const PLUGINS: [&str; 3] = ["bridge", "host-local", "portmap"];
const WAIT: Duration = Duration::from_secs(10);

/// Where these tests cannot run they say so; where everything must run they fail.
fn may_run() -> bool {
    if !may_make_namespaces() {
        return false;
    }
    let mut missing: Vec<&str> = PLUGINS
        .into_iter()
        .filter(|name| !Path::new("/usr/lib/cni").join(name).exists())
        .collect();
    if Command::new("iptables").arg("--version").output().is_err() {
        missing.push("iptables");
    }
    if missing.is_empty() {
        return true;
    }
    let text = format!(
        "not installed: {}; on Debian: apt-get install containernetworking-plugins iptables",
        missing.join(", ")
    );
    assert!(std::env::var_os("CI").is_none(), "{text}");
    eprintln!("skipped: {text}");
    false
}

/// Runs a test in a network namespace of its own, which stands for the host.
fn on_a_host(test: impl FnOnce(&Bench) + Send) {
    if !may_run() {
        return;
    }
    let bench = Bench::new();
    let host = bench.path("host");
    make_namespace(&host).unwrap();
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        enter(&host, || test(&bench)).unwrap();
    }));
    remove_namespace(&host).unwrap();
    if let Err(panic) = done {
        std::panic::resume_unwind(panic);
    }
}

/// A bridge with a small range of addresses, kept in the test's own folder.
fn bridge(bench: &Bench, chained: &str) -> String {
    format!(
        r#"{{"cniVersion": "1.0.0", "name": "blue", "plugins": [
            {{"type": "bridge", "bridge": "br-test", "isGateway": true, "ipMasq": true, "hairpinMode": true,
              "ipam": {{"type": "host-local", "subnet": "10.123.0.0/24", "dataDir": "{}",
                        "routes": [{{"dst": "0.0.0.0/0"}}]}}}}{chained}]}}"#,
        bench.path("addresses").display()
    )
}

const PORTMAP: &str =
    r#", {"type": "portmap", "snat": true, "capabilities": {"portMappings": true}}"#;

fn output(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the plugins could leave on the host: interfaces of containers, rules, addresses given out.
#[derive(Debug, PartialEq, Eq)]
struct OnHost {
    veths: usize,
    rules: Vec<String>,
    addresses: Vec<String>,
}

fn on_host(bench: &Bench) -> OnHost {
    let links = output("ip", &["-o", "link", "show", "type", "veth"]);
    let rules = output("iptables", &["-t", "nat", "-S"]);
    let kept = std::fs::read_dir(bench.path("addresses").join("blue"));
    let mut addresses: Vec<String> = kept
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.parse::<IpAddr>().is_ok())
        .collect();
    addresses.sort();
    OnHost {
        veths: links.lines().count(),
        // Empty chains of the port mapper stay for the next container.
        rules: rules
            .lines()
            .filter(|rule| rule.contains("10.123.0."))
            .map(str::to_owned)
            .collect(),
        addresses,
    }
}

fn address(info: &v1::NetworkInfo) -> IpAddr {
    let address = info.ip_addresses[0].ip_address.as_deref().unwrap();
    address.parse().unwrap()
}

/// A listener in the container which answers one connection with its own greeting.
fn answer_once(namespace: &Path, port: u16, greeting: &'static str) -> std::thread::JoinHandle<()> {
    let listener = enter(namespace, || TcpListener::bind(("0.0.0.0", port))).unwrap();
    let listener = listener.unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(greeting.as_bytes()).unwrap();
    })
}

fn greeting(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn attach(bench: &Bench, container: &str, blue: v1::NetworkInfo) -> (PathBuf, v1::NetworkInfo) {
    let attached = run(bench.cni.attach(request(container, &[blue]))).unwrap();
    assert!(attached.unserved.is_empty(), "{:?}", attached.unserved);
    (attached.namespace, attached.network_infos[0].clone())
}

fn mapped(host_port: u32, container_port: u32) -> v1::NetworkInfo {
    v1::NetworkInfo {
        port_mappings: vec![v1::network_info::PortMapping {
            host_port,
            container_port,
            protocol: None,
        }],
        ..info("blue")
    }
}

#[test]
fn two_containers_on_a_bridge_reach_each_other_and_leave_nothing_behind() {
    on_a_host(|bench| {
        bench.network("blue.conflist", &bridge(bench, ""));
        let before = on_host(bench);
        let (here, _) = attach(bench, "here", info("blue"));
        let (there, of_there) = attach(bench, "there", info("blue"));
        let during = on_host(bench);
        assert_eq!((during.veths, during.addresses.len()), (2, 2), "{during:?}");
        assert!(during.rules.len() > before.rules.len(), "{during:?}");
        let answering = answer_once(&there, 7000, "from there");
        let target = SocketAddr::new(address(&of_there), 7000);
        let heard = enter(&here, || greeting(target)).unwrap().unwrap();
        assert_eq!(heard, "from there");
        answering.join().unwrap();
        // The control: from a namespace that has joined nothing, the address cannot be reached.
        let alone = bench.path("alone");
        make_namespace(&alone).unwrap();
        assert!(enter(&alone, || greeting(target)).unwrap().is_err());
        remove_namespace(&alone).unwrap();
        let counters = bench.cni.counters(&id("here")).unwrap();
        assert!(
            counters.rx_bytes > 0 && counters.tx_packets > 0,
            "{counters:?}"
        );
        run(bench.cni.check(&id("here"))).unwrap();
        for container in ["here", "there"] {
            run(bench.cni.detach(&id(container))).unwrap();
        }
        assert_eq!(on_host(bench), before);
        assert!(bench.left().is_empty() && !is_namespace(&here));
    });
}

#[test]
fn a_mapped_port_leads_from_the_host_into_the_container_until_it_is_detached() {
    on_a_host(|bench| {
        bench.network("blue.conflist", &bridge(bench, PORTMAP));
        let before = on_host(bench);
        let (namespace, info) = attach(bench, "web", mapped(18080, 80));
        assert_eq!(info.port_mappings[0].host_port, 18080);
        for host in ["10.123.0.1", "127.0.0.1"] {
            let answering = answer_once(&namespace, 80, "hello");
            let target = SocketAddr::new(host.parse().unwrap(), 18080);
            assert_eq!(greeting(target).unwrap(), "hello", "{host}");
            answering.join().unwrap();
        }
        run(bench.cni.detach(&id("web"))).unwrap();
        assert_eq!(on_host(bench), before);
        let target = "10.123.0.1:18080".parse().unwrap();
        assert!(greeting(target).is_err());
    });
}

#[test]
fn a_network_written_for_the_port_mapper_of_mesos_maps_ports_by_the_standard_plugins() {
    on_a_host(|bench| {
        let text = format!(
            r#"{{"name": "blue", "type": "mesos-cni-port-mapper", "chain": "MESOS-TEST", "excludeDevices": ["br-test"],
                "delegate": {{"type": "bridge", "bridge": "br-test", "isGateway": true, "ipMasq": true,
                    "ipam": {{"type": "host-local", "subnet": "10.123.0.0/24", "dataDir": "{}",
                              "routes": [{{"dst": "0.0.0.0/0"}}]}}}}}}"#,
            bench.path("addresses").display()
        );
        bench.network("blue.conf", &text);
        let before = on_host(bench);
        let (namespace, _) = attach(bench, "web", mapped(18081, 81));
        let answering = answer_once(&namespace, 81, "mapped");
        assert_eq!(
            greeting("10.123.0.1:18081".parse().unwrap()).unwrap(),
            "mapped"
        );
        answering.join().unwrap();
        run(bench.cni.detach(&id("web"))).unwrap();
        assert_eq!(on_host(bench), before);
    });
}

#[test]
fn what_a_killed_agent_left_is_swept_with_its_links_rules_and_addresses() {
    on_a_host(|bench| {
        // A reboot takes rules with it. Where only a namespace is lost, this bridge plugin leaves its masquerading.
        let text = bridge(bench, PORTMAP).replace(r#""ipMasq": true"#, r#""ipMasq": false"#);
        bench.network("blue.conflist", &text);
        let before = on_host(bench);
        for number in 0..3 {
            attach(bench, &format!("c{number}"), mapped(18090 + number, 80));
        }
        // One namespace is gone as after a reboot, one attachment had not yet been recorded as done.
        remove_namespace(&bench.cni.namespace_path(&id("c1"))).unwrap();
        let record = bench.path("run/c2/record.json");
        let text = std::fs::read(&record).unwrap();
        let mut value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        value["attachments"][0]["phase"] = "Begun".into();
        std::fs::write(&record, value.to_string()).unwrap();
        assert_eq!(on_host(bench).addresses.len(), 3);
        let swept = run(bench.restarted().sweep(&nobody())).unwrap();
        assert!(swept.failed.is_empty(), "{:?}", swept.failed);
        assert_eq!(on_host(bench), before);
        assert!(bench.left().is_empty());
    });
}

#[test]
fn an_address_that_is_asked_for_is_given_and_given_once() {
    on_a_host(|bench| {
        let text = bridge(bench, "").replace(
            r#""type": "bridge","#,
            r#""type": "bridge", "capabilities": {"ips": true},"#,
        );
        bench.network("blue.conflist", &text);
        let mut wanted = info("blue");
        wanted.ip_addresses = vec![v1::network_info::IpAddress {
            protocol: None,
            ip_address: Some("10.123.0.77".to_owned()),
        }];
        let (_, given) = attach(bench, "first", wanted.clone());
        assert_eq!(address(&given).to_string(), "10.123.0.77");
        let again = run(bench.cni.attach(request("second", &[wanted]))).unwrap_err();
        assert!(again.to_string().contains("10.123.0.77"), "{again}");
        assert_eq!(bench.left(), ["first"]);
        run(bench.cni.detach(&id("first"))).unwrap();
        assert!(on_host(bench).addresses.is_empty());
    });
}
