//! What a profile decides about each system call, by name: for whoever makes the kernel's program by other means.
//!
//! Owns nothing but the listing; the decisions are those of `compile`.

use super::compile::{Decision, Host, tables};
use super::profile::{Action, Condition, Profile};
use std::collections::BTreeMap;

/// What a profile says on one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decisions {
    /// The architectures whose programs may run, by their names in profiles; the host's own is the first.
    pub architectures: Vec<&'static str>,
    /// For system calls that are not listed.
    pub default_action: Action,
    /// By name.
    pub calls: BTreeMap<&'static str, CallDecision>,
}

/// What a system call meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallDecision {
    /// Conditions that must all hold, and what happens then; the first that hold decide.
    pub cases: Vec<(Vec<Condition>, Action)>,
    /// What happens if none do.
    pub otherwise: Action,
}

/// What the profile decides about each system call, as [`compile`](super::compile()) would have it.
pub fn decisions(profile: &Profile, host: &Host) -> Decisions {
    let tables = tables(profile, host);
    let mut calls = BTreeMap::new();
    for table in &tables {
        for (number, Decision { cases, otherwise }) in &table.decisions {
            let Some(name) = table.architecture.name(*number) else {
                continue;
            };
            // Rules are by name: of two architectures neither says anything else.
            calls.entry(name).or_insert_with(|| CallDecision {
                cases: cases.clone(),
                otherwise: *otherwise,
            });
        }
    }
    Decisions {
        architectures: tables
            .iter()
            .map(|table| table.architecture.profile_name())
            .collect(),
        default_action: profile.default_action,
        calls,
    }
}
