//! What `config.json` says of a container, by the field names of the runtime specification.

mod privileges;
mod runtimes;

use mezz_launch_plan::isolation::{IdRange, Propagation};
use mezz_launch_plan::seccomp::Architecture;
use mezz_launch_plan::{
    Access, CapabilitySet, CommandSpec, ContainerSpec, Credentials, HostFacts, KernelFacts,
    LaunchId, MountCalls, NamespaceSpec, Privilege, Rlimit, RlimitResource, RootSpec, TerminalSize,
    UserNamespaces, VolumeSource, VolumeSpec,
};
use mezz_oci::{Bundle, OciError, Resources, bundle, config};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A container in a root of its own.
pub(crate) fn container(command: CommandSpec) -> ContainerSpec {
    let mut spec = ContainerSpec::new(LaunchId(7), command, "/srv/mezz/sandbox");
    spec.isolation.root = RootSpec::Folder {
        path: PathBuf::from("/srv/mezz/root"),
        access: Access::ReadWrite,
    };
    spec
}

pub(crate) fn shell() -> ContainerSpec {
    container(CommandSpec::Shell("echo hello".to_owned()))
}

pub(crate) fn host() -> HostFacts {
    let mut host = HostFacts::bare("here", 0);
    host.kernel = KernelFacts {
        version: (6, 1),
        architecture: Some(Architecture::X86_64),
        capabilities: CapabilitySet::ALL,
        mount_calls: MountCalls::Present,
        user_namespaces: UserNamespaces::Available,
    };
    let nobody = Credentials {
        uid: 65534,
        gid: 65534,
        groups: vec![20, 44],
    };
    host.users.insert("nobody".to_owned(), nobody);
    host
}

pub(crate) fn made(spec: &ContainerSpec) -> Result<Bundle, OciError> {
    bundle(
        spec,
        &host(),
        &Resources::unlimited("/mezz/c"),
        BTreeMap::new(),
    )
}

pub(crate) fn json_of(spec: &ContainerSpec) -> Value {
    let text = made(spec).expect("a bundle").config_json();
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_shell_command_runs_in_the_sandbox_with_its_environment_and_the_marker_of_its_launch() {
    let mut spec = shell();
    spec.environment = vec![vec![("A".to_owned(), "1".to_owned())]];
    spec.rlimits = vec![Rlimit {
        resource: RlimitResource::Nofile,
        soft: Some(64),
        hard: None,
    }];
    spec.user = Some("nobody".to_owned());
    spec.umask = Some(0o027);
    let config = json_of(&spec);
    assert_eq!(config["ociVersion"], "1.0.2");
    let process = &config["process"];
    assert_eq!(process["args"], json!(["/bin/sh", "-c", "echo hello"]));
    assert_eq!(process["cwd"], "/mnt/mesos/sandbox");
    assert_eq!(
        process["user"],
        json!({"uid": 65534, "gid": 65534, "umask": 0o027, "additionalGids": [20, 44]})
    );
    let environment: Vec<&str> = process["env"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(environment[0], "A=1");
    assert!(environment[1].starts_with("PATH=/usr/local/sbin:"));
    assert_eq!(environment[2], "MEZZ_LAUNCH_ID=here.0000000000000007");
    assert_eq!(
        process["rlimits"],
        json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": u64::MAX}])
    );
    assert_eq!(
        config["root"],
        json!({"path": "/srv/mezz/root", "readonly": false})
    );
    assert_eq!(process["terminal"], false);
    assert_eq!(process.get("consoleSize"), None);
}

#[test]
fn a_program_takes_the_place_of_its_first_argument() {
    let command = CommandSpec::Argv {
        program: "httpd".to_owned(),
        argv: vec!["web".to_owned(), "-f".to_owned()],
    };
    let config = json_of(&container(command));
    assert_eq!(config["process"]["args"], json!(["httpd", "-f"]));
}

#[test]
fn namespaces_are_made_joined_or_left_out() {
    let mut spec = shell();
    spec.isolation.pid = NamespaceSpec::Own;
    spec.isolation.network = NamespaceSpec::Path(PathBuf::from("/run/netns/a"));
    spec.isolation.hostname = Some("box".to_owned());
    spec.isolation.user = NamespaceSpec::Own;
    let ids = vec![IdRange {
        inside: 0,
        outside: 100_000,
        count: 65_536,
    }];
    (spec.isolation.uids, spec.isolation.gids) = (ids.clone(), ids);
    let config = json_of(&spec);
    assert_eq!(
        config["linux"]["namespaces"],
        json!([
            {"type": "user"}, {"type": "mount"}, {"type": "uts"},
            {"type": "network", "path": "/run/netns/a"}, {"type": "pid"}
        ])
    );
    assert_eq!(config["hostname"], "box");
    let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    assert_eq!(config["linux"]["uidMappings"], mapping);
    assert_eq!(config["linux"]["gidMappings"], mapping);
    spec.isolation.user = NamespaceSpec::Host;
    spec.isolation.ipc = NamespaceSpec::Of(LaunchId(1));
    let error = made(&spec).expect_err("it cannot be joined").to_string();
    assert!(error.contains("join the ipc namespace"), "{error}");
}

#[test]
fn what_is_mounted_is_what_the_warden_would_mount() {
    let mut spec = shell();
    let volume = |source, target: &str, access, propagation| VolumeSpec {
        source,
        target: PathBuf::from(target),
        access,
        propagation,
    };
    spec.isolation.volumes = vec![
        volume(
            VolumeSource::HostPath("/srv".into()),
            "/srv",
            Access::ReadOnly,
            Propagation::FromHost,
        ),
        volume(
            VolumeSource::SandboxPath("data".into()),
            "data/in",
            Access::ReadWrite,
            Propagation::Private,
        ),
        volume(
            VolumeSource::Memory { bytes: Some(4096) },
            "/mem",
            Access::ReadWrite,
            Propagation::Private,
        ),
    ];
    let bundle = made(&spec).expect("a bundle");
    let config: Value = serde_json::from_str(&bundle.config_json()).expect("JSON");
    let mounts = config["mounts"].as_array().expect("a list");
    let at = |place: &str| {
        let found = mounts.iter().find(|mount| mount["destination"] == place);
        found
            .unwrap_or_else(|| panic!("{place} is not there"))
            .clone()
    };
    assert_eq!(at("/proc")["type"], "proc");
    assert_eq!(at("/proc")["options"], json!(["nosuid", "nodev", "noexec"]));
    assert!(at("/sys")["options"].to_string().contains("\"ro\""));
    assert_eq!(at("/dev/pts")["type"], "devpts");
    assert_eq!(at("/mnt/mesos/sandbox")["source"], "/srv/mezz/sandbox");
    assert_eq!(
        at("/srv"),
        json!({"destination": "/srv", "type": "bind", "source": "/srv",
               "options": ["rbind", "rslave", "ro", "rro"]})
    );
    assert_eq!(
        at("/mnt/mesos/sandbox/data/in")["source"],
        "/srv/mezz/sandbox/data"
    );
    assert_eq!(at("/mem")["options"], json!(["mode=1777", "size=4096"]));
    assert_eq!(config["linux"]["rootfsPropagation"], "rslave");
    let masked = config["linux"]["maskedPaths"].to_string();
    assert!(masked.contains("/proc/kcore") && masked.contains("/sys/firmware"));
    assert!(
        config["linux"]["readonlyPaths"]
            .to_string()
            .contains("/proc/sys")
    );
    let sources: Vec<_> = bundle.sources.iter().map(|spot| &spot.path).collect();
    assert_eq!(sources, [c"data"], "to be made without leaving the sandbox");
}

#[test]
fn layers_are_mounted_by_the_caller_and_the_root_is_where() {
    let mut spec = shell();
    spec.isolation.root = RootSpec::Overlay {
        at: "/srv/mezz/at".into(),
        lower: vec!["/layers/b".into(), "/layers/a".into()],
        upper: None,
    };
    let bundle = made(&spec).expect("a bundle");
    assert_eq!(
        bundle.config.root,
        config::Root {
            path: "/srv/mezz/at".to_owned(),
            readonly: true
        }
    );
    let overlay = bundle.overlay.expect("layers");
    assert_eq!(overlay.lower, [c"/layers/b", c"/layers/a"]);
}

#[test]
fn a_terminal_has_its_size() {
    let mut spec = shell();
    spec.terminal = Some(TerminalSize {
        rows: 40,
        columns: 100,
    });
    let config = json_of(&spec);
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(
        config["process"]["consoleSize"],
        json!({"height": 40, "width": 100})
    );
}

#[test]
fn resources_and_annotations_are_said_where_there_are_any() {
    let resources = Resources {
        cpu: Some(config::CpuLimits {
            shares: Some(512),
            quota: Some(50_000),
            period: Some(100_000),
            cpus: None,
        }),
        memory: Some(config::MemoryLimits {
            limit: Some(1 << 25),
            ..config::MemoryLimits::default()
        }),
        pids: Some(20),
        cgroups_path: "/mezz/one".to_owned(),
    };
    let notes = BTreeMap::from([("task".to_owned(), "t1".to_owned())]);
    let bundle = bundle(&shell(), &host(), &resources, notes).expect("a bundle");
    let config: Value = serde_json::from_str(&bundle.config_json()).expect("JSON");
    assert_eq!(
        config["linux"]["resources"],
        json!({
            "devices": [{"allow": false, "access": "rwm"}],
            "memory": {"limit": 33_554_432},
            "cpu": {"shares": 512, "quota": 50_000, "period": 100_000},
            "pids": {"limit": 20}
        })
    );
    assert_eq!(config["linux"]["cgroupsPath"], "/mezz/one");
    assert_eq!(config["annotations"], json!({"task": "t1"}));
    let plain = json_of(&shell());
    assert_eq!(plain["linux"]["cgroupsPath"], "/mezz/c");
    assert_eq!(plain.get("annotations"), None);
}

#[test]
fn what_cannot_be_run_says_why() {
    let command = || CommandSpec::Shell("true".to_owned());
    let without_root = ContainerSpec::new(LaunchId(7), command(), "/srv/mezz/sandbox");
    let error = made(&without_root).expect_err("no root").to_string();
    assert!(error.contains("needs an image"), "{error}");
    let mut user = host();
    user.privilege = Privilege::User { uid: 1000 };
    let error = bundle(
        &shell(),
        &user,
        &Resources::unlimited("/mezz/c"),
        BTreeMap::new(),
    );
    assert_eq!(error, Err(OciError::Unprivileged { uid: 1000 }));
    let mut unknown = shell();
    unknown.user = Some("ghost".to_owned());
    let error = made(&unknown).expect_err("no such user").to_string();
    assert_eq!(error, "user \"ghost\" does not exist on this host");
}
