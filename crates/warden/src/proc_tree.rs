//! Finding the processes of a tree without cgroups: by session, by descent, and by the marker in the environment.
//!
//! Reads `/proc` only; must never signal.

use crate::tree::TreeId;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) state: u8,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    /// Its own and its reaped children's.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    pub(crate) start_ticks: u64,
    pub(crate) rss_pages: u64,
}

/// Reads one process's line.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The start time of a process, read without allocating: it is asked for at every launch.
pub(crate) fn start_ticks(pid: u32) -> Option<u64> {
    use std::io::{Read, Write};
    let mut path = [0u8; 32];
    write!(&mut path[..], "/proc/{pid}/stat").ok()?;
    let path = std::ffi::CStr::from_bytes_until_nul(&path).ok()?;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).ok()?;
    let mut line = [0u8; 512];
    let count = fs::File::from(file).read(&mut line).ok()?;
    let line = &line[..count];
    let end = line.iter().rposition(|byte| *byte == b')')?;
    // The field after the name is the third.
    let field = line[end + 1..]
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty())
        .nth(22 - 3)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// How an ended process that nobody has reaped yet did end, as `wait(2)` encodes it; `None` where we may not know.
pub(crate) fn zombie_status(pid: u32) -> Option<i32> {
    let line = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(&line[end + 1..]).ok()?;
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    // The kernel shows the last field to root and to the process's own user, and 0 to everybody else.
    let own = rustix::process::geteuid();
    let ours = own.is_root()
        || std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{pid}")).ok()?)
            == own.as_raw();
    if fields.first() != Some(&"Z") || !ours {
        return None;
    }
    fields.get(52 - 3)?.parse().ok()
}

fn parse_stat(line: &[u8]) -> Option<Stat> {
    // The name, in parentheses, may hold anything, parentheses and spaces included.
    let end = line.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&line[end + 1..])
        .ok()?
        .split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let numbers: Vec<u64> = fields.map(|field| field.parse().unwrap_or(0)).collect();
    let number = |field: usize| numbers.get(field - 4).copied();
    Some(Stat {
        state,
        parent: u32::try_from(number(4)?).ok()?,
        session: u32::try_from(number(6)?).ok()?,
        user_ticks: number(14)? + number(16)?,
        system_ticks: number(15)? + number(17)?,
        start_ticks: number(22)?,
        rss_pages: number(24)?,
    })
}

/// The living processes of a tree.
pub(crate) fn members(tree: &TreeId) -> BTreeSet<u32> {
    let all = all_processes();
    let own = std::process::id();
    // The main process's number may belong to a stranger by now.
    let main_lives = tree.pid != 0
        && all
            .get(&tree.pid)
            .is_some_and(|stat| stat.start_ticks == tree.start_ticks);
    let number_reused = all.contains_key(&tree.pid) && !main_lives;
    let mut members: BTreeSet<u32> = all
        .iter()
        .filter(|(pid, stat)| {
            let of_session = tree.pid != 0
                && !number_reused
                && stat.session == tree.pid
                && stat.start_ticks >= tree.start_ticks;
            let orphan = stat.parent == own || tree.pid == 0;
            of_session || (main_lives && **pid == tree.pid) || (orphan && has_marker(**pid, tree))
        })
        .map(|(pid, _)| *pid)
        .collect();
    add_descendants(&all, &mut members);
    members.remove(&own);
    members.retain(|pid| all.get(pid).is_some_and(|stat| stat.state != b'Z'));
    members
}

/// Whether the warden has children that are not main processes, or cannot tell.
pub(crate) fn any_stray(main: impl Fn(u32) -> bool) -> bool {
    match fs::read_to_string("/proc/thread-self/children") {
        Ok(list) => list
            .split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .any(|pid| !main(pid)),
        Err(_) => true,
    }
}

fn all_processes() -> BTreeMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect()
}

fn add_descendants(all: &BTreeMap<u32, Stat>, members: &mut BTreeSet<u32>) {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (pid, stat) in all {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let mut open: Vec<u32> = members.iter().copied().collect();
    while let Some(parent) = open.pop() {
        for child in children.get(&parent).into_iter().flatten() {
            if members.insert(*child) {
                open.push(*child);
            }
        }
    }
}

fn has_marker(pid: u32, tree: &TreeId) -> bool {
    // An empty one would be found in every environment.
    if tree.marker.is_empty() {
        return false;
    }
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == tree.marker.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line =
            b"42 (a) b (c)) S 7 42 41 0 -1 4194560 1 2 3 4 11 12 5 6 20 0 1 0 999 1000 55 0 0";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.session), (b'S', 7, 41));
        assert_eq!(
            (
                stat.user_ticks,
                stat.system_ticks,
                stat.start_ticks,
                stat.rss_pages
            ),
            (16, 18, 999, 55)
        );
    }
}
