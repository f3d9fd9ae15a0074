//! Network configurations as operators write them: what is taken, and what is refused with which words.

use mezz_cni::{Network, Version};

fn fault(text: &str) -> String {
    Network::parse(text)
        .and_then(Network::completed)
        .expect_err(text)
        .to_string()
}

fn network(text: &str) -> Network {
    Network::parse(text)
        .and_then(Network::completed)
        .expect(text)
}

#[test]
fn a_configuration_of_one_plugin_is_a_list_of_one() {
    let network = network(
        r#"{"name": "blue", "type": "bridge", "bridge": "b0", "ipam": {"type": "host-local"}}"#,
    );
    assert_eq!(network.plugins.len(), 1);
    assert_eq!(network.plugins[0].kind, "bridge");
    assert_eq!(network.plugins[0].ipam(), Some("host-local"));
    assert_eq!(network.candidates().first(), Some(&Version::V0_1_0));
}

#[test]
fn a_list_keeps_its_order_and_what_plugins_alone_know() {
    let network = network(
        r#"{"cniVersion": "1.0.0", "name": "blue", "disableCheck": true, "disableGC": "true", "plugins": [
            {"type": "bridge", "x-own": [1, {"y": null}]},
            {"type": "portmap", "capabilities": {"portMappings": true, "other": false}}]}"#,
    );
    let kinds: Vec<&str> = network.plugins.iter().map(|p| p.kind.as_str()).collect();
    assert_eq!(kinds, ["bridge", "portmap"]);
    assert_eq!(
        network.plugins[0].config["x-own"][1]["y"],
        serde_json::Value::Null
    );
    assert!(!network.plugins[1].capabilities["other"]);
    assert!(network.disable_check && network.disable_gc);
}

#[test]
fn versions_that_are_newer_than_this_client_leave_the_older_ones() {
    let network = network(
        r#"{"cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.0.0", "9.0.0"], "name": "n", "type": "t"}"#,
    );
    let versions: Vec<&str> = network.candidates().iter().map(|v| v.as_str()).collect();
    assert_eq!(versions, ["0.4.0", "1.0.0"]);
}

#[test]
fn faults_name_their_field_and_what_would_be_right() {
    let cases = [
        ("{", "the text is no JSON"),
        ("[]", "a network is a JSON object, not a list"),
        (r#"{"type": "t"}"#, "`name` is missing"),
        (
            r#"{"name": 7, "type": "t"}"#,
            "`name` must be a text, but is a number",
        ),
        (r#"{"name": "../x", "type": "t"}"#, "`name` is not allowed"),
        (r#"{"name": "n"}"#, "`type` is missing"),
        (r#"{"name": "n", "plugins": []}"#, "`type` is missing"),
        (
            r#"{"name": "n", "plugins": {}}"#,
            "`plugins` must be a list",
        ),
        (
            r#"{"name": "n", "plugins": [1]}"#,
            "`plugins[0]` must be an object",
        ),
        (
            r#"{"name": "n", "plugins": [{}]}"#,
            "`plugins[0].type` is missing",
        ),
        (
            r#"{"name": "n", "type": "../sh"}"#,
            "`type` must be the name of a program",
        ),
        (
            r#"{"name": "n", "type": "t", "ipam": {"type": "a/b"}}"#,
            "`ipam.type` must be the name of a program",
        ),
        (
            r#"{"name": "n", "type": "t", "cniVersion": "7"}"#,
            "`cniVersion` cannot be used: \"7\" is no version",
        ),
        (
            r#"{"name": "n", "type": "t", "cniVersions": ["0.9"]}"#,
            "`cniVersions[0]` cannot be used",
        ),
        (
            r#"{"name": "n", "type": "t", "cniVersion": 1}"#,
            "`cniVersion` must be a text like",
        ),
        (
            r#"{"name": "n", "cniVersion": "0.2.0", "plugins": [{"type": "a"}, {"type": "b"}]}"#,
            "`cniVersion` is 0.2.0, but a list of several plugins needs 0.3.0",
        ),
        (
            r#"{"name": "n", "type": "t", "disableCheck": 1}"#,
            "`disableCheck` must be true or false",
        ),
        (
            r#"{"name": "n", "loadOnlyInlinedPlugins": true}"#,
            "`loadOnlyInlinedPlugins` is true, but",
        ),
        (
            r#"{"name": "n", "type": "t", "runtimeConfig": {}}"#,
            "`runtimeConfig` is made for each invocation",
        ),
        (
            r#"{"name": "n", "plugins": [{"type": "t", "cni.dev/x": 1}]}"#,
            "`plugins[0].cni.dev/x` is made for each invocation",
        ),
        (
            r#"{"name": "n", "type": "t", "args": {"org.apache.mesos": {}}}"#,
            "`args[\"org.apache.mesos\"]` is reserved",
        ),
        (
            r#"{"name": "n", "type": "t", "capabilities": ["portMappings"]}"#,
            "`capabilities` must be an object",
        ),
        (
            r#"{"name": "n", "type": "t", "capabilities": {"mac": "yes"}}"#,
            "`capabilities.mac` must be true or false",
        ),
    ];
    for (text, expected) in cases {
        let fault = fault(text);
        assert!(fault.starts_with(expected), "{text}: {fault}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*") {
        let _ = Network::parse(&text).and_then(Network::completed);
    }
}
