//! `/v2/queue`: apps that want more instances than have a place, since when, and why.

use mezz_proto::v1::TaskState;
use mezz_spec::{Kind, Name};
use mezz_state::time::{SECOND_NS, Wall};
use mezz_workload::call::{Call, Reply};
use mezz_workload::placing::{Lack, NoPlace, NoPlaces};
use mezz_workload::records::{ObjectRecord, Status};
use serde_json::{Value, json};

use super::standing::Standing;
use super::{allow, errors, info, nothing_here};
use crate::answer::Answer;
use crate::instant::zulu;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::World;

/// An app that waits.
#[derive(Clone, Debug)]
struct Waiting {
    name: Name,
    count: usize,
    since: Wall,
    /// Until then nothing of it is started, because it failed.
    until: Option<Wall>,
}

fn waiting(world: &World<'_>, standing: &Standing<'_>, record: &ObjectRecord) -> Option<Waiting> {
    let Status::Service(status) = &record.status else {
        return None;
    };
    let present = standing
        .instances(record.key)
        .iter()
        .filter(|instance| instance.ending.is_none() && instance.state != TaskState::TaskLost)
        .count();
    let wanted = usize::try_from(status.wanted).unwrap_or(usize::MAX);
    let count = wanted.saturating_sub(present);
    let since = status
        .last_failure
        .as_ref()
        .map_or(record.changed_at, |failure| {
            failure.at.max(record.changed_at)
        });
    (count > 0).then(|| Waiting {
        name: record.name.clone(),
        count,
        since,
        until: status.backoff_until.filter(|until| *until > world.now),
    })
}

/// What comes after `/v2/queue`.
pub(super) fn handle(
    request: &Request,
    world: &World<'_>,
    parts: &[&str],
) -> Result<Outcome, Answer> {
    match parts {
        [] => {
            allow(request, &["GET"])?;
            let with_offers = request
                .parameters("embed")
                .any(|name| name == "lastUnusedOffers");
            let standing = Standing::of_all(world);
            let list: Vec<Waiting> = world
                .of_kind(Kind::Service)
                .filter_map(|record| waiting(world, &standing, record))
                .collect();
            let names = list.iter().map(|one| one.name.clone()).collect();
            let then = move |found: Vec<NoPlaces>, world: &World<'_>| {
                let found = found
                    .into_iter()
                    .chain(std::iter::repeat_with(NoPlaces::default));
                let queue: Vec<Value> = list
                    .iter()
                    .zip(found)
                    .filter_map(|(one, found)| item(world, one, &found, with_offers))
                    .collect();
                Answer::json(json!({ "queue": queue })).into()
            };
            Ok(Outcome::NoPlaces(names, Box::new(then)))
        }
        [id @ .., "delay"] if !id.is_empty() => {
            allow(request, &["DELETE"])?;
            let path = format!("/{}", id.join("/"));
            let name = Name::new(&path).map_err(|_| errors::no_app(&path))?;
            let record = world.object(Kind::Service, &name);
            let waits = record.is_some_and(|record| {
                let standing = Standing::of_one(world, record.key);
                waiting(world, &standing, record).is_some()
            });
            if !waits {
                let message = format!("Application {name} not found in tasks queue.");
                return Err(Answer::message(404, message));
            }
            let call = Call::ResetBackoff { name };
            Ok(Outcome::call(
                call,
                |reply: &Reply, world: &World<'_>| match errors::applied(reply, world) {
                    Ok(_) => Answer::empty(204).into(),
                    Err(answer) => answer.into(),
                },
            ))
        }
        _ => Err(nothing_here(request)),
    }
}

/// An item. The scheduler looks at all agents at once, so that each stands for one offer that was looked at.
fn item(world: &World<'_>, one: &Waiting, found: &NoPlaces, with_offers: bool) -> Option<Value> {
    let record = world.object(Kind::Service, &one.name)?;
    let left = one.until.map_or(0, |until| {
        until.0.saturating_sub(world.now.0).div_ceil(SECOND_NS)
    });
    let rejects = funnel(found);
    let unused: usize = found.counts.iter().map(|(_, count)| count).sum();
    let mut summary = json!({
        "processedOffersCount": found.agents,
        "unusedOffersCount": unused,
        "rejectSummaryLastOffers": rejects,
        "rejectSummaryLaunchAttempt": rejects,
    });
    if unused > 0 {
        summary["lastUnusedOfferAt"] = zulu(world.now).into();
    }
    let instances = world.instances(record.key);
    if let Some(last) = instances.iter().map(|instance| instance.created_at).max() {
        summary["lastUsedOfferAt"] = zulu(last).into();
    }
    let mut item = json!({
        "app": info::plain(record)?,
        "count": one.count,
        "since": zulu(one.since),
        "delay": { "timeLeftSeconds": left, "overdue": left == 0 },
        "processedOffersSummary": summary,
    });
    if with_offers {
        item["lastUnusedOffers"] = found
            .examples
            .iter()
            .map(|example| unused_offer(world, example))
            .collect();
    }
    Some(item)
}

/// An agent that was looked at, in the form of the offer that Marathon would have had of it.
fn unused_offer(world: &World<'_>, example: &NoPlace) -> Value {
    json!({
        "offer": {
            "id": example.agent,
            "agentId": example.agent,
            "hostname": example.hostname,
            "resources": [],
            "attributes": [],
        },
        "reason": [word(example.lack)],
        "timestamp": zulu(world.now),
    })
}

/// The order in which Marathon looks at an offer: what an earlier reason declined, a later one does not see.
const FUNNEL: [Lack; 10] = [
    Lack::Role,
    Lack::Rule,
    Lack::Reserved,
    Lack::Closed,
    Lack::Cpus,
    Lack::Mem,
    Lack::Disk,
    Lack::Gpus,
    Lack::Ports,
    Lack::Other,
];

const fn word(lack: Lack) -> &'static str {
    match lack {
        Lack::Role => "UnfulfilledRole",
        Lack::Rule => "UnfulfilledConstraint",
        Lack::Reserved => "NoCorrespondingReservationFound",
        Lack::Closed => "AgentMaintenance",
        Lack::Cpus => "InsufficientCpus",
        Lack::Mem => "InsufficientMemory",
        Lack::Disk => "InsufficientDisk",
        Lack::Gpus => "InsufficientGpus",
        Lack::Ports => "InsufficientPorts",
        Lack::Other => "DeclinedScarceResources",
    }
}

fn funnel(found: &NoPlaces) -> Vec<Value> {
    let mut left = found.agents;
    let mut rejects = Vec::new();
    for lack in FUNNEL {
        let counted = found.counts.iter().find(|(own, _)| *own == lack);
        let declined = counted.map_or(0, |(_, count)| *count);
        rejects.push(json!({ "reason": word(lack), "declined": declined, "processed": left }));
        left = left.saturating_sub(declined);
    }
    rejects
}
