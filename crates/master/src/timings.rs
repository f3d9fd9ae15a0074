//! How long things took, as Mesos shows it: the last value and the distribution of the recent ones.
//!
//! Written by whoever does the work, read by the metrics. It decides nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many of the latest samples make up a distribution.
const KEPT: usize = 1000;

const QUANTILES: &[(&str, f64)] = &[
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
    ("p9999", 0.9999),
];

/// The durations of one kind of work, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Series(Mutex<VecDeque<f64>>);

impl Series {
    /// Takes note of one.
    pub(crate) fn add(&self, took: Duration) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == KEPT {
            samples.pop_front();
        }
        samples.push_back(took.as_secs_f64() * 1e3);
    }

    /// The last one under `name`, the distribution below it; nothing before the first sample.
    pub(crate) fn show(&self, name: &str, mut show: impl FnMut(String, f64)) {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = samples.back().copied() else {
            return;
        };
        let mut sorted: Vec<f64> = samples.iter().copied().collect();
        drop(samples);
        sorted.sort_by(f64::total_cmp);
        show(name.to_owned(), last);
        show(format!("{name}/count"), sorted.len() as f64);
        show(format!("{name}/min"), sorted[0]);
        show(format!("{name}/max"), sorted[sorted.len() - 1]);
        for (quantile, part) in QUANTILES {
            show(format!("{name}/{quantile}"), interpolated(&sorted, *part));
        }
    }
}

/// Between two samples in proportion, as Mesos does it.
fn interpolated(sorted: &[f64], part: f64) -> f64 {
    let position = part * (sorted.len() - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in the list"
    )]
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - position.floor()) * (sorted[above] - sorted[below])
}

/// Everything that is timed.
#[derive(Debug, Default)]
pub(crate) struct Timings {
    /// One run of the allocator.
    pub(crate) allocation_run: Series,
    /// From when a run was due until it began.
    pub(crate) allocation_latency: Series,
}

impl Timings {
    /// Under Mesos's names.
    pub(crate) fn show(&self, mut show: impl FnMut(String, f64)) {
        self.allocation_run
            .show("allocator/mesos/allocation_run_ms", &mut show);
        self.allocation_latency
            .show("allocator/mesos/allocation_run_latency_ms", &mut show);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_and_the_distribution_of_all_are_shown() {
        let series = Series::default();
        let mut shown = Vec::new();
        series.show("x", |name, value| shown.push((name, value)));
        assert!(shown.is_empty());
        for took_ms in [4, 1, 3, 2] {
            series.add(Duration::from_millis(took_ms));
        }
        series.show("x", |name, value| shown.push((name, value)));
        let value = |wanted: &str| {
            let found = shown.iter().find(|(name, _)| name == wanted);
            found.expect("a value").1
        };
        for (name, expected) in [
            ("x", 2.0),
            ("x/count", 4.0),
            ("x/min", 1.0),
            ("x/max", 4.0),
            ("x/p50", 2.5),
            ("x/p90", 3.7),
        ] {
            assert!((value(name) - expected).abs() < 1e-9, "{name}");
        }
    }
}
