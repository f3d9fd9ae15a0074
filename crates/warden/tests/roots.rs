//! Containers with a root of their own: what they find there, and what they cannot reach.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_launch_plan::isolation::Propagation;
use mezz_launch_plan::{
    Access, HostFacts, IsolationSpec, NamespaceSpec, RootSpec, VolumeSource, VolumeSpec, plan,
};
use mezz_warden::{Reply, Request};
use std::os::unix::fs::symlink;
use std::path::Path;
use support::*;

fn facts() -> HostFacts {
    Means::available()[0].facts().unwrap()
}

/// What a command says, in a container of this kind.
fn said(lab: &Lab, id: u64, isolation: IsolationSpec, script: &str) -> String {
    tried(lab, id, isolation, script).unwrap()
}

/// Likewise, or why there is no container.
fn tried(lab: &Lab, id: u64, isolation: IsolationSpec, script: &str) -> Result<String, String> {
    let mut spec = lab.spec(id, script);
    spec.isolation = isolation;
    let mut connection = lab.connect(id);
    let plan = plan(&spec, &facts()).unwrap();
    send(&mut connection, &[Request::Launch(Box::new(plan))]);
    expect(&mut connection, |reply| match reply {
        Reply::Exited(exit) if exit.launch_id.0 == id => Some(Ok(())),
        Reply::LaunchFailed { message, .. } => Some(Err(message.clone())),
        _ => None,
    })?;
    let errors = std::fs::read_to_string(lab.sandbox(id).join("stderr")).unwrap_or_default();
    Ok(format!("{}{errors}", lab.output(id)))
}

/// The programs of the host, for a root that has none.
fn programs() -> Vec<VolumeSpec> {
    ["/usr", "/etc/alternatives"]
        .into_iter()
        .filter(|path| Path::new(path).exists())
        .map(|path| VolumeSpec {
            source: VolumeSource::HostPath(path.into()),
            target: path.into(),
            access: Access::ReadOnly,
            propagation: Propagation::Private,
        })
        .collect()
}

/// A root folder in which the programs of the host are found where they always are.
fn prepare(root: &Path) {
    std::fs::create_dir_all(root).unwrap();
    for name in ["bin", "sbin", "lib", "lib64"] {
        if Path::new("/").join(name).exists() {
            symlink(Path::new("usr").join(name), root.join(name)).unwrap();
        }
    }
}

fn isolation(root: RootSpec) -> IsolationSpec {
    IsolationSpec {
        root,
        pid: NamespaceSpec::Own,
        volumes: programs(),
        ..IsolationSpec::default()
    }
}

const LOOK: &str = "pwd; ls /; echo of-the-container > /new; echo kept > kept; \
                    test -e /etc/passwd && echo host-seen; ls /dev | sort | tr '\\n' ' '; \
                    echo x > /dev/null && head -c 4 /dev/zero | wc -c; cat /proc/kcore | wc -c; \
                    echo 1 > /proc/sys/vm/drop_caches || echo unchangeable; ls /sys/firmware | wc -l; \
                    mount | grep -c ' / '; ls -d /proc/[0-9]* | wc -l";

fn check(seen: &str) {
    assert!(seen.starts_with("/mnt/mesos/sandbox\n"), "{seen}");
    assert!(!seen.contains("host-seen"), "{seen}");
    let devices = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ";
    assert!(seen.contains(devices), "{seen}");
    assert!(
        seen.contains("\n4\n0\n") || seen.contains(" 4\n0\n"),
        "{seen}"
    );
    assert!(seen.contains("unchangeable\n0\n1\n"), "{seen}");
}

#[test]
fn a_folder_as_root_is_all_that_its_container_sees() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let root = lab.dir.path().join("root");
    prepare(&root);
    let wanted = isolation(RootSpec::Folder {
        path: root.clone(),
        access: Access::ReadWrite,
    });
    check(&said(&lab, 1, wanted, LOOK));
    assert_eq!(
        std::fs::read_to_string(root.join("new")).unwrap(),
        "of-the-container\n"
    );
    assert!(lab.sandbox(1).join("kept").exists());
    // Nothing of it is seen on the host.
    assert!(!root.join("proc/self").exists() && !root.join("dev/null").exists());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(root.to_str().unwrap()), "{mounts}");
    let closed = isolation(RootSpec::Folder {
        path: root.clone(),
        access: Access::ReadOnly,
    });
    let seen = said(
        &lab,
        2,
        closed,
        "echo x > /other || echo refused; echo y > kept && echo written",
    );
    assert!(
        seen.contains("refused") && seen.contains("written"),
        "{seen}"
    );
    assert!(!root.join("other").exists());
}

#[test]
fn layers_as_root_take_changes_in_their_upper_folder_only() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    // An overlay takes no overlay and no tmpfs of some kernels as its upper folder; the work folder is on a disk.
    let [low, high, upper, work, at] =
        ["low", "high", "upper", "scratch", "at"].map(|name| lab.dir.path().join(name));
    prepare(&low);
    for folder in [&high, &upper, &work, &at] {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::write(low.join("both"), "low\n").unwrap();
    std::fs::write(high.join("both"), "high\n").unwrap();
    let overlay = |upper: Option<(std::path::PathBuf, std::path::PathBuf)>| RootSpec::Overlay {
        at: at.clone(),
        lower: vec![high.clone(), low.clone()],
        upper,
    };
    let wanted = isolation(overlay(Some((upper.clone(), work))));
    let seen = said(&lab, 1, wanted, &format!("{LOOK}; cat /both"));
    check(&seen);
    assert!(seen.contains("high\n"), "{seen}");
    assert!(upper.join("new").exists());
    assert!(!low.join("new").exists() && !high.join("new").exists() && !at.join("new").exists());
}

#[test]
fn links_in_a_root_lead_nowhere_outside_of_it() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let (root, outside) = (lab.dir.path().join("root"), lab.dir.path().join("outside"));
    prepare(&root);
    std::fs::create_dir(&outside).unwrap();
    std::fs::create_dir(root.join("inside")).unwrap();
    // What an image could hold: folders that are mounted on lead out of it, or seem to.
    symlink("/inside", root.join("mnt")).unwrap();
    symlink("../../../../../../inside", root.join("data")).unwrap();
    symlink(&outside, root.join("out")).unwrap();
    let folder = || {
        isolation(RootSpec::Folder {
            path: root.clone(),
            access: Access::ReadWrite,
        })
    };
    let memory = |target: &str| VolumeSpec {
        source: VolumeSource::Memory { bytes: None },
        target: target.into(),
        access: Access::ReadWrite,
        propagation: Propagation::Private,
    };
    let mut wanted = folder();
    wanted.volumes.push(memory("/data/made"));
    let seen = said(&lab, 1, wanted, "echo x > kept; ls /inside");
    assert!(lab.sandbox(1).join("kept").exists(), "{seen}");
    assert!(seen.contains("made") && seen.contains("mesos"), "{seen}");
    let mut wanted = folder();
    wanted.volumes.push(memory("/out/made"));
    let message = tried(&lab, 2, wanted, "true").unwrap_err();
    assert!(message.contains("/out/made"), "{message}");
    let left: Vec<_> = std::fs::read_dir(&outside).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn links_in_a_sandbox_lead_no_volume_out_of_it() {
    if !is_root() {
        return;
    }
    let lab = Lab::start(Life::Durable);
    let outside = lab.dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret\n").unwrap();
    let volume = |source: VolumeSource, target: &str| IsolationSpec {
        volumes: vec![VolumeSpec {
            source,
            target: target.into(),
            access: Access::ReadWrite,
            propagation: Propagation::Private,
        }],
        ..IsolationSpec::default()
    };
    // The end of a launch that failed may come after its answer: each has a number of its own.
    for (id, name) in [(1, "link"), (3, "up")] {
        for id in [id, id + 1] {
            symlink(&outside, lab.sandbox(id).join("link")).unwrap();
            symlink("../outside", lab.sandbox(id).join("up")).unwrap();
        }
        let source = volume(VolumeSource::SandboxPath(name.into()), "/mnt");
        let message = tried(&lab, id, source, "ls /mnt").unwrap_err();
        assert!(message.contains("/mnt"), "{message}");
        let target = volume(
            VolumeSource::Memory { bytes: None },
            &format!("{name}/made"),
        );
        let message = tried(&lab, id + 1, target, "true").unwrap_err();
        assert!(message.contains("made"), "{message}");
    }
    assert!(!outside.join("made").exists());
}
