//! Secrets on their way in: their values are taken out and kept before the core sees the objects.

use http::StatusCode;
use mezz_http::Response;
use mezz_spec::fault::Fault;
use mezz_spec::{Object, Spec};
use mezz_workload::call::ApplyMode;

use super::super::problems::problem;
use super::answers;
use crate::secrets::{Kept, SecretError};
use crate::shared::Shared;

/// Takes the values out of all secrets among objects; they are durable when this returns. What is given back has to go to
/// [`release`] after the call.
pub(super) async fn take_values(
    shared: &Shared,
    objects: &mut [Object],
    mode: ApplyMode,
) -> Result<Vec<Kept>, Response> {
    let mut all = Vec::new();
    for object in objects {
        match take(shared, object) {
            Ok(kept) => all.extend(kept),
            Err(error) => {
                release(shared, &all);
                return Err(refusal(object, &error));
            }
        }
    }
    if mode == ApplyMode::Commit
        && let Err(error) = shared.secrets.store(&mut all).await
    {
        release(shared, &all);
        let hint = "try again when this master, or another, can store things";
        return Err(problem(
            StatusCode::SERVICE_UNAVAILABLE,
            &error.to_string(),
            Some(hint),
        ));
    }
    Ok(all)
}

fn take(shared: &Shared, object: &mut Object) -> Result<Option<Kept>, SecretError> {
    let Spec::Secret(secret) = &mut object.spec else {
        return Ok(None);
    };
    let mut values = std::collections::BTreeMap::new();
    for (key, value) in &mut secret.data {
        if let Some(value) = value.take() {
            values.insert(key.clone(), value.0);
        }
    }
    let kept = shared.secrets.keep(&object.name, values)?;
    secret.digest = Some(kept.digest.clone());
    Ok(Some(kept))
}

/// The call was answered: what the objects do not refer to now is kept no longer.
pub(super) fn release(shared: &Shared, kept: &[Kept]) {
    if !kept.is_empty() {
        shared.secrets.release(kept, &shared.view().records);
    }
}

fn refusal(object: &Object, error: &SecretError) -> Response {
    match error {
        SecretError::TooLarge(_) => answers::faults(&[Fault {
            object: Some(format!("secret {}", object.name)),
            ..Fault::new("/spec/data", error.to_string())
        }]),
        _ => problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string(), None),
    }
}
