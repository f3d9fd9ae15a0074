//! What the host offers for ending whole trees, found out by trying.
//!
//! Owns the probes only: which of the means a plan uses is decided by `mezz-launch-plan`.

use crate::sys;
use mezz_launch_plan::seccomp::Architecture;
use mezz_launch_plan::{
    Capability, CapabilitySet, HostFacts, KernelFacts, MountCalls, PidNamespaces, UserNamespaces,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    facts.kernel = kernel(&status);
    facts
}

/// What the kernel offers to set containers apart.
fn kernel(status: &str) -> KernelFacts {
    let release = rustix::system::uname();
    let architecture = match release.machine().to_bytes() {
        b"x86_64" => Some(Architecture::X86_64),
        b"aarch64" => Some(Architecture::Aarch64),
        _ => None,
    };
    let effective = CapabilitySet(effective_capabilities(status));
    let mount_calls = if sys::has_mount_calls() {
        MountCalls::Present
    } else {
        MountCalls::Missing
    };
    KernelFacts {
        version: version(&release.release().to_string_lossy()),
        architecture,
        capabilities: effective.common(CapabilitySet::ALL),
        mount_calls,
        user_namespaces: user_namespaces(has_sys_admin(status)),
    }
}

/// The first two numbers of a release such as `6.18.44-amd64`.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|sign: char| !sign.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// By the settings of the kernel and of Debian's and Ubuntu's additions to it.
fn user_namespaces(privileged: bool) -> UserNamespaces {
    let setting = |path: &str| {
        let text = fs::read_to_string(path).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let any = setting("/proc/sys/user/max_user_namespaces").is_some_and(|most| most > 0);
    let closed = setting("/proc/sys/kernel/unprivileged_userns_clone") == Some(0)
        || setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1);
    if any && (privileged || !closed) {
        UserNamespaces::Available
    } else {
        UserNamespaces::Unavailable
    }
}

/// Removes what dead wardens have left in our directories of the cgroup hierarchies: groups without a process.
///
/// The kernel refuses to remove a group that anybody is in, so that nobody's tasks are touched. A group that another
/// warden is just making may be removed before its process has joined it; that warden's launch fails then. So only
/// those that have been there for a while are looked at, and never those of `scope`.
pub fn remove_stale_cgroups(facts: &HostFacts, old: Duration) {
    for root in [&facts.cgroup_v2, &facts.freezer_v1].into_iter().flatten() {
        for scope in folders(root) {
            if scope.file_name().is_some_and(|name| *name == *facts.scope) || !is_old(&scope, old) {
                continue;
            }
            for launch in folders(&scope) {
                if is_old(&launch, old) {
                    // Somebody is in it, or somebody else removes it too.
                    let _ = fs::remove_dir(&launch);
                }
            }
            let _ = fs::remove_dir(&scope);
        }
    }
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}

fn is_old(path: &Path, old: Duration) -> bool {
    let made = fs::metadata(path).and_then(|data| data.modified());
    made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age >= old))
}

/// Whether the effective capabilities include making namespaces: root in a container mostly has it not.
fn has_sys_admin(status: &str) -> bool {
    CapabilitySet(effective_capabilities(status)).contains(Capability::SYS_ADMIN)
}

fn effective_capabilities(status: &str) -> u64 {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_groups_of_dead_wardens_are_removed_and_those_in_use_are_not() {
        // Plain folders behave alike as far as it matters: one with something in it cannot be removed.
        let root = tempfile::tempdir().expect("a folder");
        let make = |name: &str| fs::create_dir_all(root.path().join(name)).expect("a folder");
        make("dead/launch-1");
        make("dead/launch-2");
        make("used/launch-1");
        fs::write(root.path().join("used/launch-1/process"), "").expect("a file");
        make("ours/launch-1");
        let mut facts = HostFacts::bare("ours", 0);
        facts.cgroup_v2 = Some(root.path().to_owned());
        remove_stale_cgroups(&facts, Duration::from_hours(1));
        assert!(root.path().join("dead/launch-1").exists(), "it is young");
        remove_stale_cgroups(&facts, Duration::ZERO);
        assert!(!root.path().join("dead").exists());
        assert!(root.path().join("used/launch-1").exists());
        assert!(root.path().join("ours/launch-1").exists());
    }
}
