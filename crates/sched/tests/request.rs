//! REQUEST: advice that changes which agent one gets, never whose turn it is, what is offered or what counts.
#![allow(clippy::unwrap_used)]

mod support;

use mezz_resource::Quantities;
use mezz_sched::{AgentIndex, FrameworkIndex, Grant};
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
    lab.sched.request(f(1), &[a(7)], &[], lab.now + SECOND);
    let grants = lab.cycle();
    let first = grants.iter().find(|grant| grant.framework == f(1)).unwrap();
    assert_eq!(first.agent, a(7));
}

#[test]
fn advice_expires_and_can_be_taken_back() {
    for late in [false, true] {
        let mut lab = lab(10, 3);
        lab.sched.request(f(1), &[a(7)], &[], lab.now + SECOND);
        if late {
            lab.pass(SECOND);
        } else {
            lab.sched.request(f(1), &[], &[], lab.now + SECOND);
        }
        let grants = lab.cycle();
        let first = grants.iter().find(|grant| grant.framework == f(1)).unwrap();
        assert_ne!(first.agent, a(7));
    }
}

/// Agents alike in all that counts; every third has ports besides.
fn with_ports(agents: u32, frameworks: u32) -> Lab {
    let mut lab = lab(0, frameworks);
    for index in 0..agents {
        let ports = if has_ports(index) {
            ";ports:[31000-31009]"
        } else {
            ""
        };
        lab.agent(index, &format!("cpus:4;mem:4096{ports}"));
    }
    lab
}

const fn has_ports(agent: u32) -> bool {
    agent % 3 == 2
}

/// Who was offered how much, in the order of the turns.
fn turns(grants: &[Grant]) -> Vec<(FrameworkIndex, Quantities)> {
    let turn = |grant: &Grant| (grant.framework, grant.resources.quantities());
    grants.iter().map(turn).collect()
}

#[test]
fn agents_with_all_that_was_asked_for_come_first() {
    let mut lab = with_ports(9, 3);
    let ports = support::res("cpus:2;ports:[31003-31004]");
    let until = lab.now + SECOND;
    lab.sched.request(f(1), &[], &[ports], until);
    let grants = lab.cycle();
    let mut own = grants.iter().filter(|grant| grant.framework == f(1));
    assert!(own.all(|grant| has_ports(grant.agent.0)));
}

#[test]
fn what_no_agent_has_whole_steers_nothing() {
    for wanted in ["cpus:5", "ports:[31009-31010]", "cpus:1;gpus:1"] {
        let (mut plain, mut steered) = (with_ports(9, 3), with_ports(9, 3));
        let until = steered.now + SECOND;
        steered
            .sched
            .request(f(1), &[], &[support::res(wanted)], until);
        assert_eq!(plain.offers(), steered.offers(), "{wanted}");
    }
}

proptest! {
    #[test]
    fn a_request_for_resources_gets_them_first_and_takes_nobodys_turn(
        agents in 1u32..40,
        frameworks in 1u32..8,
        asking in prop::collection::btree_set(0u32..8, 1..4),
        rounds in 1usize..4,
    ) {
        let (mut plain, mut steered) = (with_ports(agents, frameworks), with_ports(agents, frameworks));
        let ports = support::res("ports:[31000-31001]");
        for framework in &asking {
            let until = steered.now + SECOND;
            steered.sched.request(f(*framework), &[], std::slice::from_ref(&ports), until);
        }
        for _ in 0..rounds {
            let (before, after) = (plain.cycle(), steered.cycle());
            prop_assert_eq!(turns(&before), turns(&after));
            prop_assert_eq!(plain.sched.shares(), steered.sched.shares());
            let mut left = (0..agents).filter(|agent| has_ports(*agent)).count();
            for grant in &after {
                let (got, asked) = (has_ports(grant.agent.0), asking.contains(&grant.framework.0));
                prop_assert!(got || !asked || left == 0, "others had it first only where nobody had asked");
                left -= usize::from(got);
            }
            for (lab, grants) in [(&mut plain, &before), (&mut steered, &after)] {
                for grant in grants {
                    lab.sched.recover(lab.now, grant.framework, grant.agent, &grant.resources, None);
                }
            }
        }
        // When it has run out, all is as if nobody had asked.
        plain.pass(SECOND);
        steered.pass(SECOND);
        prop_assert_eq!(plain.offers(), steered.offers());
    }

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
            steered.sched.request(f(*framework), &wished, &[], steered.now + SECOND);
        }
        let (before, after) = (plain.cycle(), steered.cycle());
        prop_assert_eq!(turns(&before), turns(&after));
        prop_assert_eq!(plain.sched.shares(), steered.sched.shares());
        let mut offered: Vec<u32> = after.iter().map(|grant| grant.agent.0).collect();
        offered.sort_unstable();
        prop_assert_eq!(offered, (0..agents).collect::<Vec<_>>(), "each agent once");
        // What was declined stays declined, whatever is asked for.
        for grant in after.iter().take(declines as usize) {
            steered.decline(grant, 10 * SECOND);
            steered.sched.request(grant.framework, &[grant.agent], &[], steered.now + SECOND);
            let again = steered.cycle();
            prop_assert!(again.iter().all(|new| (new.framework, new.agent) != (grant.framework, grant.agent)));
        }
    }
}
