//! How people name runs: by `NAME/ID`, by `KIND/NAME/ID`, or by the id alone where only one object has such a run.

use mezz_spec::{Kind, Name};
use serde_json::Value;

use super::api::Api;
use super::error::ClientError;
use super::http::percent_encoded;
use super::objects;
use crate::exit::Exit;

/// A run and the object that it is one of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) kind: Kind,
    pub(crate) name: Name,
    pub(crate) id: String,
}

impl Run {
    /// The run that an answer shows.
    pub(crate) fn of(answer: &Value) -> Option<Self> {
        let text = |key: &str| answer.get(key)?.as_str();
        Some(Self {
            kind: objects::kind(text("kind")?)?,
            name: Name::new(text("name")?).ok()?,
            id: text("id")?.to_owned(),
        })
    }

    /// A name that nothing else has.
    pub(crate) fn full(&self) -> String {
        format!("{}/{}", self.name, self.id)
    }

    /// Where it is read.
    pub(crate) fn target(&self) -> String {
        format!("/v1/runs/{}", percent_encoded(&self.full()))
    }
}

/// The run that is meant.
pub(crate) fn find(api: &mut Api, given: &str) -> Result<Run, ClientError> {
    let unknown = || ClientError::NotFound {
        what: format!("there is no run '{given}'"),
        hint: "`mezz runs` lists them; name one by its id, or as NAME/ID".to_owned(),
    };
    if given.is_empty() || given.ends_with('/') {
        return Err(unknown());
    }
    let answer = match api.value(&format!(
        "/v1/runs/{}",
        percent_encoded(&objects::singular(given))
    )) {
        Err(ClientError::Refused(problem)) if matches!(problem.status, 400 | 404) => {
            return Err(unknown());
        }
        answer => answer?,
    };
    Run::of(&answer).ok_or_else(unknown)
}

/// What `KIND/NAME` names: an object, or a run where a run's id stands behind the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Object(Kind, Name),
    Run(Run),
}

/// Tells an object from a run of it. An object that is not there is told as that.
pub(crate) fn named(
    api: &mut Api,
    kind: Kind,
    name: &str,
    must_exist: bool,
) -> Result<Named, ClientError> {
    let object = Name::new(name).map_err(|error| ClientError::Usage(error.to_string()));
    let missing = match object {
        Ok(name) => match api.get(&objects::path(kind, &name)) {
            Ok(_) => return Ok(Named::Object(kind, name)),
            Err(error) if error.exit() == Exit::NotFound => match find(api, name.as_str()) {
                Ok(run) => return Ok(Named::Run(run)),
                Err(_) if !must_exist => return Ok(Named::Object(kind, name)),
                Err(_) => error,
            },
            Err(error) => error,
        },
        // Ids of runs have capitals, which names have not.
        Err(error) => match find(api, name) {
            Ok(run) => return Ok(Named::Run(run)),
            Err(problem @ ClientError::Refused(_)) => problem,
            Err(_) => error,
        },
    };
    Err(missing)
}
