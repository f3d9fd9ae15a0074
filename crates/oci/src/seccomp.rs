//! Profiles of system calls in the words of the runtime specification.
//!
//! The specification has one action for everything that is not listed, and its programs take a rule without conditions
//! for the whole truth about a system call. So what happens where no condition holds must be that one action. A profile
//! of which this cannot be made is refused: a filter must never let through what the profile denies.

use crate::bundle::OciError;
use crate::config::{Seccomp, SeccompArgument, SeccompRule};
use mezz_launch_plan::seccomp::{Action, CallDecision, Comparison, Condition, Decisions};
use std::collections::BTreeMap;

/// The profile's decisions as the specification has them.
pub(crate) fn seccomp(decisions: &Decisions) -> Result<Seccomp, OciError> {
    let default = decisions.default_action;
    let mut plain: BTreeMap<Action, Vec<&'static str>> = BTreeMap::new();
    let mut syscalls = Vec::new();
    for (name, decision) in &decisions.calls {
        if decision.cases.is_empty() {
            if decision.otherwise != default {
                plain.entry(decision.otherwise).or_default().push(name);
            }
            continue;
        }
        let rules = conditional(name, decision, default);
        syscalls.extend(rules.ok_or_else(|| OciError::Seccomp {
            call: (*name).to_owned(),
        })?);
    }
    let plain = plain
        .into_iter()
        .map(|(action, names)| rule(names, action, Vec::new()));
    Ok(Seccomp {
        default_action: name_of(default),
        default_errno_ret: number_of(default),
        architectures: decisions.architectures.clone(),
        syscalls: plain.chain(syscalls).collect(),
    })
}

/// The rules of a system call with conditions; `None` where they cannot be said.
fn conditional(
    name: &'static str,
    decision: &CallDecision,
    default: Action,
) -> Option<Vec<SeccompRule>> {
    if alike(decision.otherwise, default) {
        let action = decision.cases.first()?.1;
        // Of several actions the first that holds would have to win.
        let one = decision.cases.iter().all(|(_, other)| *other == action);
        let simple = decision.cases.iter().all(|(all, _)| distinct(all));
        return (one && simple).then(|| {
            let each = decision.cases.iter();
            each.map(|(all, _)| rule(vec![name], action, all.iter().map(argument).collect()))
                .collect()
        });
    }
    // The other way round: what happens otherwise, where none of the conditions holds.
    let opposites = decision.cases.iter().map(|(all, action)| match &all[..] {
        [only] if alike(*action, default) => opposite(*only),
        _ => None,
    });
    let opposites: Vec<Condition> = opposites.collect::<Option<_>>()?;
    let rule = || {
        rule(
            vec![name],
            decision.otherwise,
            opposites.iter().map(argument).collect(),
        )
    };
    distinct(&opposites).then(|| vec![rule()])
}

/// Whether two actions differ in nothing but the error number.
fn alike(one: Action, other: Action) -> bool {
    one == other || matches!((one, other), (Action::Errno(_), Action::Errno(_)))
}

/// Two conditions on one argument would be taken as alternatives.
fn distinct(conditions: &[Condition]) -> bool {
    let mut seen = [false; 6];
    conditions.iter().all(|condition| {
        let place = seen.get_mut(usize::from(condition.argument));
        place.is_some_and(|place| !std::mem::replace(place, true))
    })
}

fn opposite(condition: Condition) -> Option<Condition> {
    let comparison = match condition.comparison {
        Comparison::NotEqual => Comparison::Equal,
        Comparison::Less => Comparison::GreaterOrEqual,
        Comparison::LessOrEqual => Comparison::Greater,
        Comparison::Equal => Comparison::NotEqual,
        Comparison::GreaterOrEqual => Comparison::Less,
        Comparison::Greater => Comparison::LessOrEqual,
        Comparison::Masked(_) => return None,
    };
    Some(Condition {
        comparison,
        ..condition
    })
}

fn rule(names: Vec<&'static str>, action: Action, args: Vec<SeccompArgument>) -> SeccompRule {
    SeccompRule {
        names,
        action: name_of(action),
        errno_ret: number_of(action),
        args,
    }
}

fn argument(condition: &Condition) -> SeccompArgument {
    let (op, value, value_two) = match condition.comparison {
        Comparison::NotEqual => ("SCMP_CMP_NE", condition.value, 0),
        Comparison::Less => ("SCMP_CMP_LT", condition.value, 0),
        Comparison::LessOrEqual => ("SCMP_CMP_LE", condition.value, 0),
        Comparison::Equal => ("SCMP_CMP_EQ", condition.value, 0),
        Comparison::GreaterOrEqual => ("SCMP_CMP_GE", condition.value, 0),
        Comparison::Greater => ("SCMP_CMP_GT", condition.value, 0),
        Comparison::Masked(mask) => ("SCMP_CMP_MASKED_EQ", mask, condition.value),
    };
    SeccompArgument {
        index: condition.argument,
        value,
        value_two,
        op,
    }
}

fn name_of(action: Action) -> &'static str {
    match action {
        Action::Allow => "SCMP_ACT_ALLOW",
        Action::Log => "SCMP_ACT_LOG",
        Action::Errno(_) => "SCMP_ACT_ERRNO",
        Action::Trap => "SCMP_ACT_TRAP",
        Action::Trace(_) => "SCMP_ACT_TRACE",
        Action::KillThread => "SCMP_ACT_KILL_THREAD",
        Action::KillProcess => "SCMP_ACT_KILL_PROCESS",
    }
}

fn number_of(action: Action) -> Option<u16> {
    match action {
        Action::Errno(number) | Action::Trace(number) => Some(number),
        _ => None,
    }
}
