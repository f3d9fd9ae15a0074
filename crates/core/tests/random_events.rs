//! Events that make no sense together: the master never panics, and its invariants hold after each (`World::feed` checks).
#![allow(clippy::unwrap_used)]
mod world;

use mezz_core::config::Config;
use mezz_core::event::{Event, OperatorAction, OperatorCall, SchedulerCall, Subscribe, TimerKey};
use mezz_core::key::{AgentKey, FrameworkKey, Generation, RequestKey, SessionKey, StreamKey};
use mezz_core::native::{NativeCall, NativeTask};
use mezz_core::time::{MILLISECOND_NS, SECOND_NS};
use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use proptest::prelude::*;
use v1::framework_info::capability::Type as Capability;
use v1::scheduler::{Call, call};
use world::{World, agent_info, framework_info, task};

const RESOURCES: [&str; 4] = [
    "cpus:4;mem:4096",
    "cpus:1;mem:64;ports:[1-5]",
    "cpus:0.001",
    "mem:1",
];

/// Chance as numbers; each choice takes some.
struct Dice(Vec<usize>, usize);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.1 += 1;
        self.0[self.1 % self.0.len()] / (1 + self.1 / self.0.len()) % sides.max(1)
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())].clone()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.roll(2) == 1).then(|| make(self))
    }

    fn id(&mut self, known: &[String]) -> String {
        let mut ids = known.to_vec();
        ids.push("unknown".into());
        self.pick(&ids)
    }
}

fn agent_ids(world: &World) -> Vec<String> {
    let agents = world.master.records().agents.iter();
    agents.map(|(_, agent)| agent.id.to_string()).collect()
}

fn framework_ids(world: &World) -> Vec<String> {
    let frameworks = world.master.records().frameworks.iter();
    frameworks
        .map(|(_, framework)| framework.id.to_string())
        .collect()
}

fn task_id(dice: &mut Dice) -> v1::TaskId {
    let value = dice.pick(&["t0", "t1", "t2", "t3", "t4", ""]).to_owned();
    v1::TaskId { value }
}

fn agent_id(world: &World, dice: &mut Dice) -> v1::AgentId {
    let value = dice.id(&agent_ids(world));
    v1::AgentId { value }
}

fn framework_id(world: &World, dice: &mut Dice) -> v1::FrameworkId {
    let value = dice.id(&framework_ids(world));
    v1::FrameworkId { value }
}

fn executor_id(dice: &mut Dice) -> v1::ExecutorId {
    let value = dice.pick(&["e0", "e1"]).to_owned();
    v1::ExecutorId { value }
}

fn info(world: &World, dice: &mut Dice) -> v1::FrameworkInfo {
    let roles = dice.pick(&[&["a"][..], &["b", "a/x"], &["*"], &["bad role"]]);
    let capabilities = dice.pick(&[&[][..], &[Capability::PartitionAware]]);
    let mut info = framework_info("f", roles, capabilities);
    info.failover_timeout = dice.pick(&[None, Some(0.0), Some(20.0), Some(-1.0), Some(f64::MAX)]);
    info.checkpoint = dice.pick(&[None, Some(true)]);
    info.id = dice.maybe(|dice| framework_id(world, dice));
    info
}

fn state(dice: &mut Dice) -> i32 {
    i32::try_from(dice.roll(15)).unwrap()
}

fn wire_task(world: &World, dice: &mut Dice) -> v1::Task {
    let executor = dice.maybe(executor_id);
    v1::Task {
        task_id: task_id(dice),
        framework_id: framework_id(world, dice),
        agent_id: agent_id(world, dice),
        executor_id: executor,
        state: state(dice),
        // Without ports: an agent never has two tasks with the same ones.
        resources: agent_info(dice.pick(&RESOURCES[2..])).resources,
        ..v1::Task::default()
    }
}

fn executor(world: &World, dice: &mut Dice) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        executor_id: executor_id(dice),
        framework_id: dice.maybe(|dice| framework_id(world, dice)),
        resources: agent_info(dice.pick(&RESOURCES[2..])).resources,
        ..v1::ExecutorInfo::default()
    }
}

fn task_info(world: &World, dice: &mut Dice) -> v1::TaskInfo {
    let mut info = task(
        &task_id(dice).value,
        &agent_id(world, dice),
        dice.pick(&RESOURCES),
    );
    if dice.roll(3) == 0 {
        info.executor = Some(Box::new(executor(world, dice)));
        info.command = dice.pick(&[None, info.command.clone()]);
    }
    if dice.roll(9) == 0 {
        info.resources[0].scalar = Some(v1::value::Scalar { value: f64::NAN });
    }
    info
}

fn wire_tasks(world: &World, dice: &mut Dice, below: usize) -> Vec<prost::bytes::Bytes> {
    let tasks: Vec<_> = (0..dice.roll(below))
        .map(|_| wire_task(world, dice))
        .collect();
    world::encoded(&tasks)
}

fn agent_body(world: &World, dice: &mut Dice) -> Body {
    let mut some = agent_info(dice.pick(&RESOURCES));
    match dice.roll(9) {
        0 => Body::Register(agent::Register {
            agent: some,
            ..agent::Register::default()
        }),
        1 | 2 => {
            some.id = Some(agent_id(world, dice));
            Body::Reregister(agent::Reregister {
                agent: some,
                tasks: wire_tasks(world, dice, 4),
                executors: (0..dice.roll(3)).map(|_| executor(world, dice)).collect(),
                frameworks: (0..dice.roll(3)).map(|_| info(world, dice)).collect(),
                completed_frameworks: (0..dice.roll(3)).map(|_| info(world, dice)).collect(),
                completed_tasks: wire_tasks(world, dice, 3),
                ..agent::Reregister::default()
            })
        }
        3..6 => Body::StatusUpdate(agent::StatusUpdate {
            framework_id: framework_id(world, dice),
            status: v1::TaskStatus {
                task_id: task_id(dice),
                state: state(dice),
                uuid: dice.pick(&[None, Some(vec![1; 16].into()), Some(vec![2; 3].into())]),
                ..v1::TaskStatus::default()
            },
            latest_state: dice.pick(&[None, Some(2), Some(99)]),
            executor_id: None,
        }),
        6 => Body::ExecutorExited(agent::ExecutorExited {
            framework_id: framework_id(world, dice),
            executor_id: executor_id(dice),
            ..agent::ExecutorExited::default()
        }),
        7 => Body::Pong(agent::Pong {}),
        _ => Body::Unregister(agent::Unregister::default()),
    }
}

fn fill(world: &World, dice: &mut Dice, call: &mut Call) -> call::Type {
    let offers = world.master.records().offers.iter();
    let offers: Vec<String> = offers.map(|(_, offer)| offer.id.to_string()).collect();
    let offer_ids = (0..dice.roll(3))
        .map(|_| v1::OfferId {
            value: dice.id(&offers),
        })
        .collect();
    match dice.roll(12) {
        0..4 => {
            let launch = v1::offer::operation::Launch {
                task_infos: (0..dice.roll(4)).map(|_| task_info(world, dice)).collect(),
            };
            let operation = v1::offer::Operation {
                r#type: Some(i32::try_from(dice.roll(14)).unwrap()),
                launch: Some(launch),
                ..v1::offer::Operation::default()
            };
            call.accept = Some(call::Accept {
                offer_ids,
                operations: vec![operation; dice.roll(3)],
                filters: None,
            });
            call::Type::Accept
        }
        4 => {
            let refuse_seconds = dice.pick(&[None, Some(0.0), Some(-5.0), Some(f64::NAN)]);
            call.decline = Some(call::Decline {
                offer_ids,
                filters: Some(v1::Filters { refuse_seconds }),
            });
            call::Type::Decline
        }
        5 => {
            call.kill = Some(call::Kill {
                task_id: task_id(dice),
                agent_id: dice.maybe(|dice| agent_id(world, dice)),
                kill_policy: None,
            });
            call::Type::Kill
        }
        6 | 7 => {
            call.acknowledge = Some(call::Acknowledge {
                agent_id: agent_id(world, dice),
                task_id: task_id(dice),
                uuid: vec![1; 16].into(),
            });
            call::Type::Acknowledge
        }
        8 => {
            call.reconcile = Some(call::Reconcile {
                tasks: (0..dice.roll(3))
                    .map(|_| call::reconcile::Task {
                        task_id: task_id(dice),
                        agent_id: dice.maybe(|dice| agent_id(world, dice)),
                    })
                    .collect(),
            });
            call::Type::Reconcile
        }
        9 => dice.pick(&[call::Type::Suppress, call::Type::Revive]),
        10 => {
            call.update_framework = Some(Box::new(call::UpdateFramework {
                framework_info: info(world, dice),
                ..call::UpdateFramework::default()
            }));
            call::Type::UpdateFramework
        }
        _ => call::Type::Teardown,
    }
}

fn operator_action(world: &World, dice: &mut Dice) -> OperatorAction {
    let (agent_id, framework_id) = (agent_id(world, dice).value, framework_id(world, dice).value);
    match dice.roll(5) {
        0 => OperatorAction::Teardown { framework_id },
        1 => OperatorAction::MarkAgentGone { agent_id },
        2 => OperatorAction::DeactivateAgent { agent_id },
        3 => OperatorAction::ReactivateAgent { agent_id },
        _ => OperatorAction::UpdateWeights(vec![v1::WeightInfo {
            role: Some(dice.pick(&["a", "a/x", "bad role"]).into()),
            weight: dice.pick(&[0.0, 2.0, f64::NAN, f64::INFINITY]),
        }]),
    }
}

fn native(dice: &mut Dice) -> NativeCall {
    if dice.roll(3) == 0 {
        return NativeCall::Kill {
            task_id: task_id(dice).value,
            framework_id: None,
            grace_period_ns: Some(-1),
        };
    }
    NativeCall::Run(Box::new(NativeTask {
        name: "t".into(),
        id: dice.maybe(|dice| task_id(dice).value),
        role: dice.pick(&["*", "a", "bad role"]).into(),
        resources: agent_info(dice.pick(&RESOURCES)).resources,
        priority: 0,
        port_count: u32::try_from(dice.roll(3)).unwrap(),
        command: v1::CommandInfo {
            value: Some("true".into()),
            ..v1::CommandInfo::default()
        },
        container: None,
        labels: None,
        kill_policy: None,
    }))
}

/// Sessions and streams are numbered by the shell and never used again; some numbers here were never used.
fn step(world: &mut World, dice: &mut Dice, number: u64) {
    let earlier = number - (dice.roll(6) as u64).min(number);
    let request = RequestKey(number);
    match dice.roll(20) {
        0 | 1 => {
            let id = dice.maybe(|dice| agent_id(world, dice).value);
            world.hello(SessionKey(number), id.as_deref());
            let body = Box::new(agent_body(world, dice));
            let session = SessionKey(number);
            world.feed(Event::Agent { session, body });
        }
        2..8 => {
            let body = Box::new(agent_body(world, dice));
            let session = SessionKey(earlier);
            world.feed(Event::Agent { session, body });
        }
        8 => world.feed(Event::SessionClosed(SessionKey(earlier))),
        9 | 10 => {
            let framework_info = info(world, dice);
            world.feed(Event::Subscribe(Box::new(Subscribe {
                stream: StreamKey(number),
                stream_id: "s".into(),
                principal: None,
                subscribe: call::Subscribe {
                    framework_info,
                    ..call::Subscribe::default()
                },
            })));
        }
        11 => world.feed(Event::StreamClosed(StreamKey(earlier))),
        12..15 => {
            let mut call = Call {
                framework_id: Some(framework_id(world, dice)),
                ..Call::default()
            };
            call.r#type = Some(fill(world, dice, &mut call) as i32);
            world.feed(Event::Call(Box::new(SchedulerCall {
                request,
                stream_id: Some("s".into()),
                principal: None,
                call,
            })));
        }
        15 => {
            let action = operator_action(world, dice);
            world.feed(Event::Operator(Box::new(OperatorCall {
                request,
                principal: None,
                action,
            })));
        }
        16 => {
            let call = Box::new(native(dice));
            world.feed(Event::Native { request, call });
        }
        17 => {
            let key = dice.pick(&[
                TimerKey::Allocate,
                TimerKey::Ping(AgentKey(9)),
                TimerKey::Failover(FrameworkKey(0)),
            ]);
            let generation = Generation(number);
            world.feed(Event::Timer { key, generation });
        }
        18 => world.pass(dice.roll(40) as u64 * SECOND_NS),
        _ => world.pass(5 * MILLISECOND_NS),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_breaks_the_master(steps in prop::collection::vec(prop::collection::vec(0usize..100_000, 12), 1..80)) {
        let mut world = World::with(Config {
            max_completed_frameworks: 2,
            max_completed_tasks_per_framework: 2,
            max_unreachable_tasks_per_framework: 1,
            registration_permits: 2,
            agent_reregister_timeout_ns: 60 * SECOND_NS,
            ..Config::default()
        });
        for (number, rolls) in (1..).zip(steps) {
            step(&mut world, &mut Dice(rolls, 0), number);
        }
        // What the next master makes of the store that is left.
        let mut next = World::restarted(Config::default(), "m2", 2, world.store);
        next.pass(100 * SECOND_NS);
    }
}
