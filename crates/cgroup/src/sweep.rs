//! Groups that nobody knows any more: after a crash of the agent.
//!
//! Owns finding them by name. Must never touch a group whose name its caller keeps.

use crate::group::{Left, inner_groups};
use crate::groups::Groups;
use crate::layout::GroupName;
use crate::plan::Inner;
use std::collections::BTreeSet;

/// What an attempt to sweep came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Those that are gone.
    pub removed: Vec<GroupName>,
    /// Those that still have something in them: come again.
    pub left: Vec<GroupName>,
}

/// Kills and removes every group that begins with the prefix and is not kept, in one attempt.
pub fn sweep(groups: &Groups, prefix: &str, kept: impl Fn(&GroupName) -> bool) -> Swept {
    let mut names = BTreeSet::new();
    for root in groups.layout().roots() {
        for path in inner_groups(root) {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.filter(|name| name.starts_with(prefix));
            names.extend(name.and_then(|name| GroupName::new(name).ok()));
        }
    }
    let mut swept = Swept::default();
    for name in names.into_iter().filter(|name| !kept(name)) {
        let group = groups.existing(name.clone(), Inner::None);
        match group.kill_once() {
            Left::Nothing => swept.removed.push(name),
            Left::Something => swept.left.push(name),
        }
    }
    swept
}
