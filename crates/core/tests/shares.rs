//! Batch work and services beside each other: neither starves the other, and weights say who gets how much.
#![allow(clippy::unwrap_used)]
mod world;

use std::collections::{BTreeMap, VecDeque};

use mezz_core::config::Config;
use mezz_core::event::Event;
use mezz_core::key::RequestKey;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_spec::{Kind, Name, Object, Spec};
use mezz_workload::call::{ApplyMode, Call, Conflict};
use v1::TaskState as S;
use world::{Agent, Framework, World};

const AGENTS: usize = 4;
const CPUS: usize = 16;

/// A cluster where instances end, the oldest first, and others start.
struct Cluster {
    world: World,
    agents: Vec<Agent>,
    running: VecDeque<(usize, String)>,
}

impl Cluster {
    fn new(weights: &[(&str, f64)]) -> Self {
        let weights = weights
            .iter()
            .map(|(role, weight)| ((*role).to_owned(), *weight));
        let mut world = World::with(Config {
            weights: weights.collect(),
            ..Config::default()
        });
        let agents = (0..AGENTS).map(|_| world.agent("cpus:4;mem:4096"));
        let agents = agents.collect();
        Self {
            world,
            agents,
            running: VecDeque::new(),
        }
    }

    fn apply(&mut self, kind: Kind, name: &str, count: &[(&str, u32)]) {
        let mut spec = serde_json::json!({
            "template": { "containers": [{ "command": "work", "resources": { "cpus": 1, "mem": "32Mi" } }] }
        });
        for (key, count) in count {
            spec[key] = (*count).into();
        }
        let object = Object {
            name: Name::new(name).unwrap(),
            labels: BTreeMap::new(),
            spec: Spec::from_json(kind, spec).unwrap(),
            generation: None,
        };
        self.world.feed(Event::Work {
            request: RequestKey(900),
            call: Box::new(Call::Apply {
                objects: vec![object],
                mode: ApplyMode::Commit,
                conflict: Conflict::Supersede,
            }),
            by: None,
        });
        self.take_started();
    }

    fn batch(&mut self) {
        let count = [("parallelism", 1000), ("completions", 1000)];
        self.apply(Kind::Job, "/batch/crunch", &count);
    }

    fn services(&mut self) {
        self.apply(Kind::Service, "/web/app", &[("replicas", 100)]);
    }

    fn mezz(&self) -> Framework {
        let records = self.world.master.records();
        let mut frameworks = records.frameworks.iter();
        let (_, own) = frameworks.find(|(_, own)| own.built_in).unwrap();
        Framework {
            id: own.id.to_string(),
            stream: mezz_core::key::StreamKey(0),
            stream_id: String::new(),
        }
    }

    fn take_started(&mut self) {
        self.world.settle();
        let own = self.mezz();
        for nth in 0..AGENTS {
            let agent = &self.agents[nth];
            for body in self.world.take_bodies(agent) {
                let Body::RunTasks(run) = body else { continue };
                for task in run.tasks {
                    let id = task.task.task_id.value;
                    self.world.update(agent, &own, &id, S::TaskRunning, 1);
                    self.running.push_back((nth, id));
                }
            }
        }
    }

    /// So many of what runs end, the oldest first; what is given back goes to whose turn it is.
    fn rounds(&mut self, count: usize) {
        for _ in 0..count {
            let (nth, id) = self.running.pop_front().unwrap();
            let own = self.mezz();
            // A service's instance that ends by itself would be started again later only.
            let state = if id.starts_with("web_") {
                let (ids, scale_down) = (vec![id.clone()], false);
                self.world.feed(Event::Work {
                    request: RequestKey(901),
                    call: Box::new(Call::KillInstances { ids, scale_down }),
                    by: None,
                });
                S::TaskKilled
            } else {
                S::TaskFinished
            };
            self.world.update(&self.agents[nth], &own, &id, state, 2);
            self.take_started();
        }
    }

    /// How much of the cluster services have, and how much batch work.
    fn shares(&self) -> (usize, usize) {
        let of = |prefix: &str| {
            let own = self.running.iter().filter(|(_, id)| id.starts_with(prefix));
            own.count()
        };
        (of("web_"), of("batch_"))
    }
}

#[test]
fn services_that_come_to_a_cluster_full_of_batch_work_get_their_share_as_it_ends() {
    let mut cluster = Cluster::new(&[("web", 3.0)]);
    cluster.batch();
    assert_eq!(cluster.shares(), (0, CPUS));
    cluster.services();
    cluster.rounds(12);
    assert_eq!(
        cluster.shares(),
        (12, 4),
        "three to one, and no more than that"
    );
    cluster.rounds(2 * CPUS);
    assert_eq!(cluster.shares(), (12, 4), "and so it stays");
}

#[test]
fn batch_work_that_comes_to_a_cluster_full_of_services_gets_its_share_as_they_end() {
    let mut cluster = Cluster::new(&[("batch", 3.0)]);
    cluster.services();
    assert_eq!(cluster.shares(), (CPUS, 0));
    cluster.batch();
    cluster.rounds(12);
    assert_eq!(
        cluster.shares(),
        (4, 12),
        "three to one, and no more than that"
    );
    cluster.rounds(2 * CPUS);
    assert_eq!(cluster.shares(), (4, 12), "and so it stays");
}

#[test]
fn without_weights_batch_work_and_services_share_in_halves() {
    let mut cluster = Cluster::new(&[]);
    cluster.batch();
    cluster.services();
    cluster.rounds(3 * CPUS);
    assert_eq!(cluster.shares(), (CPUS / 2, CPUS / 2));
}
