//! Offer constraints of a framework: checked with its call, then given to the ledger.

use std::sync::Arc;

use mezz_proto::v1::scheduler as wire;
use mezz_sched::OfferConstraints;

use crate::master::Master;

impl Master {
    /// The constraints in the form that the ledger asks, or why they are refused.
    pub(crate) fn compile_constraints(
        &self,
        roles: &[String],
        constraints: Option<&wire::OfferConstraints>,
    ) -> Result<Arc<OfferConstraints>, String> {
        let Some(constraints) = constraints else {
            return Ok(Arc::default());
        };
        let named = constraints.role_constraints.keys();
        if let Some(role) = named.filter(|role| !roles.contains(role)).min() {
            return Err(format!(
                "Offer constraints specify `role_constraints` for a role '{role}' not contained in the set of roles"
            ));
        }
        OfferConstraints::compile(constraints, self.config.constraint_regex_limits)
            .map(Arc::new)
            .map_err(|error| format!("Offer constraints are not valid: {error}"))
    }
}
