//! What the host offers for ending whole trees, found out by trying.
//!
//! Owns the probes only: which of the means a plan uses is decided by `mezz-launch-plan`.

use mezz_launch_plan::{HostFacts, PidNamespaces};
use std::fs;
use std::path::{Path, PathBuf};

/// The name of our directory in a cgroup hierarchy.
const CGROUP_NAME: &str = "mezz";

/// The facts of this host for the agent of this scope; users are for the caller to add, since they are looked up by
/// name.
pub fn facts(scope: &str) -> HostFacts {
    let uid = rustix::process::geteuid().as_raw();
    let mut facts = HostFacts::bare(scope, uid);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    facts.cgroup_v2 = cgroup_v2(&mounts, &own);
    facts.freezer_v1 = freezer_v1(&mounts);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    facts.pid_namespaces = if has_sys_admin(&status) && Path::new("/proc/self/ns/pid").exists() {
        PidNamespaces::Available
    } else {
        PidNamespaces::Unavailable
    };
    facts
}

/// Whether the effective capabilities include making namespaces: root in a container mostly has it not.
fn has_sys_admin(status: &str) -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    effective >> CAP_SYS_ADMIN & 1 == 1
}

/// A directory under our own v2 cgroup in which a child directory can be made and has `cgroup.kill`.
fn cgroup_v2(mounts: &str, own: &str) -> Option<PathBuf> {
    let mount = mount_point(mounts, |kind, _| kind == "cgroup2")?;
    let own = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))?
        .trim_start_matches('/');
    usable(&mount.join(own).join(CGROUP_NAME), "cgroup.kill")
}

/// A directory in the v1 freezer hierarchy in which a child directory can be made and has `freezer.state`.
fn freezer_v1(mounts: &str) -> Option<PathBuf> {
    let mount = mount_point(mounts, |kind, options| {
        kind == "cgroup" && options.split(',').any(|option| option == "freezer")
    })?;
    usable(&mount.join(CGROUP_NAME), "freezer.state")
}

/// The first mount whose type and options please.
fn mount_point(mounts: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind, options) = (words.next()?, words.next()?, words.next()?);
        wanted(kind, options).then(|| PathBuf::from(point.replace("\\040", " ")))
    })
}

fn usable(root: &Path, file: &str) -> Option<PathBuf> {
    fs::create_dir_all(root).ok()?;
    let probe = root.join(format!("probe-{}", std::process::id()));
    fs::create_dir(&probe).ok()?;
    let works = fs::OpenOptions::new()
        .write(true)
        .open(probe.join(file))
        .is_ok();
    fs::remove_dir(&probe).ok()?;
    works.then(|| root.to_owned())
}
