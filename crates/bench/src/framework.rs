//! A framework that keeps a number of short tasks going and acknowledges every update.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use mezz_bench::shapes::framework_info;
use mezz_proto::v1;
use v1::TaskState as S;
use v1::scheduler::call;

use crate::client::{Calls, Encoding, Events, subscribe};

/// What one run does.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) master: String,
    pub(crate) encoding: Encoding,
    pub(crate) tasks: usize,
    pub(crate) outstanding: usize,
    /// Most tasks in one ACCEPT.
    pub(crate) batch: usize,
    /// Program without arguments, run without a shell.
    pub(crate) program: String,
    pub(crate) checkpoint: bool,
    pub(crate) cpus: f64,
    /// Leave tasks running: count at TASK_RUNNING instead of the terminal state.
    pub(crate) until_running: bool,
    pub(crate) arguments: Vec<String>,
    /// What each task asks to be set apart by.
    pub(crate) container: Option<v1::ContainerInfo>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) finished: usize,
    pub(crate) failed: usize,
    pub(crate) wall: Duration,
    /// From ACCEPT to TASK_RUNNING, per task.
    pub(crate) to_running: Vec<Duration>,
    /// From a terminal acknowledgement to the next offer, when nothing else was free.
    pub(crate) to_offer: Vec<Duration>,
}

struct Driver {
    run: Run,
    events: Events,
    calls: Calls,
    offers: Vec<v1::Offer>,
    launched: usize,
    live: usize,
    sent_at: HashMap<String, Instant>,
    freed_at: Option<Instant>,
    outcome: Outcome,
}

/// Runs all tasks to their end and returns what was measured; the framework is torn down unless tasks stay.
pub(crate) fn drive(run: Run) -> Result<Outcome> {
    let (events, calls) = subscribe(
        &run.master,
        run.encoding,
        framework_info("bench", run.checkpoint),
    )?;
    let mut driver = Driver {
        run,
        events,
        calls,
        offers: Vec::new(),
        launched: 0,
        live: 0,
        sent_at: HashMap::new(),
        freed_at: None,
        outcome: Outcome::default(),
    };
    let started = Instant::now();
    while driver.outcome.finished + driver.outcome.failed < driver.run.tasks {
        let event = driver.events.next()?;
        driver.on_event(event);
        if !driver.events.has_buffered() {
            driver.launch();
            driver.calls.flush()?;
        }
    }
    driver.outcome.wall = started.elapsed();
    let refused = driver
        .calls
        .refused
        .load(std::sync::atomic::Ordering::Relaxed);
    anyhow::ensure!(refused == 0, "{refused} calls were not answered 202");
    if driver.run.until_running {
        // The stream stays open for as long as the process lives.
        std::mem::forget(driver.events);
        std::mem::forget(driver.calls);
    } else {
        driver.calls.queue(call::Type::Teardown, |_| {});
        driver.calls.flush()?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(driver.outcome)
}

impl Driver {
    fn on_event(&mut self, event: v1::scheduler::Event) {
        if let Some(offers) = event.offers {
            self.offers.extend(offers.offers);
            if self.fits() > 0
                && let Some(at) = self.freed_at.take()
            {
                self.outcome.to_offer.push(at.elapsed());
            }
        }
        if let Some(rescind) = event.rescind {
            self.offers.retain(|offer| offer.id != rescind.offer_id);
        }
        if let Some(update) = event.update {
            self.on_update(update.status);
        }
    }

    fn on_update(&mut self, status: v1::TaskStatus) {
        let state = status.state();
        if let (Some(uuid), Some(agent_id)) = (status.uuid, status.agent_id) {
            let acknowledge = call::Acknowledge {
                agent_id,
                task_id: status.task_id.clone(),
                uuid,
            };
            self.calls.queue(call::Type::Acknowledge, |call| {
                call.acknowledge = Some(acknowledge);
            });
        }
        match state {
            S::TaskStarting | S::TaskStaging | S::TaskKilling => {}
            S::TaskRunning => {
                if let Some(at) = self.sent_at.remove(&status.task_id.value) {
                    self.outcome.to_running.push(at.elapsed());
                }
                self.outcome.finished += usize::from(self.run.until_running);
            }
            terminal => {
                self.live -= 1;
                if terminal == S::TaskFinished {
                    self.outcome.finished += 1;
                } else {
                    eprintln!(
                        "{} ended {}: {}",
                        status.task_id.value,
                        terminal.as_str_name(),
                        status.message.unwrap_or_default()
                    );
                    self.outcome.failed += 1;
                }
                if self.fits() == 0 {
                    self.freed_at = Some(Instant::now());
                }
            }
        }
    }

    fn launch(&mut self) {
        let room = self
            .run
            .outstanding
            .saturating_sub(self.live)
            .min(self.run.tasks - self.launched);
        // Small refills are gathered, unless little is left to do.
        if self.offers.is_empty()
            || room == 0
            || (self.run.outstanding > 1
                && room
                    < self
                        .run
                        .batch
                        .min(self.run.outstanding / 4)
                        .min(self.run.tasks - self.launched))
        {
            return;
        }
        // What is too small for a task is kept: together with what comes it may do.
        let count = room.min(self.run.batch).min(self.fits());
        if count == 0 {
            return;
        }
        let offers = std::mem::take(&mut self.offers);
        let agent_id = offers[0].agent_id.clone();
        let now = Instant::now();
        let tasks = (0..count).map(|_| self.task(&agent_id, now)).collect();
        let operation = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch as i32),
            launch: Some(v1::offer::operation::Launch { task_infos: tasks }),
            ..v1::offer::Operation::default()
        };
        let accept = call::Accept {
            offer_ids: offers.into_iter().map(|offer| offer.id).collect(),
            operations: vec![operation],
            filters: Some(v1::Filters {
                refuse_seconds: Some(0.0),
            }),
        };
        self.calls
            .queue(call::Type::Accept, |call| call.accept = Some(accept));
    }

    /// How many tasks what is offered has room for.
    fn fits(&self) -> usize {
        let cpus: f64 = self
            .offers
            .iter()
            .flat_map(|offer| &offer.resources)
            .filter(|r| r.name == "cpus")
            .filter_map(|r| r.scalar.as_ref())
            .map(|s| s.value)
            .sum();
        // Offers are exact in thousandths; their sum is not.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let fits = (cpus / self.run.cpus + 1e-6) as usize;
        fits
    }

    fn task(&mut self, agent_id: &v1::AgentId, now: Instant) -> v1::TaskInfo {
        let id = format!("t{}", self.launched);
        self.launched += 1;
        self.live += 1;
        self.sent_at.insert(id.clone(), now);
        let scalar = |name: &str, value: f64| v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value }),
            ..v1::Resource::default()
        };
        v1::TaskInfo {
            name: id.clone(),
            task_id: v1::TaskId { value: id },
            agent_id: agent_id.clone(),
            resources: vec![scalar("cpus", self.run.cpus), scalar("mem", 1.0)],
            command: Some(v1::CommandInfo {
                shell: Some(false),
                value: Some(self.run.program.clone()),
                arguments: std::iter::once(self.run.program.clone())
                    .chain(self.run.arguments.clone())
                    .collect(),
                ..v1::CommandInfo::default()
            }),
            container: self.run.container.clone().map(Box::new),
            ..v1::TaskInfo::default()
        }
    }
}
