//! `POST /v1/plan`: what an apply would do, object by object, and where instances would go.

use http::Method;
use mezz_core::effect::Reply;
use mezz_core::event::Event;
use mezz_http::{Request, Response, respond};
use mezz_spec::diff;
use mezz_workload::call::{ApplyMode, Reply as WorkReply};
use mezz_workload::plan::{Fires, Place, Placing, Plan, Planned};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::super::given::Given;
use super::super::parameters;
use super::super::problems::{allow, refused};
use super::super::values::rfc3339;
use super::{answers, conflict, objects, secrets};
use crate::shared::Shared;

/// Each plan is tried in a copy of the master's state: more at once would only take its memory.
static PLANS: Semaphore = Semaphore::const_new(2);

/// Asks the core to try it.
pub(in super::super) async fn plan(
    shared: &Shared,
    request: &mut Request,
) -> Result<Response, Response> {
    allow(request, &[Method::POST])?;
    let given = Given::check(&request.query(), &[parameters::CONFLICT])?;
    let conflict = conflict(&given);
    let mut objects = objects(request).await?;
    let kept = secrets::take_values(shared, &mut objects, ApplyMode::DryRun).await?;
    let room = PLANS.acquire().await;
    let _room = room.expect("nobody closes what is static");
    let reply = shared
        .call(|request| Event::Plan {
            request,
            objects,
            conflict,
        })
        .await;
    secrets::release(shared, &kept);
    match reply {
        Reply::Planned(plan) => Ok(respond::json(json(&plan).to_string())),
        Reply::Work(reply) => match *reply {
            WorkReply::Refused(refusal) => Err(answers::refusal(&refusal)),
            other => Ok(respond::json(answers::reply(&other).to_string())),
        },
        other => Err(refused(other)),
    }
}

fn json(plan: &Plan) -> Value {
    json!({ "objects": plan.objects.iter().map(planned).collect::<Vec<_>>() })
}

fn planned(one: &Planned) -> Value {
    let (first_run, refusal) = match &one.first_run {
        None => (Value::Null, Value::Null),
        Some(Ok(found)) => (placing(found), Value::Null),
        Some(Err(why)) => (Value::Null, json!(why)),
    };
    json!({
        "kind": one.kind.word(),
        "name": one.name.as_str(),
        "generation": one.generation,
        "change": one.change.map_or("affected", answers::change),
        "changes": changes(one),
        "now": placing(&one.now),
        "follow": one.follow,
        "fires": match &one.fires {
            Fires::NoCron => Value::Null,
            Fires::Disabled => json!([]),
            Fires::At(times) => times.iter().map(|at| rfc3339(*at)).collect(),
        },
        "first_run": first_run,
        "first_run_refused": refusal,
    })
}

/// Fields that change, as JSON pointers into the object; none of an object that is new.
fn changes(one: &Planned) -> Value {
    let Some((old, old_labels)) = &one.old else {
        return json!([]);
    };
    let (new, new_labels) = &one.new;
    let mut list: Vec<Value> = Vec::new();
    for key in old_labels.keys().chain(new_labels.keys()) {
        let (old, new) = (old_labels.get(key), new_labels.get(key));
        let path = format!("/labels/{}", key.replace('~', "~0").replace('/', "~1"));
        let entry = json!({ "path": path, "old": old, "new": new });
        if old != new && !list.contains(&entry) {
            list.push(entry);
        }
    }
    list.extend(diff::diff(old, new).into_iter().map(|change| {
        json!({ "path": format!("/spec{}", change.path), "old": change.old, "new": change.new })
    }));
    Value::Array(list)
}

fn placing(placing: &Placing) -> Value {
    json!({
        "count": placing.count,
        "places": placing.places.iter().map(place).collect::<Vec<_>>(),
        "ends": placing.ends.iter().map(place).collect::<Vec<_>>(),
        "waiting": placing.waiting,
        "reasons": placing.reasons,
    })
}

fn place(place: &Place) -> Value {
    json!({
        "number": place.number,
        "agent_id": &*place.agent.id,
        "hostname": &*place.agent.hostname,
        "ports": place.ports,
    })
}
