//! Automatic scaling: how many instances the measured averages ask for, within bounds and not too often.

use mezz_spec::service::{Autoscale, Replicas};
use mezz_state::time::Wall;

use crate::effect::Effects;
use crate::key::ObjectKey;
use crate::service::revisions::as_service;
use crate::service::state::{Count, Scaling};
use crate::workloads::Workloads;

/// So far from the target, in thousandths of it, nothing is done.
const TOLERANCE: u64 = 100;

/// How many instances `ready` ones with these averages ask for; none when nothing was measured.
pub(crate) fn asked(bounds: &Autoscale, averages: &[Option<u64>], ready: u32) -> Option<u32> {
    bounds
        .metrics
        .iter()
        .zip(averages)
        .filter_map(|(metric, average)| Some(asked_by(metric.target.0, (*average)?, ready)))
        .max()
}

fn asked_by(target: u64, average: u64, ready: u32) -> u32 {
    let target = target.max(1);
    let distance = average.abs_diff(target);
    if u128::from(distance) * 1_000 <= u128::from(target) * u128::from(TOLERANCE) {
        return ready;
    }
    let total = u128::from(ready) * u128::from(average);
    u32::try_from(total.div_ceil(u128::from(target))).unwrap_or(u32::MAX)
}

impl Scaling {
    /// Takes a measurement; whether the number changed.
    pub(crate) fn take(
        &mut self,
        bounds: &Autoscale,
        averages: Vec<Option<u64>>,
        ready: u32,
        now: Wall,
    ) -> bool {
        let asked = asked(bounds, &averages, ready);
        self.averages = averages;
        let present = self
            .count
            .unwrap_or(bounds.min)
            .clamp(bounds.min, bounds.max.max(bounds.min));
        let Some(asked) = asked.filter(|_| ready > 0) else {
            return false;
        };
        let asked = asked.clamp(bounds.min, bounds.max.max(bounds.min));
        let rested = |at: Option<Wall>, rest_ns: u64| {
            at.is_none_or(|at| now.0.saturating_sub(at.0) >= rest_ns)
        };
        let last = self.up_at.max(self.down_at);
        let may = if asked > present {
            rested(last, bounds.cooldown_up.nanoseconds())
        } else {
            asked < present && rested(last, bounds.cooldown_down.nanoseconds())
        };
        if !may {
            return false;
        }
        self.count = Some(asked);
        if asked > present {
            self.up_at = Some(now);
        } else {
            self.down_at = Some(now);
        }
        true
    }
}

/// What was measured of a service.
pub(crate) fn on_metrics(
    w: &mut Workloads,
    key: ObjectKey,
    averages: Vec<Option<u64>>,
    effects: &mut Effects,
) {
    let now = w.wall();
    let Some(spec) = w.service_spec(key) else {
        return;
    };
    let Replicas::Autoscale(bounds) = &as_service(&spec).replicas else {
        return;
    };
    // While a rollout goes on, the averages are those of two generations.
    if w.active_rollout(key).is_some() || w.records.is_frozen() {
        return;
    }
    let Some(state) = w.service_mut(key) else {
        return;
    };
    let (new, old) = state.sides();
    let ready = new.serving + old.serving;
    if state.durable.scaling.take(bounds, averages, ready, now) {
        w.write_service(key, effects);
        super::wake(w, key);
    }
}

/// How many instances the spec wants now.
pub(crate) fn count(w: &Workloads, key: ObjectKey) -> Count {
    let wanted = w.wanted(key);
    match w.service_spec(key).as_deref().map(as_service) {
        None => Count::Nothing,
        Some(spec) => match spec.replicas {
            Replicas::Count(_) => Count::Fixed(wanted),
            Replicas::PerNode(_) => Count::PerNode,
            Replicas::Autoscale(_) => Count::Scaled(wanted),
        },
    }
}

/// A service that was given bounds starts from the number that it had.
pub(crate) fn begin(w: &mut Workloads, key: ObjectKey, before: Count) {
    let Some(spec) = w.service_spec(key) else {
        return;
    };
    let is_scaled = matches!(as_service(&spec).replicas, Replicas::Autoscale(_));
    if let Some(state) = w.service_mut(key) {
        let scaling = &mut state.durable.scaling;
        if !is_scaled {
            *scaling = Scaling::default();
        } else if scaling.count.is_none() {
            scaling.count = match before {
                Count::Fixed(count) => Some(count),
                _ => None,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mezz_spec::quantity::{Span, Thousandths};
    use mezz_spec::service::{Metric, MetricSource};

    fn bounds() -> Autoscale {
        Autoscale {
            min: 2,
            max: 10,
            metrics: vec![Metric {
                of: MetricSource::Cpu,
                target: Thousandths(60_000),
            }],
            cooldown_down: Span::seconds(300),
            cooldown_up: Span::seconds(30),
        }
    }

    #[test]
    fn twice_the_target_asks_for_twice_as_many_and_a_little_more_for_nothing() {
        assert_eq!(asked(&bounds(), &[Some(120_000)], 3), Some(6));
        assert_eq!(asked(&bounds(), &[Some(64_000)], 3), Some(3));
        assert_eq!(asked(&bounds(), &[Some(10_000)], 3), Some(1));
        assert_eq!(asked(&bounds(), &[None], 3), None);
    }

    #[test]
    fn steps_come_no_sooner_than_their_rest_and_stay_within_the_bounds() {
        let mut scaling = Scaling::default();
        let second = 1_000_000_000;
        assert!(scaling.take(&bounds(), vec![Some(600_000)], 2, Wall(second)));
        assert_eq!(scaling.count, Some(10));
        assert!(!scaling.take(&bounds(), vec![Some(1)], 10, Wall(200 * second)));
        assert!(scaling.take(&bounds(), vec![Some(1)], 10, Wall(302 * second)));
        assert_eq!(scaling.count, Some(2));
    }
}
