//! What a framework has seen of one task, and what it must never see.

use mezz_core::is_terminal;
use mezz_proto::v1::{TaskState, TaskStatus};

/// An update that the framework has to acknowledge.
#[derive(Debug)]
struct Seen {
    uuid: Vec<u8>,
    state: TaskState,
    acknowledged: bool,
}

/// One task.
#[derive(Debug, Default)]
pub(crate) struct TaskView {
    pub(crate) agent_id: String,
    /// The newest word, whoever said it.
    pub(crate) state: Option<TaskState>,
    seen: Vec<Seen>,
    /// The master said for certain that no agent has it.
    dropped: bool,
    pub(crate) killed: bool,
}

fn rank(state: TaskState) -> u8 {
    match state {
        TaskState::TaskStaging => 0,
        TaskState::TaskStarting => 1,
        TaskState::TaskRunning => 2,
        TaskState::TaskKilling => 3,
        _ => 4,
    }
}

impl TaskView {
    pub(crate) fn new(agent_id: String) -> Self {
        Self {
            agent_id,
            ..Self::default()
        }
    }

    /// Takes a status in; says what is wrong with it.
    pub(crate) fn take(&mut self, status: &TaskStatus) -> Result<(), String> {
        match &status.uuid {
            Some(uuid) => self.take_update(status, uuid),
            None => self.take_word_of_master(status),
        }
    }

    fn take_update(&mut self, status: &TaskStatus, uuid: &[u8]) -> Result<(), String> {
        if self.has_seen(uuid) {
            return Ok(());
        }
        let state = status.state();
        if status.message() == "Cannot find executor" {
            // An answer to a kill, not part of the task's stream.
            self.state = Some(state);
            return Ok(());
        }
        if let Some(open) = self.seen.iter().find(|seen| !seen.acknowledged) {
            return Err(format!(
                "{state:?} came while {:?} is not acknowledged",
                open.state
            ));
        }
        if let Some(last) = self.seen.last()
            && (is_terminal(last.state) || rank(state) < rank(last.state))
        {
            return Err(format!("{state:?} came after {:?}", last.state));
        }
        if self.dropped {
            return Err(format!(
                "{state:?} came after the agent did not know the task"
            ));
        }
        self.seen.push(Seen {
            uuid: uuid.to_vec(),
            state,
            acknowledged: false,
        });
        self.state = Some(state);
        Ok(())
    }

    fn take_word_of_master(&mut self, status: &TaskStatus) -> Result<(), String> {
        let state = status.state();
        let over = self.seen.last().filter(|seen| is_terminal(seen.state));
        if let Some(over) = over {
            if rank(state) < 4 {
                return Err(format!("the master says {state:?} after {:?}", over.state));
            }
            return Ok(());
        }
        if state == TaskState::TaskDropped
            && status.message() == "Reconciliation: Task is unknown to the agent"
        {
            self.dropped = true;
        }
        self.state = Some(state);
        Ok(())
    }

    pub(crate) fn has_seen(&self, uuid: &[u8]) -> bool {
        self.seen.iter().any(|seen| seen.uuid == uuid)
    }

    pub(crate) fn acknowledge(&mut self, uuid: &[u8]) {
        for seen in self.seen.iter_mut().filter(|seen| seen.uuid == uuid) {
            seen.acknowledged = true;
        }
    }

    /// Whether the framework waits for nothing more.
    pub(crate) fn is_over(&self) -> bool {
        self.state
            .is_some_and(|state| is_terminal(state) || state == TaskState::TaskUnknown)
    }
}
