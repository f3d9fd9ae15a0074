//! A framework that keeps many simulated agents busy with short tasks.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mezz_bench::shapes::framework_info;
use mezz_proto::v1;
use v1::TaskState as S;
use v1::scheduler::call;

use crate::client::{Calls, Encoding, Events, subscribe};

/// What one run does.
#[derive(Clone, Debug)]
pub(crate) struct Launches {
    pub(crate) tasks: usize,
    pub(crate) outstanding: usize,
    /// Most tasks in one ACCEPT.
    pub(crate) batch: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) wall: Duration,
    /// From ACCEPT to TASK_RUNNING, per task.
    pub(crate) to_running: Vec<Duration>,
}

/// A subscribed framework, before and between runs.
#[derive(Debug)]
pub(crate) struct Launcher {
    events: Events,
    calls: Calls,
    offers: Vec<v1::Offer>,
    next_task: u64,
    live: usize,
    launched: usize,
    finished: usize,
    sent_at: HashMap<String, Instant>,
    outcome: Outcome,
}

impl Launcher {
    /// Subscribes.
    pub(crate) fn new(master: &str, name: &str) -> Result<Self> {
        let (events, calls) = subscribe(master, Encoding::Protobuf, framework_info(name, true))?;
        Ok(Self {
            events,
            calls,
            offers: Vec::new(),
            next_task: 0,
            live: 0,
            launched: 0,
            finished: 0,
            sent_at: HashMap::new(),
            outcome: Outcome::default(),
        })
    }

    /// Runs tasks until all of them have finished and were acknowledged.
    pub(crate) fn run(&mut self, run: &Launches) -> Result<Outcome> {
        (self.launched, self.finished) = (0, 0);
        let started = Instant::now();
        self.launch(run);
        self.calls.flush()?;
        while self.finished < run.tasks {
            let event = self.events.next()?;
            self.on_event(event)?;
            if !self.events.has_buffered() {
                self.launch(run);
                self.calls.flush()?;
            }
        }
        self.outcome.wall = started.elapsed();
        let refused = self.calls.refused.load(Ordering::Relaxed);
        ensure!(refused == 0, "{refused} calls were not answered 202");
        Ok(std::mem::take(&mut self.outcome))
    }

    fn on_event(&mut self, event: v1::scheduler::Event) -> Result<()> {
        if let Some(offers) = event.offers {
            self.offers.extend(offers.offers);
        }
        if let Some(rescind) = event.rescind {
            self.offers.retain(|offer| offer.id != rescind.offer_id);
        }
        match event.update {
            Some(update) => self.on_update(update.status),
            None => Ok(()),
        }
    }

    fn on_update(&mut self, status: v1::TaskStatus) -> Result<()> {
        let state = status.state();
        match state {
            S::TaskRunning => {
                if let Some(at) = self.sent_at.remove(&status.task_id.value) {
                    self.outcome.to_running.push(at.elapsed());
                }
            }
            S::TaskFinished => {
                self.live -= 1;
                self.finished += 1;
            }
            other => {
                let message = status.message.unwrap_or_default();
                anyhow::bail!("a simulated task ended {}: {message}", other.as_str_name());
            }
        }
        if let (Some(uuid), Some(agent_id)) = (status.uuid, status.agent_id) {
            let acknowledge = call::Acknowledge {
                agent_id,
                task_id: status.task_id,
                uuid,
            };
            self.calls.queue(call::Type::Acknowledge, |call| {
                call.acknowledge = Some(acknowledge);
            });
        }
        Ok(())
    }

    fn launch(&mut self, run: &Launches) {
        loop {
            let room = run
                .outstanding
                .saturating_sub(self.live)
                .min(run.tasks - self.launched);
            // Small refills are gathered, unless little is left to do.
            let enough = run
                .batch
                .min(run.tasks - self.launched)
                .min(run.outstanding / 4);
            if room == 0 || room < enough {
                return;
            }
            let Some(offer) = self.offers.pop() else {
                return;
            };
            let cpus = offer
                .resources
                .iter()
                .filter(|resource| resource.name == "cpus")
                .filter_map(|resource| resource.scalar.as_ref())
                .map(|scalar| scalar.value)
                .sum::<f64>();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let fits = (cpus / 0.01) as usize;
            self.accept(offer, room.min(run.batch).min(fits));
        }
    }

    fn accept(&mut self, offer: v1::Offer, count: usize) {
        let now = Instant::now();
        let task_infos = (0..count)
            .map(|_| self.task(&offer.agent_id, now))
            .collect();
        let launch = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch as i32),
            launch: Some(v1::offer::operation::Launch { task_infos }),
            ..v1::offer::Operation::default()
        };
        let accept = call::Accept {
            offer_ids: vec![offer.id],
            operations: vec![launch],
            filters: Some(v1::Filters {
                refuse_seconds: Some(0.0),
            }),
        };
        self.calls
            .queue(call::Type::Accept, |call| call.accept = Some(accept));
    }

    fn task(&mut self, agent_id: &v1::AgentId, now: Instant) -> v1::TaskInfo {
        self.next_task += 1;
        self.launched += 1;
        self.live += 1;
        let id = format!("task-{}", self.next_task);
        self.sent_at.insert(id.clone(), now);
        let scalar = |name: &str, value: f64| v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value }),
            ..v1::Resource::default()
        };
        v1::TaskInfo {
            name: "simulated".into(),
            task_id: v1::TaskId { value: id },
            agent_id: agent_id.clone(),
            resources: vec![scalar("cpus", 0.01), scalar("mem", 1.0)],
            command: Some(v1::CommandInfo {
                shell: Some(false),
                value: Some("/bin/true".into()),
                ..v1::CommandInfo::default()
            }),
            ..v1::TaskInfo::default()
        }
    }
}
