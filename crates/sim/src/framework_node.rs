//! A framework: its subscription, what it hears, what it does of its own accord.

use std::collections::BTreeMap;

use mezz_core::is_terminal;
use mezz_proto::v1::framework_info::capability::Type as Capability;
use mezz_proto::v1::scheduler::{Event, call};
use mezz_proto::{decode_binary, from_json, v1};

use crate::network::{MILLISECOND, Peer, SECOND};
use crate::rng::Rng;
use crate::schedule::{End, Occurrence};
use crate::task_view::TaskView;
use crate::world::{Weather, World};

/// What frameworks can do, and how many of a thousand do.
const CAPABILITIES: &[(Capability, u64)] = &[
    (Capability::PartitionAware, 500),
    (Capability::TaskKillingState, 300),
    (Capability::RevocableResources, 200),
    (Capability::GpuResources, 200),
    (Capability::SharedResources, 200),
    (Capability::ReservationRefinement, 300),
    (Capability::RegionAware, 200),
];

/// The scheduler of a framework; what it knows of its tasks survives it.
#[derive(Debug)]
pub(crate) struct FrameworkNode {
    pub(crate) json: bool,
    pub(crate) info: v1::FrameworkInfo,
    pub(crate) id: Option<String>,
    pub(crate) link: Option<u64>,
    pub(crate) subscribed: bool,
    pub(crate) tasks: BTreeMap<String, TaskView>,
    pub(crate) offers: BTreeMap<String, v1::Offer>,
    pub(crate) next_task: u64,
    /// No dial succeeds before.
    pub(crate) unreachable_until_ns: u64,
    /// Torn down or removed: it does nothing more.
    pub(crate) over: bool,
}

impl FrameworkNode {
    pub(crate) fn new(index: usize, rng: &mut Rng) -> Self {
        let old = rng.chance(200);
        let mut kinds = Vec::new();
        for (kind, per_mille) in CAPABILITIES {
            if rng.chance(*per_mille) {
                kinds.push(*kind);
            }
        }
        let roles = [&["a"][..], &["b"], &["a", "b"], &["a/x"], &["*"]][rng.index(5)];
        let (role, roles) = if old {
            (Some(roles[0].to_owned()), &[][..])
        } else {
            kinds.push(Capability::MultiRole);
            (None, roles)
        };
        let info = v1::FrameworkInfo {
            user: "u".into(),
            name: format!("framework-{index}"),
            role,
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            capabilities: kinds
                .into_iter()
                .map(|kind| v1::framework_info::Capability {
                    r#type: Some(kind as i32),
                })
                .collect(),
            failover_timeout: Some([0.0, 20.0, 300.0, 300.0][rng.index(4)]),
            checkpoint: Some(rng.chance(700)),
            ..v1::FrameworkInfo::default()
        };
        Self {
            json: rng.chance(500),
            info,
            id: None,
            link: None,
            subscribed: false,
            tasks: BTreeMap::new(),
            offers: BTreeMap::new(),
            next_task: 0,
            unreachable_until_ns: 0,
            over: false,
        }
    }

    /// Tasks that may still be somewhere.
    pub(crate) fn open_tasks(&self) -> Vec<String> {
        self.tasks
            .iter()
            .filter(|(_, task)| !task.is_over())
            .map(|(id, _)| id.clone())
            .collect()
    }
}

impl World {
    pub(crate) fn framework_dials(&mut self, framework: usize) {
        if self.frameworks[framework].over {
            return;
        }
        if self.master.core.is_none()
            || self.now_ns < self.frameworks[framework].unreachable_until_ns
        {
            return self.soon(3 * SECOND, Occurrence::FrameworkDial { framework });
        }
        let link = self
            .network
            .open(Peer::Framework(framework), 0, self.master.life);
        let node = &mut self.frameworks[framework];
        node.link = Some(link);
        node.subscribed = false;
        node.offers.clear();
        let id = node.id.clone().map(|value| v1::FrameworkId { value });
        let framework_info = v1::FrameworkInfo {
            id,
            ..node.info.clone()
        };
        let subscribe = call::Subscribe {
            framework_info,
            ..call::Subscribe::default()
        };
        self.note(|| format!("framework {framework} subscribes on link {link}"));
        self.framework_call(framework, call::Type::Subscribe, |call| {
            call.subscribe = Some(Box::new(subscribe));
        });
    }

    pub(crate) fn framework_loses(&mut self, framework: usize, link: u64) {
        let node = &mut self.frameworks[framework];
        if node.link != Some(link) {
            return;
        }
        node.link = None;
        node.subscribed = false;
        node.offers.clear();
        let wait = self.rng.span(4 * SECOND, 40 * SECOND);
        self.schedule
            .at(self.now_ns + wait, Occurrence::FrameworkDial { framework });
    }

    /// The scheduler's process ends without a word; another goes on with what it knew.
    pub(crate) fn kill_framework(&mut self, framework: usize) {
        let Some(link) = self.frameworks[framework].link else {
            return;
        };
        self.note(|| format!("framework {framework} dies"));
        self.close(link, End::Peer);
        self.framework_loses(framework, link);
    }

    pub(crate) fn framework_hears(&mut self, framework: usize, link: u64, bytes: &[u8]) {
        let node = &self.frameworks[framework];
        if node.link != Some(link) || node.over {
            return;
        }
        let event = if node.json {
            from_json::<Event>(bytes).map_err(|error| error.to_string())
        } else {
            decode_binary::<Event>(bytes).map_err(|error| error.to_string())
        };
        match event {
            Ok(event) => self.framework_event(framework, event),
            Err(error) => self.fail(format!(
                "framework {framework} cannot read its event: {error}"
            )),
        }
    }

    fn framework_event(&mut self, framework: usize, event: Event) {
        let node = &mut self.frameworks[framework];
        if let Some(subscribed) = event.subscribed {
            let id = subscribed.framework_id.value;
            if node.id.as_ref().is_some_and(|own| *own != id) {
                return self.fail(format!("framework {framework} was given another id"));
            }
            self.note(|| format!("framework {framework} is subscribed as {id}"));
            let node = &mut self.frameworks[framework];
            node.id = Some(id);
            node.subscribed = true;
        } else if !node.subscribed && event.error.is_none() {
            self.fail(format!(
                "framework {framework} heard {:?} before SUBSCRIBED",
                event.r#type()
            ));
        } else if let Some(offers) = event.offers {
            for offer in offers.offers {
                if node.offers.insert(offer.id.value.clone(), offer).is_some() {
                    return self.fail("an offer id came twice".into());
                }
            }
        } else if let Some(rescind) = event.rescind {
            node.offers.remove(&rescind.offer_id.value);
        } else if let Some(update) = event.update {
            self.framework_update(framework, &update.status);
        } else if let Some(error) = event.error {
            self.framework_error(framework, &error.message);
        }
    }

    fn framework_error(&mut self, framework: usize, message: &str) {
        self.note(|| format!("framework {framework} hears the error: {message}"));
        match message {
            "Framework has been removed" => self.frameworks[framework].over = true,
            "Framework failed over" => {}
            other => self.fail(format!("framework {framework} hears: {other}")),
        }
    }

    fn framework_update(&mut self, framework: usize, status: &v1::TaskStatus) {
        self.summary.updates += 1;
        let id = status.task_id.value.clone();
        self.note(|| {
            format!(
                "framework {framework}: {id} {:?} {:?} {}",
                status.state(),
                status.reason.map(|_| status.reason()),
                status.message()
            )
        });
        let Some(task) = self.frameworks[framework].tasks.get_mut(&id) else {
            return self.fail(format!(
                "framework {framework} hears of task {id}, which it never launched"
            ));
        };
        if let Err(wrong) = task.take(status) {
            return self.fail(format!("framework {framework}, task {id}: {wrong}"));
        }
        let calm = self.weather == Weather::Calm;
        if let Some(uuid) = &status.uuid
            && (calm || self.rng.chance(950))
        {
            let wait = self
                .rng
                .span(50 * MILLISECOND, if calm { SECOND } else { 15 * SECOND });
            let uuid = uuid.to_vec();
            self.schedule.at(
                self.now_ns + wait,
                Occurrence::Acknowledge {
                    framework,
                    task: id,
                    uuid,
                },
            );
        }
    }

    pub(crate) fn framework_acknowledges(&mut self, framework: usize, task: &str, uuid: Vec<u8>) {
        let node = &mut self.frameworks[framework];
        if !node.subscribed || node.over {
            return;
        }
        let Some(view) = node.tasks.get_mut(task) else {
            return;
        };
        view.acknowledge(&uuid);
        let acknowledge = call::Acknowledge {
            agent_id: v1::AgentId {
                value: view.agent_id.clone(),
            },
            task_id: v1::TaskId {
                value: task.to_owned(),
            },
            uuid: uuid.into(),
        };
        self.framework_call(framework, call::Type::Acknowledge, |call| {
            call.acknowledge = Some(acknowledge);
        });
    }

    pub(crate) fn framework_turn(&mut self, framework: usize) {
        let calm = self.weather == Weather::Calm;
        let pause = if calm { 10 * SECOND } else { 3 * SECOND };
        self.soon(pause, Occurrence::FrameworkTurn { framework });
        if self.frameworks[framework].over && !calm && self.rng.chance(100) {
            self.note(|| format!("framework {framework} begins anew"));
            let old = &self.frameworks[framework];
            // What is under way on old links is still read in the old form.
            let (next_task, json) = (old.next_task, old.json);
            let fresh = FrameworkNode::new(framework, &mut self.rng);
            self.frameworks[framework] = FrameworkNode {
                json,
                next_task,
                ..fresh
            };
            return self.framework_dials(framework);
        }
        let node = &self.frameworks[framework];
        if node.over || !node.subscribed {
            return;
        }
        if calm {
            self.decline_all(framework, 1000.0);
            self.reconcile_open(framework);
            return self.reconcile_implicitly(framework);
        }
        self.use_offers(framework);
        match self.rng.below(100) {
            0..8 => self.kill_some_task(framework),
            8..11 => self.reconcile_open(framework),
            11..13 => self.reconcile_implicitly(framework),
            13..16 => self.suppress_or_revive(framework),
            16..18 => self.shut_an_executor_down(framework),
            18 => self.update_framework(framework),
            19 => self.kill_framework(framework),
            20 => self.framework_dials(framework),
            22..25 => self.message_an_executor(framework),
            21 if self.rng.chance(300) => self.tear_down(framework),
            _ => {}
        }
    }

    /// Whether a framework still counts on hearing of a task.
    pub(crate) fn listens(&self, framework_id: &str) -> bool {
        !self.removed_frameworks.contains(framework_id)
            && self
                .frameworks
                .iter()
                .any(|node| !node.over && node.id.as_deref() == Some(framework_id))
    }

    /// Whether a framework saw this update of this task.
    pub(crate) fn was_seen(&self, framework_id: &str, task: &str, uuid: &[u8]) -> bool {
        let node = self
            .frameworks
            .iter()
            .find(|node| node.id.as_deref() == Some(framework_id));
        node.and_then(|node| node.tasks.get(task))
            .is_some_and(|view| view.has_seen(uuid))
    }

    /// Ends all that would run for ever, to make room.
    pub(crate) fn kill_all(&mut self, framework: usize) {
        for task in self.frameworks[framework].open_tasks() {
            self.kill_task(framework, &task);
        }
    }

    /// Ends about half of what would run for ever.
    pub(crate) fn kill_half(&mut self, framework: usize) {
        for task in self.frameworks[framework].open_tasks() {
            let state = self.frameworks[framework]
                .tasks
                .get(&task)
                .and_then(|view| view.state);
            if state.is_none_or(|state| !is_terminal(state)) && self.rng.chance(500) {
                self.kill_task(framework, &task);
            }
        }
    }
}
