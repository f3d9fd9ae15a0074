//! Looks which ports containers listen on, and tells of those who listen where they may not.
//!
//! Only sockets of the agent's own network count: a container with a network of its own has all ports there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mezz_agent_core::{Event, Limitation, LimitationCause};
use mezz_proto::v1::{Resource, value};
use mezz_resource::Ranges;

use super::disk::{Next, Pause};
use super::options::Enforcement;
use super::tenants::{Tenant, Tenants};
use crate::inbox::{Inbox, Input};

/// How ports are looked after.
#[derive(Clone, Debug)]
pub(super) struct PortRules {
    pub(super) interval: Duration,
    pub(super) enforcement: Enforcement,
    /// Only these are; `None` is all.
    pub(super) guarded: Option<Ranges>,
}

/// The state of a listening socket in the kernel's list.
const LISTENING: &str = "0A";

/// Looks until it is stopped.
pub(super) fn watch(rules: &PortRules, tenants: &Tenants, inbox: &Inbox, pause: &Pause) {
    let mut told = BTreeMap::new();
    while pause.sleep(rules.interval) == Next::GoOn {
        let sockets = listening(Path::new("/proc/self/net"));
        let all = tenants.all();
        told.retain(|launch_id, _| all.iter().any(|tenant| tenant.launch_id == *launch_id));
        if sockets.is_empty() {
            continue;
        }
        for tenant in all {
            let Some(excess) = excess(rules, &tenant, &sockets) else {
                continue;
            };
            if told.get(&tenant.launch_id) == Some(&excess) {
                continue;
            }
            let limitation = limitation(&tenant.state().container_id, &excess);
            tracing::warn!(launch_id = %tenant.launch_id, "{}", limitation.message);
            told.insert(tenant.launch_id, excess);
            if rules.enforcement == Enforcement::Enforced {
                inbox.put(Input::Event(Event::ContainerLimited {
                    launch_id: tenant.launch_id,
                    limitation: Box::new(limitation),
                }));
            }
        }
    }
}

fn excess(rules: &PortRules, tenant: &Tenant, sockets: &BTreeMap<u64, u16>) -> Option<Ranges> {
    let state = tenant.state();
    let allowed: Ranges = state.allotment.ports.iter().copied().collect();
    let tree = state.tree.clone()?;
    drop(state);
    let mut used = BTreeSet::new();
    for pid in processes(&tree) {
        let held = sockets_of(&Path::new("/proc").join(pid.to_string()).join("fd"));
        used.extend(held.iter().filter_map(|inode| sockets.get(inode)));
    }
    not_allowed(&used, &allowed, rules.guarded.as_ref())
}

fn not_allowed(used: &BTreeSet<u16>, allowed: &Ranges, guarded: Option<&Ranges>) -> Option<Ranges> {
    let one = |port: &u16| Ranges::single(u64::from(*port), u64::from(*port));
    let excess: Ranges = used
        .iter()
        .filter(|port| guarded.is_none_or(|guarded| guarded.contains(&one(port))))
        .filter(|port| !allowed.contains(&one(port)))
        .flat_map(|port| one(port).iter().collect::<Vec<_>>())
        .collect();
    (!excess.is_empty()).then_some(excess)
}

fn limitation(container_id: &str, excess: &Ranges) -> Limitation {
    let ranges = excess.iter().map(|range| value::Range {
        begin: range.begin,
        end: range.end,
    });
    Limitation {
        cause: LimitationCause::Other,
        message: format!("Container {container_id} is listening on unallocated port(s): {excess}"),
        resources: vec![Resource {
            name: "ports".to_owned(),
            r#type: value::Type::Ranges.into(),
            ranges: Some(value::Ranges {
                range: ranges.collect(),
            }),
            ..Resource::default()
        }],
    }
}

/// The ports that are listened on, by the numbers of their sockets.
fn listening(net: &Path) -> BTreeMap<u64, u16> {
    let mut sockets = BTreeMap::new();
    for list in ["tcp", "tcp6"] {
        let text = fs::read_to_string(net.join(list)).unwrap_or_default();
        sockets.extend(text.lines().filter_map(listener));
    }
    sockets
}

fn listener(line: &str) -> Option<(u64, u16)> {
    let mut words = line.split_ascii_whitespace();
    let (local, _remote, state) = (words.nth(1)?, words.next()?, words.next()?);
    if state != LISTENING {
        return None;
    }
    let (_, port) = local.rsplit_once(':')?;
    let inode = words.nth(5)?.parse().ok()?;
    Some((inode, u16::from_str_radix(port, 16).ok()?))
}

/// The processes of a group and of the groups within it.
fn processes(tree: &Path) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<PathBuf> = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    found
}

fn sockets_of(fds: &Path) -> Vec<u64> {
    let entries = fs::read_dir(fds).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    links
        .filter_map(|link| {
            let number = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            number.parse().ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_is_known_by_its_number() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0";
        assert_eq!(listener(line), Some((4711, 8080)));
        assert_eq!(listener(&line.replace(" 0A ", " 01 ")), None);
    }

    #[test]
    fn a_port_is_free_if_it_was_given_or_is_not_guarded() {
        let used = BTreeSet::from([80, 31_000, 31_001]);
        let allowed = Ranges::single(31_000, 31_000);
        let excess = |guarded: Option<&Ranges>| {
            not_allowed(&used, &allowed, guarded).map(|ranges| ranges.to_string())
        };
        assert_eq!(excess(None).unwrap(), "[80-80, 31001-31001]");
        let offered = Ranges::single(31_000, 32_000);
        assert_eq!(excess(Some(&offered)).unwrap(), "[31001-31001]");
        assert_eq!(excess(Some(&Ranges::single(1, 2))), None);
        let limited = limitation("c", &offered);
        assert_eq!(
            limited.message,
            "Container c is listening on unallocated port(s): [31000-32000]"
        );
    }
}
