//! From a profile to a program: which rules hold here, and what each system call meets.
//!
//! Owns the decisions; the instructions are made in `program`.

use super::Instruction;
use super::names::{Architecture, of_profile_name};
use super::profile::{Action, Condition, Profile, Restriction, Rule};
use super::program;
use crate::capability::CapabilitySet;
use std::collections::{BTreeMap, BTreeSet};

/// What a profile's restrictions are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// What runs here.
    pub architecture: Architecture,
    /// The version of the kernel.
    pub kernel: (u32, u32),
    /// The bounding set of the container.
    pub capabilities: CapabilitySet,
}

/// Why there is no program for a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeccompError {
    /// The kernel takes 4096 instructions.
    #[error("the seccomp profile needs {instructions} instructions, and the kernel takes 4096")]
    TooLong {
        /// How many it would be.
        instructions: usize,
    },
}

/// What a system call meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// Conditions that must all hold, and what happens then; the first that hold decide.
    pub(super) cases: Vec<(Vec<Condition>, Action)>,
    /// What happens if none do.
    pub(super) otherwise: Action,
}

/// What the system calls of one architecture meet.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) architecture: Architecture,
    pub(super) default_action: Action,
    pub(super) decisions: BTreeMap<u32, Decision>,
}

/// Makes the kernel's program of a profile.
pub fn compile(profile: &Profile, host: &Host) -> Result<Vec<Instruction>, SeccompError> {
    /// `BPF_MAXINSNS`
    const LONGEST: usize = 4096;
    let program = program::assemble(&tables(profile, host));
    if program.len() > LONGEST {
        return Err(SeccompError::TooLong {
            instructions: program.len(),
        });
    }
    Ok(program)
}

/// What is decided, by architecture; the host's own is the first.
pub(super) fn tables(profile: &Profile, host: &Host) -> Vec<Table> {
    let mut tables = vec![table(profile, host, host.architecture)];
    // The one that runs on our kernels beside the native ones.
    let also_x86 = profile
        .architectures
        .iter()
        .any(|name| of_profile_name(name) == Some(Architecture::X86));
    if host.architecture == Architecture::X86_64 && also_x86 {
        tables.push(table(profile, host, Architecture::X86));
    }
    tables
}

fn table(profile: &Profile, host: &Host, architecture: Architecture) -> Table {
    let mut decisions = BTreeMap::new();
    let rest = profile.known_action.unwrap_or(profile.default_action);
    let holding = profile.rules.iter().filter(|rule| holds(rule, host));
    let mut decided = BTreeSet::new();
    for rule in holding {
        for number in rule
            .names
            .iter()
            .filter_map(|name| architecture.number(name))
        {
            let decision = decisions.entry(number).or_insert(Decision {
                cases: Vec::new(),
                otherwise: rest,
            });
            if !rule.conditions.is_empty() {
                decision.cases.push((rule.conditions.clone(), rule.action));
            } else if decided.insert(number) {
                decision.otherwise = rule.action;
            }
        }
    }
    if rest != profile.default_action {
        for number in architecture.numbers() {
            decisions.entry(number).or_insert(Decision {
                cases: Vec::new(),
                otherwise: rest,
            });
        }
    }
    Table {
        architecture,
        default_action: profile.default_action,
        decisions,
    }
}

fn holds(rule: &Rule, host: &Host) -> bool {
    let named = |restriction: &Restriction| {
        let name = host.architecture.restriction_name();
        restriction.architectures.iter().any(|one| one == name)
    };
    let new_enough = |version: (u32, u32)| host.kernel >= version;
    let (includes, excludes) = (&rule.includes, &rule.excludes);
    let included = includes.capabilities.without(host.capabilities).is_empty()
        && (includes.architectures.is_empty() || named(includes))
        && includes.min_kernel.is_none_or(new_enough);
    let excluded = !excludes.capabilities.common(host.capabilities).is_empty()
        || named(excludes)
        || excludes.min_kernel.is_some_and(new_enough);
    included && !excluded
}
