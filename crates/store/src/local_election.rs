//! The election of the embedded backends: the store file is locked, so all candidates are in this process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use crate::writer::QueuedStore;
use crate::{
    Candidate, Election, ElectionError, Epoch, Leader, Leadership, LeadershipState, StoreError,
};

type Answer = oneshot::Sender<Result<Leadership, ElectionError>>;

/// First come, first elected.
#[derive(Debug, Clone)]
pub(crate) struct LocalElection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<QueuedStore>,
    ballot: Mutex<Ballot>,
    leader: watch::Sender<Option<Leader>>,
}

#[derive(Debug, Default)]
struct Ballot {
    waiting: VecDeque<(Candidate, Answer)>,
    seat: Seat,
}

#[derive(Debug, Default)]
enum Seat {
    #[default]
    Free,
    /// A candidate has been chosen; its epoch is being written.
    Reserved,
    Taken(Epoch, watch::Sender<LeadershipState>),
}

impl LocalElection {
    pub(crate) fn new(store: Arc<QueuedStore>) -> Self {
        let leader = watch::Sender::new(None);
        Self(Arc::new(Shared {
            store,
            ballot: Mutex::default(),
            leader,
        }))
    }

    fn ballot(&self) -> MutexGuard<'_, Ballot> {
        // Every change of the ballot is a single assignment, so a panic leaves it whole.
        self.0.ballot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Chooses the next candidate when the seat is free.
    fn choose(&self) {
        let mut ballot = self.ballot();
        if !matches!(ballot.seat, Seat::Free) {
            return;
        }
        let next = loop {
            match ballot.waiting.pop_front() {
                Some((_, answer)) if answer.is_closed() => {}
                next => break next,
            }
        };
        let Some((candidate, answer)) = next else {
            return;
        };
        ballot.seat = Seat::Reserved;
        drop(ballot);
        let election = self.clone();
        self.0.store.advance_epoch(Box::new(move |epoch| {
            election.on_epoch(candidate, answer, epoch);
        }));
    }

    fn on_epoch(&self, candidate: Candidate, answer: Answer, epoch: Result<Epoch, StoreError>) {
        let result = match epoch {
            Ok(epoch) => Ok(self.seat(candidate, epoch)),
            Err(error) => {
                self.ballot().seat = Seat::Free;
                Err(error.into())
            }
        };
        let failed = result.is_err();
        // A candidate that has withdrawn meanwhile drops its leadership here, which resigns.
        drop(answer.send(result));
        if failed {
            self.choose();
        }
    }

    fn seat(&self, candidate: Candidate, epoch: Epoch) -> Leadership {
        let leader = Leader { candidate, epoch };
        let (sender, state) = watch::channel(LeadershipState::Held);
        self.ballot().seat = Seat::Taken(epoch, sender);
        self.0.leader.send_replace(Some(leader.clone()));
        let election = self.clone();
        Leadership::new(leader, state, Box::new(move || election.on_resigned(epoch)))
    }

    fn on_resigned(&self, epoch: Epoch) {
        let mut ballot = self.ballot();
        match &ballot.seat {
            Seat::Taken(taken, state) if *taken == epoch => {
                state.send_replace(LeadershipState::Lost);
                self.0.leader.send_replace(None);
                ballot.seat = Seat::Free;
            }
            Seat::Free | Seat::Reserved | Seat::Taken(..) => return,
        }
        drop(ballot);
        self.choose();
    }
}

impl Election for LocalElection {
    fn campaign(
        &self,
        candidate: Candidate,
    ) -> oneshot::Receiver<Result<Leadership, ElectionError>> {
        let (answer, receiver) = oneshot::channel();
        self.ballot().waiting.push_back((candidate, answer));
        self.choose();
        receiver
    }

    fn observe(&self) -> watch::Receiver<Option<Leader>> {
        self.0.leader.subscribe()
    }
}
