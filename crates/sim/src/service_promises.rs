//! What a service is promised, looked at after each event: never more instances than its update allows, and none that
//! serves is ended before there are enough others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mezz_core::Master;
use mezz_core::event::Event;
use mezz_spec::Spec;
use mezz_spec::service::{Replicas, Rolling, Service, Strategy};
use mezz_workload::key::{InstanceKey, ObjectKey};
use mezz_workload::records::{Ending, InstanceRecord, Owner, Phase, Records};

/// `event` is what happened: an instance that it speaks of may have stopped serving before it was ended, or somebody
/// asked for the end of just that one.
pub(crate) fn check(
    before: &Records,
    core: &Master,
    event: &Event,
    let_go: &BTreeSet<String>,
) -> Result<(), String> {
    let after = &core.records().work;
    let (started, ended) = acts(before, after, event);
    let over = if started.is_empty() {
        BTreeSet::new()
    } else {
        ended_tasks(core)
    };
    let is_gone = |id: &str| over.contains(id) || let_go.contains(id);
    for (object, fresh) in started {
        check_cap(after, object, &fresh, is_gone)?;
    }
    for object in ended {
        check_floor(after, object)?;
    }
    Ok(())
}

/// What was started, by service.
type Started = BTreeMap<ObjectKey, Vec<InstanceKey>>;

/// Services of which something was started, and those of which something that served was ended for us.
fn acts(before: &Records, after: &Records, event: &Event) -> (Started, BTreeSet<ObjectKey>) {
    let (mut started, mut ended) = (Started::new(), BTreeSet::new());
    for (slot, record) in after.instances.iter() {
        if !matches!(record.owner, Owner::Service { .. }) {
            continue;
        }
        let known = before.instances.get(slot);
        match known.filter(|known| known.id == record.id) {
            None => started.entry(record.object).or_default().push(record.key),
            Some(known) => {
                let is_ours = matches!(record.ending, Some(Ending::Replaced | Ending::ScaledDown));
                let served = known.ending.is_none() && serves(known);
                if served && is_ours && record.phase != Phase::Unreachable {
                    // Statuses are heard together, so that the event itself may not name them.
                    let is_news = known.check != record.check || known.healthy != record.healthy;
                    let is_about = || is_news || format!("{event:?}").contains(&*record.id);
                    if !ended.contains(&record.object) && !is_about() {
                        ended.insert(record.object);
                    }
                }
            }
        }
    }
    (started, ended)
}

fn serves(record: &InstanceRecord) -> bool {
    record.ready && !record.parked && record.ending.is_none()
}

fn instances(records: &Records, object: ObjectKey) -> impl Iterator<Item = &Arc<InstanceRecord>> {
    records
        .instances
        .iter()
        .map(|(_, record)| record)
        .filter(move |record| record.object == object)
}

/// A service that is not deleted, its spec, and whether it is being updated.
fn service(records: &Records, object: ObjectKey) -> Option<(&str, &Service, bool)> {
    let record = records.objects.get(object.index())?;
    let Spec::Service(service) = &*record.spec else {
        return None;
    };
    let is_rolling = records
        .rollouts
        .iter()
        .any(|(_, rollout)| rollout.object == object && rollout.state.is_active());
    (record.deleted_at.is_none()).then_some((record.name.as_str(), service, is_rolling))
}

/// So many may be missing and so many be there in addition.
fn leeway(service: &Service, wanted: u32) -> (u32, u32) {
    let rolling = |rolling: &Rolling| {
        let surge = rolling.max_surge.of_rounded_up(wanted);
        let missing = rolling.max_unavailable.of_rounded_down(wanted);
        (missing.max(u32::from(surge == 0)), surge)
    };
    match &service.update.strategy {
        Strategy::Rolling(own) => rolling(own),
        Strategy::Canary(canary) => rolling(&canary.rolling),
        Strategy::Recreate => (wanted, 0),
        Strategy::BlueGreen(_) => (0, wanted),
    }
}

/// Tasks that have ended, of which their last status has yet to be told.
fn ended_tasks(core: &Master) -> BTreeSet<&str> {
    let tasks = core.records().tasks.iter().map(|(_, task)| task);
    let ended = tasks.filter(|task| mezz_core::is_terminal(task.state));
    ended.map(|task| &*task.id).collect()
}

fn check_cap(
    records: &Records,
    object: ObjectKey,
    fresh: &[InstanceKey],
    is_gone: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let Some((name, service, is_rolling)) = service(records, object) else {
        return Ok(());
    };
    let there: Vec<_> = instances(records, object)
        .filter(|one| one.phase != Phase::Unreachable && one.ending != Some(Ending::Expunged))
        .filter(|one| !is_gone(&one.id))
        .collect();
    let Replicas::Count(wanted) = service.replicas else {
        return one_on_each(name, fresh, &there);
    };
    let surge = if is_rolling {
        leeway(service, wanted).1
    } else {
        0
    };
    let count = there.len();
    if count > (wanted + surge) as usize {
        return Err(format!(
            "service {name} wants {wanted} and may have {surge} more, and there are {count}: {:?}",
            there
                .iter()
                .map(|one| (&one.id, one.phase, one.ending))
                .collect::<Vec<_>>()
        ));
    }
    Ok(())
}

fn one_on_each(
    name: &str,
    fresh: &[InstanceKey],
    there: &[&Arc<InstanceRecord>],
) -> Result<(), String> {
    for one in there.iter().filter(|one| fresh.contains(&one.key)) {
        let mut others = there.iter().filter(|other| other.key != one.key);
        if let Some(other) = others.find(|other| other.agent.id == one.agent.id) {
            return Err(format!(
                "service {name} has {} and {} on agent {}",
                other.id, one.id, one.agent.id
            ));
        }
    }
    Ok(())
}

fn check_floor(records: &Records, object: ObjectKey) -> Result<(), String> {
    let Some((name, service, is_rolling)) = service(records, object) else {
        return Ok(());
    };
    let Replicas::Count(wanted) = service.replicas else {
        return Ok(());
    };
    let missing = if is_rolling {
        leeway(service, wanted).0
    } else {
        0
    };
    let serving = instances(records, object).filter(|one| serves(one)).count();
    if serving < wanted.saturating_sub(missing) as usize {
        return Err(format!(
            "service {name} wants {wanted}, of which {missing} may be missing: one that served was ended, and {serving} serve"
        ));
    }
    Ok(())
}
