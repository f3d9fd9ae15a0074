//! From what a container may use to the limits of its group, by Mesos's rules.
//!
//! Pure. Must never limit what the operator has not chosen to isolate.

use std::collections::BTreeSet;

use mezz_agent_core::{Allotment, Limit, Standing};
use mezz_cgroup::{
    Bytes, Ceiling, Controller, Cpu, DeviceList, Limits, Memory, MilliCpus, OomReport, Swap,
};
use mezz_proto::v1::{Resource, value};
use mezz_resource::Scalar;

use super::options::{CpuQuota, SwapUse};

/// What holds for all containers of an agent.
#[derive(Clone, Debug)]
pub(super) struct LimitRules {
    pub(super) controllers: BTreeSet<Controller>,
    pub(super) cpus: CpuQuota,
    pub(super) swap: SwapUse,
    pub(super) most_processes: Option<u64>,
    pub(super) devices: DeviceList,
}

impl LimitRules {
    fn uses(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    /// What all have from the beginning.
    pub(super) fn base(&self) -> Limits {
        Limits {
            pids: self
                .most_processes
                .filter(|_| self.uses(Controller::Pids))
                .map(Ceiling::At),
            devices: self.uses(Controller::Devices).then(|| self.devices.clone()),
            ..Limits::default()
        }
    }

    /// What this one has.
    pub(super) fn limits(&self, allotment: &Allotment) -> Limits {
        let cpu = || {
            let limit = allotment.cpus_limit.map(|limit| match limit {
                Limit::At(limit) => Ceiling::At(milli_cpus(limit)),
                Limit::Infinite => Ceiling::Infinite,
            });
            let standing = match allotment.standing {
                Standing::Regular => mezz_cgroup::Standing::Regular,
                Standing::Revocable => mezz_cgroup::Standing::Revocable,
            };
            let quotas = self.cpus == CpuQuota::Always;
            Cpu::of_task(milli_cpus(allotment.cpus), limit, quotas, standing)
        };
        let memory = || {
            let limit = allotment.mem_limit.map(|limit| match limit {
                Limit::At(limit) => Ceiling::At(bytes(limit)),
                Limit::Infinite => Ceiling::Infinite,
            });
            let swap = match self.swap {
                SwapUse::Free => Swap::Free,
                SwapUse::Limited => Swap::AtMost(Bytes(0)),
            };
            Memory::of_task(bytes(allotment.mem), limit, swap)
        };
        Limits {
            cpu: self.uses(Controller::Cpu).then(cpu),
            memory: self.uses(Controller::Memory).then(memory),
            ..self.base()
        }
    }
}

fn milli_cpus(cpus: Scalar) -> MilliCpus {
    MilliCpus(thousandths(cpus))
}

/// Of megabytes; less than a whole one is dropped.
pub(super) fn bytes(megabytes: Scalar) -> Bytes {
    Bytes::of_mem(thousandths(megabytes))
}

fn thousandths(quantity: Scalar) -> u64 {
    u64::try_from(quantity.0).unwrap_or(0)
}

/// A quantity as statuses tell what was exceeded.
pub(super) fn exceeded(name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value }),
        ..Resource::default()
    }
}

/// What a client is told of a container that was at its limit of memory.
pub(super) fn out_of_memory(report: &OomReport) -> mezz_agent_core::Limitation {
    mezz_agent_core::Limitation {
        cause: mezz_agent_core::LimitationCause::Memory,
        message: report.message(),
        resources: vec![exceeded("mem", report.megabytes())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(controllers: &[Controller]) -> LimitRules {
        LimitRules {
            controllers: controllers.iter().copied().collect(),
            cpus: CpuQuota::OfLimits,
            swap: SwapUse::Free,
            most_processes: Some(100),
            devices: DeviceList::standard(),
        }
    }

    fn allotment() -> Allotment {
        Allotment {
            cpus: Scalar(500),
            mem: Scalar::whole(64),
            mem_limit: Some(Limit::At(Scalar::whole(128))),
            ..Allotment::default()
        }
    }

    #[test]
    fn only_what_is_isolated_is_limited() {
        let limits = rules(&[Controller::Memory]).limits(&allotment());
        let memory = limits.memory.unwrap();
        assert_eq!(memory.soft, Bytes::mib(64));
        assert_eq!(memory.hard, Ceiling::At(Bytes::mib(128)));
        assert_eq!(
            (limits.cpu, limits.pids, limits.devices),
            (None, None, None)
        );
    }

    #[test]
    fn processors_are_capped_by_the_limit_or_if_the_operator_says_so_by_the_request() {
        let rules = rules(&[Controller::Cpu]);
        let capped = |rules: &LimitRules, limit| {
            let allotment = Allotment {
                cpus_limit: limit,
                ..allotment()
            };
            rules.limits(&allotment).cpu.unwrap().quota
        };
        assert_eq!(capped(&rules, None), None);
        let two = Some(Limit::At(Scalar(2000)));
        assert_eq!(capped(&rules, two), Some(Ceiling::At(MilliCpus(2000))));
        assert_eq!(
            capped(&rules, Some(Limit::Infinite)),
            Some(Ceiling::Infinite)
        );
        let always = LimitRules {
            cpus: CpuQuota::Always,
            ..rules
        };
        assert_eq!(capped(&always, None), Some(Ceiling::At(MilliCpus(500))));
    }
}
