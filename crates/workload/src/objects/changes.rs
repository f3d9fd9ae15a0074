//! Calls that are an apply of a part: scaling, and going back to an earlier generation.

use mezz_spec::service::Replicas;
use mezz_spec::{Kind, Name, Object, Spec};

use crate::call::{ApplyMode, Conflict, Refusal, Reply};
use crate::effect::Effects;
use crate::workloads::Workloads;

impl Workloads {
    pub(crate) fn scale(
        &mut self,
        name: &Name,
        replicas: Replicas,
        conflict: Conflict,
        effects: &mut Effects,
    ) -> Result<Reply, Refusal> {
        let mut object = self.written(Kind::Service, name)?;
        if let Spec::Service(service) = &mut object.spec {
            service.replicas = replicas;
        }
        self.apply(vec![object], ApplyMode::Commit, conflict, effects)
    }

    pub(crate) fn rollback(
        &mut self,
        name: &Name,
        to: Option<u64>,
        conflict: Conflict,
        effects: &mut Effects,
    ) -> Result<Reply, Refusal> {
        let mut object = self.written(Kind::Service, name)?;
        let record = self
            .object(Kind::Service, name)
            .expect("it was just written out");
        let former = match to {
            Some(generation) if generation == record.generation => return Ok(Reply::Done),
            Some(generation) => record
                .former
                .iter()
                .find(|former| former.generation == generation),
            None => record.former.last(),
        };
        let Some(former) = former else {
            let kept: Vec<String> = record
                .former
                .iter()
                .map(|former| former.generation.to_string())
                .collect();
            return Err(Refusal::Conflict {
                message: format!(
                    "service {name} has no such generation to go back to; kept are: {}",
                    if kept.is_empty() {
                        "none".into()
                    } else {
                        kept.join(", ")
                    }
                ),
                rollouts: Vec::new(),
            });
        };
        object.spec = (*former.spec).clone();
        self.apply(vec![object], ApplyMode::Commit, conflict, effects)
    }

    /// An object as a user would have written it.
    fn written(&self, kind: Kind, name: &Name) -> Result<Object, Refusal> {
        let key = self.key_or_refusal(kind, name)?;
        let record = self
            .object_at(key)
            .expect("the index knows only what is there");
        Ok(Object {
            name: record.name.clone(),
            labels: record.labels.clone(),
            spec: (*record.spec).clone(),
            generation: None,
        })
    }
}
