//! The kernel of the guest: Debian's for virtual machines, unpacked and never installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{command, succeeds};

/// Names a kernel image to use in place of Debian's.
const VARIABLE: &str = "MEZZ_GUEST_KERNEL";
/// Depends on the package of the newest kernel.
const NEWEST: &str = "linux-image-cloud-amd64";

/// A kernel image, fetched on the first call.
pub(super) fn find(folder: &Path) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return Ok(PathBuf::from(path));
    }
    let unpacked = folder.join("kernel");
    if let Some(found) = image(&unpacked.join("boot")) {
        return Ok(found);
    }
    fetch(folder, &unpacked).with_context(|| {
        format!("there is no kernel for the guest; {VARIABLE}=FILE names an image to use")
    })
}

fn fetch(folder: &Path, unpacked: &Path) -> Result<PathBuf> {
    let package = package()?;
    println!("fetching {package}");
    if !succeeds(command(folder, &["apt-get", "-qq", "download", &package]))? {
        bail!("{package} cannot be downloaded");
    }
    let start = format!("{package}_");
    let archive = entries(folder)
        .into_iter()
        .find(|path| is_named(path, &start))
        .with_context(|| format!("{package} was downloaded to nowhere"))?;
    // Whole or not at all: an interrupted run must not leave half a kernel to the next one.
    let partial = folder.join("kernel.partial");
    let _ = std::fs::remove_dir_all(&partial);
    let (from, to) = (archive.to_string_lossy(), partial.to_string_lossy());
    if !succeeds(command(folder, &["dpkg", "-x", &from, &to]))? {
        bail!("{} cannot be unpacked", archive.display());
    }
    std::fs::rename(&partial, unpacked).context("cannot put the kernel in its place")?;
    let _ = std::fs::remove_file(&archive);
    image(&unpacked.join("boot")).with_context(|| format!("{package} holds no kernel"))
}

fn package() -> Result<String> {
    let output = Command::new("apt-cache")
        .args(["depends", "--important", NEWEST])
        .output()
        .context("cannot run apt-cache")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text
        .split_whitespace()
        .find(|word| word.starts_with("linux-image-") && *word != NEWEST);
    Ok(found
        .with_context(|| format!("the package lists know no {NEWEST}"))?
        .to_owned())
}

fn image(boot: &Path) -> Option<PathBuf> {
    entries(boot)
        .into_iter()
        .find(|path| is_named(path, "vmlinuz-"))
}

fn is_named(path: &Path, start: &str) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(start))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}
