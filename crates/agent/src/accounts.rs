//! Users by name, looked up once.

use std::collections::BTreeMap;

use mezz_launch_plan::Credentials;
use mezz_warden::accounts;

/// The users that were asked for so far, successes only: a user may be added while the agent runs.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    known: BTreeMap<String, Credentials>,
}

impl Accounts {
    /// The ids of a user, or `None` for a name that the host does not know.
    pub(crate) fn find(&mut self, name: &str) -> Option<&Credentials> {
        if !self.known.contains_key(name) {
            let found = accounts::find(name)?;
            self.known.insert(name.to_owned(), found);
        }
        self.known.get(name)
    }
}
