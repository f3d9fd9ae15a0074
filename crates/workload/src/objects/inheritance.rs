//! What objects have from the groups that their names lie in: the nearest group wins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_spec::cron::Target;
use mezz_spec::{Kind, Name, Spec};
use serde::{Deserialize, Serialize};

use crate::objects::staged::Staged;
use crate::records::{ObjectRecord, Records};
use crate::workloads::Workloads;

/// What the groups above a name give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    pub labels: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    pub role: Option<String>,
    pub priority: Option<i32>,
    /// What everything below waits for.
    pub after: BTreeSet<Name>,
}

impl Inherited {
    /// From the groups above `name`, given how a group is found.
    pub(crate) fn of<'a>(name: &Name, find: impl Fn(&Name) -> Option<&'a Spec>) -> Self {
        let mut above = Vec::new();
        let mut next = name.parent();
        while let Some(group) = next {
            next = group.parent();
            above.push(group);
        }
        let mut all = Self::default();
        for group in above.iter().rev() {
            let Some(Spec::Group(group)) = find(group) else {
                continue;
            };
            all.labels.extend(group.labels.clone());
            all.env.extend(group.env.clone());
            all.after.extend(group.after.iter().cloned());
            all.role = group.role.clone().or(all.role);
            all.priority = group.priority.or(all.priority);
        }
        all
    }

    /// The role: the object's own, the nearest group's, or the leading components of its name.
    pub fn role_of(&self, own: Option<&str>, name: &Name) -> Arc<str> {
        own.or(self.role.as_deref())
            .map_or_else(|| name.role().into(), Into::into)
    }

    /// The priority: the object's own unless that is 0.
    pub fn priority_of(&self, own: i32) -> i32 {
        if own == 0 {
            self.priority.unwrap_or(0)
        } else {
            own
        }
    }

    /// Labels, an object's own before its groups'.
    pub fn labels_with(&self, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        labels.extend(own.clone());
        labels
    }
}

impl Workloads {
    /// What the groups above a name give it now.
    pub fn inherited(&self, name: &Name) -> Inherited {
        Inherited::of(name, |group| {
            self.object(Kind::Group, group).map(|object| &*object.spec)
        })
    }
}

impl Records {
    /// The role whose share an object uses; of a group the one of what lies in it.
    pub fn role_of(&self, object: &ObjectRecord) -> Arc<str> {
        let name = &object.name;
        let own = match &*object.spec {
            Spec::Service(service) => service.role.as_deref(),
            Spec::Job(job) => job.role.as_deref(),
            Spec::Cron(cron) => match &cron.run {
                Target::Job(job) => job.role.as_deref(),
                Target::JobRef(_) | Target::DagRef(_) => None,
            },
            Spec::Group(group) => Some(group.role.as_deref().unwrap_or(&name.as_str()[1..])),
            Spec::Dag(_) | Spec::Secret(_) | Spec::Config(_) => None,
        };
        let inherited = Inherited::of(name, |group| {
            let key = self.index.get(&(Kind::Group, group.clone()))?;
            self.objects.get(key.index()).map(|group| &*group.spec)
        });
        inherited.role_of(own, name)
    }
}

impl Staged<'_> {
    pub(crate) fn inherited(&self, name: &Name) -> Inherited {
        Inherited::of(name, |group| self.spec(Kind::Group, group))
    }
}
