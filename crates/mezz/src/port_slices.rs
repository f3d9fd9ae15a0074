//! Which ports the agents of a `mezz dev` hand out. Clusters of one host share its ports, so each agent claims a slice that
//! nobody else has; it never looks at what listens there.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use anyhow::Context;

use crate::output::talk;

/// The usual range of Mesos begins here, and so does the first slice; the others lie below it.
const FIRST: u16 = 31_000;
const LOWEST: u16 = 10_000;
const PORTS: u16 = 1_000;

/// Slices that are held until this is dropped. A claim is a name among the abstract sockets of this network: it ends with
/// the process, and is seen wherever the same ports are.
#[derive(Debug)]
pub(crate) struct PortSlices {
    prefix: String,
    held: Vec<UnixListener>,
}

enum Claim {
    Ours,
    Taken,
}

impl PortSlices {
    pub(crate) fn new() -> Self {
        Self::named("mezz-dev-ports")
    }

    fn named(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            held: Vec::new(),
        }
    }

    /// The resources of agent `number` with ports of its own, unless some are named. An agent with a folder keeps its
    /// ports from one life to the next, since it may not come back with others.
    pub(crate) fn claim(
        &mut self,
        number: usize,
        resources: Option<String>,
        folder: Option<&Path>,
    ) -> anyhow::Result<Option<String>> {
        let names_ports =
            |text: &String| text.contains("ports") || text.trim_start().starts_with('[');
        if resources.as_ref().is_some_and(names_ports) {
            return Ok(resources);
        }
        let file = folder.map(|folder| folder.join(format!("agent-{number}.ports")));
        let kept = file
            .as_ref()
            .and_then(|file| std::fs::read_to_string(file).ok());
        let first = match kept.as_deref().map(|text| text.trim().parse::<u16>()) {
            Some(Ok(first)) => Some(self.again(number, first)?),
            Some(Err(_)) | None => self.any(),
        };
        let Some(first) = first else {
            talk::warning(&format!(
                "clusters on this host use all slices of ports: agent {number} shares some with another; name others with --resources"
            ));
            return Ok(resources);
        };
        if let (Some(folder), Some(file)) = (folder, &file) {
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(file, format!("{first}\n")))
                .with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(with_ports(resources, first))
    }

    /// The slice that an agent had before.
    fn again(&mut self, number: usize, first: u16) -> anyhow::Result<u16> {
        match self.hold(first) {
            Claim::Ours => Ok(first),
            Claim::Taken => anyhow::bail!(
                "the ports from {first} on, which agent {number} of this folder has, are used by another `mezz dev` on this \
                 host: end that one, or name ports with --resources"
            ),
        }
    }

    fn any(&mut self) -> Option<u16> {
        let mut slices = (LOWEST..=FIRST).rev().step_by(usize::from(PORTS));
        slices.find(|first| matches!(self.hold(*first), Claim::Ours))
    }

    fn hold(&mut self, first: u16) -> Claim {
        let name = format!("{}-{first}", self.prefix);
        let bound =
            SocketAddr::from_abstract_name(name).and_then(|name| UnixListener::bind_addr(&name));
        match bound {
            Ok(socket) => {
                self.held.push(socket);
                Claim::Ours
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Claim::Taken,
            // Where there are no such names, nothing can be claimed, and nobody else can either.
            Err(_) => Claim::Ours,
        }
    }
}

/// Of the first slice, the range that every agent has without a word.
fn with_ports(resources: Option<String>, first: u16) -> Option<String> {
    if first == FIRST {
        return resources;
    }
    let ports = format!("ports:[{first}-{}]", first + PORTS - 1);
    match resources {
        Some(text) if !text.trim().is_empty() => Some(format!("{text};{ports}")),
        _ => Some(ports),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(slices: &mut PortSlices, number: usize, folder: Option<&Path>) -> Option<String> {
        slices.claim(number, None, folder).expect("a slice")
    }

    #[test]
    fn agents_of_several_clusters_have_different_slices_until_these_end() {
        let own = || PortSlices::named("mezz-test-several");
        let (mut one, mut two) = (own(), own());
        assert_eq!(claimed(&mut one, 1, None), None);
        assert_eq!(
            claimed(&mut two, 1, None).as_deref(),
            Some("ports:[30000-30999]")
        );
        assert_eq!(
            claimed(&mut one, 2, None).as_deref(),
            Some("ports:[29000-29999]")
        );
        drop(one);
        assert_eq!(claimed(&mut two, 2, None), None);
    }

    #[test]
    fn ports_that_are_named_are_left_alone() {
        let mut slices = PortSlices::named("mezz-test-named");
        let given = Some("cpus:4;ports:[1-2]".to_owned());
        assert_eq!(
            slices.claim(1, given.clone(), None).expect("no claim"),
            given
        );
        assert_eq!(slices.held.len(), 0);
        let cpus = slices.claim(1, Some("cpus:4".to_owned()), None);
        assert_eq!(cpus.expect("the first").as_deref(), Some("cpus:4"));
    }

    #[test]
    fn an_agent_with_a_folder_keeps_its_slice_or_says_who_has_it() {
        let own = || PortSlices::named("mezz-test-kept");
        let folder = tempfile::tempdir().expect("a folder");
        let (mut other, mut first) = (own(), own());
        assert_eq!(claimed(&mut other, 1, None), None);
        let mine = claimed(&mut first, 1, Some(folder.path()));
        assert_eq!(mine.as_deref(), Some("ports:[30000-30999]"));
        drop((first, other));
        let mut again = own();
        assert_eq!(claimed(&mut again, 1, Some(folder.path())), mine);
        let refused = own()
            .claim(1, None, Some(folder.path()))
            .expect_err("it is taken");
        assert!(
            refused.to_string().contains("ports from 30000"),
            "{refused}"
        );
    }
}
