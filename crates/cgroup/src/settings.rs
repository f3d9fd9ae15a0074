//! Each kind of limit as writes to the files of either version.
//!
//! Pure. Owns the names of files and the forms of their texts.

use crate::controller::Controller;
use crate::devices::DeviceList;
use crate::layout::{GroupName, Layout};
use crate::limits::{
    Bytes, Ceiling, Cpu, Cpuset, Io, Limits, Memory, OomScope, PERIOD_US, Swap, Throttle,
};
use crate::plan::PlanError;
use crate::write::{DeviceGate, Missing, Text, Write};
use std::collections::BTreeSet;
use std::path::PathBuf;

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

    fn put(&mut self, directory: &PathBuf, file: &str, text: String, missing: Missing) {
        self.writes.push(Write {
            directory: directory.clone(),
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

    fn cpuset(&mut self, directory: &PathBuf, wanted: Cpuset, empty: Option<Text>) {
        for (file, list) in [("cpuset.cpus", wanted.cpus), ("cpuset.mems", wanted.mems)] {
            let text = if list.is_empty() {
                empty.clone()
            } else {
                Some(Text::Literal(list))
            };
            if let Some(text) = text {
                self.writes.push(Write {
                    directory: directory.clone(),
                    file: file.to_owned(),
                    text,
                    missing: Missing::Fail,
                });
            }
        }
    }

    fn memory(&mut self, held: Option<&Memory>, wanted: &Memory) -> Result<(), PlanError> {
        match self.place("memory", Controller::Memory)? {
            Place::V1(directory) => self.memory_v1(&directory, held, wanted),
            Place::V2(directory) => self.memory_v2(&directory, held, wanted),
        }
        Ok(())
    }

    fn memory_v1(&mut self, directory: &PathBuf, held: Option<&Memory>, wanted: &Memory) {
        let file = "memory.soft_limit_in_bytes";
        let without = Missing::Skip("this kernel has no soft limits of memory");
        self.put(directory, file, wanted.soft.0.to_string(), without);
        let minus = |most: Ceiling<Bytes>| match most {
            Ceiling::At(most) => most.0.to_string(),
            Ceiling::Infinite => "-1".to_owned(),
        };
        let alone = ("memory.limit_in_bytes", minus(wanted.hard));
        let had_swap = held.is_some_and(|held| held.swap != Swap::Free);
        let together = wanted
            .with_swap()
            .or_else(|| had_swap.then_some(Ceiling::Infinite))
            .map(|most| ("memory.memsw.limit_in_bytes", minus(most)));
        // At every moment memory alone must be at most memory with swap.
        let raised = held.is_some_and(|held| wanted.hard > held.hard);
        let (first, second) = if raised {
            (together, Some(alone))
        } else {
            (Some(alone), together)
        };
        for (file, text) in first.into_iter().chain(second) {
            self.put(directory, file, text, Missing::Fail);
        }
        if wanted.oom == OomScope::Group {
            // Version 1 has no such file: the write says so by its note.
            let note = Missing::Skip("version 1 cannot kill a whole group when memory runs out");
            self.put(directory, "memory.oom.group", "1".to_owned(), note);
        }
    }

    fn memory_v2(&mut self, directory: &PathBuf, held: Option<&Memory>, wanted: &Memory) {
        self.put(
            directory,
            "memory.low",
            wanted.soft.0.to_string(),
            Missing::Fail,
        );
        self.put(
            directory,
            "memory.max",
            max(wanted.hard, |most| most.0),
            Missing::Fail,
        );
        let had_swap = held.is_some_and(|held| held.swap != Swap::Free);
        let swap = match wanted.swap {
            Swap::AtMost(most) => Some(most.0.to_string()),
            Swap::Free => had_swap.then(|| "max".to_owned()),
        };
        if let Some(swap) = swap {
            self.put(directory, "memory.swap.max", swap, Missing::Fail);
        }
        let old = held.map(|held| held.oom).unwrap_or_default();
        if wanted.oom != old {
            let text = if wanted.oom == OomScope::Group {
                "1"
            } else {
                "0"
            };
            let note = Missing::Skip("this kernel cannot kill a whole group when memory runs out");
            self.put(directory, "memory.oom.group", text.to_owned(), note);
        }
    }

    fn io(&mut self, held: &Io, wanted: &Io) -> Result<(), PlanError> {
        let place = self.place("io", Controller::Io)?;
        if let Some(weight) = wanted.weight.filter(|_| held.weight != wanted.weight) {
            let note = Missing::Skip("the scheduler of the block devices knows no weights");
            match &place {
                Place::V1(directory) => {
                    self.put(
                        directory,
                        "blkio.bfq.weight",
                        weight.min(1000).to_string(),
                        note,
                    );
                }
                Place::V2(directory) => {
                    self.put(directory, "io.weight", format!("default {weight}"), note);
                }
            }
        }
        let devices: BTreeSet<_> = held
            .throttles
            .keys()
            .chain(wanted.throttles.keys())
            .collect();
        for device in devices {
            let old = held.throttles.get(device).copied().unwrap_or_default();
            let new = wanted.throttles.get(device).copied().unwrap_or_default();
            if old == new {
                continue;
            }
            match &place {
                Place::V1(directory) => {
                    for (file, old, new) in throttles_v1(&old, &new) {
                        if old != new {
                            let text = format!("{device} {}", new.unwrap_or(0));
                            self.put(directory, file, text, Missing::Fail);
                        }
                    }
                }
                Place::V2(directory) => {
                    let text = format!("{device} {}", throttle_v2(&new));
                    self.put(directory, "io.max", text, Missing::Fail);
                }
            }
        }
        Ok(())
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

type Pair = (&'static str, Option<u64>, Option<u64>);

fn throttles_v1(old: &Throttle, new: &Throttle) -> [Pair; 4] {
    [
        (
            "blkio.throttle.read_bps_device",
            old.read_bytes,
            new.read_bytes,
        ),
        (
            "blkio.throttle.write_bps_device",
            old.write_bytes,
            new.write_bytes,
        ),
        (
            "blkio.throttle.read_iops_device",
            old.read_operations,
            new.read_operations,
        ),
        (
            "blkio.throttle.write_iops_device",
            old.write_operations,
            new.write_operations,
        ),
    ]
}

fn throttle_v2(new: &Throttle) -> String {
    let number = |value: Option<u64>| value.map_or("max".to_owned(), |value| value.to_string());
    format!(
        "rbps={} wbps={} riops={} wiops={}",
        number(new.read_bytes),
        number(new.write_bytes),
        number(new.read_operations),
        number(new.write_operations)
    )
}
