//! The groups of containers: made before a launch, joined by it, found again after a restart.
//!
//! Owns which group a container is in and how the warden comes to it. What is written into groups is decided in
//! `limits` and in the driver of cgroups.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mezz_agent_core::{Allotment, LaunchId};
use mezz_cgroup::{
    Ceiling, Controller, Group, GroupError, GroupName, Groups, Inner, LEAF, Limits, Lowering,
    Memory, Pool,
};
use mezz_launch_plan::{KillMethod, LaunchPlan};

use super::keeper::{Keeper, Listening, READY};
use super::limits::LimitRules;
use crate::inbox::Inbox;

/// The groups of one agent.
#[derive(Debug)]
pub(super) struct ContainerGroups {
    groups: Groups,
    rules: LimitRules,
    base: Limits,
    keeper: Keeper,
    /// Of the names of groups that are not made ahead.
    prefix: String,
    next: u64,
}

/// Groups that an earlier life has left, with the launch that each is of.
pub(super) type Found = Vec<(LaunchId, Group)>;

impl ContainerGroups {
    /// Also finds what an earlier life has left: what is not `kept` goes.
    pub(super) fn start(
        groups: Groups,
        rules: LimitRules,
        generation: u64,
        kept: &BTreeSet<LaunchId>,
        inbox: Arc<Inbox>,
    ) -> io::Result<(Self, Found)> {
        let base = rules.base();
        let pool = Pool::new(
            groups.clone(),
            &format!("p{generation}-"),
            base.clone(),
            READY,
        )
        .expect("a letter and numbers name a group");
        let listening = if groups.layout().uses(Controller::Memory) {
            Listening::ForMemory
        } else {
            Listening::No
        };
        let names = groups.names();
        let keeper = Keeper::start(pool, listening, inbox)?;
        let mut found = Vec::new();
        for name in names {
            let nested = name.as_str().contains('/');
            let group = groups.existing(name, Inner::None);
            let launch_id = group.label_text().as_deref().and_then(launch_of);
            match launch_id.filter(|launch_id| kept.contains(launch_id)) {
                Some(launch_id) => {
                    keeper.assign(group.clone(), launch_id);
                    found.push((launch_id, group));
                }
                // Those within others go with them.
                None if nested => {}
                None => keeper.retire(group),
            }
        }
        let made = Self {
            groups,
            rules,
            base,
            keeper,
            prefix: format!("c{generation}-"),
            next: 0,
        };
        Ok((made, found))
    }

    /// A group for this launch, on its own or within another.
    pub(super) fn make(
        &mut self,
        launch_id: LaunchId,
        above: Option<&Group>,
        allotment: &Allotment,
    ) -> Result<(Group, Limits), GroupError> {
        let limits = self.rules.limits(allotment);
        let group = match above {
            Some(above) => self.make_below(above, launch_id, &limits)?,
            None => self.make_at_top(&limits)?,
        };
        if let Err(source) = group.label(&launch_id.to_string()) {
            let path = group.directories().into_iter().next().unwrap_or_default();
            self.keeper.retire(group);
            return Err(GroupError::Io {
                action: "label".to_owned(),
                path,
                source,
            });
        }
        self.keeper.assign(group.clone(), launch_id);
        Ok((group, limits))
    }

    fn make_at_top(&mut self, limits: &Limits) -> Result<Group, GroupError> {
        if let Some(group) = self.keeper.take() {
            let changed = self
                .groups
                .change(&group, &self.base, limits, Lowering::Never);
            return match changed {
                Ok((_, notes)) => {
                    say(&notes);
                    Ok(group)
                }
                Err(error) => {
                    self.keeper.retire(group);
                    Err(error)
                }
            };
        }
        let name = GroupName::new(format!("{}{}", self.prefix, self.next))
            .expect("a letter and numbers name a group");
        self.next += 1;
        let (group, notes) = self.groups.create(&name, Inner::None, limits)?;
        say(&notes);
        Ok(group)
    }

    fn make_below(
        &self,
        above: &Group,
        launch_id: LaunchId,
        limits: &Limits,
    ) -> Result<Group, GroupError> {
        self.groups.open_for_inner(above)?;
        let name = above
            .name()
            .nested(&format!("n{launch_id}"))
            .expect("a letter and a number name a group");
        let (group, notes) = self.groups.create(&name, Inner::None, limits)?;
        say(&notes);
        Ok(group)
    }

    /// Brings a group from the limits that hold to those of an allotment.
    pub(super) fn resize(
        &self,
        group: &Group,
        held: &Limits,
        allotment: &Allotment,
    ) -> Result<Limits, GroupError> {
        let wanted = self.rules.limits(allotment);
        let (limits, notes) = self.groups.change(group, held, &wanted, Lowering::Never)?;
        say(&notes);
        Ok(limits)
    }

    /// What is known of the limits of a group that was found again: enough not to lower its memory.
    pub(super) fn held(&self, group: &Group) -> Limits {
        let hard = match group.oom_report() {
            Ok(report) if self.rules.controllers.contains(&Controller::Memory) => report.limit,
            _ => return self.base.clone(),
        };
        let soft = match hard {
            Ceiling::At(hard) => hard,
            Ceiling::Infinite => mezz_cgroup::LEAST_MEMORY,
        };
        let memory = Memory {
            soft,
            hard,
            ..Memory::of_task(soft, None, mezz_cgroup::Swap::Free)
        };
        Limits {
            memory: Some(memory),
            ..self.base.clone()
        }
    }

    pub(super) fn retire(&self, group: Group) {
        self.keeper.retire(group);
    }

    /// Lets the plan's process join the group; says where all of its processes are then.
    pub(super) fn join(&self, group: &Group, plan: &mut LaunchPlan) -> io::Result<Option<PathBuf>> {
        let in_v2 = match &plan.kill {
            KillMethod::CgroupV2 { .. } => self.v2_directory(group),
            _ => None,
        };
        let Some(directory) = in_v2 else {
            plan.cgroups = c_paths(group.joined())?;
            return Ok(tree_of(&plan.kill));
        };
        plan.cgroups = c_paths(group.joined_v1())?;
        plan.kill = KillMethod::CgroupV2 {
            path: c_path(&directory.join(LEAF))?,
        };
        Ok(Some(directory))
    }

    /// Lets a process join that is to be in the group of another, and is killed apart from it.
    pub(super) fn join_beside(
        &self,
        group: &Group,
        launch_id: LaunchId,
        plan: &mut LaunchPlan,
    ) -> io::Result<()> {
        let in_v2 = match &plan.kill {
            KillMethod::CgroupV2 { .. } => self.v2_directory(group),
            _ => None,
        };
        let Some(directory) = in_v2 else {
            plan.cgroups = c_paths(group.joined())?;
            return Ok(());
        };
        plan.cgroups = c_paths(group.joined_v1())?;
        plan.kill = KillMethod::CgroupV2 {
            path: c_path(&directory.join(format!("w{launch_id}")))?,
        };
        Ok(())
    }

    /// How what is left of the group's processes is ended, where that is not by a group of the warden's own.
    pub(super) fn kill_method(&self, group: &Group, usual: KillMethod) -> KillMethod {
        match (&usual, self.v2_directory(group)) {
            (KillMethod::CgroupV2 { .. }, Some(directory)) => {
                c_path(&directory.join(LEAF)).map_or(usual, |path| KillMethod::CgroupV2 { path })
            }
            _ => usual,
        }
    }

    /// Where all processes of a group found again are, if its own directory in version 2 has them.
    pub(super) fn tree(&self, group: &Group) -> Option<PathBuf> {
        self.v2_directory(group)
    }

    /// In version 2 a process is in one group only: the one by which it is killed must be within its limits.
    fn v2_directory(&self, group: &Group) -> Option<PathBuf> {
        let root = self.groups.layout().v2.as_ref()?;
        Some(root.path.join(group.name().as_str()))
    }

    /// Returns when what was retired is gone; the roots go if nothing is in them.
    pub(super) fn stop(self) {
        self.keeper.stop();
        for root in self.groups.layout().roots() {
            // Containers that go on are in theirs.
            let _ = std::fs::remove_dir(root);
        }
    }
}

/// Where all processes of a launch are, if one group holds them.
pub(super) fn tree_of(kill: &KillMethod) -> Option<PathBuf> {
    match kill {
        KillMethod::FreezerV1 { path } | KillMethod::CgroupV2 { path } => {
            Some(PathBuf::from(std::ffi::OsStr::from_bytes(path.to_bytes())))
        }
        KillMethod::PidNamespace | KillMethod::Session => None,
    }
}

fn launch_of(label: &str) -> Option<LaunchId> {
    u64::from_str_radix(label, 16).ok().map(LaunchId)
}

fn c_paths(paths: Vec<PathBuf>) -> io::Result<Vec<CString>> {
    paths.iter().map(|path| c_path(path)).collect()
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}

/// Once for each kind: what one container goes without, all do.
fn say(notes: &[mezz_cgroup::Note]) {
    for note in notes {
        tracing::debug!(file = note.file, "{}", note.text);
    }
}
