//! What a task says of a `DOCKER` container, and what the Engine is asked for.

use std::path::Path;

use mezz_docker::{Bound, ContainerName, ContainerRequest, HostRules, Needs, RequestError, Run};
use mezz_proto::v1::container_info::docker_info::{Network, PortMapping};
use mezz_proto::v1::container_info::{self, DockerInfo};
use mezz_proto::v1::volume::source::{DockerVolume, SandboxPath, Type};
use mezz_proto::v1::volume::{Mode, Source};
use mezz_proto::v1::{ContainerInfo, NetworkInfo, Parameter, Parameters, Volume};
use serde_json::{Value, json};

const RULES: HostRules = HostRules {
    quotas: false,
    memory_bytes: 8 << 30,
};

fn container(docker: DockerInfo) -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Docker.into(),
        docker: Some(docker),
        ..ContainerInfo::default()
    }
}

fn docker() -> DockerInfo {
    DockerInfo {
        image: "tool:1".to_owned(),
        ..DockerInfo::default()
    }
}

fn needs() -> Needs {
    Needs {
        cpus: Some(500),
        mem: Some(128_000),
        ports: vec![(31_000, 31_005)],
        role: Some("dev".to_owned()),
        ..Needs::default()
    }
}

fn asked(container: &ContainerInfo, run: Run<'_>, needs: &Needs) -> Result<Value, RequestError> {
    let name = ContainerName::of("0f-1");
    let request = ContainerRequest {
        name: &name,
        container,
        run,
        environment: &[("A".to_owned(), "1".to_owned())],
        needs,
        sandbox: Path::new("/var/sandbox"),
        mapped: "/mnt/mesos/sandbox",
        labels: std::collections::BTreeMap::new(),
    };
    let words = request.in_words(RULES)?;
    Ok(serde_json::to_value(words).expect("a request can be written"))
}

const PLAIN: Run<'static> = Run::Image {
    value: None,
    arguments: &[],
};

fn refused(container: &ContainerInfo) -> String {
    let error = asked(container, PLAIN, &needs()).expect_err("it is refused");
    error.to_string()
}

fn volume(path: &str) -> Volume {
    Volume {
        container_path: path.to_owned(),
        mode: Mode::Rw.into(),
        ..Volume::default()
    }
}

fn of_source(path: &str, source: Source) -> Volume {
    Volume {
        source: Some(source),
        ..volume(path)
    }
}

#[test]
fn a_shell_takes_the_place_of_the_entry_point_and_a_plain_command_becomes_its_arguments() {
    let container = container(docker());
    let shell = asked(&container, Run::Shell("echo $A"), &needs()).expect("a request");
    assert_eq!(shell["Entrypoint"], json!(["/bin/sh"]));
    assert_eq!(shell["Cmd"], json!(["-c", "echo $A"]));
    let arguments = ["-v".to_owned()];
    let run = Run::Image {
        value: Some("serve"),
        arguments: &arguments,
    };
    let plain = asked(&container, run, &needs()).expect("a request");
    assert_eq!(plain.get("Entrypoint"), None);
    assert_eq!(plain["Cmd"], json!(["serve", "-v"]));
    let bare = asked(&container, PLAIN, &needs()).expect("a request");
    assert_eq!(bare.get("Cmd"), None, "the image's own command");
    let empty = asked(&container, Run::Shell(""), &needs());
    assert_eq!(empty, Err(RequestError::NoCommand));
}

#[test]
fn a_task_finds_its_sandbox_and_its_name_in_its_environment() {
    let request = asked(&container(docker()), PLAIN, &needs()).expect("a request");
    assert_eq!(
        request["Env"],
        json!([
            "A=1",
            "MESOS_ALLOCATION_ROLE=dev",
            "MESOS_CONTAINER_NAME=mesos-0f-1",
            "MESOS_SANDBOX=/mnt/mesos/sandbox"
        ])
    );
    let sandbox = &request["HostConfig"]["Mounts"][0];
    assert_eq!(sandbox["Source"], "/var/sandbox");
    assert_eq!(sandbox["Target"], "/mnt/mesos/sandbox");
    assert_eq!(request["HostConfig"]["NetworkMode"], "host");
}

#[test]
fn requests_and_limits_become_what_mesos_makes_of_them() {
    let host = |needs: &Needs| {
        let request = asked(&container(docker()), PLAIN, needs).expect("a request");
        request["HostConfig"].clone()
    };
    let plain = host(&needs());
    assert_eq!(plain["CpuShares"], 512);
    assert_eq!(plain.get("CpuQuota"), None);
    assert_eq!(plain["Memory"], 128 << 20);
    let little = host(&Needs {
        cpus: Some(1),
        mem: Some(1_000),
        cpus_limit: Some(Bound::At(1)),
        ..Needs::default()
    });
    assert_eq!(little["CpuShares"], 2);
    assert_eq!(little["CpuQuota"], 1000);
    assert_eq!(little["Memory"], 32 << 20);
    let bursting = host(&Needs {
        cpus_limit: Some(Bound::Infinite),
        mem_limit: Some(Bound::At(256_000)),
        ..needs()
    });
    assert_eq!(bursting.get("CpuQuota"), None);
    assert_eq!(bursting["Memory"], 256 << 20);
    assert_eq!(bursting["MemoryReservation"], 128 << 20);
    assert_eq!(bursting["OomScoreAdj"], 985);
    let boundless = host(&Needs {
        mem_limit: Some(Bound::Infinite),
        ..needs()
    });
    assert_eq!(boundless.get("Memory"), None);
}

#[test]
fn volumes_of_all_kinds_reach_the_engine() {
    let mut container = container(docker());
    let host = |source: &str, target: &str, mode: Mode| Volume {
        host_path: Some(source.to_owned()),
        mode: mode.into(),
        ..volume(target)
    };
    let of_driver = Source {
        r#type: Some(Type::DockerVolume.into()),
        docker_volume: Some(DockerVolume {
            driver: Some("rexray".to_owned()),
            name: "db".to_owned(),
            driver_options: Some(Parameters {
                parameter: vec![Parameter {
                    key: "size".to_owned(),
                    value: "10".to_owned(),
                }],
            }),
        }),
        ..Source::default()
    };
    container.volumes = vec![
        host("/srv", "/data", Mode::Ro),
        host("cache", "/cache", Mode::Rw),
        host("/etc/app", "conf", Mode::Rw),
        of_source("/db", of_driver),
    ];
    let request = asked(&container, PLAIN, &needs()).expect("a request");
    assert_eq!(
        request["HostConfig"]["Binds"],
        json!([
            "/srv:/data:ro",
            "/var/sandbox/cache:/cache:rw",
            "/etc/app:/mnt/mesos/sandbox/conf:rw"
        ])
    );
    let mount = &request["HostConfig"]["Mounts"][0];
    assert_eq!(mount["Type"], "volume");
    assert_eq!(mount["Source"], "db");
    let config = &mount["VolumeOptions"]["DriverConfig"];
    assert_eq!(config["Name"], "rexray");
    assert_eq!(config["Options"]["size"], "10");
}

#[test]
fn volumes_that_mean_nothing_are_refused() {
    let mut container = container(docker());
    let mut refused = |volume: Volume| {
        container.volumes = vec![volume];
        self::refused(&container)
    };
    let both = Volume {
        host_path: Some("a".to_owned()),
        ..volume("b")
    };
    assert_eq!(
        refused(both),
        "Both host_path 'a' and container_path 'b' of a volume are relative"
    );
    assert_eq!(
        refused(volume("/x")),
        "Host path or volume source is required"
    );
    let outside = Source {
        r#type: Some(Type::SandboxPath.into()),
        sandbox_path: Some(SandboxPath {
            path: "../other".to_owned(),
            ..SandboxPath::default()
        }),
        ..Source::default()
    };
    assert!(refused(of_source("/x", outside)).contains("no path within the sandbox"));
    let colon = Volume {
        host_path: Some("/a:b".to_owned()),
        ..volume("/x")
    };
    assert!(refused(colon).contains("no path with a colon"));
}

#[test]
fn ports_lead_into_networks_that_have_some() {
    let mapping = |host_port, protocol: Option<&str>| PortMapping {
        host_port,
        container_port: 80,
        protocol: protocol.map(str::to_owned),
    };
    let bridged = |port_mappings| {
        container(DockerInfo {
            network: Some(Network::Bridge.into()),
            port_mappings,
            ..docker()
        })
    };
    let both = bridged(vec![mapping(31_000, None), mapping(31_001, Some("UDP"))]);
    let request = asked(&both, PLAIN, &needs()).expect("a request");
    let bindings = &request["HostConfig"]["PortBindings"];
    assert_eq!(bindings["80/tcp"][0]["HostPort"], "31000");
    assert_eq!(bindings["80/udp"][0]["HostPort"], "31001");
    assert_eq!(request["ExposedPorts"]["80/tcp"], json!({}));
    assert_eq!(
        refused(&bridged(vec![mapping(80, None)])),
        "Port [80] not included in resources"
    );
    assert!(refused(&bridged(vec![mapping(31_000, Some("icmp"))])).contains("'icmp' is not known"));
    let of_host = container(DockerInfo {
        port_mappings: vec![mapping(31_000, None)],
        ..docker()
    });
    assert_eq!(
        refused(&of_host),
        "Port mappings are only supported for bridge and user-defined networks"
    );
}

#[test]
fn a_network_of_a_user_needs_one_name() {
    let user = || {
        container(DockerInfo {
            network: Some(Network::User.into()),
            ..docker()
        })
    };
    let named = |name: Option<&str>| NetworkInfo {
        name: name.map(str::to_owned),
        ..NetworkInfo::default()
    };
    assert_eq!(refused(&user()), "No network info found in container info");
    let mut nameless = user();
    nameless.network_infos = vec![named(None)];
    assert_eq!(refused(&nameless), "No network name found in network info");
    let mut two = user();
    two.network_infos = vec![named(Some("a")), named(Some("b"))];
    assert_eq!(
        refused(&two),
        "Only a single network can be defined in Docker run"
    );
    let mut one = user();
    one.network_infos = vec![named(Some("backend"))];
    let request = asked(&one, PLAIN, &needs()).expect("a request");
    assert_eq!(request["HostConfig"]["NetworkMode"], "backend");
}

#[test]
fn what_the_engine_cannot_do_is_refused() {
    let mut named = container(docker());
    named.hostname = Some("me".to_owned());
    assert_eq!(
        refused(&named),
        "Unable to set hostname with host network mode"
    );
    let mut capable = container(docker());
    capable.linux_info = Some(mezz_proto::v1::LinuxInfo::default());
    assert!(refused(&capable).starts_with("container.linux_info is for containers of type MESOS"));
    let imageless = container(DockerInfo::default());
    assert_eq!(
        refused(&imageless),
        "container.docker.image is empty: name an image"
    );
    let parameter = container(DockerInfo {
        parameters: vec![Parameter {
            key: "gpus".to_owned(),
            value: "all".to_owned(),
        }],
        ..docker()
    });
    assert!(refused(&parameter).starts_with("container.docker.parameters[0] 'gpus': "));
}
