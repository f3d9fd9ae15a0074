//! Tests that need a kernel or hierarchies which this machine has not: run in a guest of qemu, on its own kernel.
//!
//! The guest's whole system is an archive in memory: busybox, the test binaries with their libraries, and a script
//! that mounts only version 2 of cgroups. Tests of this machine's own hierarchies are part of the step `unit`.

mod archive;
mod kernel;
mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::tally::Tally;
use archive::Archive;
use machine::Machine;

/// A test binary that is run in the guest.
struct Suite {
    package: &'static str,
    test: &'static str,
    /// Variables that its tests look at.
    variables: &'static [&'static str],
}

const SUITES: &[Suite] = &[Suite {
    package: "mezz-cgroup",
    test: "contract",
    variables: &["MEZZ_CGROUP_CONTRACT=required"],
}];

/// What the script says when the guest is up; machines of which nothing else is heard have failed.
pub(super) const UP: &str = "guest: up";
/// What the script says of the exit status of each suite, and before it.
pub(super) const SUITE: &str = "guest: suite ";
/// What the script says of the end of each suite.
pub(super) const STATUS: &str = "guest: status ";

/// The programs of busybox that the tests and the script call.
const PROGRAMS: &[&str] = &[
    "cat", "chmod", "chown", "cp", "cut", "dd", "echo", "env", "false", "grep", "head", "id",
    "kill", "ln", "ls", "mkdir", "mount", "mv", "poweroff", "ps", "rm", "sed", "seq", "setsid",
    "sh", "sleep", "sort", "stat", "tail", "test", "touch", "tr", "true", "umount", "uname", "wc",
    "yes",
];

/// Fetches the guest's kernel for tests of single crates that boot it; without it they say that they are skipped.
pub(crate) fn fetch_kernel(root: &Path) {
    if cfg!(target_arch = "x86_64")
        && let Err(error) = folder(root).and_then(|folder| kernel::find(&folder))
    {
        println!("tests that boot Linux are skipped: {error:#}");
    }
}

fn folder(root: &Path) -> Result<PathBuf> {
    let folder = crate::clients::target_folder(root).join("guest");
    std::fs::create_dir_all(&folder).context("cannot make the folder of the guest")?;
    Ok(folder)
}

/// Builds the suites, packs them with a system, and runs them in a guest.
pub(crate) fn run(root: &Path, cargo: &str) -> Result<Tally> {
    let folder = folder(root)?;
    let kernel = kernel::find(&folder)?;
    let mut archive = Archive::default();
    add_system(&mut archive)?;
    for suite in SUITES {
        let binary = build(root, cargo, suite)?;
        archive.file(&inside(suite), 0o755, &read(&binary)?);
        add_libraries(&mut archive, &binary)?;
    }
    let system = folder.join("system.cpio");
    std::fs::write(&system, archive.finish())
        .with_context(|| format!("cannot write {}", system.display()))?;
    Machine {
        kernel: &kernel,
        system: &system,
        suites: SUITES.len(),
    }
    .run()
}

fn inside(suite: &Suite) -> String {
    format!("suites/{}.{}", suite.package, suite.test)
}

/// Builds the suite's test binary and says where it lies.
fn build(root: &Path, cargo: &str, suite: &Suite) -> Result<PathBuf> {
    let words = [
        "test",
        "--no-run",
        "--message-format=json-render-diagnostics",
        "--package",
        suite.package,
        "--test",
        suite.test,
    ];
    let output = Command::new(cargo)
        .args(words)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {cargo}"))?;
    if !output.status.success() {
        bail!("{} does not build", suite.package);
    }
    executable(&String::from_utf8_lossy(&output.stdout)).with_context(|| {
        format!(
            "cargo named no binary of {} --test {}",
            suite.package, suite.test
        )
    })
}

/// The last executable in cargo's messages, one JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| line.split_once("\"executable\":\""))
        .filter_map(|(_, rest)| rest.split_once('"'))
        .map(|(path, _)| PathBuf::from(path))
        .next_back()
}

/// Adds the shared libraries and the loader of `binary`, under the paths that it looks at.
fn add_libraries(archive: &mut Archive, binary: &Path) -> Result<()> {
    let output = Command::new("ldd")
        .arg(binary)
        .output()
        .context("cannot run ldd")?;
    // A static binary is an error for it.
    let text = String::from_utf8_lossy(&output.stdout);
    for path in text
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
    {
        archive.file(path.trim_start_matches('/'), 0o755, &read(Path::new(path))?);
    }
    Ok(())
}

fn add_system(archive: &mut Archive) -> Result<()> {
    let busybox = Path::new("/bin/busybox");
    archive.file("bin/busybox", 0o755, &read(busybox)?);
    add_libraries(archive, busybox)?;
    for name in PROGRAMS {
        archive.link(&format!("bin/{name}"), "busybox");
    }
    for folder in ["proc", "sys", "dev", "tmp", "root"] {
        archive.folder(folder);
    }
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");
    archive.file("init", 0o755, script().as_bytes());
    Ok(())
}

/// The guest's first and only program.
fn script() -> String {
    let mounts = [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/tmp"),
        ("cgroup2", "/sys/fs/cgroup"),
    ];
    let mut lines = vec![
        "#!/bin/sh".to_owned(),
        "export PATH=/bin HOME=/root".to_owned(),
    ];
    lines.extend(mounts.map(|(kind, target)| format!("mount -t {kind} {kind} {target}")));
    lines.push(format!("cd /tmp\necho '{UP}'"));
    for suite in SUITES {
        let (name, variables) = (inside(suite), suite.variables.join(" "));
        lines.push(format!("echo '{SUITE}{name}'\n{variables} /{name}"));
        lines.push(format!("echo \"{STATUS}$?\""));
    }
    lines.push("poweroff -f\n".to_owned());
    lines.join("\n")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_last_executable_that_cargo_names() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"executable\":\"/a/one\",\"fresh\":true}\n\
                        {\"executable\":\"/a/two\",\"fresh\":true}\n{\"reason\":\"build-finished\"}";
        assert_eq!(executable(messages), Some(PathBuf::from("/a/two")));
        assert_eq!(executable("{\"executable\":null}"), None);
    }

    #[test]
    fn the_script_tells_the_status_of_each_suite_and_switches_the_guest_off() {
        let script = script();
        assert_eq!(script.matches(STATUS).count(), SUITES.len());
        assert!(script.ends_with("poweroff -f\n"));
    }
}
