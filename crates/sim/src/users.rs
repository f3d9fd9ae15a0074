//! What users do in the middle of all that goes wrong: they apply, change, scale, run, end and delete their objects.

use std::collections::BTreeMap;

use mezz_core::Master;
use mezz_core::effect::{Effect, Effects};
use mezz_core::event::Event;
use mezz_core::records::AgentState;
use mezz_proto::agent_protocol::frame::Body;
use mezz_spec::service::Replicas;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{ApplyMode, Call, Conflict, Lasting};
use mezz_workload::records::Records;
use serde_json::Value;

use crate::network::SECOND;
use crate::schedule::Occurrence;
use crate::service_promises;
use crate::user_specs;
use crate::world::{Weather, World};

/// Whether there are users, and what they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Users {
    #[default]
    Nobody,
    /// Objects of all kinds beside the tasks of frameworks.
    Busy,
    /// Crons only, and nobody beside them.
    Crons,
}

/// Objects that users of [`Users::Busy`] know.
pub(crate) const OBJECTS: [(Kind, &str); 10] = [
    (Kind::Service, "/web/one"),
    (Kind::Service, "/web/two"),
    (Kind::Service, "/web/three"),
    (Kind::Service, "/each"),
    (Kind::Job, "/batch/once"),
    (Kind::Job, "/batch/array"),
    (Kind::Job, "/batch/gang"),
    (Kind::Cron, "/clock/own"),
    (Kind::Cron, "/clock/other"),
    (Kind::Dag, "/flow"),
];

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("well formed here")
}

impl World {
    pub(crate) fn user_turn(&mut self) {
        if self.weather == Weather::Calm {
            return;
        }
        match self.settings.users {
            Users::Nobody => return,
            Users::Busy => self.busy_turn(),
            Users::Crons => self.cron_turn(),
        }
        self.soon(8 * SECOND, Occurrence::UserTurn);
    }

    /// A user's call; nothing happens while there is no master.
    pub(crate) fn user_calls(&mut self, call: Call) {
        if self.master.core.is_none() {
            return;
        }
        self.note(|| format!("user: {call:?}"));
        let request = self.request();
        self.master_event(Event::Work {
            request,
            call: Box::new(call),
            by: None,
        });
    }

    pub(crate) fn user_applies(&mut self, kind: Kind, object: &str, spec: Value) {
        let conflict = if self.weather == Weather::Stormy && self.rng.chance(100) {
            Conflict::Reject
        } else {
            Conflict::Supersede
        };
        let spec = Spec::from_json(kind, spec).expect("well formed here");
        self.user_calls(Call::Apply {
            objects: vec![Object {
                name: name(object),
                labels: BTreeMap::new(),
                spec,
                generation: None,
            }],
            mode: ApplyMode::Commit,
            conflict,
        });
    }

    pub(crate) fn user_deletes(&mut self, kind: Kind, object: &str) {
        self.user_calls(Call::Delete {
            kind,
            name: name(object),
            generation: None,
            conflict: Conflict::Supersede,
        });
    }

    /// After each event of the master: what users were promised.
    pub(crate) fn check_users(&mut self, event: &Event, before: &Records, effects: &Effects) {
        if !self.has_users() || self.acts_deposed() {
            return;
        }
        self.witness_records(before);
        let Some(core) = &self.master.core else {
            return;
        };
        let is_first = matches!(event, Event::Elected(_));
        let outcome = if is_first {
            Ok(())
        } else {
            service_promises::check(before, core, event, &self.witness.let_go)
        };
        let outcome = outcome.and_then(|()| no_early_kills(core, effects));
        if let Err(broken) = outcome {
            let event = format!("{event:?}");
            let event: String = event.chars().take(300).collect();
            self.fail(format!("{broken}\nafter {event}"));
        }
    }

    fn busy_turn(&mut self) {
        let is_frozen = self
            .master
            .core
            .as_ref()
            .is_some_and(|core| core.records().work.is_frozen());
        if is_frozen && self.rng.chance(400) {
            return self.user_calls(Call::Thaw);
        }
        let (kind, object) = OBJECTS[self.rng.index(OBJECTS.len())];
        match self.rng.below(100) {
            0..45 => {
                let spec = user_specs::any(object, &mut self.rng);
                self.user_applies(kind, object, spec);
            }
            45..50 => self.user_deletes(kind, object),
            50..70 => self.user_moves_a_service(),
            70..84 => self.user_runs_something(),
            84..90 => self.user_ends_an_instance(),
            90..94 => self.user_pauses_a_cron(),
            94 => {
                let lasts = self.some_time();
                self.user_calls(Call::Freeze { lasts });
            }
            _ => {}
        }
    }

    fn user_moves_a_service(&mut self) {
        let name = name(OBJECTS[self.rng.index(4)].1);
        let conflict = Conflict::Supersede;
        let call = match self.rng.below(20) {
            0..8 => {
                let count = u32::try_from(self.rng.below(5)).expect("a digit");
                Call::Scale {
                    name,
                    replicas: Replicas::Count(count),
                    conflict,
                }
            }
            8..11 => Call::Restart { name, conflict },
            11..14 => Call::Rollback {
                name,
                to: None,
                conflict,
            },
            14 => Call::Pause {
                name,
                lasts: self.some_time(),
            },
            15..18 => Call::Resume { name },
            18 => Call::Abort { name },
            _ => Call::ResetBackoff { name },
        };
        self.user_calls(call);
    }

    /// How long something is to stand still: often for ever, unless somebody lets it go on.
    fn some_time(&mut self) -> Lasting {
        if self.rng.chance(500) {
            return Lasting::UntilLetGo;
        }
        Lasting::For {
            ns: self.rng.below(60) * SECOND + 1,
        }
    }

    fn user_pauses_a_cron(&mut self) {
        let name = name(OBJECTS[7 + self.rng.index(2)].1);
        let call = if self.rng.chance(300) {
            let lasts = self.some_time();
            Call::Pause { name, lasts }
        } else {
            Call::Resume { name }
        };
        self.user_calls(call);
    }

    fn user_runs_something(&mut self) {
        let objects = [4, 5, 6, 9].map(|index| OBJECTS[index]);
        let (kind, object) = objects[self.rng.index(objects.len())];
        let name = name(object);
        let run = self.some_run(kind, &name);
        let call = match (self.rng.below(10), run) {
            (0..3, Some(run)) => Call::StopRun { name, run },
            (3, Some(run)) if kind == Kind::Dag => Call::ResumeRun {
                name,
                run,
                from: None,
            },
            (4, Some(run)) => Call::MarkSucceeded {
                name,
                run,
                node: None,
            },
            _ => Call::Run {
                name,
                parameters: BTreeMap::new(),
                id: None,
                arguments: None,
            },
        };
        self.user_calls(call);
    }

    fn some_run(&mut self, kind: Kind, name: &Name) -> Option<String> {
        let work = &self.master.core.as_ref()?.records().work;
        let object = work.index.get(&(kind, name.clone()))?;
        let runs: Vec<String> = work
            .runs
            .iter()
            .filter(|(_, run)| run.object == *object)
            .map(|(_, run)| run.id.to_string())
            .collect();
        (!runs.is_empty()).then(|| runs[self.rng.index(runs.len())].clone())
    }

    fn user_ends_an_instance(&mut self) {
        let Some(core) = &self.master.core else {
            return;
        };
        let work = &core.records().work;
        let ids: Vec<String> = work
            .instances
            .iter()
            .map(|(_, instance)| instance.id.to_string())
            .collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.rng.index(ids.len())].clone();
        let scale_down = self.rng.chance(300);
        self.user_calls(Call::KillInstances {
            ids: vec![id],
            scale_down,
        });
    }
}

/// Nothing of ours is ended while agents have yet to report after an election.
fn no_early_kills(core: &Master, effects: &Effects) -> Result<(), String> {
    let waits = core
        .records()
        .agents
        .iter()
        .any(|(_, agent)| agent.state == AgentState::Recovered);
    let own = core.records().frameworks.iter();
    let own = own.map(|(_, one)| one).find(|one| one.built_in);
    let Some(own) = own.filter(|_| waits) else {
        return Ok(());
    };
    for effect in &effects.list {
        if let Effect::ToAgent { body, .. } = effect
            && let Body::KillTask(kill) = &**body
            && kill.framework_id.value == *own.id
            && !kill.task_id.value.starts_with("native-")
        {
            let task = &kill.task_id.value;
            return Err(format!("{task} is ended before all agents have reported"));
        }
    }
    Ok(())
}
