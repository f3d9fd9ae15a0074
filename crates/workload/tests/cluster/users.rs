//! What users and tasks do to the cluster, and what they see of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use mezz_proto::v1::TaskState;
use mezz_spec::{Kind, Name};
use mezz_workload::call::{Call, Reply};
use mezz_workload::event::{AgentNews, Event};
use mezz_workload::key::RequestKey;
use mezz_workload::records::{RunRecord, RunState};
use serde_json::Value;

use super::{Cluster, apply, info, job, object, status};

impl Cluster {
    pub(crate) fn call(&mut self, call: Call) -> Reply {
        let request = self.next_request;
        self.next_request += 1;
        self.send(Event::Call {
            request: RequestKey(request),
            call: Box::new(call),
            by: None,
        });
        self.replies
            .remove(&request)
            .expect("each call is answered")
    }

    pub(crate) fn apply(&mut self, kind: Kind, name: &str, spec: Value) -> Reply {
        let object = object(kind, name, spec);
        self.call(apply(vec![object]))
    }

    pub(crate) fn apply_job(&mut self, name: &str, more: Value) {
        let reply = self.apply(Kind::Job, name, job(more));
        assert!(matches!(reply, Reply::Applied(_)), "{reply:?}");
    }

    pub(crate) fn running(&mut self, id: &str) {
        self.tasks.get_mut(id).expect("it was launched").state = TaskState::TaskRunning;
        self.send(status(id, TaskState::TaskRunning, None, ""));
    }

    pub(crate) fn end(&mut self, id: &str, state: TaskState, exit: Option<i32>) {
        self.tasks
            .remove(id)
            .unwrap_or_else(|| panic!("no task {id}"));
        self.send(status(id, state, exit, "it ended"));
    }

    pub(crate) fn succeed(&mut self, id: &str) {
        self.end(id, TaskState::TaskFinished, Some(0));
    }

    pub(crate) fn fail(&mut self, id: &str) {
        self.end(id, TaskState::TaskFailed, Some(1));
    }

    /// All that runs succeeds, and what follows it, until nothing runs.
    pub(crate) fn succeed_all(&mut self) {
        while let Some(id) = self.tasks.keys().next().cloned() {
            self.succeed(&id);
        }
    }

    pub(crate) fn lose_agent(&mut self, id: &str) {
        self.agents.get_mut(id).unwrap().is_up = false;
        self.send(Event::Agent(AgentNews::Unreachable(id.into())));
    }

    pub(crate) fn agent_returns(&mut self, id: &str) {
        self.agents.get_mut(id).unwrap().is_up = true;
        self.send(Event::Agent(AgentNews::Up(info(id))));
        let here = self.tasks.iter().filter(|(_, task)| task.agent == id);
        let events: Vec<Event> = here
            .map(|(id, task)| status(id, task.state, None, ""))
            .collect();
        for event in events {
            self.send(event);
        }
    }

    pub(crate) fn agent_gone(&mut self, id: &str) {
        self.tasks.retain(|_, task| task.agent != id);
        self.agents.get_mut(id).unwrap().is_up = false;
        self.send(Event::Agent(AgentNews::Gone(id.into())));
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        self.tasks.keys().map(String::as_str).collect()
    }

    pub(crate) fn runs(&self, kind: Kind, name: &str) -> Vec<Arc<RunRecord>> {
        let Some(object) = self.w.object(kind, &Name::new(name).unwrap()) else {
            return Vec::new();
        };
        let mut runs: Vec<Arc<RunRecord>> = self
            .w
            .runs_of(object.key)
            .map(|run| Arc::clone(self.w.run(run).unwrap()))
            .collect();
        runs.sort_by_key(|run| (run.created_at, run.id.clone()));
        runs
    }

    pub(crate) fn run(&self, name: &str) -> Arc<RunRecord> {
        self.runs(Kind::Job, name).pop().expect("it has a run")
    }

    pub(crate) fn states(&self, kind: Kind, name: &str) -> Vec<RunState> {
        self.runs(kind, name).iter().map(|run| run.state).collect()
    }

    pub(crate) fn env(&self, id: &str, name: &str) -> Option<String> {
        let command = self.tasks[id].info.command.as_ref()?;
        let variables = &command.environment.as_ref()?.variables;
        variables.iter().find(|one| one.name == name)?.value.clone()
    }

    pub(crate) fn why(&self, kind: Kind, name: &str) -> String {
        self.w
            .why(kind, &Name::new(name).unwrap(), self.now().wall)
            .unwrap_or_default()
            .join("\n")
    }

    /// No two tasks of one index are alive.
    pub(crate) fn assert_no_doubles(&self) {
        let mut seen = BTreeSet::new();
        for id in self.tasks.keys() {
            let (index, _) = id.rsplit_once('.').unwrap();
            assert!(
                seen.insert(index.to_owned()),
                "two attempts of {index} are alive"
            );
        }
    }
}
