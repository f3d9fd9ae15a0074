//! Counts the established TCP connections to ports of tasks, in whatever network namespace a task is.
//!
//! Reads what the kernel lists under `/proc/PID/net`, once for all tasks of one namespace. It tells connections, not
//! requests: one that is kept open without a request counts like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What is counted for one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) pid: u32,
    pub(crate) ports: BTreeSet<u16>,
}

/// The state of an established connection in the kernel's list.
const ESTABLISHED: &str = "01";

/// The count of each task whose namespace can be read; blocks.
pub(crate) fn count<K: Ord>(listeners: BTreeMap<K, Listener>) -> BTreeMap<K, u64> {
    let mut namespaces: BTreeMap<PathBuf, Vec<(K, Listener)>> = BTreeMap::new();
    for (key, listener) in listeners {
        if let Ok(namespace) = std::fs::read_link(format!("/proc/{}/ns/net", listener.pid)) {
            namespaces
                .entry(namespace)
                .or_default()
                .push((key, listener));
        }
    }
    let mut all = BTreeMap::new();
    for members in namespaces.into_values() {
        let wanted = members.iter().flat_map(|(_, listener)| &listener.ports);
        let wanted: BTreeSet<u16> = wanted.copied().collect();
        // One that has ended meanwhile shows nothing any more.
        let mut tables = members.iter().map(|(_, one)| table(one.pid, &wanted));
        let Some(by_port) = tables.find_map(Result::ok) else {
            continue;
        };
        all.extend(members.into_iter().map(|(key, listener)| {
            let of_port = |port: &u16| by_port.get(port).copied().unwrap_or(0);
            (key, listener.ports.iter().map(of_port).sum())
        }));
    }
    all
}

/// How many connections each of the ports has in the namespace of a process.
fn table(pid: u32, wanted: &BTreeSet<u16>) -> std::io::Result<BTreeMap<u16, u64>> {
    let folder = PathBuf::from(format!("/proc/{pid}/net"));
    let mut by_port = BTreeMap::new();
    add(&folder.join("tcp"), wanted, &mut by_port)?;
    // A kernel without IPv6 has no such list.
    match add(&folder.join("tcp6"), wanted, &mut by_port) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(by_port),
    }
}

fn add(
    path: &Path,
    wanted: &BTreeSet<u16>,
    by_port: &mut BTreeMap<u16, u64>,
) -> std::io::Result<()> {
    let mut list = BufReader::with_capacity(64 << 10, std::fs::File::open(path)?);
    let mut line = String::new();
    while list.read_line(&mut line)? > 0 {
        if let Some(port) = established(&line).filter(|port| wanted.contains(port)) {
            *by_port.entry(port).or_default() += 1;
        }
        line.clear();
    }
    Ok(())
}

/// The local port of a line that lists an established connection.
fn established(line: &str) -> Option<u16> {
    let mut words = line.split_ascii_whitespace();
    let (local, _remote, state) = (words.nth(1)?, words.next()?, words.next()?);
    let (_, port) = local.rsplit_once(':')?;
    u16::from_str_radix(port, 16)
        .ok()
        .filter(|_| state == ESTABLISHED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn connections_to_a_port_are_counted_at_the_side_that_listens_until_they_are_closed() {
        let listeners = [
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("127.0.0.1:0").unwrap(),
        ];
        let ports = listeners
            .each_ref()
            .map(|one| one.local_addr().unwrap().port());
        let counted = || {
            let own = |port| Listener {
                pid: std::process::id(),
                ports: BTreeSet::from([port]),
            };
            count(BTreeMap::from([("a", own(ports[0])), ("b", own(ports[1]))]))
        };
        assert_eq!(counted(), BTreeMap::from([("a", 0), ("b", 0)]));
        let clients: Vec<TcpStream> = (0..3)
            .map(|_| TcpStream::connect(("127.0.0.1", ports[0])).unwrap())
            .collect();
        // Also those that the server has not accepted yet.
        assert_eq!(counted(), BTreeMap::from([("a", 3), ("b", 0)]));
        drop(clients);
        assert_eq!(counted()["a"], 0);
    }

    #[test]
    fn nothing_is_told_of_a_process_that_is_gone() {
        let gone = Listener {
            pid: u32::MAX,
            ports: BTreeSet::from([80]),
        };
        assert!(count(BTreeMap::from([("gone", gone)])).is_empty());
    }

    #[test]
    fn only_established_connections_of_both_families_are_read() {
        let of =
            |state: &str| format!("   0: 0100007F:1F90 0100007F:A3C4 {state} 00000000:0 00:0\n");
        assert_eq!(established(&of("01")), Some(8_080));
        assert_eq!(established(&of("0A")), None, "it listens");
        assert_eq!(established(&of("08")), None, "the other side has closed");
        let six = "1: 00000000000000000000000001000000:0050 0:1 01 0";
        assert_eq!(established(six), Some(80));
        assert_eq!(established("  sl  local_address rem_address   st"), None);
    }
}
