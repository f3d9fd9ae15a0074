//! Death at every crash point of agent, master and warden, in the middle of a small load: every task ends once, runs at
//! most once, and what has run is never called lost.
//!
//! A point is visited many times in a story; `MEZZ_TEST_CRASH_VISITS=20` tries the first twenty instead of a few.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mezz_testkit::wait::{eventually, within};
use mezz_testkit::{Daemon, DaemonError};
use serde_json::{Value, json};

use crate::lab::{Lab, SOON, names};
use crate::load::Load;

const VARIABLE: &str = mezz_warden::crash_point::VARIABLE;
/// Stories told at once; most of their time is waiting.
const TELLERS: usize = 4;

/// Whose death the story is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Agent,
    Master,
    Warden,
}

#[test]
fn the_agent_may_die_at_every_crash_point() {
    die_everywhere(Victim::Agent, mezz_agent::CRASH_POINTS, &[1, 2, 5, 11]);
}

#[test]
fn the_master_may_die_at_every_crash_point() {
    die_everywhere(Victim::Master, mezz_master::CRASH_POINTS, &[1, 2, 4, 7, 12]);
}

#[test]
fn the_warden_may_die_at_every_crash_point() {
    let points: Vec<&str> = mezz_warden::crash_point::WARDEN_POINTS
        .iter()
        .copied()
        .filter(|point| !point.contains("reexec"))
        .collect();
    die_everywhere(Victim::Warden, &points, &[1, 4]);
}

/// Tells the story of each point at several of its visits; the first must be reached.
fn die_everywhere(victim: Victim, points: &[&str], visits: &[u32]) {
    let wanted = std::env::var("MEZZ_TEST_CRASH_VISITS")
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    let visits = wanted.map_or_else(|| visits.to_vec(), |count| (1..=count).collect());
    let stories: VecDeque<(&str, u32)> = points
        .iter()
        .flat_map(|point| visits.iter().map(move |visit| (*point, *visit)))
        .collect();
    let stories = Mutex::new(stories);
    std::thread::scope(|scope| {
        for _ in 0..TELLERS {
            scope.spawn(|| {
                loop {
                    let Some((point, visit)) = stories.lock().unwrap().pop_front() else {
                        return;
                    };
                    let began = Instant::now();
                    let died = Story::begin(victim, point, visit).tell();
                    eprintln!(
                        "{point}:{visit} {} in {:?}",
                        if died { "reached" } else { "not reached" },
                        began.elapsed()
                    );
                    assert!(died || visit > 1, "{point} was never reached");
                }
            });
        }
    });
}

struct Story {
    lab: Lab,
    victim: Victim,
    point: String,
    name: String,
    master: Option<Daemon>,
    agent: Option<Daemon>,
    warden: Option<Child>,
    port: u16,
    died: bool,
    load: Option<Load>,
    native: Vec<Native>,
}

/// A task of the native API, and whether the master has promised to run it.
struct Native {
    id: String,
    is_promised: bool,
}

impl Story {
    fn begin(victim: Victim, point: &str, visit: u32) -> Self {
        Self {
            lab: Lab::new(),
            victim,
            point: format!("{point}:{visit}"),
            name: point.to_owned(),
            master: None,
            agent: None,
            warden: None,
            port: 0,
            died: false,
            load: None,
            native: Vec::new(),
        }
    }

    /// Whether the victim died at the point.
    fn tell(mut self) -> bool {
        self.start();
        let master = format!("127.0.0.1:{}", self.port);
        self.load = Some(Load::new(&master, "load"));
        for id in names("brief", 4) {
            let command = self.lab.brief(&id);
            self.load().want(&id, command);
        }
        for id in names("gated", 3) {
            let command = self.lab.gated(&id);
            self.load().want(&id, command);
        }
        let lasting = self.lab.lasting("unwanted");
        self.load().want("unwanted", lasting);
        if self.name.contains("rename") {
            for id in names("heavy", 6) {
                let command = self.lab.brief(&id);
                self.load().want(&id, command);
            }
        }
        self.until("all have begun", |story| {
            story
                .load()
                .tasks
                .values()
                .all(|seen| !seen.updates.is_empty())
                && story.load().is_all_sent()
        });
        for id in names("native", 2) {
            self.post(&id);
        }
        self.load().kill("unwanted");
        self.until("only the gated go on", |story| {
            story
                .load()
                .tasks
                .iter()
                .all(|(id, seen)| id.starts_with("gated") || seen.end().is_some())
        });
        self.lab.open_gate();
        self.until("all have ended", |story| story.load().is_over());
        let native: Vec<String> = self
            .native
            .iter()
            .filter(|native| native.is_promised)
            .map(|native| native.id.clone())
            .collect();
        for id in native {
            self.until("a native task has ended", |story| {
                story.native_end(&id).is_some()
            });
        }
        self.settle_death();
        self.end_well();
        self.judge();
        self.died
    }

    /// The cluster is whole: a new task runs, whatever has happened (the death itself may still come, once).
    fn end_well(&mut self) {
        for id in names("afterwards", 2) {
            let command = self.lab.brief(&id);
            self.load().want(&id, command);
            self.until("a new task ends", |story| story.load().is_over());
            if self.load().tasks[&id].end() == Some("TASK_FINISHED") {
                return;
            }
        }
        panic!(
            "{}: nothing runs any more: {}",
            self.point.clone(),
            self.load().summary()
        );
    }

    fn load(&mut self) -> &mut Load {
        self.load.as_mut().expect("the story has begun")
    }

    fn start(&mut self) {
        let point = self.point.clone();
        let armed = |victim: bool| {
            if victim {
                vec![(VARIABLE, point.as_str())]
            } else {
                Vec::new()
            }
        };
        if self.victim == Victim::Warden {
            self.warden = Some(self.start_warden());
        }
        // A port of its own, so that the master can come back to it.
        self.port = free_port();
        let flag = format!("--port={}", self.port);
        let master =
            self.lab
                .daemon_with("master", &[&flag], &armed(self.victim == Victim::Master));
        self.master = self.born(master);
        if self.master.is_none() {
            self.master = Some(self.lab.daemon_with("master", &[&flag], &[]).unwrap());
        }
        let flag = format!("--master=127.0.0.1:{}", self.port);
        let agent = self
            .lab
            .daemon_with("agent", &[&flag], &armed(self.victim == Victim::Agent));
        self.agent = self.born(agent);
        if self.agent.is_none() {
            self.agent = Some(self.lab.daemon_with("agent", &[&flag], &[]).unwrap());
        }
    }

    /// A daemon may die before it serves, if that is its story.
    fn born(&mut self, started: Result<Daemon, DaemonError>) -> Option<Daemon> {
        match started {
            Ok(daemon) => Some(daemon),
            Err(DaemonError::NotReady {
                status: Some(status),
                ..
            }) if status.signal() == Some(9) && !self.died => {
                self.died = true;
                None
            }
            Err(error) => panic!("{}: {error}", self.point),
        }
    }

    /// The warden of the agent, before the agent, so that only this one dies.
    fn start_warden(&self) -> Child {
        let folder = self.lab.folder().join("agent/warden");
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mezz"));
        command
            .arg("warden")
            .arg("--socket")
            .arg(folder.join("socket"))
            .arg("--work-dir")
            .arg(&folder);
        let child = command
            .env(VARIABLE, &self.point)
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the warden listens", || {
            folder.join("socket").exists().then_some(())
        });
        child
    }

    /// Goes on until `done`, and brings back to life who dies.
    #[track_caller]
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + SOON;
        while !done(self) {
            let point = self.point.clone();
            assert!(
                Instant::now() < deadline,
                "{point}: not seen: {what}\n{}{:?}",
                self.load().summary(),
                self.logs()
            );
            self.watch();
            self.load().step();
        }
    }

    fn logs(&self) -> Vec<String> {
        let lines = |daemon: &Option<Daemon>| {
            daemon
                .as_ref()
                .map(Daemon::lines)
                .unwrap_or_default()
                .join("\n")
        };
        vec![lines(&self.master), lines(&self.agent)]
    }

    fn watch(&mut self) {
        if let Some(status) = self.end_of_victim(Duration::ZERO) {
            assert_eq!(
                status.signal(),
                Some(9),
                "{} ended by itself: {:?}",
                self.point,
                self.logs()
            );
            assert!(!self.died, "{} died twice", self.point);
            self.died = true;
            self.revive();
        }
    }

    fn end_of_victim(&mut self, limit: Duration) -> Option<ExitStatus> {
        match self.victim {
            Victim::Agent => self.agent.as_mut()?.ended_within(limit),
            Victim::Master => self.master.as_mut()?.ended_within(limit),
            Victim::Warden => {
                let warden = self.warden.as_mut()?;
                within(limit, || warden.try_wait().ok().flatten())
            }
        }
    }

    fn revive(&mut self) {
        match self.victim {
            Victim::Agent => {
                self.agent = None;
                let flag = format!("--master=127.0.0.1:{}", self.port);
                self.agent = Some(self.lab.daemon_with("agent", &[&flag], &[]).unwrap());
            }
            Victim::Master => {
                self.master = None;
                let flag = format!("--port={}", self.port);
                self.master = Some(self.lab.daemon_with("master", &[&flag], &[]).unwrap());
            }
            // The agent starts another.
            Victim::Warden => self.warden = None,
        }
    }

    /// The last visits may come a moment after the last update.
    fn settle_death(&mut self) {
        if !self.died && self.end_of_victim(Duration::from_millis(100)).is_some() {
            self.died = true;
            self.revive();
        }
    }

    fn post(&mut self, id: &str) {
        let task = json!({"name": id, "cpus": 0.01, "mem": 8, "command": self.lab.brief(id)});
        let client = self.master.as_ref().expect("it was started").client();
        let answer = client.post_json("/v1/tasks", &task);
        let promised = answer
            .ok()
            .filter(|answer| answer.status < 300)
            .map(|answer| answer.json()["id"].as_str().unwrap_or(id).to_owned());
        // Without an answer it may run or not; with one it must.
        self.native.push(Native {
            id: promised.clone().unwrap_or_else(|| id.to_owned()),
            is_promised: promised.is_some(),
        });
    }

    fn native_end(&mut self, id: &str) -> Option<String> {
        let client = self.master.as_ref()?.client();
        let task: Value = client
            .get(&format!("/v1/tasks/{id}"))
            .ok()
            .filter(|answer| answer.status == 200)?
            .json();
        let state = task["state"].as_str().unwrap_or_default();
        crate::load::is_terminal(state).then(|| state.to_owned())
    }

    fn judge(&mut self) {
        let point = self.point.clone();
        let load = self.load.take().expect("the story has begun");
        self.lab.assert_one_end_each(&load, &point);
        for (id, seen) in &load.tasks {
            let ran = !self.lab.runs(id).is_empty();
            let end = seen.end().unwrap_or_default();
            if self.victim != Victim::Warden && ran && id != "unwanted" {
                assert_eq!(
                    end, "TASK_FINISHED",
                    "{point}: {id} has run: {:?}",
                    seen.updates
                );
            }
        }
        for native in &self.native {
            let runs = self
                .lab
                .runs(native.id.split('.').next().unwrap_or_default())
                .len();
            assert!(runs <= 1, "{point}: {} ran {runs} times", native.id);
        }
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port()
}
