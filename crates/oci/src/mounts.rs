//! What a plan makes in a root, in the words of the runtime specification.
//!
//! Runtimes fill `/dev` by themselves, with what the plan has there; everything else that they cannot be told is refused.

use crate::bundle::{OciError, text};
use crate::config::Mount;
use mezz_launch_plan::isolation::{
    Depth, Missing, MountAttributes, MountSource, Propagation, RootStep, Spot,
};
use std::ffi::CString;

/// What a root holds besides its files.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) mounts: Vec<Mount>,
    pub(crate) masked: Vec<String>,
    pub(crate) unchangeable: Vec<String>,
    /// Sources within a sandbox.
    pub(crate) sources: Vec<Spot>,
    pub(crate) propagation: Option<Propagation>,
}

pub(crate) fn contents(steps: &[RootStep]) -> Result<Contents, OciError> {
    let mut contents = Contents::default();
    for step in steps {
        match step {
            RootStep::Mount(mount) => contents.mount(mount)?,
            RootStep::Mask { spot } => contents.masked.push(joined(spot)?),
            RootStep::ReadOnly { spot } => contents.unchangeable.push(joined(spot)?),
            RootStep::Directory { spot, .. }
            | RootStep::Link { spot, .. }
            | RootStep::Device { spot, .. } => {
                let place = joined(spot)?;
                if !place.starts_with("/dev/") {
                    return Err(OciError::Place { place });
                }
            }
        }
    }
    Ok(contents)
}

impl Contents {
    fn mount(&mut self, mount: &mezz_launch_plan::isolation::Mount) -> Result<(), OciError> {
        let destination = joined(&mount.target)?;
        let (kind, source, mut options) = match &mount.source {
            MountSource::Bind { .. } if is_device(&destination) => return Ok(()),
            MountSource::Bind {
                spot,
                depth,
                missing,
            } => {
                if *missing == Missing::Make {
                    self.sources.push(spot.clone());
                }
                let depth = match depth {
                    Depth::One => "bind",
                    Depth::All => "rbind",
                };
                ("bind".to_owned(), joined(spot)?, vec![depth.to_owned()])
            }
            MountSource::New {
                kind,
                name,
                options,
            } => {
                let options = options.iter().map(|option| text("mount option", option));
                let options = options.collect::<Result<_, _>>()?;
                (
                    text("file system", kind)?,
                    text("file system", name)?,
                    options,
                )
            }
        };
        if kind == "bind" {
            options.push(propagation(mount.propagation).to_owned());
            self.widen(mount.propagation);
        }
        let deep = matches!(&mount.source, MountSource::Bind { depth, .. } if *depth == Depth::All);
        options.extend(attributes(mount.attributes, deep));
        self.mounts.push(Mount {
            destination,
            kind,
            source,
            options,
        });
        Ok(())
    }

    /// Mounts can only be seen that the root as a whole lets through.
    fn widen(&mut self, propagation: Propagation) {
        let rank = |propagation| match propagation {
            Propagation::Private => 0,
            Propagation::FromHost => 1,
            Propagation::Both => 2,
        };
        if self
            .propagation
            .is_none_or(|so_far| rank(so_far) < rank(propagation))
        {
            self.propagation = Some(propagation);
        }
    }
}

pub(crate) fn propagation(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Private => "rprivate",
        Propagation::FromHost => "rslave",
        Propagation::Both => "rshared",
    }
}

/// A device of the host, shown where none can be made: runtimes do so by themselves.
fn is_device(destination: &str) -> bool {
    destination
        .strip_prefix("/dev/")
        .is_some_and(|name| name != "shm" && !name.contains('/'))
}

pub(crate) fn attributes(attributes: MountAttributes, deep: bool) -> Vec<String> {
    let has = |one: MountAttributes| attributes.0 & one.0 != 0;
    let names = [
        (has(MountAttributes::READ_ONLY), "ro"),
        // What is mounted within it too; the plain word is for the uppermost alone.
        (has(MountAttributes::READ_ONLY) && deep, "rro"),
        (has(MountAttributes::NO_SUID), "nosuid"),
        (has(MountAttributes::NO_DEV), "nodev"),
        (has(MountAttributes::NO_EXEC), "noexec"),
    ];
    let given = names.into_iter().filter(|(given, _)| *given);
    given.map(|(_, name)| name.to_owned()).collect()
}

/// The path of a spot, from the root.
fn joined(spot: &Spot) -> Result<String, OciError> {
    let part = |part: &CString| text("path", part);
    let (within, path) = (part(&spot.within)?, part(&spot.path)?);
    let within = within.trim_end_matches('/');
    Ok(format!("{within}/{}", path.trim_start_matches('/')))
}
