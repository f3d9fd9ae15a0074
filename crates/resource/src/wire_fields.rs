//! Resources written straight into the bytes of a message that holds them, as [`Resources::to_proto`] and
//! [`Resources::to_proto_pre_refinement`] would have it.

use crate::ranges::Ranges;
use crate::resource::{Resource, Value};
use crate::resources::Resources;
use crate::role::STAR;
use mezz_proto::{fields, v1};

/// Numbers of the fields of `mesos.v1.Resource`.
mod field {
    pub(super) const NAME: u32 = 1;
    pub(super) const TYPE: u32 = 2;
    pub(super) const SCALAR: u32 = 3;
    pub(super) const RANGES: u32 = 4;
    pub(super) const SET: u32 = 5;
    pub(super) const ROLE: u32 = 6;
    pub(super) const ALLOCATION_INFO: u32 = 11;
}

/// How reservations are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationForm {
    /// In `reservations[]`.
    Stack,
    /// In `role` and `reservation`, which cannot say refined ones: these are left out.
    Role,
}

impl Resources {
    /// Appends each as a field of a message.
    pub fn encode_fields(&self, tag: u32, form: ReservationForm, out: &mut Vec<u8>) {
        for resource in self {
            if resource.traits().is_none() && resource.copies() == 1 {
                fields::nested(tag, out, |out| encode_plain(resource, form, out));
                continue;
            }
            let message = match form {
                ReservationForm::Stack => Some(resource.to_proto()),
                ReservationForm::Role => resource.to_proto_pre_refinement(),
            };
            let Some(message) = message else { continue };
            for _ in 0..resource.copies() {
                fields::message(tag, &message, out);
            }
        }
    }
}

/// One without reservations, disk and the like.
fn encode_plain(resource: &Resource, form: ReservationForm, out: &mut Vec<u8>) {
    use v1::value::Type;
    fields::text(field::NAME, resource.name().as_str(), out);
    match resource.value() {
        Value::Scalar(scalar) => {
            fields::number(field::TYPE, Type::Scalar as u64, out);
            fields::nested(field::SCALAR, out, |out| {
                fields::double(1, scalar.to_f64(), out);
            });
        }
        Value::Ranges(ranges) => {
            fields::number(field::TYPE, Type::Ranges as u64, out);
            fields::nested(field::RANGES, out, |out| encode_ranges(ranges, out));
        }
        Value::Set(set) => {
            fields::number(field::TYPE, Type::Set as u64, out);
            fields::nested(field::SET, out, |out| {
                for item in set {
                    fields::text(1, item, out);
                }
            });
        }
    }
    if form == ReservationForm::Role {
        fields::text(field::ROLE, STAR, out);
    }
    if let Some(role) = resource.allocation_role() {
        fields::wrapped(field::ALLOCATION_INFO, role, out);
    }
}

fn encode_ranges(ranges: &Ranges, out: &mut Vec<u8>) {
    for range in ranges.iter() {
        fields::nested(1, out, |out| {
            fields::number(1, range.begin, out);
            fields::number(2, range.end, out);
        });
    }
}
