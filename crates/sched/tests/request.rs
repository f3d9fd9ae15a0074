//! REQUEST: advice that changes which agent one gets, never whose turn it is, what is offered or what counts.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_sched::AgentIndex;
use proptest::prelude::*;
use support::{Lab, SECOND, a, f};

fn lab(agents: u32, frameworks: u32) -> Lab {
    let mut lab = Lab::new();
    for index in 0..agents {
        lab.sched
            .add_agent(a(index), support::agent("cpus:4;mem:4096"), &[]);
    }
    for index in 0..frameworks {
        lab.framework(index, &[&format!("role{}", index % 3)]);
    }
    lab
}

#[test]
fn the_agent_that_was_asked_for_comes_with_the_first_turn() {
    let mut lab = lab(10, 3);
    lab.sched.request(f(1), &[a(7)], lab.now + SECOND);
    let grants = lab.cycle();
    let first = grants.iter().find(|grant| grant.framework == f(1)).unwrap();
    assert_eq!(first.agent, a(7));
}

#[test]
fn advice_expires_and_can_be_taken_back() {
    for late in [false, true] {
        let mut lab = lab(10, 3);
        lab.sched.request(f(1), &[a(7)], lab.now + SECOND);
        if late {
            lab.pass(SECOND);
        } else {
            lab.sched.request(f(1), &[], lab.now + SECOND);
        }
        let grants = lab.cycle();
        let first = grants.iter().find(|grant| grant.framework == f(1)).unwrap();
        assert_ne!(first.agent, a(7));
    }
}

proptest! {
    #[test]
    fn requests_change_agents_but_neither_turns_nor_shares(
        agents in 1u32..30,
        frameworks in 1u32..6,
        wishes in prop::collection::vec((0u32..6, prop::collection::vec(0u32..30, 0..5)), 0..6),
        declines in 0u32..10,
    ) {
        let (mut plain, mut steered) = (lab(agents, frameworks), lab(agents, frameworks));
        for (framework, wished) in &wishes {
            let wished: Vec<AgentIndex> = wished.iter().copied().map(a).collect();
            steered.sched.request(f(*framework), &wished, steered.now + SECOND);
        }
        let (before, after) = (plain.cycle(), steered.cycle());
        let turns = |grants: &[mezz_sched::Grant]| -> Vec<_> {
            grants.iter().map(|grant| (grant.framework, grant.resources.clone())).collect()
        };
        prop_assert_eq!(turns(&before), turns(&after));
        prop_assert_eq!(plain.sched.shares(), steered.sched.shares());
        let mut offered: Vec<u32> = after.iter().map(|grant| grant.agent.0).collect();
        offered.sort_unstable();
        prop_assert_eq!(offered, (0..agents).collect::<Vec<_>>(), "each agent once");
        // What was declined stays declined, whatever is asked for.
        for grant in after.iter().take(declines as usize) {
            steered.decline(grant, 10 * SECOND);
            steered.sched.request(grant.framework, &[grant.agent], steered.now + SECOND);
            let again = steered.cycle();
            prop_assert!(again.iter().all(|new| (new.framework, new.agent) != (grant.framework, grant.agent)));
        }
    }
}
