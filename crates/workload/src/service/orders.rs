//! What users order a rollout to do: begin anew, stand still, go on, end where it is.

use std::sync::Arc;

use mezz_spec::{Kind, Name};

use crate::call::{Applied, Change, Conflict, Lasting, Refusal, Reply};
use crate::effect::Effects;
use crate::job::why::moment;
use crate::key::ObjectKey;
use crate::records::{Pause, RolloutState};
use crate::workloads::Workloads;

fn not_rolling(name: &Name, wanted: &str) -> Refusal {
    Refusal::Conflict {
        message: format!("service {name} has no rollout {wanted}"),
        rollouts: Vec::new(),
    }
}

/// New instances of the same generation.
pub(crate) fn restart(
    w: &mut Workloads,
    name: &Name,
    conflict: Conflict,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let service = w.key_or_refusal(Kind::Service, name)?;
    if conflict == Conflict::Reject {
        w.refuse_rollouts(&[service])?;
    }
    let (generation, spec) = {
        let object = w.object_at(service).expect("it was just found");
        (object.generation, Arc::clone(&object.spec))
    };
    let inherited = w.inherited(name);
    let materials = w.materials(super::revisions::as_service(&spec));
    w.end_rollout(
        service,
        RolloutState::Superseded,
        "the service was restarted",
        effects,
    );
    if let Some(state) = w.service_mut(service) {
        state.durable.target = state
            .durable
            .add_revision(generation, spec, inherited, materials);
    }
    let rollout = w.begin_rollout(service, Some(generation), effects);
    w.write_service(service, effects);
    super::wake(w, service);
    let id = rollout
        .and_then(|key| w.rollout(key))
        .map(|rollout| rollout.id.to_string());
    Ok(Reply::Applied(vec![Applied {
        kind: Kind::Service,
        name: name.clone(),
        generation,
        change: Change::Updated,
        rollout: id,
    }]))
}

/// Nothing more is replaced until `resume`, or until its time is over; a pause takes the place of an earlier one.
pub(crate) fn pause(
    w: &mut Workloads,
    service: ObjectKey,
    lasts: Lasting,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let until = lasts.from(w.wall())?.until;
    let name = w
        .object_at(service)
        .expect("it was just found")
        .name
        .clone();
    let new = w
        .service(service)
        .map_or(0, |state| state.sides().0.staying());
    let Some(rollout) = w.rollout_mut(service) else {
        return Err(not_rolling(
            &name,
            "in progress, so there is nothing to pause",
        ));
    };
    if rollout.state == RolloutState::RollingBack {
        return Err(not_rolling(
            &name,
            "that can be paused: it is on its way back already",
        ));
    }
    rollout.state = RolloutState::Paused;
    rollout.message = match until {
        Some(until) => format!("somebody paused it until {}", moment(until)).into(),
        None => "somebody paused it".into(),
    };
    rollout.pause = Some(Pause::Asked { new, until });
    let key = rollout.key;
    w.write_rollout(key, effects);
    super::wake(w, service);
    Ok(Reply::Done)
}

/// It goes on: from where it was paused, to the next step, or to the move of traffic.
pub(crate) fn resume(
    w: &mut Workloads,
    service: ObjectKey,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let name = w
        .object_at(service)
        .expect("it was just found")
        .name
        .clone();
    let pause = w.active_rollout(service).and_then(|rollout| rollout.pause);
    let Some(pause) = pause else {
        return Err(not_rolling(&name, "that is paused"));
    };
    w.go_on(service, pause, effects);
    super::wake(w, service);
    Ok(Reply::Done)
}

/// Ends a rollout where it is.
pub(crate) fn abort(
    w: &mut Workloads,
    name: &Name,
    effects: &mut Effects,
) -> Result<Reply, Refusal> {
    let service = w.key_or_refusal(Kind::Service, name)?;
    if w.active_rollout(service).is_none() {
        return Err(not_rolling(name, "in progress"));
    }
    w.hold(service);
    w.end_rollout(
        service,
        RolloutState::Aborted,
        "somebody aborted it",
        effects,
    );
    super::wake(w, service);
    Ok(Reply::Done)
}
