//! The plan as bytes: a version, then the fields in their order.
//!
//! A plan that needs nothing of a later version is written in the earlier one, which every warden understands.
//!
//! Must never change without a new version number: agent and warden are upgraded apart.

use crate::isolation::Isolation;
use crate::plan::{
    CloneMode, Credentials, Input, KillMethod, LaunchId, LaunchPlan, Leftovers, Output, Rlimit,
    RlimitResource, SessionMode, Survival, TerminalSize,
};
use crate::wire::{DecodeError, Reader, Writer};

/// The latest version of the encoding.
pub const PLAN_VERSION: u8 = 2;
/// The version that ends before isolation and terminal.
const WITHOUT_ISOLATION: u8 = 1;

/// Appends the encoded plan to `buffer`.
pub fn encode_plan(plan: &LaunchPlan, buffer: &mut Vec<u8>) {
    let mut w = Writer::new(buffer);
    let needs_latest = plan.isolation.is_some() || plan.terminal.is_some();
    w.u8(if needs_latest {
        PLAN_VERSION
    } else {
        WITHOUT_ISOLATION
    });
    w.u64(plan.launch_id.0);
    w.u8(match plan.clone {
        CloneMode::Vfork => 0,
        CloneMode::Fork => 1,
    });
    plan.kill.encode(&mut w);
    w.u8(match plan.session {
        SessionMode::NewSession => 0,
        SessionMode::NewGroup => 1,
    });
    w.strings(&plan.cgroups);
    w.count(plan.rlimits.len());
    for limit in &plan.rlimits {
        w.u8(limit.resource.number());
        w.optional_u64(limit.soft);
        w.optional_u64(limit.hard);
    }
    encode_user(plan.user.as_ref(), &mut w);
    w.optional_u64(plan.umask.map(u64::from));
    w.u8(match plan.stdin {
        Input::Null => 0,
        Input::Pipe => 1,
    });
    encode_output(&plan.stdout, &mut w);
    encode_output(&plan.stderr, &mut w);
    w.bytes(plan.directory.as_bytes());
    w.strings(&plan.programs);
    w.strings(&plan.argv);
    w.strings(&plan.env);
    w.bytes(plan.marker.as_bytes());
    w.u8(plan.survival.number());
    w.u8(plan.leftovers.number());
    w.u32(plan.step_deadline_ms);
    if needs_latest {
        w.u8(u8::from(plan.isolation.is_some()));
        if let Some(isolation) = &plan.isolation {
            isolation.encode(&mut w);
        }
        w.u8(u8::from(plan.terminal.is_some()));
        if let Some(size) = plan.terminal {
            w.u32(size.rows.into());
            w.u32(size.columns.into());
        }
    }
}

/// Reads one whole plan.
pub fn decode_plan(bytes: &[u8]) -> Result<LaunchPlan, DecodeError> {
    let mut r = Reader::new(bytes);
    let version = r.u8("plan.version")?;
    if !(WITHOUT_ISOLATION..=PLAN_VERSION).contains(&version) {
        return Err(DecodeError::UnknownValue {
            field: "plan.version",
            value: version.into(),
        });
    }
    let plan = LaunchPlan {
        launch_id: LaunchId(r.u64("plan.launch_id")?),
        clone: match r.u8("plan.clone")? {
            0 => CloneMode::Vfork,
            1 => CloneMode::Fork,
            value => return unknown("plan.clone", value),
        },
        kill: KillMethod::decode(&mut r)?,
        session: match r.u8("plan.session")? {
            0 => SessionMode::NewSession,
            1 => SessionMode::NewGroup,
            value => return unknown("plan.session", value),
        },
        cgroups: r.strings("plan.cgroups")?,
        rlimits: decode_rlimits(&mut r)?,
        user: decode_user(&mut r)?,
        umask: decode_umask(&mut r)?,
        stdin: match r.u8("plan.stdin")? {
            0 => Input::Null,
            1 => Input::Pipe,
            value => return unknown("plan.stdin", value),
        },
        stdout: decode_output(&mut r, "plan.stdout")?,
        stderr: decode_output(&mut r, "plan.stderr")?,
        directory: r.c_string("plan.directory")?,
        programs: r.strings("plan.programs")?,
        argv: r.strings("plan.argv")?,
        env: r.strings("plan.env")?,
        marker: r.c_string("plan.marker")?,
        survival: Survival::from_number(r.u8("plan.survival")?)?,
        leftovers: Leftovers::from_number(r.u8("plan.leftovers")?)?,
        step_deadline_ms: r.u32("plan.step_deadline_ms")?,
        isolation: if version > WITHOUT_ISOLATION && present(&mut r, "plan.isolation")? {
            Some(Box::new(Isolation::decode(&mut r)?))
        } else {
            None
        },
        terminal: if version > WITHOUT_ISOLATION && present(&mut r, "plan.terminal")? {
            let mut number = |field: &'static str| {
                let value = r.u32(field)?;
                u16::try_from(value).map_err(|_| DecodeError::UnknownValue {
                    field,
                    value: value.into(),
                })
            };
            Some(TerminalSize {
                rows: number("plan.terminal.rows")?,
                columns: number("plan.terminal.columns")?,
            })
        } else {
            None
        },
    };
    r.finish()?;
    Ok(plan)
}

fn present(r: &mut Reader<'_>, field: &'static str) -> Result<bool, DecodeError> {
    match r.u8(field)? {
        0 => Ok(false),
        1 => Ok(true),
        value => unknown(field, value),
    }
}

fn unknown<T>(field: &'static str, value: u8) -> Result<T, DecodeError> {
    Err(DecodeError::UnknownValue {
        field,
        value: value.into(),
    })
}

impl KillMethod {
    /// Appends this method to a message.
    pub fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::FreezerV1 { path } => {
                w.u8(0);
                w.bytes(path.as_bytes());
            }
            Self::CgroupV2 { path } => {
                w.u8(1);
                w.bytes(path.as_bytes());
            }
            Self::PidNamespace => w.u8(2),
            Self::Session => w.u8(3),
        }
    }

    /// Takes a method off a message.
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match r.u8("plan.kill")? {
            0 => Self::FreezerV1 {
                path: r.c_string("plan.kill.path")?,
            },
            1 => Self::CgroupV2 {
                path: r.c_string("plan.kill.path")?,
            },
            2 => Self::PidNamespace,
            3 => Self::Session,
            value => return unknown("plan.kill", value),
        })
    }
}

impl Survival {
    /// The number in messages.
    pub fn number(self) -> u8 {
        match self {
            Self::Keep => 0,
            Self::EndWithConnection => 1,
        }
    }

    /// The choice behind a number.
    pub fn from_number(number: u8) -> Result<Self, DecodeError> {
        match number {
            0 => Ok(Self::Keep),
            1 => Ok(Self::EndWithConnection),
            value => unknown("plan.survival", value),
        }
    }
}

impl Leftovers {
    /// The number in messages.
    pub fn number(self) -> u8 {
        match self {
            Self::Kill => 0,
            Self::Leave => 1,
        }
    }

    /// The choice behind a number.
    pub fn from_number(number: u8) -> Result<Self, DecodeError> {
        match number {
            0 => Ok(Self::Kill),
            1 => Ok(Self::Leave),
            value => unknown("plan.leftovers", value),
        }
    }
}

fn encode_user(user: Option<&Credentials>, w: &mut Writer<'_>) {
    let Some(user) = user else { return w.u8(0) };
    w.u8(1);
    w.u32(user.uid);
    w.u32(user.gid);
    w.count(user.groups.len());
    for group in &user.groups {
        w.u32(*group);
    }
}

fn decode_user(r: &mut Reader<'_>) -> Result<Option<Credentials>, DecodeError> {
    match r.u8("plan.user")? {
        0 => Ok(None),
        1 => {
            let (uid, gid) = (r.u32("plan.user.uid")?, r.u32("plan.user.gid")?);
            let count = r.count("plan.user.groups")?;
            let groups = (0..count)
                .map(|_| r.u32("plan.user.groups"))
                .collect::<Result<_, _>>()?;
            Ok(Some(Credentials { uid, gid, groups }))
        }
        value => unknown("plan.user", value),
    }
}

fn decode_rlimits(r: &mut Reader<'_>) -> Result<Vec<Rlimit>, DecodeError> {
    let count = r.count("plan.rlimits")?;
    (0..count)
        .map(|_| {
            let number = r.u8("plan.rlimits.resource")?;
            let resource = RlimitResource::ALL
                .iter()
                .copied()
                .find(|resource| resource.number() == number);
            let Some(resource) = resource else {
                return unknown("plan.rlimits.resource", number);
            };
            Ok(Rlimit {
                resource,
                soft: r.optional_u64("plan.rlimits.soft")?,
                hard: r.optional_u64("plan.rlimits.hard")?,
            })
        })
        .collect()
}

fn decode_umask(r: &mut Reader<'_>) -> Result<Option<u32>, DecodeError> {
    r.optional_u64("plan.umask")?
        .map(|value| {
            u32::try_from(value).map_err(|_| DecodeError::UnknownValue {
                field: "plan.umask",
                value,
            })
        })
        .transpose()
}

fn encode_output(output: &Output, w: &mut Writer<'_>) {
    match output {
        Output::Null => w.u8(0),
        Output::Append(path) => {
            w.u8(1);
            w.bytes(path.as_bytes());
        }
        Output::Pipe => w.u8(2),
    }
}

fn decode_output(r: &mut Reader<'_>, field: &'static str) -> Result<Output, DecodeError> {
    Ok(match r.u8(field)? {
        0 => Output::Null,
        1 => Output::Append(r.c_string(field)?),
        2 => Output::Pipe,
        value => return unknown(field, value),
    })
}
