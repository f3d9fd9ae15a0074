//! A thread that makes groups ahead of time, removes old ones, and hears when memory runs out in one.
//!
//! Must never decide whose group one is: it is told.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mezz_agent_core::{Event, LaunchId};
use mezz_cgroup::{Group, Left, OomCounters, OomVerdict, OomWatch, Pool};
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use super::limits::out_of_memory;
use crate::inbox::{Inbox, Input};

/// So many groups are kept ready.
pub(super) const READY: usize = 64;
/// Groups made or removed in one go, before others are heard.
const BATCH: usize = 16;
/// How long groups that have somebody in them still are left alone, at first and at last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(200));
/// How long no group is made ahead after one could not be made.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How long the end waits for groups to go.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// What the thread is told.
#[derive(Debug)]
enum Order {
    /// Memory that runs out in this group is that of this launch.
    Assign(Group, LaunchId),
    /// Kill whoever is in it, and remove it.
    Retire(Group),
    /// Remove what is to be removed, and end.
    Stop,
}

#[derive(Debug, Default)]
struct Desk {
    ready: VecDeque<Group>,
    orders: Vec<Order>,
}

/// The way to the thread.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    wake: OwnedFd,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether memory that runs out is listened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listening {
    ForMemory,
    No,
}

impl Keeper {
    pub(super) fn start(pool: Pool, listening: Listening, inbox: Arc<Inbox>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            desk: Mutex::default(),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(WAKE);
        epoll::add(&epoll, &shared.wake, data, epoll::EventFlags::IN)?;
        let work = Work {
            shared: Arc::clone(&shared),
            epoll,
            pool,
            listening,
            inbox,
            watched: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next: WAKE + 1,
            going: 0,
            pause: PAUSE.0,
            not_before: None,
        };
        let builder = std::thread::Builder::new().name("cgroups".to_owned());
        let thread = builder.spawn(move || work.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// A group with the limits that all have.
    pub(super) fn take(&self) -> Option<Group> {
        self.shared.desk().ready.pop_front()
    }

    pub(super) fn assign(&self, group: Group, launch_id: LaunchId) {
        self.order(Order::Assign(group, launch_id));
    }

    pub(super) fn retire(&self, group: Group) {
        self.order(Order::Retire(group));
    }

    /// Returns when everything that was retired is gone, or would not go.
    pub(super) fn stop(mut self) {
        self.order(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn order(&self, order: Order) {
        let mut desk = self.shared.desk();
        desk.orders.push(order);
        let first = desk.orders.len() == 1;
        drop(desk);
        if first {
            // The counter cannot overflow: it is reset at each batch.
            let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
        }
    }
}

/// The number of the descriptor that wakes the thread.
const WAKE: u64 = 0;

struct Watched {
    watch: OomWatch,
    group: Group,
    launch_id: LaunchId,
}

struct Work {
    shared: Arc<Shared>,
    epoll: OwnedFd,
    pool: Pool,
    listening: Listening,
    inbox: Arc<Inbox>,
    watched: BTreeMap<u64, Watched>,
    /// By the names of their groups.
    numbers: BTreeMap<String, u64>,
    next: u64,
    /// Groups that are to go.
    going: usize,
    pause: Duration,
    /// When groups can be made again.
    not_before: Option<Instant>,
}

impl Work {
    fn run(mut self) {
        loop {
            let orders = std::mem::take(&mut self.shared.desk().orders);
            for order in orders {
                match order {
                    Order::Assign(group, launch_id) => self.watch(group, launch_id),
                    Order::Retire(group) => self.retire(group),
                    Order::Stop => return self.finish(),
                }
            }
            let missing = self.refill();
            self.reap();
            self.wait(missing);
        }
    }

    fn refill(&mut self) -> usize {
        if self.not_before.is_some_and(|at| at > Instant::now()) {
            return 0;
        }
        self.not_before = None;
        let missing = READY.saturating_sub(self.shared.desk().ready.len());
        if let Err(error) = self.pool.refill(missing.min(BATCH)) {
            tracing::warn!(%error, "no groups are made ahead of time for a while");
            self.not_before = Some(Instant::now() + AFTER_FAILURE);
        }
        let mut made = 0;
        while let Some(group) = self.pool.take() {
            self.shared.desk().ready.push_back(group);
            made += 1;
        }
        missing - made
    }

    fn reap(&mut self) {
        if self.going == 0 {
            return;
        }
        let before = self.going;
        self.going = self.pool.reap(before.min(BATCH));
        self.pause = if self.going < before {
            PAUSE.0
        } else {
            (self.pause * 2).min(PAUSE.1)
        };
    }

    fn wait(&mut self, missing: usize) {
        let timeout = match (missing, self.going, self.not_before) {
            (0, 0, None) => None,
            (0, 0, Some(at)) => Some(at.saturating_duration_since(Instant::now())),
            (0, _, _) => Some(self.pause),
            _ => Some(Duration::ZERO),
        };
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let mut room = [const { std::mem::MaybeUninit::uninit() }; 64];
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut room, timeout.as_ref()) else {
            return;
        };
        let numbers: Vec<u64> = events.iter().map(|event| event.data.u64()).collect();
        for number in numbers {
            if number == WAKE {
                let mut counter = [0; 8];
                let _ = rustix::io::read(&self.shared.wake, &mut counter);
            } else {
                self.on_news(number);
            }
        }
    }

    fn watch(&mut self, group: Group, launch_id: LaunchId) {
        if self.listening == Listening::No {
            return;
        }
        let watch = match OomWatch::new(&group) {
            Ok(watch) => watch,
            Err(error) => {
                tracing::warn!(%launch_id, %error, "memory that runs out is seen at the end of the container only");
                return;
            }
        };
        let number = self.next;
        self.next += 1;
        let data = epoll::EventData::new_u64(number);
        if let Err(error) = epoll::add(&self.epoll, &watch, data, watch.readiness()) {
            tracing::warn!(%launch_id, %error, "memory that runs out is seen at the end of the container only");
            return;
        }
        self.numbers.insert(group.name().to_string(), number);
        // It may have run out before it was watched.
        let told = group
            .oom_counters()
            .is_ok_and(|counters| has_run_out(&counters));
        let watched = Watched {
            watch,
            group,
            launch_id,
        };
        self.watched.insert(number, watched);
        if told {
            self.tell(number);
        }
    }

    fn on_news(&mut self, number: u64) {
        let Some(watched) = self.watched.get(&number) else {
            return;
        };
        let _ = watched.watch.drain();
        let counters = watched.group.oom_counters();
        let limit = match (&watched.watch, counters) {
            // Told before anybody is killed, and for nothing else but the end of the group, which is not watched then.
            (OomWatch::V1(_), Ok(counters)) => counters.at_limit > 0,
            (OomWatch::V2(_), Ok(counters)) => has_run_out(&counters),
            (_, Err(_)) => false,
        };
        if limit {
            self.tell(number);
        }
    }

    /// Once: the container is ended for it.
    fn tell(&mut self, number: u64) {
        let Some(watched) = self.watched.remove(&number) else {
            return;
        };
        self.numbers.remove(watched.group.name().as_str());
        let _ = epoll::delete(&self.epoll, &watched.watch);
        if let Ok(report) = watched.group.oom_report() {
            self.inbox.put(Input::Event(Event::ContainerLimited {
                launch_id: watched.launch_id,
                limitation: Box::new(out_of_memory(&report)),
            }));
        }
    }

    fn retire(&mut self, group: Group) {
        if let Some(number) = self.numbers.remove(group.name().as_str())
            && let Some(watched) = self.watched.remove(&number)
        {
            let _ = epoll::delete(&self.epoll, &watched.watch);
        }
        self.pool.retire(group);
        self.going += 1;
        self.pause = PAUSE.0;
    }

    fn finish(mut self) {
        let ready = std::mem::take(&mut self.shared.desk().ready);
        for group in ready {
            if group.remove_once() == Left::Something {
                self.pool.retire(group);
            }
        }
        let end = Instant::now() + LAST_MOMENT;
        while self.pool.reap(usize::MAX) > 0 && Instant::now() < end {
            std::thread::sleep(PAUSE.0);
        }
    }
}

/// Whether the group itself has had too little, and somebody has ended for it.
pub(super) fn has_run_out(counters: &OomCounters) -> bool {
    counters.verdict_since(&OomCounters::default()) == OomVerdict::Limit
}
