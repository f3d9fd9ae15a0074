//! Results of all versions become one form, and can be given in each.

#![allow(clippy::unwrap_used)]

use mezz_cni::{AddResult, Version};
use serde_json::{Value, json};

fn read(value: &Value, version: Version) -> AddResult {
    AddResult::from_json(value.as_object().unwrap(), version).unwrap()
}

fn fault(value: &Value) -> String {
    AddResult::from_json(value.as_object().unwrap(), Version::V1_0_0)
        .unwrap_err()
        .to_string()
}

#[test]
fn the_old_form_gives_one_address_of_each_family() {
    let old = json!({
        "cniVersion": "0.2.0",
        "ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
        "ip6": {"ip": "fd00::5/64"},
        "dns": {"nameservers": ["10.1.0.1"], "domain": "a.test"}
    });
    let result = read(&old, Version::V0_2_0);
    let addresses: Vec<String> = result.ips.iter().map(|a| a.ip.to_string()).collect();
    assert_eq!(addresses, ["10.1.0.5", "fd00::5"]);
    assert_eq!(result.ips[0].prefix, 16);
    assert_eq!(result.routes[0].destination, "0.0.0.0/0");
    assert_eq!(result.dns.domain.as_deref(), Some("a.test"));
    assert_eq!(result.container_addresses().count(), 2);
    assert_eq!(result.to_json(Version::V0_2_0), old);
}

#[test]
fn addresses_of_interfaces_on_the_host_are_not_the_containers() {
    let result = read(
        &json!({
            "interfaces": [
                {"name": "veth1", "mac": "02:00:00:00:00:01"},
                {"name": "eth0", "sandbox": "/run/ns", "mtu": 1500}
            ],
            "ips": [
                {"address": "10.0.0.1/24", "interface": 0},
                {"address": "10.0.0.2/24", "gateway": "10.0.0.1", "interface": 1},
                {"address": "fd00::2/64"},
                {"address": "fd00::3/64", "interface": -1}
            ]
        }),
        Version::V1_0_0,
    );
    let own: Vec<String> = result
        .container_addresses()
        .map(|a| a.ip.to_string())
        .collect();
    assert_eq!(own, ["10.0.0.2", "fd00::2", "fd00::3"]);
}

#[test]
fn every_version_from_chains_on_reads_back_what_it_wrote() {
    let newest = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "sandbox": "/run/ns", "mac": "02:00:00:00:00:01", "mtu": 1400,
            "socketPath": "/run/x", "pciID": "0000:04:00.5"}],
        "ips": [{"address": "10.0.0.2/24", "gateway": "10.0.0.1", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.0.0.1", "mtu": 1300, "priority": 7, "table": 100}],
        "dns": {"nameservers": ["10.0.0.1"], "search": ["a.test"], "options": ["ndots:2"]}
    });
    let result = read(&newest, Version::V1_1_0);
    assert_eq!(result.to_json(Version::V1_1_0), newest);
    for version in Version::ALL
        .into_iter()
        .filter(|version| version.has_chains())
    {
        let written = result.to_json(version);
        assert_eq!(written["cniVersion"], version.as_str());
        assert_eq!(read(&written, version), result, "{version}");
        let family = written["ips"][0].get("version");
        assert_eq!(family.is_some(), version < Version::V1_0_0, "{version}");
    }
}

#[test]
fn faults_of_results_name_their_field() {
    let cases = [
        (json!({"ips": {}}), "`ips` is no list"),
        (json!({"ips": [1]}), "`ips[0]` is no object"),
        (json!({"ips": [{}]}), "`ips[0].address` is missing"),
        (
            json!({"ips": [{"address": "10.0.0.2"}]}),
            "`ips[0].address` \"10.0.0.2\" is no address with a prefix",
        ),
        (
            json!({"ips": [{"address": "10.0.0.2/33"}]}),
            "`ips[0].address` \"10.0.0.2/33\" is no address with a prefix",
        ),
        (
            json!({"ips": [{"address": "10.0.0.2/24", "interface": 3}]}),
            "`ips[0].interface` points at none of the 0 interfaces",
        ),
        (
            json!({"ips": [{"address": "10.0.0.2/24", "gateway": "x"}]}),
            "`ips[0].gateway` \"x\" is no address",
        ),
        (
            json!({"interfaces": [{"mac": "x"}]}),
            "`interfaces[0].name` is missing",
        ),
        (
            json!({"routes": [{"gw": "10.0.0.1"}]}),
            "`routes[0].dst` is missing",
        ),
        (json!({"dns": []}), "`dns` is no object"),
        (
            json!({"dns": {"nameservers": "x"}}),
            "`dns.nameservers` is no list",
        ),
    ];
    for (value, expected) in cases {
        let fault = fault(&value);
        assert!(fault.starts_with(expected), "{value}: {fault}");
    }
}

proptest::proptest! {
    #[test]
    fn no_result_makes_the_reader_panic(text in r#"[\{\}\[\]":,0-9a-z./]{0,60}"#) {
        if let Ok(Value::Object(object)) = serde_json::from_str(&text) {
            for version in Version::ALL {
                let _ = AddResult::from_json(&object, version);
            }
        }
    }
}
