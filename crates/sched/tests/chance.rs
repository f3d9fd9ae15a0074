//! The random sorter: shares of turns that follow the weights, from a seed that is part of the state.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{Config, Sorter};
use proptest::prelude::*;
use std::collections::BTreeMap;
use support::{Lab, a, f};

const AGENTS: u32 = 2_000;

fn lab(roles: Sorter, frameworks: Sorter, seed: u64) -> Lab {
    let mut lab = Lab::with(Config {
        role_sorter: roles,
        framework_sorter: frameworks,
        ..Config::default()
    });
    lab.sched.seed(seed);
    for index in 0..AGENTS {
        lab.sched
            .add_agent(a(index), support::agent("cpus:4;mem:4096"), &[]);
    }
    lab
}

/// How many agents each framework was offered in one cycle.
fn counts(lab: &mut Lab) -> BTreeMap<u32, f64> {
    let mut counts = BTreeMap::new();
    for grant in lab.cycle() {
        *counts.entry(grant.framework.0).or_insert(0.0) += 1.0 / f64::from(AGENTS);
    }
    counts
}

fn is_near(counts: &BTreeMap<u32, f64>, framework: u32, wanted: f64) -> bool {
    // Five standard deviations of the mean of so many draws.
    let spread = 5.0 * (wanted * (1.0 - wanted) / f64::from(AGENTS)).sqrt();
    (counts.get(&framework).copied().unwrap_or(0.0) - wanted).abs() <= spread
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn roles_are_drawn_by_their_weights_at_each_level(seed: u64, weight in 1u8..8) {
        let mut lab = lab(Sorter::Random, Sorter::Random, seed);
        lab.framework(0, &["a"]).framework(1, &["b/x"]).framework(2, &["b"]);
        lab.sched.set_weight("a", f64::from(weight)).unwrap();
        lab.sched.set_weight("b/x", 3.0).unwrap();
        let counts = counts(&mut lab);
        let b = 1.0 / (1.0 + f64::from(weight));
        prop_assert!(is_near(&counts, 0, 1.0 - b), "{counts:?}");
        prop_assert!(is_near(&counts, 1, b * 0.75), "{counts:?}");
        prop_assert!(is_near(&counts, 2, b * 0.25), "{counts:?}");
    }

    #[test]
    fn the_frameworks_of_a_role_are_drawn_evenly(seed: u64) {
        let mut lab = lab(Sorter::Drf, Sorter::Random, seed);
        lab.framework(0, &["a"]).framework(1, &["a"]).framework(2, &["a"]).framework(3, &["b"]);
        let counts = counts(&mut lab);
        for framework in 0..3 {
            prop_assert!(is_near(&counts, framework, 1.0 / 6.0), "{counts:?}");
        }
        prop_assert!((counts[&3] - 0.5).abs() < 0.01, "roles go by share: {counts:?}");
    }

    #[test]
    fn the_same_seed_draws_the_same(seed: u64) {
        let draw = |seed| {
            let mut lab = lab(Sorter::Random, Sorter::Random, seed);
            lab.framework(0, &["a"]).framework(1, &["b"]);
            lab.offers()
        };
        prop_assert_eq!(draw(seed), draw(seed));
    }
}

#[test]
fn one_who_declines_is_passed_over_for_another_draw() {
    let mut lab = lab(Sorter::Random, Sorter::Random, 7);
    lab.framework(0, &["a"]).framework(1, &["b"]);
    for grant in lab.cycle() {
        lab.decline(&grant, 1_000_000_000_000);
    }
    let grants = lab.cycle();
    assert_eq!(grants.len(), AGENTS as usize);
    for grant in &grants {
        lab.sched.recover(
            lab.now,
            grant.framework,
            grant.agent,
            &grant.resources,
            Some(1_000_000_000_000),
        );
    }
    assert!(lab.cycle().is_empty(), "everybody has declined everything");
    lab.sched.remove_framework(f(0));
    assert!(lab.cycle().is_empty());
}
