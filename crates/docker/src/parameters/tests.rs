//! Parameters, each as the command line of Docker would read it.

use super::*;

fn applied(parameters: &[(&str, &str)]) -> serde_json::Value {
    let mut request = CreateRequest::default();
    "mynet".clone_into(&mut request.host_config.network_mode);
    for (index, (key, value)) in parameters.iter().enumerate() {
        apply(index, key, value, &mut request).expect("a parameter that is supported");
    }
    serde_json::to_value(&request).expect("a request can be written")
}

fn refused(key: &str, value: &str) -> String {
    let mut request = CreateRequest::default();
    let error = apply(0, key, value, &mut request).expect_err("a parameter that is refused");
    error.to_string()
}

#[test]
fn flags_mean_what_they_mean_to_docker_run() {
    let request = applied(&[
        ("memory", "512m"),
        ("cpus", "1.5"),
        ("ulimit", "nofile=1024:2048"),
        ("device", "/dev/fuse:rw"),
        ("tmpfs", "/run:size=64m"),
        ("sysctl", "net.core.somaxconn=1024"),
        ("cap-add", "NET_ADMIN,SYS_TIME"),
        ("health-interval", "1m30s"),
        ("publish", "127.0.0.1:8080:80/tcp"),
        ("ip", "10.1.0.7"),
        ("network-alias", "web"),
        ("shm-size", "1g"),
        ("log-driver", "none"),
    ]);
    let host = &request["HostConfig"];
    assert_eq!(host["Memory"], 536_870_912);
    assert_eq!(host["NanoCpus"], 1_500_000_000_u64);
    assert_eq!(host["Ulimits"][0]["Hard"], 2048);
    assert_eq!(host["Devices"][0]["PathInContainer"], "/dev/fuse");
    assert_eq!(host["Devices"][0]["CgroupPermissions"], "rw");
    assert_eq!(host["Tmpfs"]["/run"], "size=64m");
    assert_eq!(host["Sysctls"]["net.core.somaxconn"], "1024");
    assert_eq!(host["CapAdd"][1], "SYS_TIME");
    assert_eq!(request["Healthcheck"]["Interval"], 90_000_000_000_u64);
    assert_eq!(host["PortBindings"]["80/tcp"][0]["HostIp"], "127.0.0.1");
    assert_eq!(host["PortBindings"]["80/tcp"][0]["HostPort"], "8080");
    let endpoint = &request["NetworkingConfig"]["EndpointsConfig"]["mynet"];
    assert_eq!(endpoint["IPAMConfig"]["IPv4Address"], "10.1.0.7");
    assert_eq!(endpoint["Aliases"][0], "web");
    assert_eq!(host["ShmSize"], 1_073_741_824);
    assert_eq!(host["LogConfig"]["Type"], "none");
}

#[test]
fn what_is_not_supported_is_refused_by_its_name_and_place() {
    assert_eq!(
        refused("gpus", "all"),
        "container.docker.parameters[0] 'gpus': is not supported; docs/guide/docker.md lists the flags of 'docker run' that are"
    );
    assert!(refused("restart", "always").contains("by its framework"));
    assert!(refused("--memory", "1g").contains("without dashes: 'memory'"));
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for (key, value) in [
        ("memory", "much"),
        ("memory", "99999999999t"),
        ("cpus", "-1"),
        ("ulimit", "nofile"),
        ("device", "fuse"),
        ("sysctl", "x"),
        ("health-interval", "soon"),
        ("publish", "80-90:80"),
        ("expose", "0"),
        ("read-only", "perhaps"),
        ("ip", "10.0.0.1"),
        ("security-opt", "seccomp=/etc/profile.json"),
    ] {
        let text = refused(key, value);
        assert!(text.contains(&format!("'{key}'")), "{text}");
    }
}

#[test]
fn no_flag_stands_in_two_tables() {
    let mut names: Vec<&str> = supported().collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
