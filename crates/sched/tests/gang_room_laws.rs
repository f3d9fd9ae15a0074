//! Whatever runs: work ends for a gang only if the gang is there afterwards, it is of lower priority and may end, and
//! without any one of those that end the gang would not be there.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::{Demand, DemandKey, DemandPlacement, Eviction, GroupKey, Preemption, Scheduler};
use proptest::prelude::*;
use std::collections::BTreeSet;
use support::{Lab, NATIVE, SECOND, a, agent, demand};

const GANG: DemandKey = DemandKey(100);

/// Work of one demand: priority, cpus, how many, whether it may end.
type Work = (i32, u32, u64, bool);

fn scene(agents: &[u32], work: &[Work], gang: (i32, u32, u64)) -> (Lab, Vec<DemandPlacement>) {
    let mut lab = Lab::new();
    for (index, cpus) in (0..).zip(agents) {
        let spec = agent(&format!("cpus:{cpus};mem:{}", cpus * 100));
        lab.sched.add_agent(a(index), spec, &[]);
    }
    let mut running = Vec::new();
    for (key, (priority, cpus, count, preemptible)) in (0..).zip(work) {
        let role = if key % 5 == 4 { "other" } else { "team" };
        let stated = Demand {
            priority: *priority,
            preemptible: *preemptible,
            group: GroupKey(key),
            ..demand(role, &format!("cpus:{cpus};mem:10"), *count)
        };
        lab.want(key, stated);
        running.extend(lab.place());
        lab.sched.withdraw(DemandKey(key));
    }
    let (priority, cpus, count) = gang;
    let stated = Demand {
        priority,
        gang: true,
        group: GroupKey(100),
        preempts: Preemption::LowerPriority,
        ..demand("team", &format!("cpus:{cpus};mem:10"), count)
    };
    lab.sched.set_demand(NATIVE, GANG, stated);
    (lab, running)
}

fn evictions(sched: &mut Scheduler) -> Vec<Eviction> {
    std::iter::from_fn(|| sched.take_eviction()).collect()
}

/// How many of the gang are placed once all of these but one have ended.
fn placed_without(
    lab: &Lab,
    running: &[DemandPlacement],
    ended: &BTreeSet<u64>,
    but: Option<u64>,
) -> usize {
    let mut sched = lab.sched.clone();
    for own in running {
        let number = own.instance.0;
        if ended.contains(&number) && Some(number) != but {
            sched.instance_removed(own.instance);
            sched.release(lab.now, own.framework, own.agent, &own.resources);
        }
    }
    sched.allocate(lab.now + SECOND / 2, &mut Vec::new());
    sched.check_integrity().unwrap();
    let placed = std::iter::from_fn(|| sched.take_placement());
    placed.filter(|own| own.demand == GANG).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn what_ends_for_a_gang_is_enough_and_not_too_much(
        agents in prop::collection::vec(2u32..9, 1..6),
        work in prop::collection::vec((-2i32..4, 1u32..5, 1u64..6, prop::bool::weighted(0.8)), 0..8),
        gang in (0i32..5, 1u32..4, 1u64..9),
    ) {
        let (mut lab, running) = scene(&agents, &work, gang);
        lab.cycle();
        let placed = lab.placed();
        let told = evictions(&mut lab.sched);
        let ended: BTreeSet<u64> =
            told.iter().flat_map(|own| &own.victims).map(|victim| victim.0).collect();
        prop_assert!(placed.is_empty() || ended.is_empty());
        for own in running.iter().filter(|own| ended.contains(&own.instance.0)) {
            let key = own.demand.0;
            let (priority, _, _, preemptible) = work[usize::try_from(key).unwrap()];
            prop_assert!(priority < gang.0 && preemptible && key % 5 != 4);
        }
        if ended.is_empty() {
            // Then it would not have helped to end all that may end.
            let may_end: BTreeSet<u64> = running
                .iter()
                .filter(|own| {
                    let key = own.demand.0;
                    let (priority, _, _, preemptible) = work[usize::try_from(key).unwrap()];
                    priority < gang.0 && preemptible && key % 5 != 4
                })
                .map(|own| own.instance.0)
                .collect();
            let most = placed_without(&lab, &running, &may_end, None);
            prop_assert_eq!(most, 0, "it would have fitted");
            return Ok(());
        }
        let whole = usize::try_from(gang.2).unwrap();
        prop_assert_eq!(placed_without(&lab, &running, &ended, None), whole);
        for victim in &ended {
            let without = placed_without(&lab, &running, &ended, Some(*victim));
            prop_assert_eq!(without, 0, "{} need not have ended", victim);
        }
        // The highest priority among them is the lowest that suffices.
        let highest = running
            .iter()
            .filter(|own| ended.contains(&own.instance.0))
            .map(|own| work[usize::try_from(own.demand.0).unwrap()].0)
            .max()
            .unwrap();
        let lower: BTreeSet<u64> = running
            .iter()
            .filter(|own| {
                let key = own.demand.0;
                let (priority, _, _, preemptible) = work[usize::try_from(key).unwrap()];
                priority < highest && preemptible && key % 5 != 4
            })
            .map(|own| own.instance.0)
            .collect();
        let (fresh, running) = scene(&agents, &work, gang);
        fresh.sched.check_integrity().unwrap();
        prop_assert_eq!(placed_without(&fresh, &running, &lower, None), 0, "lower ones suffice");
        lab.cycle();
        prop_assert!(evictions(&mut lab.sched).is_empty(), "once is enough");
    }
}
