//! Why something waits, in words.

use crate::frameworks::sched_key;
use crate::master::Master;

impl Master {
    /// Why something waits, in words: a pending task, a framework or a role.
    pub fn explain(&self, id: &str) -> Option<Vec<String>> {
        if let Some((_, pending)) = self
            .records
            .pending
            .iter()
            .find(|(_, pending)| *pending.id == *id)
        {
            return Some(pending.why.to_vec());
        }
        if let Some(key) = self.index.frameworks.get(id) {
            let roles = self.framework(*key).roles();
            return Some(
                roles
                    .iter()
                    .flat_map(|role| self.sched.explain(self.now.mono.0, sched_key(*key), role))
                    .map(|reason| reason.to_string())
                    .collect(),
            );
        }
        let role = self.records.roles.get(id)?;
        Some(
            role.frameworks
                .iter()
                .flat_map(|key| self.sched.explain(self.now.mono.0, sched_key(*key), id))
                .map(|reason| reason.to_string())
                .collect(),
        )
    }
}
