//! What goes wrong, and what operators do in the middle of it.

use mezz_agent_core::StopRequest;
use mezz_core::event::{Event, OperatorAction};
use mezz_core::native::{NativeCall, NativeTask};
use mezz_proto::v1;

use crate::network::SECOND;
use crate::processes::SERVICE_PROGRAM;
use crate::schedule::Occurrence;
use crate::users::Users;
use crate::world::{Weather, World};

impl World {
    pub(crate) fn fault(&mut self) {
        if self.weather == Weather::Calm {
            return;
        }
        self.soon(9 * SECOND, Occurrence::Fault);
        let agent = self.rng.index(self.agents.len());
        match self.rng.below(100) {
            0..10 => self.kill_master(),
            10..20 => self.kill_agent_sometime(agent),
            20..23 => {
                self.kill_master();
                self.kill_agent(agent, 20 * SECOND);
            }
            23..43 => self.cut_a_link(),
            43..50 => self.partition(agent),
            50..53 => self.disk.fails = true,
            53..58 => self.compact_journal(agent),
            58..60 => self.stop_agent(agent, StopRequest::Leave),
            60 => self.stop_agent(agent, StopRequest::Drain),
            61..64 => self.lose_warden(agent),
            64..66 => self.operator_marks_gone(),
            66..72 => self.operator_switches_agent(),
            72..75 => self.operator_changes_weights(),
            75 => self.operator_tears_down(),
            76..90 if self.settings.users == Users::Crons => {}
            76..86 => self.run_native(),
            86..90 => self.kill_native(),
            90..93 => self.reboot(agent),
            93..96 => self.pause_master(),
            96..99 => self.partition_framework(),
            _ => {}
        }
    }

    /// At once, or in the middle of what it does next.
    fn kill_agent_sometime(&mut self, agent: usize) {
        if self.rng.chance(700) {
            let fuse = self.rng.below(6);
            self.agents[agent].fuse = Some(fuse);
        } else {
            let away = self.rng.span(10 * SECOND, 120 * SECOND);
            self.kill_agent(agent, away);
        }
    }

    fn cut_a_link(&mut self) {
        let links = self.network.carrying();
        if links.is_empty() {
            return;
        }
        let link = links[self.rng.index(links.len())];
        let notice = (
            self.rng.span(SECOND, 60 * SECOND),
            self.rng.span(SECOND, 60 * SECOND),
        );
        self.note(|| format!("link {link} breaks"));
        self.network
            .cut(self.now_ns, link, notice, &mut self.schedule);
    }

    fn partition(&mut self, agent: usize) {
        let span = self.rng.below(100 * SECOND);
        self.note(|| format!("agent {agent} is cut off for {} s", span / SECOND));
        self.agents[agent].unreachable_until_ns = self.now_ns + span;
        for link in self.network.carrying() {
            let of_agent = self
                .network
                .link(link)
                .is_some_and(|entry| entry.peer == crate::network::Peer::Agent(agent));
            if of_agent {
                let notice = (
                    self.rng.span(30 * SECOND, 100 * SECOND),
                    self.rng.span(30 * SECOND, 100 * SECOND),
                );
                self.network
                    .cut(self.now_ns, link, notice, &mut self.schedule);
            }
        }
    }

    /// The master may hear of it long after the framework has come back by another way, or long before.
    fn partition_framework(&mut self) {
        let framework = self.rng.index(self.frameworks.len());
        let Some(link) = self.frameworks[framework].link else {
            return;
        };
        let span = self.rng.below(100 * SECOND);
        self.note(|| format!("framework {framework} is cut off for {} s", span / SECOND));
        self.frameworks[framework].unreachable_until_ns = self.now_ns + span;
        let notice = (
            self.rng.span(10 * SECOND, 120 * SECOND),
            self.rng.span(10 * SECOND, 100 * SECOND),
        );
        self.network
            .cut(self.now_ns, link, notice, &mut self.schedule);
    }

    /// The warden dies, and with it every container; a new one knows nothing.
    fn lose_warden(&mut self, agent: usize) {
        if self.agents[agent].core.is_none() {
            return;
        }
        self.note(|| format!("agent {agent} loses its warden"));
        self.agents[agent].containers.clear();
        self.report(
            agent,
            SECOND,
            mezz_agent_core::Event::WardenLost {
                containers: Vec::new(),
            },
        );
    }

    fn some_agent_id(&mut self) -> Option<String> {
        let core = self.master.core.as_ref()?;
        let ids: Vec<String> = core
            .records()
            .agents
            .iter()
            .map(|(_, agent)| agent.id.to_string())
            .collect();
        (!ids.is_empty()).then(|| ids[self.rng.index(ids.len())].clone())
    }

    fn operator_marks_gone(&mut self) {
        if let Some(agent_id) = self.some_agent_id() {
            self.gone_agents.insert(agent_id.clone());
            self.operator(OperatorAction::MarkAgentGone { agent_id });
        }
    }

    fn operator_switches_agent(&mut self) {
        if let Some(agent_id) = self.some_agent_id() {
            let off = self.rng.chance(400);
            self.operator(if off {
                OperatorAction::DeactivateAgent { agent_id }
            } else {
                OperatorAction::ReactivateAgent { agent_id }
            });
        }
    }

    fn operator_changes_weights(&mut self) {
        let role = ["a", "b", "a/x", "c"][self.rng.index(4)].to_owned();
        let weight = [0.5, 1.0, 2.0, 10.0][self.rng.index(4)];
        self.operator(OperatorAction::UpdateWeights(vec![v1::WeightInfo {
            role: Some(role),
            weight,
        }]));
    }

    fn operator_tears_down(&mut self) {
        let index = self.rng.index(self.frameworks.len());
        if let Some(framework_id) = self.frameworks[index].id.clone() {
            self.operator(OperatorAction::Teardown { framework_id });
        }
    }

    fn run_native(&mut self) {
        let program = if self.rng.chance(300) {
            SERVICE_PROGRAM
        } else {
            "true"
        };
        let text = if self.rng.chance(200) {
            "cpus:3;mem:100"
        } else {
            "cpus:0.2;mem:64"
        };
        let task = NativeTask {
            name: "native".into(),
            id: None,
            role: ["a", "*", "n"][self.rng.index(3)].into(),
            resources: mezz_resource::parse_text(text, "*")
                .expect("well formed here")
                .to_proto(),
            priority: if self.rng.chance(300) { 3 } else { 0 },
            port_count: u32::from(self.rng.chance(300)),
            command: v1::CommandInfo {
                value: Some(program.into()),
                ..v1::CommandInfo::default()
            },
            container: None,
            labels: None,
            kill_policy: None,
        };
        let request = self.request();
        self.master_event(Event::Native {
            request,
            call: Box::new(NativeCall::Run(Box::new(task))),
        });
    }

    /// Ends all native tasks, to make room.
    pub(crate) fn kill_all_native(&mut self) {
        for task_id in self.native_tasks() {
            self.kill_native_task(task_id);
        }
    }

    pub(crate) fn kill_native(&mut self) {
        let ids = self.native_tasks();
        if !ids.is_empty() {
            let task_id = ids[self.rng.index(ids.len())].clone();
            self.kill_native_task(task_id);
        }
    }

    fn native_tasks(&self) -> Vec<String> {
        let Some(core) = &self.master.core else {
            return Vec::new();
        };
        let pending = core
            .records()
            .pending
            .iter()
            .map(|(_, pending)| pending.id.to_string());
        let placed = core
            .records()
            .tasks
            .iter()
            .map(|(_, task)| task.id.to_string());
        pending
            .chain(placed)
            .filter(|id| id.starts_with("native-"))
            .collect()
    }

    fn kill_native_task(&mut self, task_id: String) {
        self.note(|| format!("operator kills {task_id}"));
        let request = self.request();
        let call = NativeCall::Kill {
            task_id,
            framework_id: None,
            grace_period_ns: None,
        };
        self.master_event(Event::Native {
            request,
            call: Box::new(call),
        });
    }
}
