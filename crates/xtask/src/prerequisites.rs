//! What the whole-system tests need of the machine, and its installation where that is possible.

use std::path::Path;

use anyhow::Result;

use crate::command::{silently, succeeds};

/// Whether the whole-system tests can run here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    Missing,
}

struct Need {
    what: &'static str,
    packages: &'static [&'static str],
    check: &'static [&'static str],
}

const NEEDS: &[Need] = &[
    Need {
        what: "bash",
        packages: &["bash"],
        check: &["bash", "--version"],
    },
    Need {
        what: "a C compiler",
        packages: &["build-essential"],
        check: &["cc", "--version"],
    },
    Need {
        what: "musl-gcc",
        packages: &["musl-tools"],
        check: &["sh", "-c", "command -v musl-gcc"],
    },
    Need {
        what: "curl",
        packages: &["curl"],
        check: &["curl", "--version"],
    },
    Need {
        what: "flock",
        packages: &["util-linux"],
        check: &["flock", "--version"],
    },
    Need {
        what: "python3 with venv",
        packages: &["python3", "python3-venv"],
        check: &["python3", "-c", "import venv, ensurepip"],
    },
    Need {
        what: "Python.h",
        packages: &["python3-dev"],
        check: &[
            "python3",
            "-c",
            "import os, sysconfig; assert os.path.exists(sysconfig.get_path('include') + '/Python.h')",
        ],
    },
    Need {
        what: "node",
        packages: &["nodejs"],
        check: &["node", "--version"],
    },
    Need {
        what: "npm",
        packages: &["npm"],
        check: &["npm", "--version"],
    },
];

/// What one script needs, which says that it is skipped where this is not to be had.
const WANTED: &[Need] = &[Need {
    what: "mesos-go",
    packages: &["golang-go", "golang-github-mesos-mesos-go-dev"],
    check: &[
        "sh",
        "-c",
        "command -v go && test -d /usr/share/gocode/src/github.com/mesos/mesos-go",
    ],
}];

/// What the guest's tests need; its kernel is fetched by themselves.
const GUEST: &[Need] = &[
    Need {
        what: "qemu-system-x86_64",
        packages: &["qemu-system-x86"],
        check: &["qemu-system-x86_64", "--version"],
    },
    Need {
        what: "busybox",
        packages: &["busybox-static"],
        check: &["/bin/busybox", "true"],
    },
];

/// Real parts that tests of single crates run; without one, its tests say that they are skipped.
const PARTS: &[Need] = &[
    Need {
        what: "the plugins of the Container Network Interface",
        packages: &["containernetworking-plugins", "iptables", "iproute2"],
        check: &[
            "sh",
            "-c",
            "test -x /usr/lib/cni/bridge && command -v iptables && command -v ip",
        ],
    },
    Need {
        what: "runc and busybox",
        packages: &["runc", "busybox-static"],
        check: &["sh", "-c", "command -v runc && test -x /bin/busybox"],
    },
    Need {
        what: "qemu",
        packages: &["qemu-system-x86"],
        check: &["qemu-system-x86_64", "--version"],
    },
    Need {
        what: "a Docker Engine",
        packages: &["docker.io", "busybox-static", "iproute2"],
        check: &[
            "sh",
            "-c",
            "command -v dockerd && command -v docker && test -x /bin/busybox",
        ],
    },
    Need {
        what: "docker-registry",
        packages: &["docker-registry"],
        check: &["sh", "-c", "command -v docker-registry"],
    },
];

/// True where a missing program must fail the run instead of shortening it.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// Looks for every program; as root on Debian installs what is missing.
pub(crate) fn ready(root: &Path) -> Result<Readiness> {
    let ready = ready_with(root, NEEDS, "the whole-system tests")?;
    if ready == Readiness::Ready {
        install_wanted(root)?;
    }
    Ok(ready)
}

/// The same for the tests in a guest.
pub(crate) fn ready_for_guest(root: &Path) -> Result<Readiness> {
    if cfg!(not(target_arch = "x86_64")) {
        println!("the guest's kernel is for x86_64 only");
        return Ok(Readiness::Missing);
    }
    ready_with(root, GUEST, "the tests in a guest")
}

fn ready_with(root: &Path, needs: &'static [Need], purpose: &str) -> Result<Readiness> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(Readiness::Ready);
    }
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    let names: Vec<&str> = missing.iter().map(|need| need.what).collect();
    println!("missing for {purpose}: {}", names.join(", "));
    if may_install() {
        install(root, &packages)?;
        if self::missing(needs).is_empty() {
            return Ok(Readiness::Ready);
        }
        println!("still missing after the installation: see above");
    } else {
        println!(
            "install them first, on Debian: apt-get install {}",
            packages.join(" ")
        );
    }
    Ok(Readiness::Missing)
}

/// Installs the real parts that tests of single crates run, where that is possible.
pub(crate) fn install_parts(root: &Path) -> Result<()> {
    for need in missing(PARTS) {
        println!("without {}, its tests are skipped", need.what);
        if may_install() {
            install(root, need.packages)?;
        }
    }
    Ok(())
}

fn may_install() -> bool {
    silently(&["sh", "-c", "test \"$(id -u)\" = 0 && command -v apt-get"])
}

fn install_wanted(root: &Path) -> Result<()> {
    for need in missing(WANTED) {
        println!("without {}, a script is skipped", need.what);
        if may_install() {
            install(root, need.packages)?;
        }
    }
    Ok(())
}

fn missing(needs: &'static [Need]) -> Vec<&'static Need> {
    needs.iter().filter(|need| !silently(need.check)).collect()
}

fn install(root: &Path, packages: &[&str]) -> Result<()> {
    println!("apt-get install {}", packages.join(" "));
    let mut update = crate::command::command(root, &["apt-get", "update", "-qq"]);
    update.env("DEBIAN_FRONTEND", "noninteractive");
    // An outdated list may still hold what is needed; the check afterwards decides.
    let _ = succeeds(update)?;
    let mut words = vec!["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
    words.extend(packages);
    let mut install = crate::command::command(root, &words);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    let _ = succeeds(install)?;
    Ok(())
}
