//! Profiles in Docker's JSON form.
//!
//! Must never leave out in silence what a profile says: what cannot be kept is an error that names it.

use crate::capability::{Capability, CapabilitySet};
use serde::Deserialize;

/// What a container may ask of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// For system calls that no rule is about.
    pub default_action: Action,
    /// For system calls that no rule is about and that had a name when this program was built; `None` is as above.
    pub known_action: Option<Action>,
    /// Other architectures whose programs may run, by their names in profiles.
    pub architectures: Vec<String>,
    /// The rules: those with conditions come before the first without.
    pub rules: Vec<Rule>,
}

/// What happens at some system calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which.
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// What must hold of their arguments, all of it.
    pub conditions: Vec<Condition>,
    /// Where the rule holds: all of it must be so.
    pub includes: Restriction,
    /// Where it does not hold: if any of it is so.
    pub excludes: Restriction,
}

/// Where a rule holds, or does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restriction {
    /// With these capabilities.
    pub capabilities: CapabilitySet,
    /// On one of these architectures, by Docker's names.
    pub architectures: Vec<String>,
    /// From this kernel on.
    pub min_kernel: Option<(u32, u32)>,
}

/// What happens at a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is made.
    Allow,
    /// It is made, and the kernel's log tells.
    Log,
    /// It fails with this error number.
    Errno(u16),
    /// The caller gets SIGSYS.
    Trap,
    /// A tracer is asked, and gets this number; without one it fails.
    Trace(u16),
    /// The thread ends.
    KillThread,
    /// The process ends.
    KillProcess,
}

/// What must hold of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Which argument, from 0.
    pub argument: u8,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// How an argument is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// It is another.
    NotEqual,
    /// It is less.
    Less,
    /// It is not more.
    LessOrEqual,
    /// It is the same.
    Equal,
    /// It is not less.
    GreaterOrEqual,
    /// It is more.
    Greater,
    /// What this mask leaves of it is the same.
    Masked(u64),
}

/// Why a text is no profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// It is not JSON of the right form.
    #[error("the seccomp profile is not valid: {0}")]
    Json(String),
    /// An action has no such name, or needs what is not built.
    #[error("{field}: {name:?} is not an action that can be taken")]
    Action {
        /// Where.
        field: String,
        /// Its name.
        name: String,
    },
    /// A comparison has no such name.
    #[error("{field}: {name:?} is not a comparison")]
    Operator {
        /// Where.
        field: String,
        /// Its name.
        name: String,
    },
    /// There are six arguments.
    #[error("{field}: there is no argument {index}; they are 0 to 5")]
    Argument {
        /// Where.
        field: String,
        /// The number.
        index: u64,
    },
    /// A capability has no such name.
    #[error("{field}: {name:?} is not a capability")]
    Capability {
        /// Where.
        field: String,
        /// Its name.
        name: String,
    },
    /// A kernel version is not two numbers.
    #[error("{field}: {text:?} is not a kernel version such as 4.8")]
    Kernel {
        /// Where.
        field: String,
        /// The text.
        text: String,
    },
    /// An error number is too large.
    #[error("{field}: {number} is not an error number (0 to 4095)")]
    Errno {
        /// Where.
        field: String,
        /// The number.
        number: u64,
    },
    /// Something that is not built.
    #[error("{field} of seccomp profiles is not built; leave it out")]
    NotBuilt {
        /// What.
        field: String,
    },
    /// A rule is about nothing.
    #[error("{field} names no system call")]
    NoName {
        /// Which rule.
        field: String,
    },
    /// A rule that denies is about a system call that nobody knows.
    #[error("{field}: there is no system call {name:?}, so that it cannot be denied")]
    UnknownCall {
        /// Which rule.
        field: String,
        /// The name.
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ProfileJson {
    default_action: String,
    default_errno_ret: Option<u64>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    arch_map: Vec<ArchitectureJson>,
    #[serde(default)]
    flags: Vec<String>,
    listener_path: Option<String>,
    #[serde(default)]
    syscalls: Vec<RuleJson>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ArchitectureJson {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleJson {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u64>,
    args: Option<Vec<ConditionJson>>,
    #[serde(default)]
    includes: RestrictionJson,
    #[serde(default)]
    excludes: RestrictionJson,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConditionJson {
    index: u64,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RestrictionJson {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// `EPERM`, which Docker takes where a profile names no error.
const EPERM: u64 = 1;
/// The largest that the kernel passes on.
const LAST_ERRNO: u64 = 4095;

/// Reads a profile.
pub fn parse_profile(text: &str) -> Result<Profile, ProfileError> {
    let json: ProfileJson =
        serde_json::from_str(text).map_err(|error| ProfileError::Json(error.to_string()))?;
    let not_built = |field: &str| {
        Err(ProfileError::NotBuilt {
            field: field.to_owned(),
        })
    };
    if !json.flags.is_empty() {
        return not_built("flags");
    }
    if json.listener_path.is_some() {
        return not_built("listenerPath");
    }
    let default_action = action(
        "defaultAction",
        &json.default_action,
        json.default_errno_ret,
    )?;
    let mut architectures = json.architectures;
    for map in json.arch_map {
        architectures.push(map.architecture);
        architectures.extend(map.sub_architectures.unwrap_or_default());
    }
    let mut rules = Vec::new();
    for (index, rule) in json.syscalls.into_iter().enumerate() {
        add_rule(&format!("syscalls[{index}]"), rule, &mut rules)?;
    }
    Ok(Profile {
        default_action,
        known_action: None,
        architectures,
        rules,
    })
}

fn add_rule(field: &str, json: RuleJson, rules: &mut Vec<Rule>) -> Result<(), ProfileError> {
    let mut names = json.names.unwrap_or_default();
    names.extend(json.name);
    if names.is_empty() {
        return Err(ProfileError::NoName {
            field: field.to_owned(),
        });
    }
    let action = action(&format!("{field}.action"), &json.action, json.errno_ret)?;
    // A name of a newer kernel that is not allowed stays forbidden; one that is not denied would be open.
    let denies = !matches!(action, Action::Allow | Action::Log);
    let unknown = names.iter().find(|name| !super::names::is_known(name));
    if let Some(name) = unknown.filter(|_| denies) {
        return Err(ProfileError::UnknownCall {
            field: format!("{field}.names"),
            name: name.clone(),
        });
    }
    let mut conditions = Vec::new();
    for (index, condition) in json.args.unwrap_or_default().iter().enumerate() {
        conditions.push(self::condition(
            &format!("{field}.args[{index}]"),
            condition,
        )?);
    }
    let rule = Rule {
        names,
        action,
        conditions,
        includes: restriction(&format!("{field}.includes"), json.includes)?,
        excludes: restriction(&format!("{field}.excludes"), json.excludes)?,
    };
    let mut arguments: Vec<u8> = rule.conditions.iter().map(|one| one.argument).collect();
    arguments.sort_unstable();
    arguments.dedup();
    if arguments.len() == rule.conditions.len() {
        rules.push(rule);
    } else {
        // As Docker reads it: several conditions on one argument are alternatives.
        let alternative = |condition: &Condition| Rule {
            conditions: vec![*condition],
            ..rule.clone()
        };
        rules.extend(rule.conditions.iter().map(alternative));
    }
    Ok(())
}

fn action(field: &str, name: &str, number: Option<u64>) -> Result<Action, ProfileError> {
    let errno = || {
        let number = number.unwrap_or(EPERM);
        u16::try_from(number)
            .ok()
            .filter(|_| number <= LAST_ERRNO)
            .ok_or_else(|| ProfileError::Errno {
                field: field.to_owned(),
                number,
            })
    };
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_ERRNO" => Action::Errno(errno()?),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_TRACE" => Action::Trace(errno()?),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        _ => {
            return Err(ProfileError::Action {
                field: field.to_owned(),
                name: name.to_owned(),
            });
        }
    })
}

fn condition(field: &str, json: &ConditionJson) -> Result<Condition, ProfileError> {
    let argument = u8::try_from(json.index)
        .ok()
        .filter(|index| *index < 6)
        .ok_or_else(|| ProfileError::Argument {
            field: field.to_owned(),
            index: json.index,
        })?;
    let (comparison, value) = match json.op.as_str() {
        "SCMP_CMP_NE" => (Comparison::NotEqual, json.value),
        "SCMP_CMP_LT" => (Comparison::Less, json.value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, json.value),
        "SCMP_CMP_EQ" => (Comparison::Equal, json.value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, json.value),
        "SCMP_CMP_GT" => (Comparison::Greater, json.value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::Masked(json.value), json.value_two),
        name => {
            return Err(ProfileError::Operator {
                field: format!("{field}.op"),
                name: name.to_owned(),
            });
        }
    };
    Ok(Condition {
        argument,
        comparison,
        value,
    })
}

fn restriction(field: &str, json: RestrictionJson) -> Result<Restriction, ProfileError> {
    let capability = |name: &String| {
        Capability::from_name(name).ok_or_else(|| ProfileError::Capability {
            field: format!("{field}.caps"),
            name: name.clone(),
        })
    };
    let names = json.caps.unwrap_or_default();
    Ok(Restriction {
        capabilities: names.iter().map(capability).collect::<Result<_, _>>()?,
        architectures: json.arches.unwrap_or_default(),
        min_kernel: json
            .min_kernel
            .map(|text| kernel(&format!("{field}.minKernel"), &text))
            .transpose()?,
    })
}

fn kernel(field: &str, text: &str) -> Result<(u32, u32), ProfileError> {
    let numbers = text
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    numbers.ok_or_else(|| ProfileError::Kernel {
        field: field.to_owned(),
        text: text.to_owned(),
    })
}
