//! The isolation of a plan as bytes.
//!
//! Must never change without a new version of plans.

use crate::capability::CapabilitySet;
use crate::isolation::{
    Capabilities, Depth, GroupChanges, IdRange, Isolation, Missing, Mount, MountAttributes,
    MountSource, Namespace, NamespaceKind, NamespaceSource, Overlay, OverlayUpper, PrivilegeGrowth,
    Privileges, Propagation, Root, RootRule, RootStep, Spot, UserMap,
};
use crate::plan::LaunchId;
use crate::seccomp::Instruction;
use crate::wire::{DecodeError, Reader, Writer};

fn unknown<T>(field: &'static str, value: u8) -> Result<T, DecodeError> {
    Err(DecodeError::UnknownValue {
        field,
        value: value.into(),
    })
}

/// Gives an enum without data its numbers.
macro_rules! numbered {
    ($name:ident, $field:literal, $($variant:ident = $number:literal),+) => {
        impl $name {
            fn encode(self, w: &mut Writer<'_>) {
                w.u8(match self { $(Self::$variant => $number,)+ });
            }

            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match r.u8($field)? {
                    $($number => Ok(Self::$variant),)+
                    value => unknown($field, value),
                }
            }
        }
    };
}

numbered!(
    GroupChanges,
    "plan.isolation.users.groups",
    Allowed = 0,
    Denied = 1
);
numbered!(Depth, "plan.isolation.mount.depth", One = 0, All = 1);
numbered!(Missing, "plan.isolation.mount.missing", Fail = 0, Make = 1);
numbered!(
    Propagation,
    "plan.isolation.mount.propagation",
    Private = 0,
    FromHost = 1,
    Both = 2
);
numbered!(
    PrivilegeGrowth,
    "plan.isolation.growth",
    Allowed = 0,
    Never = 1
);
numbered!(
    RootRule,
    "plan.isolation.capabilities.root",
    Special = 0,
    Plain = 1
);

fn encode_list<T>(list: &[T], w: &mut Writer<'_>, one: impl Fn(&T, &mut Writer<'_>)) {
    w.count(list.len());
    for item in list {
        one(item, w);
    }
}

fn decode_list<T>(
    field: &'static str,
    r: &mut Reader<'_>,
    one: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = r.count(field)?;
    (0..count).map(|_| one(r)).collect()
}

fn encode_option<T>(option: Option<&T>, w: &mut Writer<'_>, one: impl Fn(&T, &mut Writer<'_>)) {
    w.u8(u8::from(option.is_some()));
    if let Some(value) = option {
        one(value, w);
    }
}

fn decode_option<T>(
    field: &'static str,
    r: &mut Reader<'_>,
    one: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match r.u8(field)? {
        0 => Ok(None),
        1 => one(r).map(Some),
        value => unknown(field, value),
    }
}

impl Isolation {
    pub(crate) fn encode(&self, w: &mut Writer<'_>) {
        encode_list(&self.namespaces, w, Namespace::encode);
        encode_option(self.users.as_ref(), w, UserMap::encode);
        self.root.encode(w);
        encode_list(&self.steps, w, RootStep::encode);
        w.u32(self.root_attributes.0);
        encode_option(self.hostname.as_ref(), w, |name, w| {
            w.bytes(name.as_bytes());
        });
        self.privileges.encode(w);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            namespaces: decode_list("plan.isolation.namespaces", r, Namespace::decode)?,
            users: decode_option("plan.isolation.users", r, UserMap::decode)?,
            root: Root::decode(r)?,
            steps: decode_list("plan.isolation.steps", r, RootStep::decode)?,
            root_attributes: MountAttributes::decode(r)?,
            hostname: decode_option("plan.isolation.hostname", r, |r| {
                r.c_string("plan.isolation.hostname")
            })?,
            privileges: Privileges::decode(r)?,
        })
    }
}

impl Namespace {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u8(self.kind.number());
        match &self.source {
            NamespaceSource::New => w.u8(0),
            NamespaceSource::OfLaunch(launch) => {
                w.u8(1);
                w.u64(launch.0);
            }
            NamespaceSource::Path(path) => {
                w.u8(2);
                w.bytes(path.as_bytes());
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = r.u8("plan.isolation.namespaces.kind")?;
        let kind = NamespaceKind::ALL
            .iter()
            .find(|kind| kind.number() == number);
        let Some(kind) = kind else {
            return unknown("plan.isolation.namespaces.kind", number);
        };
        let source = match r.u8("plan.isolation.namespaces.source")? {
            0 => NamespaceSource::New,
            1 => NamespaceSource::OfLaunch(LaunchId(r.u64("plan.isolation.namespaces.launch")?)),
            2 => NamespaceSource::Path(r.c_string("plan.isolation.namespaces.path")?),
            value => return unknown("plan.isolation.namespaces.source", value),
        };
        Ok(Self {
            kind: *kind,
            source,
        })
    }
}

impl UserMap {
    fn encode(&self, w: &mut Writer<'_>) {
        for ranges in [&self.uids, &self.gids] {
            encode_list(ranges, w, |range, w| {
                w.u32(range.inside);
                w.u32(range.outside);
                w.u32(range.count);
            });
        }
        self.groups.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let ranges = |r: &mut Reader<'_>| {
            decode_list("plan.isolation.users", r, |r| {
                Ok(IdRange {
                    inside: r.u32("plan.isolation.users.inside")?,
                    outside: r.u32("plan.isolation.users.outside")?,
                    count: r.u32("plan.isolation.users.count")?,
                })
            })
        };
        Ok(Self {
            uids: ranges(r)?,
            gids: ranges(r)?,
            groups: GroupChanges::decode(r)?,
        })
    }
}

impl Root {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Host => w.u8(0),
            Self::Folder { path } => {
                w.u8(1);
                w.bytes(path.as_bytes());
            }
            Self::Overlay(overlay) => {
                w.u8(2);
                w.bytes(overlay.at.as_bytes());
                w.strings(&overlay.lower);
                encode_option(overlay.upper.as_ref(), w, |upper, w| {
                    w.bytes(upper.upper.as_bytes());
                    w.bytes(upper.work.as_bytes());
                });
                w.strings(&overlay.options);
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match r.u8("plan.isolation.root")? {
            0 => Self::Host,
            1 => Self::Folder {
                path: r.c_string("plan.isolation.root.path")?,
            },
            2 => Self::Overlay(Overlay {
                at: r.c_string("plan.isolation.root.at")?,
                lower: r.strings("plan.isolation.root.lower")?,
                upper: decode_option("plan.isolation.root.upper", r, |r| {
                    Ok(OverlayUpper {
                        upper: r.c_string("plan.isolation.root.upper")?,
                        work: r.c_string("plan.isolation.root.work")?,
                    })
                })?,
                options: r.strings("plan.isolation.root.options")?,
            }),
            value => return unknown("plan.isolation.root", value),
        })
    }
}

impl Spot {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(self.within.as_bytes());
        w.bytes(self.path.as_bytes());
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            within: r.c_string("plan.isolation.spot.within")?,
            path: r.c_string("plan.isolation.spot.path")?,
        })
    }
}

impl RootStep {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Mount(mount) => {
                w.u8(0);
                mount.encode(w);
            }
            Self::Directory { spot, mode } => {
                w.u8(1);
                spot.encode(w);
                w.u32(*mode);
            }
            Self::Link { spot, target } => {
                w.u8(2);
                spot.encode(w);
                w.bytes(target.as_bytes());
            }
            Self::Device {
                spot,
                mode,
                major,
                minor,
            } => {
                w.u8(3);
                spot.encode(w);
                for number in [mode, major, minor] {
                    w.u32(*number);
                }
            }
            Self::Mask { spot } => {
                w.u8(4);
                spot.encode(w);
            }
            Self::ReadOnly { spot } => {
                w.u8(5);
                spot.encode(w);
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match r.u8("plan.isolation.step")? {
            0 => Self::Mount(Mount::decode(r)?),
            1 => Self::Directory {
                spot: Spot::decode(r)?,
                mode: r.u32("plan.isolation.step.mode")?,
            },
            2 => Self::Link {
                spot: Spot::decode(r)?,
                target: r.c_string("plan.isolation.step.target")?,
            },
            3 => Self::Device {
                spot: Spot::decode(r)?,
                mode: r.u32("plan.isolation.step.mode")?,
                major: r.u32("plan.isolation.step.major")?,
                minor: r.u32("plan.isolation.step.minor")?,
            },
            4 => Self::Mask {
                spot: Spot::decode(r)?,
            },
            5 => Self::ReadOnly {
                spot: Spot::decode(r)?,
            },
            value => return unknown("plan.isolation.step", value),
        })
    }
}

impl MountAttributes {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bits = r.u32("plan.isolation.attributes")?;
        if bits & !Self::ALL.0 == 0 {
            Ok(Self(bits))
        } else {
            Err(DecodeError::UnknownValue {
                field: "plan.isolation.attributes",
                value: bits.into(),
            })
        }
    }
}

impl Mount {
    fn encode(&self, w: &mut Writer<'_>) {
        match &self.source {
            MountSource::Bind {
                spot,
                depth,
                missing,
            } => {
                w.u8(0);
                spot.encode(w);
                depth.encode(w);
                missing.encode(w);
            }
            MountSource::New {
                kind,
                name,
                options,
            } => {
                w.u8(1);
                w.bytes(kind.as_bytes());
                w.bytes(name.as_bytes());
                w.strings(options);
            }
        }
        self.target.encode(w);
        self.missing_target.encode(w);
        w.u32(self.attributes.0);
        self.propagation.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let source = match r.u8("plan.isolation.mount.source")? {
            0 => MountSource::Bind {
                spot: Spot::decode(r)?,
                depth: Depth::decode(r)?,
                missing: Missing::decode(r)?,
            },
            1 => MountSource::New {
                kind: r.c_string("plan.isolation.mount.kind")?,
                name: r.c_string("plan.isolation.mount.name")?,
                options: r.strings("plan.isolation.mount.options")?,
            },
            value => return unknown("plan.isolation.mount.source", value),
        };
        Ok(Self {
            source,
            target: Spot::decode(r)?,
            missing_target: Missing::decode(r)?,
            attributes: MountAttributes::decode(r)?,
            propagation: Propagation::decode(r)?,
        })
    }
}

impl Privileges {
    fn encode(&self, w: &mut Writer<'_>) {
        encode_option(self.capabilities.as_ref(), w, |sets, w| {
            w.u64(sets.bounding.0);
            w.u64(sets.effective.0);
            sets.root.encode(w);
        });
        self.growth.encode(w);
        encode_list(&self.seccomp, w, |instruction, w| {
            let [low, high] = instruction.code.to_le_bytes();
            for byte in [low, high, instruction.jump_true, instruction.jump_false] {
                w.u8(byte);
            }
            w.u32(instruction.operand);
        });
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            capabilities: decode_option("plan.isolation.capabilities", r, |r| {
                Ok(Capabilities {
                    bounding: CapabilitySet(r.u64("plan.isolation.capabilities.bounding")?),
                    effective: CapabilitySet(r.u64("plan.isolation.capabilities.effective")?),
                    root: RootRule::decode(r)?,
                })
            })?,
            growth: PrivilegeGrowth::decode(r)?,
            seccomp: decode_list("plan.isolation.seccomp", r, |r| {
                let byte = |r: &mut Reader<'_>| r.u8("plan.isolation.seccomp");
                Ok(Instruction {
                    code: u16::from_le_bytes([byte(r)?, byte(r)?]),
                    jump_true: byte(r)?,
                    jump_false: byte(r)?,
                    operand: r.u32("plan.isolation.seccomp")?,
                })
            })?,
        })
    }
}
