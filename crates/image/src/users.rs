//! `USER` of an image: names and numbers, held against the image's own `/etc/passwd` and `/etc/group`.

use thiserror::Error;

/// Why nobody can be told from it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UserError {
    /// Not `USER[:GROUP]`.
    #[error("'{0}' is no user: USER or USER:GROUP, each a name or a number")]
    Form(String),
    /// A name that the image does not know.
    #[error("the image's /etc/passwd has no user '{0}'")]
    NoUser(String),
    /// A name that the image does not know.
    #[error("the image's /etc/group has no group '{0}'")]
    NoGroup(String),
}

/// Who runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups, none if the image said a group.
    pub groups: Vec<u32>,
    /// Where the user is at home, if the image knows the user.
    pub home: Option<String>,
}

/// Finds out who `USER[:GROUP]` is in an image with these files.
pub fn find(text: &str, passwd: &str, group: &str) -> Result<User, UserError> {
    let (name, group_name) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    if name.is_empty() || group_name.is_some_and(|group| group.is_empty() || group.contains(':')) {
        return Err(UserError::Form(text.to_owned()));
    }
    let number = name.parse::<u32>().ok();
    let entry = passwd.lines().filter_map(Account::read).find(|account| {
        // A name of digits is a name first, as everywhere.
        account.name == name || number == Some(account.uid)
    });
    let uid = match (&entry, number) {
        (Some(account), _) => account.uid,
        (None, Some(uid)) => uid,
        (None, None) => return Err(UserError::NoUser(name.to_owned())),
    };
    let gid = match group_name {
        Some(name) => group_id(name, group)?,
        None => entry.as_ref().map_or(0, |account| account.gid),
    };
    let groups = match (&entry, group_name) {
        (Some(account), None) => memberships(account.name, gid, group),
        _ => Vec::new(),
    };
    let home = entry.map(|account| account.home.to_owned());
    Ok(User {
        uid,
        gid,
        groups,
        home: home.filter(|home| !home.is_empty()),
    })
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Account<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or_default();
        Some(Self {
            name,
            uid,
            gid,
            home,
        })
    }
}

fn groups_of(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

fn group_id(name: &str, text: &str) -> Result<u32, UserError> {
    groups_of(text)
        .find(|(known, ..)| *known == name)
        .map(|(_, gid, _)| gid)
        .or_else(|| name.parse().ok())
        .ok_or_else(|| UserError::NoGroup(name.to_owned()))
}

fn memberships(name: &str, gid: u32, text: &str) -> Vec<u32> {
    let mut groups: Vec<u32> = groups_of(text)
        .filter(|(_, _, members)| members.split(',').any(|member| member == name))
        .map(|(_, group, _)| group)
        .filter(|group| *group != gid)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34::/srv:/bin/false\n1000:x:7:8:::\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:web\nlog:x:40:root,web\ndisk:x:6:web\nweb:x:35:\n";

    #[test]
    fn users_are_found_by_name_or_number() {
        for (text, uid, gid, groups) in [
            ("root", 0, 0, vec![40]),
            ("web", 33, 34, vec![6, 40]),
            ("33", 33, 34, vec![6, 40]),
            ("web:log", 33, 40, vec![]),
            ("web:web", 33, 35, vec![]),
            ("web:77", 33, 77, vec![]),
            ("5000", 5000, 0, vec![]),
            ("5000:5001", 5000, 5001, vec![]),
            ("1000", 7, 8, vec![]),
        ] {
            let user = find(text, PASSWD, GROUP).unwrap();
            assert_eq!(
                (user.uid, user.gid, user.groups),
                (uid, gid, groups),
                "{text}"
            );
        }
    }

    #[test]
    fn who_is_not_there_is_named() {
        for (text, reason) in [
            ("nobody", "no user 'nobody'"),
            ("web:none", "no group 'none'"),
            ("", "is no user"),
            (":log", "is no user"),
            ("web:", "is no user"),
            ("a:b:c", "is no user"),
            ("-1", "no user '-1'"),
            ("4294967296", "no user '4294967296'"),
        ] {
            let error = find(text, PASSWD, GROUP).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
