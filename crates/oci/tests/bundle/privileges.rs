//! Capabilities and system calls.

use crate::{host, json_of, made, shell};
use mezz_launch_plan::isolation::PrivilegeGrowth;
use mezz_launch_plan::seccomp::parse_profile;
use mezz_launch_plan::{Capability, CapabilitySet, CapabilitySpec, ContainerSpec, SeccompSpec};
use mezz_oci::DEFAULT_CAPABILITIES;
use serde_json::{Value, json};

fn set(names: &[&str]) -> CapabilitySet {
    names
        .iter()
        .map(|name| Capability::from_name(name).expect("a name"))
        .collect()
}

fn profile(text: &str) -> SeccompSpec {
    SeccompSpec::Profile(Box::new(parse_profile(text).expect("a profile")))
}

#[test]
fn a_container_that_names_no_capabilities_has_the_usual_ones() {
    let usual = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    assert_eq!(DEFAULT_CAPABILITIES, set(&usual));
    let capabilities = &json_of(&shell())["process"]["capabilities"];
    assert_eq!(
        capabilities["bounding"].as_array().expect("a list").len(),
        14
    );
    assert_eq!(capabilities["effective"], capabilities["bounding"]);
    assert_eq!(capabilities["permitted"], capabilities["bounding"]);
    assert_eq!(
        capabilities["ambient"],
        json!([]),
        "root's programs need none"
    );
    let mut other = shell();
    other.user = Some("nobody".to_owned());
    let capabilities = &json_of(&other)["process"]["capabilities"];
    assert_eq!(capabilities["effective"], json!([]));
    assert_eq!(
        capabilities["bounding"].as_array().expect("a list").len(),
        14
    );
}

#[test]
fn what_is_named_is_given_and_programs_of_other_users_keep_it() {
    let mut spec = shell();
    spec.user = Some("nobody".to_owned());
    spec.isolation.growth = PrivilegeGrowth::Never;
    let one = set(&["NET_BIND_SERVICE"]);
    spec.isolation.capabilities = CapabilitySpec {
        bounding: Some(one),
        effective: Some(one),
    };
    let process = &json_of(&spec)["process"];
    for kind in [
        "bounding",
        "effective",
        "permitted",
        "inheritable",
        "ambient",
    ] {
        assert_eq!(
            process["capabilities"][kind],
            json!(["CAP_NET_BIND_SERVICE"])
        );
    }
    assert_eq!(process["noNewPrivileges"], true);
}

#[test]
fn root_with_less_than_its_bounding_set_is_refused() {
    let mut spec = shell();
    spec.isolation.capabilities = CapabilitySpec {
        bounding: Some(set(&["CHOWN", "KILL"])),
        effective: Some(set(&["KILL"])),
    };
    let error = made(&spec).expect_err("it would get both").to_string();
    assert!(
        error.contains("KILL of root are fewer than the bounding ones CHOWN, KILL"),
        "{error}"
    );
}

fn filter(spec: &ContainerSpec) -> Value {
    json_of(spec)["linux"]["seccomp"].clone()
}

/// The action of a system call without looking at arguments.
fn plainly<'a>(filter: &'a Value, call: &str) -> Option<&'a Value> {
    let rules = filter["syscalls"].as_array().expect("a list");
    let about = |rule: &&Value| {
        rule["names"]
            .as_array()
            .is_some_and(|names| names.iter().any(|name| name == call))
    };
    rules
        .iter()
        .filter(about)
        .find(|rule| rule.get("args").is_none())
}

#[test]
fn the_built_in_profile_is_said_by_name() {
    let mut spec = shell();
    assert_eq!(
        json_of(&spec)["linux"].get("seccomp"),
        None,
        "none was asked for"
    );
    spec.isolation.seccomp = SeccompSpec::Default;
    let filter = filter(&spec);
    assert_eq!(filter["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(
        filter["defaultErrnoRet"], 38,
        "calls that nobody knew are missing"
    );
    assert_eq!(
        filter["architectures"],
        json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
    );
    let action = |call: &str| plainly(&filter, call).map(|rule| rule["action"].clone());
    assert_eq!(action("openat"), Some(json!("SCMP_ACT_ALLOW")));
    assert_eq!(
        action("stat64"),
        Some(json!("SCMP_ACT_ALLOW")),
        "of 32-bit programs"
    );
    assert_eq!(action("keyctl"), Some(json!("SCMP_ACT_ERRNO")));
    assert_eq!(
        action("mount"),
        Some(json!("SCMP_ACT_ERRNO")),
        "without SYS_ADMIN"
    );
    assert_eq!(
        action("chroot"),
        Some(json!("SCMP_ACT_ALLOW")),
        "with SYS_CHROOT"
    );
    assert_eq!(action("socket"), None);
    let rules = filter["syscalls"].as_array().expect("a list");
    let socket = rules.iter().find(|rule| rule["names"] == json!(["socket"]));
    assert_eq!(
        socket.expect("a rule"),
        &json!({"names": ["socket"], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 40, "valueTwo": 0, "op": "SCMP_CMP_NE"}]}),
        "what is denied where a condition holds is allowed where it does not"
    );
    let personality = rules
        .iter()
        .filter(|rule| rule["names"] == json!(["personality"]));
    assert_eq!(personality.count(), 5);
}

#[test]
fn conditions_that_the_specification_cannot_express_are_refused() {
    let mut spec = shell();
    spec.isolation.seccomp = profile(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS",
             "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    let filter = filter(&spec);
    assert_eq!(filter["syscalls"][0]["action"], "SCMP_ACT_KILL_PROCESS");
    assert_eq!(filter["syscalls"][0]["args"][0]["op"], "SCMP_CMP_EQ");
    spec.isolation.seccomp = profile(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["kill"], "action": "SCMP_ACT_ERRNO",
             "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}]},
            {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS",
             "args": [{"index": 1, "value": 15, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    let error = made(&spec).expect_err("two actions").to_string();
    assert!(error.contains("conditions for kill"), "{error}");
}

#[test]
fn a_filter_needs_a_machine_that_is_known() {
    let mut spec = shell();
    spec.isolation.seccomp = SeccompSpec::Default;
    let mut host = host();
    host.kernel.architecture = None;
    let made = mezz_oci::bundle(
        &spec,
        &host,
        &mezz_oci::Resources::unlimited("/mezz/c"),
        std::collections::BTreeMap::new(),
    );
    let error = made.expect_err("no such machine").to_string();
    assert!(error.contains("not built for this machine"), "{error}");
}
