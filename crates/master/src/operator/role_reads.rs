//! Roles and weights as the operator API shows them.

use mezz_proto::v1;
use mezz_proto::v1::master::response;

use crate::unversioned::{framework_ids, holdings};
use crate::view::View;

pub(super) fn roles(view: &View) -> response::GetRoles {
    let mut held = holdings(view);
    let roles = view.records.roles.iter().map(|(name, record)| {
        let held = held.remove(name).unwrap_or_default();
        let mut together = held.allocated.quantities();
        for (name, scalar) in held.offered.quantities().iter() {
            together.add(name.clone(), scalar);
        }
        let resources = together.iter().map(|(name, scalar)| v1::Resource {
            name: name.as_str().to_owned(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar {
                value: scalar.to_f64(),
            }),
            ..v1::Resource::default()
        });
        v1::Role {
            name: name.clone(),
            weight: record.weight.unwrap_or(1.0),
            frameworks: framework_ids(view, record)
                .into_iter()
                .map(|value| v1::FrameworkId { value })
                .collect(),
            resources: resources.collect(),
        }
    });
    response::GetRoles {
        roles: roles.collect(),
    }
}

/// Unset when no weight was ever set, as Mesos answers.
pub(super) fn weights(view: &View) -> Option<response::GetWeights> {
    let weight_infos: Vec<v1::WeightInfo> = view
        .records
        .roles
        .iter()
        .filter_map(|(name, record)| {
            record.weight.map(|weight| v1::WeightInfo {
                role: Some(name.clone()),
                weight,
            })
        })
        .collect();
    (!weight_infos.is_empty()).then_some(response::GetWeights { weight_infos })
}
