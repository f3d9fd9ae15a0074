//! What the tasks and the executor of one container may use, together, by Mesos's rules.
//!
//! Owns the sums only; what the kernel is told of them belongs to the shell's drivers.

use mezz_proto::v1::value;
use mezz_proto::v1::{Resource, TaskInfo};
use mezz_resource::{Range, Scalar};
use std::collections::BTreeMap;

/// What one container may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allotment {
    /// Processors requested.
    pub cpus: Scalar,
    /// Whether they give way to others.
    pub standing: Standing,
    /// Memory requested, in megabytes.
    pub mem: Scalar,
    /// Room for the sandbox, in megabytes; `None` if nothing was said of it.
    pub disk: Option<Scalar>,
    /// Ports of the host, as they were listed.
    pub ports: Vec<Range>,
    /// Processors that it gets at most, if that is not what was requested.
    pub cpus_limit: Option<Limit>,
    /// Memory that it gets at most, if that is not what was requested.
    pub mem_limit: Option<Limit>,
}

/// Whether processors give way to those of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// They do not.
    #[default]
    Regular,
    /// They do.
    Revocable,
}

/// What something gets at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// No more than this.
    At(Scalar),
    /// As much as there is.
    Infinite,
}

impl Allotment {
    /// Of these tasks, in a container with these resources of its own.
    pub fn of<'a>(own: &[Resource], tasks: impl IntoIterator<Item = &'a TaskInfo>) -> Self {
        let mut sum = Self::default();
        sum.add_all(own);
        let (mut cpus, mut mem) = (Ceiling::of(sum.cpus), Ceiling::of(sum.mem));
        for task in tasks {
            let (cpus_before, mem_before) = (sum.cpus, sum.mem);
            sum.add_all(&task.resources);
            cpus.add(&task.limits, "cpus", sum.cpus - cpus_before);
            mem.add(&task.limits, "mem", sum.mem - mem_before);
        }
        sum.cpus_limit = cpus.limit();
        sum.mem_limit = mem.limit();
        sum
    }

    fn add_all(&mut self, resources: &[Resource]) {
        for resource in resources {
            self.add(resource);
        }
    }

    fn add(&mut self, resource: &Resource) {
        let scalar = || {
            let value = resource.scalar.as_ref().map_or(0.0, |scalar| scalar.value);
            Scalar::from_f64(value).unwrap_or(Scalar::ZERO)
        };
        match resource.name.as_str() {
            "cpus" => {
                self.cpus += scalar();
                if resource.revocable.is_some() {
                    self.standing = Standing::Revocable;
                }
            }
            "mem" => self.mem += scalar(),
            // What is on a disk of its own is no part of the sandbox.
            "disk" if resource.disk.is_none() => {
                *self.disk.get_or_insert(Scalar::ZERO) += scalar();
            }
            "ports" => {
                let ranges = resource.ranges.iter().flat_map(|ranges| &ranges.range);
                self.ports.extend(ranges.map(|range| Range {
                    begin: range.begin,
                    end: range.end,
                }));
            }
            _ => {}
        }
    }
}

/// The limit of several tasks: as soon as one has a limit, it is the sum of all limits, a request where there is none.
struct Ceiling {
    sum: Scalar,
    finite: bool,
    limited: bool,
}

impl Ceiling {
    fn of(own: Scalar) -> Self {
        Self {
            sum: own,
            finite: true,
            limited: false,
        }
    }

    fn add(&mut self, limits: &BTreeMap<String, value::Scalar>, name: &str, request: Scalar) {
        let limit = limits.get(name).map(|limit| limit.value);
        self.limited |= limit.is_some();
        match limit {
            Some(limit) => match Scalar::from_f64(limit) {
                Some(limit) => self.sum += limit,
                None => self.finite = false,
            },
            None => self.sum += request,
        }
    }

    fn limit(&self) -> Option<Limit> {
        let limit = if self.finite {
            Limit::At(self.sum)
        } else {
            Limit::Infinite
        };
        self.limited.then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mezz_proto::v1::{resource, value::Type};

    fn scalar(name: &str, value: f64) -> Resource {
        Resource {
            name: name.to_owned(),
            r#type: Type::Scalar.into(),
            scalar: Some(value::Scalar { value }),
            ..Resource::default()
        }
    }

    fn task(resources: Vec<Resource>, limits: &[(&str, f64)]) -> TaskInfo {
        let limits = limits
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value::Scalar { value: *value }));
        TaskInfo {
            resources,
            limits: limits.collect(),
            ..TaskInfo::default()
        }
    }

    #[test]
    fn requests_of_an_executor_and_its_tasks_add_up() {
        let revocable = Resource {
            revocable: Some(resource::RevocableInfo::default()),
            ..scalar("cpus", 0.1)
        };
        let tasks = [
            task(vec![scalar("cpus", 0.2), scalar("mem", 64.0)], &[]),
            task(vec![revocable, scalar("disk", 10.0)], &[]),
        ];
        let sum = Allotment::of(&[scalar("mem", 32.0)], &tasks);
        assert_eq!(sum.cpus, Scalar(300));
        assert_eq!(sum.standing, Standing::Revocable);
        assert_eq!(sum.mem, Scalar::whole(96));
        assert_eq!(sum.disk, Some(Scalar::whole(10)));
        assert_eq!((sum.cpus_limit, sum.mem_limit), (None, None));
    }

    #[test]
    fn one_limit_makes_the_limit_of_all() {
        let resources = || vec![scalar("cpus", 1.0), scalar("mem", 64.0)];
        let tasks = [
            task(resources(), &[("cpus", 2.0)]),
            task(resources(), &[("mem", f64::INFINITY)]),
        ];
        let sum = Allotment::of(&[scalar("cpus", 0.5)], &tasks);
        assert_eq!(sum.cpus_limit, Some(Limit::At(Scalar(3500))));
        assert_eq!(sum.mem_limit, Some(Limit::Infinite));
    }

    #[test]
    fn ports_are_listed_and_disks_of_their_own_left_out() {
        let ports = Resource {
            ranges: Some(value::Ranges {
                range: vec![value::Range { begin: 5, end: 7 }],
            }),
            ..scalar("ports", 0.0)
        };
        let volume = Resource {
            disk: Some(Box::new(resource::DiskInfo::default())),
            ..scalar("disk", 10.0)
        };
        let sum = Allotment::of(&[], &[task(vec![ports, volume], &[])]);
        assert_eq!(sum.ports, [Range { begin: 5, end: 7 }]);
        assert_eq!(sum.disk, None);
    }
}
