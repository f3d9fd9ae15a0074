//! The built-in profile: every system call that had a name when this was built, but for those that act on the whole
//! machine, on other containers, or on parts of the kernel that few programs need and that had many faults.
//!
//! What a capability is there for is open to those who have it.

use super::profile::{Action, Comparison, Condition, Profile, Restriction, Rule};
use crate::capability::Capability;

const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);

/// Closed to everybody.
const CLOSED: &[&str] = &[
    "_sysctl",
    "add_key",
    "afs_syscall",
    "create_module",
    "get_kernel_syms",
    "getpmsg",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "nfsservctl",
    "putpmsg",
    "query_module",
    "request_key",
    "security",
    "sysfs",
    "tuxcall",
    "uselib",
    "userfaultfd",
    "ustat",
    "vm86",
    "vm86old",
    "vserver",
];

/// Open with a capability only.
const GATED: &[(&str, &[&str])] = &[
    (
        "SYS_ADMIN",
        &[
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "listmount",
            "lookup_dcookie",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "open_tree_attr",
            "pivot_root",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "statmount",
            "swapoff",
            "swapon",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    (
        "SYS_MODULE",
        &["delete_module", "finit_module", "init_module"],
    ),
    ("SYS_BOOT", &["reboot"]),
    ("SYS_PACCT", &["acct"]),
    (
        "SYS_TIME",
        &["clock_settime", "clock_settime64", "settimeofday", "stime"],
    ),
    ("SYS_RAWIO", &["ioperm", "iopl"]),
    (
        "SYS_PTRACE",
        &[
            "kcmp",
            "pidfd_getfd",
            "process_madvise",
            "process_vm_readv",
            "process_vm_writev",
        ],
    ),
    (
        "SYS_NICE",
        &["mbind", "migrate_pages", "move_pages", "set_mempolicy"],
    ),
    ("SYS_CHROOT", &["chroot"]),
    ("SYS_TTY_CONFIG", &["vhangup"]),
    ("SYSLOG", &["syslog"]),
    ("DAC_READ_SEARCH", &["open_by_handle_at"]),
    ("BPF", &["bpf"]),
    ("PERFMON", &["perf_event_open"]),
];

/// `CLONE_NEW*` of every kind of namespace that `clone` takes.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;
/// `AF_VSOCK`: the way to the machine under a virtual one.
const AF_VSOCK: u64 = 40;
/// Personalities that only change how old programs see the machine.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// The profile of containers that ask for none of their own.
pub fn default_profile() -> Profile {
    let mut rules = vec![rule(CLOSED, EPERM)];
    for (name, calls) in GATED {
        let mut gated = rule(calls, EPERM);
        gated.excludes = unless(&[name]);
        // The older capability opens them too.
        if matches!(*name, "BPF" | "PERFMON") {
            gated.excludes = unless(&[name, "SYS_ADMIN"]);
        }
        rules.push(gated);
    }
    rules.extend(cloning());
    let vsock = Condition {
        argument: 0,
        comparison: Comparison::Equal,
        value: AF_VSOCK,
    };
    rules.push(Rule {
        conditions: vec![vsock],
        ..rule(&["socket", "socketpair"], EPERM)
    });
    rules.extend(PERSONALITIES.map(|value| Rule {
        conditions: vec![Condition {
            argument: 0,
            comparison: Comparison::Equal,
            value,
        }],
        ..rule(&["personality"], Action::Allow)
    }));
    rules.push(rule(&["personality"], EPERM));
    Profile {
        default_action: ENOSYS,
        known_action: Some(Action::Allow),
        architectures: vec!["SCMP_ARCH_X86".to_owned()],
        rules,
    }
}

/// New namespaces are for those who may make them. What `clone3` is asked for lies in memory, where no filter can
/// look: libraries that find it missing take `clone`.
fn cloning() -> [Rule; 3] {
    let no_namespace = Condition {
        argument: 0,
        comparison: Comparison::Masked(NAMESPACE_FLAGS),
        value: 0,
    };
    let plain = Rule {
        conditions: vec![no_namespace],
        ..rule(&["clone"], Action::Allow)
    };
    let [namespaces, hidden] = [("clone", EPERM), ("clone3", ENOSYS)].map(|(name, action)| Rule {
        excludes: unless(&["SYS_ADMIN"]),
        ..rule(&[name], action)
    });
    [plain, namespaces, hidden]
}

fn rule(names: &[&str], action: Action) -> Rule {
    Rule {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        action,
        conditions: Vec::new(),
        includes: Restriction::default(),
        excludes: Restriction::default(),
    }
}

fn unless(names: &[&str]) -> Restriction {
    let capabilities = names.iter().filter_map(|name| Capability::from_name(name));
    Restriction {
        capabilities: capabilities.collect(),
        ..Restriction::default()
    }
}
