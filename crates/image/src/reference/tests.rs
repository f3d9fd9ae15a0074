//! Tables of names: what they mean, or why they are none.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn short_names_mean_what_docker_means_by_them() {
    for (text, full) in [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/a/b:c", "docker.io/a/b:c"),
        ("localhost/x", "localhost/x:latest"),
        ("localhost:5000/x/y:z", "localhost:5000/x/y:z"),
        ("Registry.Example/x", "registry.example/x:latest"),
        ("LOCALHOST/x", "localhost/x:latest"),
        ("quay.io/a/b/c/d:1", "quay.io/a/b/c/d:1"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        ("a__b/c-d.e--f", "docker.io/a__b/c-d.e--f:latest"),
    ] {
        let reference = Reference::parse(text).unwrap();
        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(Reference::parse(full).unwrap(), reference);
        assert_eq!(Reference::parse(&reference.familiar()).unwrap(), reference);
    }
}

#[test]
fn a_digest_decides_and_the_tag_beside_it_does_not() {
    let reference = Reference::parse(&format!("busybox:1@sha256:{HEX}")).unwrap();
    assert_eq!(
        reference.to_string(),
        format!("docker.io/library/busybox@sha256:{HEX}")
    );
}

#[test]
fn a_name_without_a_host_is_of_the_default_registry() {
    let mine: RegistryHost = "registry.local:5000".parse().unwrap();
    let reference = Reference::parse_with("busybox", &mine).unwrap();
    assert_eq!(reference.to_string(), "registry.local:5000/busybox:latest");
    let other = Reference::parse_with("quay.io/x", &mine).unwrap();
    assert_eq!(other.host().as_str(), "quay.io");
    assert!(
        "registry".parse::<RegistryHost>().is_err(),
        "it would read as a folder"
    );
}

#[test]
fn what_names_no_image_is_refused_with_the_part_that_is_wrong() {
    let long = format!("a/{}", "b".repeat(300));
    for (text, reason) in [
        ("", "is empty"),
        ("UPPER", "'UPPER' is no repository"),
        ("Upper/x", "'Upper/x' is no repository"),
        ("a//b", "'a//b' is no repository"),
        ("../x", "no host"),
        ("a/../b", "no repository"),
        ("a..b", "no repository"),
        ("a___b", "no repository"),
        ("-a", "no repository"),
        ("a:", "'' is no tag"),
        ("a:-b", "'-b' is no tag"),
        ("a:b/c", "no host of a registry"),
        ("a/b:c/d", "'c/d' is no tag"),
        ("a@sha256:12", "64 lower-case"),
        ("a@b", "ALGORITHM:HEX"),
        ("host.x:99999/a", "no host of a registry"),
        ("x_y.z/a", "no host of a registry"),
        (&long, "at most 255"),
    ] {
        let error = Reference::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn only_hosts_of_this_machine_are_loopback() {
    for (host, is) in [
        ("localhost:5000", true),
        ("127.0.0.2", true),
        ("[::1]:80", true),
        ("localhost.example", false),
        ("10.0.0.1:5000", false),
    ] {
        let host: RegistryHost = host.parse().unwrap();
        assert_eq!(host.is_loopback(), is, "{host}");
    }
}
