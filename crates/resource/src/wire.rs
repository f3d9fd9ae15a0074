//! Resources to and from their wire forms.
//!
//! The form with `reservations[]` is the one inside; the older one with `role` and `reservation` is
//! spoken to frameworks that know no other, and both at once by the unversioned endpoints.

use crate::disk::{Disk, DiskSource, DiskSourceKind, Persistence};
use crate::ranges::{Range, Ranges};
use crate::reservation::{Labels, Reservation, ReservationKind};
use crate::resource::{Name, Resource, Sharing, Tenure, Traits, Value};
use crate::resources::Resources;
use crate::role::STAR;
use crate::scalar::Scalar;
use crate::validation::{ResourceError, ResourceProblem, validate};
use mezz_proto::v1;
use mezz_proto::v1::resource::disk_info::{self, source};
use mezz_proto::v1::resource::{
    AllocationInfo, DiskInfo, ReservationInfo, RevocableInfo, SharedInfo,
};

impl Resource {
    /// Checks and reads one resource of the wire, in either form.
    pub fn from_proto(proto: &v1::Resource) -> Result<Self, ResourceProblem> {
        validate(proto)?;
        let value = value_of(proto)?;
        let traits = Traits {
            reservations: reservations_of(proto),
            disk: proto.disk.as_deref().map(disk_of),
            tenure: proto.revocable.map_or(Tenure::Firm, |_| Tenure::Revocable),
            sharing: proto.shared.map_or(Sharing::Sole, |_| Sharing::Shared),
            provider_id: proto.provider_id.as_ref().map(|id| id.value.clone()),
        };
        let role = proto
            .allocation_info
            .as_ref()
            .and_then(|info| info.role.as_deref());
        Ok(Self::new(Name::from(proto.name.as_str()), traits, value)
            .with_allocation(role.map(Into::into)))
    }

    /// The wire form with `reservations[]`.
    #[allow(deprecated)] // the old form is a fact of the wire
    pub fn to_proto(&self) -> v1::Resource {
        let (kind, scalar, ranges, set) = match self.value() {
            Value::Scalar(scalar) => (
                v1::value::Type::Scalar,
                Some(v1::value::Scalar {
                    value: scalar.to_f64(),
                }),
                None,
                None,
            ),
            Value::Ranges(ranges) => (
                v1::value::Type::Ranges,
                None,
                Some(ranges_to_proto(ranges)),
                None,
            ),
            Value::Set(set) => (
                v1::value::Type::Set,
                None,
                None,
                Some(v1::value::Set {
                    item: set.iter().cloned().collect(),
                }),
            ),
        };
        let traits = self.traits();
        v1::Resource {
            provider_id: traits
                .and_then(|traits| traits.provider_id.clone())
                .map(|value| v1::ResourceProviderId { value }),
            name: self.name().as_str().to_owned(),
            r#type: kind as i32,
            scalar,
            ranges,
            set,
            role: None,
            allocation_info: self.allocation_role().map(|role| AllocationInfo {
                role: Some((**role).to_owned()),
            }),
            reservation: None,
            reservations: self
                .reservations()
                .iter()
                .map(reservation_to_proto)
                .collect(),
            disk: self.disk().map(|disk| Box::new(disk_to_proto(disk))),
            revocable: self.is_revocable().then_some(RevocableInfo {}),
            shared: self.is_shared().then_some(SharedInfo {}),
        }
    }

    /// The older wire form; `None` for refined reservations, which it cannot say.
    pub fn to_proto_pre_refinement(&self) -> Option<v1::Resource> {
        if self.is_refined() {
            return None;
        }
        let mut proto = self.to_proto_endpoint();
        proto.reservations.clear();
        Some(proto)
    }

    /// Both forms at once, as the endpoints show it.
    #[allow(deprecated)] // the old form is a fact of the wire
    pub fn to_proto_endpoint(&self) -> v1::Resource {
        let mut proto = self.to_proto();
        match self.reservations() {
            [] => proto.role = Some(STAR.to_owned()),
            [only] => {
                proto.role = Some(only.role.clone());
                if only.kind == ReservationKind::Dynamic {
                    proto.reservation = Some(ReservationInfo {
                        r#type: None,
                        role: None,
                        principal: only.principal.clone(),
                        labels: only.labels.as_ref().map(labels_to_proto),
                    });
                }
            }
            _ => {}
        }
        proto
    }
}

impl Resources {
    /// Checks and reads a list of the wire; empty entries are dropped.
    pub fn from_proto(protos: &[v1::Resource]) -> Result<Self, ResourceError> {
        let mut list = Self::new();
        for (index, proto) in protos.iter().enumerate() {
            let resource = Resource::from_proto(proto).map_err(|problem| ResourceError {
                index,
                text: describe(proto),
                problem,
            })?;
            list.push(resource);
        }
        Ok(list)
    }

    /// The wire form with `reservations[]`.
    pub fn to_proto(&self) -> Vec<v1::Resource> {
        self.each_copy(Resource::to_proto).collect()
    }

    /// The older wire form; entries with refined reservations, which it cannot say, are left out.
    pub fn to_proto_pre_refinement(&self) -> Vec<v1::Resource> {
        self.each_copy(Resource::to_proto_pre_refinement)
            .flatten()
            .collect()
    }

    /// Both forms at once, as the endpoints show it.
    pub fn to_proto_endpoint(&self) -> Vec<v1::Resource> {
        self.each_copy(Resource::to_proto_endpoint).collect()
    }

    fn each_copy<T: Clone>(&self, convert: impl Fn(&Resource) -> T) -> impl Iterator<Item = T> {
        self.iter().flat_map(move |resource| {
            let copies = usize::try_from(resource.copies()).unwrap_or(usize::MAX);
            std::iter::repeat_n(convert(resource), copies)
        })
    }
}

/// A resource of the wire in words, for messages about one that cannot be read.
fn describe(proto: &v1::Resource) -> String {
    let value = match (&proto.scalar, &proto.ranges, &proto.set) {
        (Some(scalar), _, _) => Scalar::from_f64(scalar.value)
            .map_or_else(|| scalar.value.to_string(), |scalar| scalar.to_string()),
        (_, Some(ranges), _) => {
            let list: Vec<_> = ranges
                .range
                .iter()
                .map(|r| format!("{}-{}", r.begin, r.end))
                .collect();
            format!("[{}]", list.join(", "))
        }
        (_, _, Some(set)) => format!("{{{}}}", set.item.join(", ")),
        _ => String::new(),
    };
    format!("{}:{value}", proto.name)
}

fn value_of(proto: &v1::Resource) -> Result<Value, ResourceProblem> {
    if let Some(scalar) = &proto.scalar {
        return Scalar::from_f64(scalar.value)
            .map(Value::Scalar)
            .ok_or(ResourceProblem::TooLarge);
    }
    if let Some(ranges) = &proto.ranges {
        let ranges = ranges.range.iter().map(|r| Range {
            begin: r.begin,
            end: r.end,
        });
        return Ok(Value::Ranges(ranges.collect()));
    }
    let items = proto.set.iter().flat_map(|set| set.item.iter().cloned());
    Ok(Value::Set(items.collect()))
}

#[allow(deprecated)] // the old form is a fact of the wire
fn reservations_of(proto: &v1::Resource) -> Vec<Reservation> {
    if !proto.reservations.is_empty() {
        return proto.reservations.iter().map(reservation_of).collect();
    }
    let Some(role) = proto.role.as_deref().filter(|role| *role != STAR) else {
        return Vec::new();
    };
    let reservation = match &proto.reservation {
        None => Reservation {
            kind: ReservationKind::Static,
            role: role.to_owned(),
            principal: None,
            labels: None,
        },
        Some(old) => Reservation {
            kind: ReservationKind::Dynamic,
            role: role.to_owned(),
            principal: old.principal.clone(),
            labels: old.labels.as_ref().map(labels_of),
        },
    };
    vec![reservation]
}

fn reservation_of(proto: &ReservationInfo) -> Reservation {
    let is_static = proto.r#type == Some(v1::resource::reservation_info::Type::Static as i32);
    Reservation {
        kind: if is_static {
            ReservationKind::Static
        } else {
            ReservationKind::Dynamic
        },
        role: proto.role.clone().unwrap_or_default(),
        principal: proto.principal.clone(),
        labels: proto.labels.as_ref().map(labels_of),
    }
}

fn reservation_to_proto(reservation: &Reservation) -> ReservationInfo {
    let kind = match reservation.kind {
        ReservationKind::Static => v1::resource::reservation_info::Type::Static,
        ReservationKind::Dynamic => v1::resource::reservation_info::Type::Dynamic,
    };
    ReservationInfo {
        r#type: Some(kind as i32),
        role: Some(reservation.role.clone()),
        principal: reservation.principal.clone(),
        labels: reservation.labels.as_ref().map(labels_to_proto),
    }
}

fn labels_of(proto: &v1::Labels) -> Labels {
    proto
        .labels
        .iter()
        .map(|label| (label.key.clone(), label.value.clone()))
        .collect()
}

fn labels_to_proto(labels: &Labels) -> v1::Labels {
    let labels = labels.iter().map(|(key, value)| v1::Label {
        key: key.to_owned(),
        value: value.map(str::to_owned),
    });
    v1::Labels {
        labels: labels.collect(),
    }
}

fn ranges_to_proto(ranges: &Ranges) -> v1::value::Ranges {
    let range = ranges.iter().map(|r| v1::value::Range {
        begin: r.begin,
        end: r.end,
    });
    v1::value::Ranges {
        range: range.collect(),
    }
}

fn disk_of(proto: &DiskInfo) -> Disk {
    Disk {
        source: proto.source.as_ref().map(source_of),
        persistence: proto.persistence.as_ref().map(|persistence| Persistence {
            id: persistence.id.clone(),
            principal: persistence.principal.clone(),
        }),
        volume: proto.volume.clone(),
    }
}

fn source_of(proto: &disk_info::Source) -> DiskSource {
    let kind = match source::Type::try_from(proto.r#type) {
        Ok(source::Type::Mount) => DiskSourceKind::Mount,
        Ok(source::Type::Block) => DiskSourceKind::Block,
        Ok(source::Type::Raw) => DiskSourceKind::Raw,
        // Validation has refused the others.
        Ok(source::Type::Path | source::Type::Unknown) | Err(_) => DiskSourceKind::Path,
    };
    DiskSource {
        kind,
        path: proto.path.as_ref().map(|path| path.root.clone()),
        mount: proto.mount.as_ref().map(|mount| mount.root.clone()),
        vendor: proto.vendor.clone(),
        id: proto.id.clone(),
        metadata: proto.metadata.as_ref().map(labels_of),
        profile: proto.profile.clone(),
    }
}

fn disk_to_proto(disk: &Disk) -> DiskInfo {
    DiskInfo {
        persistence: disk
            .persistence
            .as_ref()
            .map(|persistence| disk_info::Persistence {
                id: persistence.id.clone(),
                principal: persistence.principal.clone(),
            }),
        volume: disk.volume.clone(),
        source: disk.source.as_ref().map(source_to_proto),
    }
}

fn source_to_proto(own: &DiskSource) -> disk_info::Source {
    let kind = match own.kind {
        DiskSourceKind::Path => source::Type::Path,
        DiskSourceKind::Mount => source::Type::Mount,
        DiskSourceKind::Block => source::Type::Block,
        DiskSourceKind::Raw => source::Type::Raw,
    };
    disk_info::Source {
        r#type: kind as i32,
        path: own.path.clone().map(|root| source::Path { root }),
        mount: own.mount.clone().map(|root| source::Mount { root }),
        vendor: own.vendor.clone(),
        id: own.id.clone(),
        metadata: own.metadata.as_ref().map(labels_to_proto),
        profile: own.profile.clone(),
    }
}
