//! Reasons in words, from the controllers' side. Why there is no place for an instance is the ledger's to say.

use mezz_spec::quantity::Span;
use mezz_spec::{Kind, Name};
use mezz_state::time::{MILLISECOND_NS, Wall};

use crate::key::RunKey;
use crate::records::Owner;
use crate::workloads::{Stage, Workloads};
use crate::{cron, dag, job, service};

impl Workloads {
    /// Why an object stands as it does; none when there is no such object.
    pub fn why(&self, kind: Kind, name: &Name, now: Wall) -> Option<Vec<String>> {
        let key = self.key_of(kind, name)?;
        let mut reasons = self.why_everything();
        reasons.extend(match kind {
            Kind::Service => service::why(self, key, now),
            Kind::Job => job::why(self, key),
            Kind::Cron => cron::why(self, key),
            Kind::Dag => dag::why(self, key),
            Kind::Group | Kind::Secret | Kind::Config => Vec::new(),
        });
        let object = self.object_at(key)?;
        let said = object
            .conditions
            .iter()
            .filter(|condition| condition.is_true && !condition.message.is_empty())
            .map(|condition| condition.message.to_string());
        for message in said {
            if !reasons.iter().any(|reason| reason.contains(&message)) {
                reasons.push(message);
            }
        }
        Some(reasons)
    }

    /// Why a rollout stands as it does, by its id.
    pub fn why_rollout(&self, id: &str, now: Wall) -> Option<Vec<String>> {
        let (_, rollout) = self
            .records
            .rollouts
            .iter()
            .find(|(_, rollout)| *rollout.id == *id)?;
        let mut reasons = self.why_everything();
        reasons.extend(service::why_rollout(self, rollout, now));
        Some(reasons)
    }

    /// Why a run stands as it does.
    pub fn why_run(&self, run: RunKey) -> Vec<String> {
        let mut reasons = self.why_everything();
        reasons.extend(dag::why_run(self, run).unwrap_or_else(|| job::why_run(self, run)));
        reasons
    }

    /// Why an instance stands as it does, by its task id.
    pub fn why_instance(&self, id: &str, now: Wall) -> Option<Vec<String>> {
        let record = self.instance(self.instance_named(id)?)?;
        let mut reasons = self.why_everything();
        if record.healthy == Some(false) {
            reasons.push("its health check fails".into());
        }
        if let Some(ending) = record.ending {
            reasons.push(format!("it is being ended: {}", ending.words()));
            if self.kills.holds(record.key) {
                reasons.push(
                    "it has not been told yet: only so many instances are ended each second".into(),
                );
            }
        }
        if matches!(record.owner, Owner::Service { .. }) {
            reasons.extend(service::why_instance(self, record, now));
        }
        if let Some(object) = self.object_at(record.object) {
            reasons.push(format!(
                "it is an instance of {} {}",
                object.spec.kind(),
                object.name
            ));
        }
        Some(reasons)
    }

    /// What holds for everything.
    fn why_everything(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if let Some(frozen) = self.records.frozen {
            let end = frozen.end_in_words("thaw");
            reasons.push(format!(
                "everything is frozen: nothing is started, ended or rolled {end}"
            ));
        }
        if self.lost {
            reasons.push(
                "agents run instances of objects that the store does not know: none of those is ended by itself"
                    .into(),
            );
        }
        match self.stage {
            Stage::Loading => reasons.push("this master is still loading".into()),
            Stage::Reconciling => reasons.push(
                "this master leads only since a moment: until all agents have reported nothing is ended, and nothing replaced that may be alive"
                    .into(),
            ),
            Stage::Live => {}
        }
        reasons
    }
}

/// How long it is from `now` to `then`, in words.
pub(crate) fn in_words(now: Wall, then: Wall) -> String {
    let span = Span(then.0.saturating_sub(now.0).div_ceil(MILLISECOND_NS));
    // Beyond a minute, nobody counts milliseconds.
    let rounded = if span.0 > 60_000 {
        Span(span.0.div_ceil(1_000) * 1_000)
    } else {
        span
    };
    rounded.text()
}
