//! What demands cost follows what is placed and what changed, not how much is wanted or how many agents there are.
#![allow(clippy::unwrap_used)]

mod support;

use support::{Lab, demand};

fn cluster(agents: u32) -> Lab {
    let mut lab = Lab::new();
    for index in 0..agents {
        lab.sched
            .add_agent(support::a(index), support::agent("cpus:16;mem:65536"), &[]);
    }
    lab
}

fn scans(lab: &mut Lab, act: impl FnOnce(&mut Lab)) -> u64 {
    let before = lab.sched.demand_scans();
    act(lab);
    lab.sched.allocate(lab.now, &mut Vec::new());
    lab.sched.demand_scans() - before
}

#[test]
fn all_agents_are_looked_at_once_for_a_demand_however_much_is_wanted() {
    let mut lab = cluster(1_000);
    let wanted = demand("team", "cpus:1;mem:1024", 1_000_000);
    let once = scans(&mut lab, |lab| {
        lab.sched
            .set_demand(support::NATIVE, mezz_sched::DemandKey(1), wanted);
    });
    assert_eq!((once, lab.placed().len()), (1, 16_000));
    lab.sched.check_integrity().unwrap();
}

#[test]
fn a_demand_that_fits_nowhere_is_looked_at_again_only_where_something_changed() {
    let mut lab = cluster(200);
    let placed = lab
        .want(1, demand("team", "cpus:1;mem:1024", 1_000_000))
        .place();
    assert_eq!(scans(&mut lab, |_| ()), 0);
    let again = scans(&mut lab, |lab| {
        for own in &placed[..50] {
            lab.end(own);
        }
    });
    assert_eq!((again, lab.placed().len()), (0, 50));
}

#[test]
fn equal_demands_share_what_is_known_of_the_agents() {
    let mut lab = cluster(100);
    let once = scans(&mut lab, |lab| {
        for key in 0..500 {
            lab.want(key, demand("team", "cpus:1;mem:1024", 1));
        }
    });
    assert_eq!((once, lab.placed().len()), (1, 500));
}
