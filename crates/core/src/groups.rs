//! LAUNCH_GROUP: all of a group is launched, or none of it, and then each task is told why.

use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_resource::Resources;
use prost::Message as _;
use v1::offer::operation::LaunchGroup;
use v1::task_status::Reason;

use crate::accept::Acceptance;
use crate::accounts::{agent_sched_key, discharge};
use crate::effect::Effects;
use crate::frameworks::sched_key;
use crate::launch::{Demand, allocated};
use crate::master::Master;
use crate::records::AgentState;
use crate::validation::{self, SharedCgroups};
use crate::wire;

/// What a group takes from an offer.
struct Share {
    /// Of each task.
    tasks: Vec<Resources>,
    /// Unset when the executor runs already.
    executor: Option<Resources>,
}

impl Share {
    fn total(&self) -> Resources {
        let mut total = self.executor.clone().unwrap_or_default();
        for task in &self.tasks {
            total += task;
        }
        total
    }
}

impl Master {
    pub(crate) fn launch_group(
        &mut self,
        acceptance: &mut Acceptance,
        group: LaunchGroup,
        with_id: bool,
        effects: &mut Effects,
    ) {
        let (framework, agent) = (acceptance.framework, acceptance.agent);
        let LaunchGroup {
            mut executor,
            task_group: v1::TaskGroupInfo { mut tasks },
        } = group;
        if tasks.is_empty() {
            // There is nobody to tell.
            return;
        }
        let refusal = if with_id {
            let text = "'id' may not be set on an operation of type LAUNCH_GROUP";
            Some((
                v1::TaskState::TaskError,
                Reason::TaskGroupInvalid,
                text.to_owned(),
            ))
        } else if self.agent(agent).state != AgentState::Connected {
            let state = self.lost_or(framework, v1::TaskState::TaskDropped);
            let text = "Agent disconnected".to_owned();
            Some((state, Reason::AgentDisconnected, text))
        } else {
            None
        };
        // The checks name what cannot be read.
        if let Ok(resources) = allocated(&executor.resources, &acceptance.role) {
            executor.resources = resources.to_proto();
        }
        for task in &mut tasks {
            if let Some(own) = &mut task.executor
                && let Ok(resources) = allocated(&own.resources, &acceptance.role)
            {
                own.resources = resources.to_proto();
            }
        }
        let checked = match refusal {
            Some(refusal) => Err(refusal),
            None => self
                .check_group(acceptance, &executor, &tasks)
                .map_err(|text| (v1::TaskState::TaskError, Reason::TaskGroupInvalid, text)),
        };
        match checked {
            Err((state, reason, text)) => {
                for task in &tasks {
                    self.refuse_task(framework, task, state, reason, text.clone(), effects);
                }
            }
            Ok(share) => self.admit_group(acceptance, executor, tasks, share, effects),
        }
    }

    fn check_group(
        &self,
        acceptance: &Acceptance,
        executor: &v1::ExecutorInfo,
        tasks: &[v1::TaskInfo],
    ) -> Result<Share, String> {
        let (framework, agent, role) = (acceptance.framework, acceptance.agent, &acceptance.role);
        let mut taken = Vec::with_capacity(tasks.len());
        for (index, task) in tasks.iter().enumerate() {
            let id = &task.task_id.value;
            let invalid = |error: String| format!("Task '{id}' is invalid: {error}");
            validation::group_task(task).map_err(invalid)?;
            let is_twice = tasks[..index].iter().any(|one| one.task_id == task.task_id);
            if is_twice {
                return Err(invalid(format!("Task has duplicate ID: {id}")));
            }
            taken.push(
                self.check_place(framework, agent, role, task)
                    .map_err(invalid)?,
            );
        }
        let own = &self.framework(framework).id;
        validation::pod(executor, own)?;
        let resources = self.executor_demand(framework, agent, role, executor)?;
        for task in tasks {
            if task.executor.as_deref().is_some_and(|own| own != executor) {
                return Err(format!(
                    "The `ExecutorInfo` of task '{}' is different from executor '{}'",
                    task.task_id.value, executor.executor_id.value
                ));
            }
        }
        let share = Share {
            tasks: taken,
            executor: resources,
        };
        let total = share.total();
        if !acceptance.remaining.contains(&total) {
            return Err(format!(
                "Total resources {total} required by task group and its executor are more than available {}",
                acceptance.remaining
            ));
        }
        self.check_cgroups(acceptance, executor, tasks)?;
        Ok(share)
    }

    /// Whether a group shares control groups as those before it in the same executor do.
    fn check_cgroups(
        &self,
        acceptance: &Acceptance,
        executor: &v1::ExecutorInfo,
        tasks: &[v1::TaskInfo],
    ) -> Result<(), String> {
        let mut shared = SharedCgroups::default();
        for task in tasks {
            shared = shared.with(task.container.as_deref())?;
        }
        let id = executor.executor_id.value.as_str();
        let Some(live) = self.agents.get(&acceptance.agent) else {
            return Ok(());
        };
        if self
            .running_executor(acceptance.framework, acceptance.agent, id)
            .is_none()
        {
            return Ok(());
        }
        for task in live.tasks.iter().filter_map(|key| self.task(*key)) {
            let is_beside =
                task.framework == acceptance.framework && task.executor_id.as_deref() == Some(id);
            if is_beside && let Ok(task) = v1::Task::decode(&*task.wire) {
                shared = shared.with(task.container.as_deref())?;
            }
        }
        Ok(())
    }

    fn admit_group(
        &mut self,
        acceptance: &mut Acceptance,
        executor: v1::ExecutorInfo,
        tasks: Vec<v1::TaskInfo>,
        share: Share,
        effects: &mut Effects,
    ) {
        let (framework, agent) = (acceptance.framework, acceptance.agent);
        let total = share.total();
        discharge(&mut acceptance.remaining, &total);
        self.sched
            .mark_used(sched_key(framework), agent_sched_key(agent), &total);
        let mut of_executor = share.executor;
        let mut launches = Vec::with_capacity(tasks.len());
        for (mut task, taken) in tasks.into_iter().zip(share.tasks) {
            task.executor = Some(Box::new(executor.clone()));
            let demand = Demand {
                task: taken,
                executor: of_executor.take(),
            };
            let mut run =
                self.admit_task(framework, agent, &acceptance.role, task, demand, effects);
            run.task.executor = None;
            launches.push(run);
        }
        let news = self.agent_live(agent).told_frameworks.insert(framework);
        let record = self.framework(framework);
        let body = Body::RunGroup(agent::RunGroup {
            framework_id: wire::framework_id_of(&record.id),
            framework: news.then(|| (*record.info).clone()),
            executor,
            tasks: launches,
        });
        self.send_agent(agent, body, None, effects);
    }
}
