//! The weights of roles.

use crate::scheduler::Scheduler;
use crate::share::UNIT_WEIGHT;
use thiserror::Error;

/// Why a weight is refused.
#[derive(Debug, Clone, PartialEq, Error)]
#[error(
    "Invalid weight '{weight}' of role '{role}': it must be positive, at most 1000000000, and not below 0.000001"
)]
pub struct WeightError {
    /// The role.
    pub role: String,
    /// The weight at fault.
    pub weight: f64,
}

impl Scheduler {
    /// Sets the weight of a role among its siblings; 1 is the default.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // bounded just before
    pub fn set_weight(&mut self, role: &str, weight: f64) -> Result<(), WeightError> {
        let millionths = weight * UNIT_WEIGHT as f64;
        if !(1.0..=1.0e15).contains(&millionths) {
            return Err(WeightError {
                role: role.to_owned(),
                weight,
            });
        }
        let index = self.roles.intern(role);
        self.roles.set_weight(index, millionths.round() as u64);
        self.roles.prune(index);
        Ok(())
    }

    /// The weight of a role.
    pub fn weight(&self, role: &str) -> f64 {
        let weight = self
            .roles
            .find(role)
            .map_or(UNIT_WEIGHT, |index| self.roles.node(index).weight);
        weight as f64 / UNIT_WEIGHT as f64
    }
}
