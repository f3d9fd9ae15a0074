//! Users of this host by name, with all their groups, through the C library (and so through its name services).

use mezz_launch_plan::Credentials;
use std::ffi::CString;

/// More than any real account needs.
const MAX_BUFFER_BYTES: usize = 1 << 20;

/// The ids of a user; `None` if the host does not know the name.
pub fn find(name: &str) -> Option<Credentials> {
    let name = CString::new(name).ok()?;
    let (uid, gid) = entry(&name)?;
    Some(Credentials {
        uid,
        gid,
        groups: groups(&name, gid),
    })
}

fn entry(name: &CString) -> Option<(u32, u32)> {
    let mut buffer = vec![0; 4096];
    loop {
        // SAFETY: passwd holds only integers and pointers, for which zero is a value.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are to live objects, and the length is that of the buffer.
        let error = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                &raw mut entry,
                buffer.as_mut_ptr(),
                buffer.len(),
                &raw mut found,
            )
        };
        if error == libc::ERANGE && buffer.len() < MAX_BUFFER_BYTES {
            buffer.resize(buffer.len() * 2, 0);
            continue;
        }
        return (error == 0 && !found.is_null()).then_some((entry.pw_uid, entry.pw_gid));
    }
}

fn groups(name: &CString, gid: u32) -> Vec<u32> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = i32::try_from(groups.len()).unwrap_or(i32::MAX);
        // SAFETY: `groups` has room for `count` entries.
        let result =
            unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        let count = usize::try_from(count).unwrap_or(0);
        if result >= 0 {
            groups.truncate(count);
            return groups;
        }
        if groups.len() > 65_536 {
            return vec![gid];
        }
        groups.resize(count.max(groups.len() * 2), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_and_an_unknown_name_is_not() {
        let root = find("root").expect("every host has it");
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(find("no-such-user-here"), None);
        assert_eq!(find("a\0b"), None);
    }
}
