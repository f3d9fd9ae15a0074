//! Each kind of limit as writes to the files of either version.
//!
//! Pure. Owns the names of files and the forms of their texts.

mod io;
mod memory;

use crate::controller::Controller;
use crate::devices::DeviceList;
use crate::layout::{GroupName, Layout};
use crate::limits::{Bytes, Ceiling, Cpu, Cpuset, Limits, PERIOD_US};
use crate::plan::PlanError;
use crate::write::{DeviceGate, Missing, Text, Write};
use std::path::{Path, PathBuf};

/// Where a controller's files of a group are.
enum Place {
    V1(PathBuf),
    V2(PathBuf),
}

/// Collects the writes to one group.
pub(crate) struct Settings<'a> {
    layout: &'a Layout,
    name: &'a GroupName,
    writes: Vec<Write>,
    gate: Option<DeviceGate>,
}

impl<'a> Settings<'a> {
    pub(crate) fn new(layout: &'a Layout, name: &'a GroupName) -> Self {
        Self {
            layout,
            name,
            writes: Vec::new(),
            gate: None,
        }
    }

    pub(crate) fn finish(self) -> (Vec<Write>, Option<DeviceGate>) {
        (self.writes, self.gate)
    }

    /// Everything but the processor set in which the two differ.
    pub(crate) fn all(&mut self, held: &Limits, wanted: &Limits) -> Result<(), PlanError> {
        if let Some(cpu) = wanted.cpu.filter(|_| held.cpu != wanted.cpu) {
            self.cpu(held.cpu.as_ref(), &cpu)?;
        }
        if let Some(memory) = wanted.memory.filter(|_| held.memory != wanted.memory) {
            self.memory(held.memory.as_ref(), &memory)?;
        }
        if let Some(pids) = wanted.pids.filter(|_| held.pids != wanted.pids) {
            let (Place::V1(directory) | Place::V2(directory)) =
                self.place("pids", Controller::Pids)?;
            self.put(
                &directory,
                "pids.max",
                max(pids, |most| most),
                Missing::Fail,
            );
        }
        if held.io != wanted.io {
            self.io(&held.io, &wanted.io)?;
        }
        if let Some(devices) = wanted
            .devices
            .as_ref()
            .filter(|_| held.devices != wanted.devices)
        {
            self.devices(held.devices.as_ref(), devices)?;
        }
        for (size, most) in &wanted.hugetlb {
            if held.hugetlb.get(size) != Some(most) {
                self.hugetlb(size, *most)?;
            }
        }
        if let Some(class) = wanted.net_cls.filter(|_| held.net_cls != wanted.net_cls) {
            let (Place::V1(directory) | Place::V2(directory)) =
                self.place("net_cls", Controller::NetCls)?;
            self.put(
                &directory,
                "net_cls.classid",
                class.to_string(),
                Missing::Fail,
            );
        }
        Ok(())
    }

    fn place(&self, setting: &'static str, controller: Controller) -> Result<Place, PlanError> {
        if let Some(root) = self.layout.v1_root(controller) {
            return Ok(Place::V1(root.path.join(self.name.as_str())));
        }
        match &self.layout.v2 {
            Some(root) if root.controllers.contains(&controller) => {
                Ok(Place::V2(root.path.join(self.name.as_str())))
            }
            _ => Err(PlanError::NotUsed {
                setting,
                controller,
            }),
        }
    }

    fn put(&mut self, directory: &Path, file: &str, text: String, missing: Missing) {
        self.writes.push(Write {
            directory: directory.to_owned(),
            file: file.to_owned(),
            text: Text::Literal(text),
            missing,
        });
    }

    fn cpu(&mut self, held: Option<&Cpu>, wanted: &Cpu) -> Result<(), PlanError> {
        const NO_BURST: Missing = Missing::Skip("the kernel cannot save unused quota");
        let (directory, burst_file) = match self.place("cpu", Controller::Cpu)? {
            Place::V1(directory) => {
                self.put(
                    &directory,
                    "cpu.shares",
                    wanted.shares().to_string(),
                    Missing::Fail,
                );
                (directory, "cpu.cfs_burst_us")
            }
            Place::V2(directory) => {
                self.put(
                    &directory,
                    "cpu.weight",
                    wanted.weight().to_string(),
                    Missing::Fail,
                );
                (directory, "cpu.max.burst")
            }
        };
        let in_v1 = burst_file == "cpu.cfs_burst_us";
        let Some(quota) = wanted.quota_us() else {
            return Ok(());
        };
        let old_burst = held.map_or(0, |held| held.burst_us);
        let burst = (old_burst != wanted.burst_us).then(|| wanted.burst_us.to_string());
        // The kernel refuses a quota below what may be saved.
        let burst_first = wanted.burst_us < old_burst;
        if let Some(burst) = burst.clone().filter(|_| burst_first) {
            self.put(&directory, burst_file, burst, NO_BURST);
        }
        if in_v1 {
            let quota = match quota {
                Ceiling::At(quota) => quota.to_string(),
                Ceiling::Infinite => "-1".to_owned(),
            };
            self.put(
                &directory,
                "cpu.cfs_period_us",
                PERIOD_US.to_string(),
                Missing::Fail,
            );
            self.put(&directory, "cpu.cfs_quota_us", quota, Missing::Fail);
        } else {
            let text = format!("{} {PERIOD_US}", max(quota, |quota| quota));
            self.put(&directory, "cpu.max", text, Missing::Fail);
        }
        if let Some(burst) = burst.filter(|_| !burst_first) {
            self.put(&directory, burst_file, burst, NO_BURST);
        }
        Ok(())
    }

    /// Version 1 needs both files filled before anybody can join.
    pub(crate) fn cpuset_of_new(&mut self, wanted: Option<&Cpuset>) -> Result<(), PlanError> {
        if !self.layout.uses(Controller::Cpuset) && wanted.is_none() {
            return Ok(());
        }
        let wanted = wanted.cloned().unwrap_or_default();
        match self.place("cpuset", Controller::Cpuset)? {
            Place::V1(directory) => self.cpuset(&directory, wanted, Some(Text::Inherited)),
            Place::V2(directory) => self.cpuset(&directory, wanted, None),
        }
        Ok(())
    }

    pub(crate) fn cpuset_of_old(
        &mut self,
        held: Option<&Cpuset>,
        wanted: Option<&Cpuset>,
    ) -> Result<(), PlanError> {
        let Some(wanted) = wanted.filter(|_| held != wanted) else {
            return Ok(());
        };
        match self.place("cpuset", Controller::Cpuset)? {
            Place::V1(directory) => self.cpuset(&directory, wanted.clone(), Some(Text::Inherited)),
            Place::V2(directory) => {
                // An empty text is "those of the group above", but an empty write never reaches the kernel.
                let empty = Some(Text::Literal("\n".to_owned()));
                self.cpuset(&directory, wanted.clone(), empty);
            }
        }
        Ok(())
    }

    fn cpuset(&mut self, directory: &Path, wanted: Cpuset, empty: Option<Text>) {
        for (file, list) in [("cpuset.cpus", wanted.cpus), ("cpuset.mems", wanted.mems)] {
            let text = if list.is_empty() {
                empty.clone()
            } else {
                Some(Text::Literal(list))
            };
            if let Some(text) = text {
                self.writes.push(Write {
                    directory: directory.to_owned(),
                    file: file.to_owned(),
                    text,
                    missing: Missing::Fail,
                });
            }
        }
    }

    fn devices(&mut self, held: Option<&DeviceList>, wanted: &DeviceList) -> Result<(), PlanError> {
        let directory = match self.place("devices", Controller::Devices)? {
            Place::V1(directory) => directory,
            Place::V2(directory) => {
                let list = wanted.clone();
                self.gate = Some(DeviceGate { directory, list });
                return Ok(());
            }
        };
        let nothing = DeviceList::default();
        let old = held.unwrap_or(&nothing);
        if held.is_none() {
            self.put(&directory, "devices.deny", "a".to_owned(), Missing::Fail);
        }
        // First what is new: who uses both lists' devices must not be interrupted.
        for (file, rules) in [
            ("devices.allow", wanted.beyond(old).collect::<Vec<_>>()),
            ("devices.deny", old.beyond(wanted).collect()),
        ] {
            for (selector, access) in rules {
                self.put(
                    &directory,
                    file,
                    format!("{selector} {access}"),
                    Missing::Fail,
                );
            }
        }
        Ok(())
    }

    fn hugetlb(&mut self, size: &str, most: Ceiling<Bytes>) -> Result<(), PlanError> {
        match self.place("hugetlb", Controller::Hugetlb)? {
            Place::V1(directory) => {
                let text = match most {
                    Ceiling::At(most) => most.0.to_string(),
                    Ceiling::Infinite => "-1".to_owned(),
                };
                let file = format!("hugetlb.{size}.limit_in_bytes");
                self.put(&directory, &file, text, Missing::Fail);
            }
            Place::V2(directory) => {
                let file = format!("hugetlb.{size}.max");
                self.put(&directory, &file, max(most, |most| most.0), Missing::Fail);
            }
        }
        Ok(())
    }
}

/// A bound as version 2 writes it.
fn max<T>(most: Ceiling<T>, number: impl FnOnce(T) -> u64) -> String {
    match most {
        Ceiling::At(most) => number(most).to_string(),
        Ceiling::Infinite => "max".to_owned(),
    }
}
