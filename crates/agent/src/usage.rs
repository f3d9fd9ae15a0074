//! Questions to the warden about what containers use, and who waits for the answers.

use std::collections::BTreeMap;

use mezz_agent_core::LaunchId;
use mezz_warden::{Request, Usage};
use tokio::sync::oneshot;

#[derive(Debug)]
struct Question {
    open: usize,
    answers: Vec<(LaunchId, Usage)>,
    answer: oneshot::Sender<Vec<(LaunchId, Usage)>>,
}

/// The open questions.
#[derive(Debug, Default)]
pub(crate) struct UsageRequests {
    questions: BTreeMap<u64, Question>,
    next: u64,
    waiting: BTreeMap<LaunchId, Vec<u64>>,
    unsent: Vec<LaunchId>,
}

impl UsageRequests {
    /// Asks about several containers; answered when all are.
    pub(crate) fn ask(
        &mut self,
        launches: Vec<LaunchId>,
        answer: oneshot::Sender<Vec<(LaunchId, Usage)>>,
    ) {
        if launches.is_empty() {
            let _ = answer.send(Vec::new());
            return;
        }
        self.next += 1;
        self.questions.insert(
            self.next,
            Question {
                open: launches.len(),
                answers: Vec::new(),
                answer,
            },
        );
        for launch_id in launches {
            let waiting = self.waiting.entry(launch_id).or_default();
            if waiting.is_empty() {
                self.unsent.push(launch_id);
            }
            waiting.push(self.next);
        }
    }

    /// Adds what has to be asked of the warden.
    pub(crate) fn gather(&mut self, requests: &mut Vec<Request>) {
        let usage = |launch_id: LaunchId| Request::Usage {
            launch_id: mezz_launch_plan::LaunchId(launch_id.0),
        };
        requests.extend(self.unsent.drain(..).map(usage));
    }

    /// The warden's answer; `None` when it does not know the container.
    pub(crate) fn answered(&mut self, launch_id: LaunchId, usage: Option<Usage>) {
        for number in self.waiting.remove(&launch_id).unwrap_or_default() {
            let Some(question) = self.questions.get_mut(&number) else {
                continue;
            };
            question
                .answers
                .extend(usage.map(|usage| (launch_id, usage)));
            question.open -= 1;
            if question.open == 0
                && let Some(question) = self.questions.remove(&number)
            {
                let _ = question.answer.send(question.answers);
            }
        }
    }

    /// The warden is gone: nobody will answer.
    pub(crate) fn give_up(&mut self) {
        *self = Self::default();
    }
}
