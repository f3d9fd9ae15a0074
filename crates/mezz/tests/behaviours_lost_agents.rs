//! Behaviours 79 to 85: agents that are cut off, come back, or do not.

#![allow(clippy::unwrap_used)]

mod lab;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lab::{IMPATIENT, Lab, RESOURCES, SILENCE, info, reconcile, sleeper, unaware};
use mezz_testkit::Encoding;
use mezz_testkit::wait::eventually;
use rustix::process::Signal;
use serde_json::{Value, json};

/// A wire between an agent and its master that can be cut without the other end being told.
struct Wire {
    port: u16,
    lines: Lines,
    /// New connections are cut as well.
    is_down: Arc<AtomicBool>,
}

/// Each connection by its end at the agent, with what says that it is cut.
type Lines = Arc<Mutex<Vec<(TcpStream, Arc<AtomicBool>)>>>;

impl Wire {
    fn to(master: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (lines, is_down) = (Lines::default(), Arc::new(AtomicBool::new(false)));
        let (all, down) = (Arc::clone(&lines), Arc::clone(&is_down));
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let far = TcpStream::connect(("127.0.0.1", master)).unwrap();
                let cut = Arc::new(AtomicBool::new(down.load(Ordering::Relaxed)));
                let line = (near.try_clone().unwrap(), Arc::clone(&cut));
                all.lock().unwrap().push(line);
                carry(near.try_clone().unwrap(), far.try_clone().unwrap(), &cut);
                carry(far, near, &cut);
            }
        });
        Self {
            port,
            lines,
            is_down,
        }
    }

    fn set_down(&self, down: bool) {
        self.is_down.store(down, Ordering::Relaxed);
        self.set_cut(down);
    }

    fn set_cut(&self, cut: bool) {
        for (_, is_cut) in &*self.lines.lock().unwrap() {
            is_cut.store(cut, Ordering::Relaxed);
        }
    }

    /// The agent sees its connections end; the master sees nothing.
    fn hang_up_on_the_agent(&self) {
        self.set_cut(true);
        for (near, _) in self.lines.lock().unwrap().drain(..) {
            near.shutdown(Shutdown::Both).unwrap();
        }
    }
}

/// Carries bytes one way; while the line is cut they wait, and so does the end of the connection.
fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &Arc<AtomicBool>) {
    let is_cut = Arc::clone(is_cut);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            while is_cut.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
            if read == 0 || to.write_all(&buffer[..read]).is_err() {
                // Whoever is gone already cannot be told.
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
        }
    });
}

/// A master with these flags, and an agent that reaches it over a wire.
fn wired(flags: &[&str]) -> (Lab, Wire) {
    let mut lab = Lab::master_alone(flags);
    let wire = Wire::to(lab.master.port());
    let master = format!("--master=127.0.0.1:{}", wire.port);
    let work = format!(
        "--work-dir={}",
        lab.cluster.folder().join("wired").display()
    );
    let flags = [
        RESOURCES,
        "--registration-backoff-factor=10ms",
        &master,
        &work,
    ];
    lab.agent = Some(lab.cluster.start("agent", &flags).unwrap());
    (lab, wire)
}

fn metric(lab: &Lab, name: &str) -> f64 {
    lab.client().get("/metrics/snapshot").unwrap().json()[name]
        .as_f64()
        .unwrap()
}

fn wait_for_metric(lab: &Lab, name: &str, wanted: f64) {
    eventually(&format!("{name} is {wanted}"), || {
        ((metric(lab, name) - wanted).abs() < 0.5).then_some(())
    });
}

/// Behaviour 79: the agent lost its connection, the master noticed nothing.
#[test]
fn a_superfluous_registration_of_a_healthy_agent_kills_nothing() {
    let (lab, wire) = wired(&[]);
    for (round, encoding) in Encoding::BOTH.into_iter().enumerate() {
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        framework.wait_for("t", "TASK_RUNNING");
        wire.hang_up_on_the_agent();
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        wait_for_metric(&lab, "master/slave_reregistrations", round as f64 + 1.0);
        let events = framework.events_within(SILENCE);
        // An update whose acknowledgement was on the wire is told again.
        let mut updates = events.iter().filter(|event| event["type"] == "UPDATE");
        let says = |event: &Value| event["update"]["status"]["state"].clone();
        assert!(
            updates.all(|event| says(event) == "TASK_RUNNING"),
            "{events:?}"
        );
        assert_eq!(
            reconcile(&mut framework, "t", Some(&offer["agent_id"]))["state"],
            "TASK_RUNNING"
        );
        framework.accepted("TEARDOWN", None);
    }
}

/// Behaviour 81.
#[test]
fn an_agent_that_did_not_notice_a_partition_registers_again() {
    for encoding in Encoding::BOTH {
        let (lab, wire) = wired(&IMPATIENT);
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        framework.wait_for("t", "TASK_RUNNING");
        wire.set_down(true);
        framework.wait_for("t", "TASK_UNREACHABLE");
        eventually("the registry shows it", || {
            let registry = lab.client().get("/registrar(1)/registry").unwrap().json();
            (registry["unreachable"]["slaves"][0]["id"] == offer["agent_id"]).then_some(())
        });
        wire.set_down(false);
        let back = framework.wait_for_event("UPDATE")["update"]["status"].clone();
        assert_eq!(back["state"], "TASK_RUNNING");
        assert_eq!(back["reason"], "REASON_AGENT_REREGISTERED");
        eventually("the registry shows it again", || {
            let registry = lab.client().get("/registrar(1)/registry").unwrap().json();
            let admitted = &registry["slaves"]["slaves"][0]["info"];
            (admitted["id"] == offer["agent_id"]).then_some(())
        });
        assert_eq!(
            reconcile(&mut framework, "t", Some(&offer["agent_id"]))["state"],
            "TASK_RUNNING"
        );
    }
}

/// Behaviour 80.
#[test]
fn a_forgotten_agent_is_answered_with_unknown() {
    for encoding in Encoding::BOTH {
        let forgetful = [
            "--registry-max-agent-count=0",
            "--registry-gc-interval=500ms",
        ];
        let lab = Lab::with(&[&IMPATIENT[..], &forgetful].concat(), &[]);
        let mut framework = lab.framework(encoding);
        let offer = framework.next_offer();
        framework.launch(&offer, &[sleeper(&offer, "t")]);
        framework.wait_for("t", "TASK_RUNNING");
        lab.agent.as_ref().unwrap().signal(Signal::STOP);
        framework.wait_for("t", "TASK_UNREACHABLE");
        eventually("the agent is forgotten", || {
            let status = reconcile(&mut framework, "t", Some(&offer["agent_id"]));
            (status["state"] == "TASK_UNKNOWN").then_some(())
        });
        eventually("the registry has neither", || {
            let registry = lab.client().get("/registrar(1)/registry").unwrap().json();
            let lists = [&registry["slaves"], &registry["unreachable"]];
            lists
                .iter()
                .all(|list| list["slaves"] == json!([]))
                .then_some(())
        });
        lab.agent.as_ref().unwrap().signal(Signal::CONT);
        lab.state_where("it came back with its task", |state| {
            state["frameworks"][0]["tasks"][0]["id"] == "t"
        });
    }
}

/// Behaviour 84.
#[test]
fn removals_of_agents_are_paced_and_cancelled_by_an_agent_that_returns() {
    let paced = ["--agent-removal-rate-limit=1/1hrs"];
    let mut lab = Lab::master_alone(&[&IMPATIENT[..], &paced].concat());
    let agents = ["a", "b"].map(|name| lab.another_agent(name, &[]));
    wait_for_metric(&lab, "master/slaves_active", 2.0);
    for agent in &agents {
        agent.signal(Signal::STOP);
    }
    wait_for_metric(&lab, "master/slave_unreachable_scheduled", 2.0);
    wait_for_metric(&lab, "master/slave_unreachable_completed", 1.0);
    std::thread::sleep(SILENCE);
    wait_for_metric(&lab, "master/slave_unreachable_completed", 1.0);
    for agent in &agents {
        agent.signal(Signal::CONT);
    }
    wait_for_metric(&lab, "master/slave_unreachable_canceled", 1.0);
    wait_for_metric(&lab, "master/slaves_active", 2.0);
}

/// Behaviour 85.
#[test]
fn a_launch_that_never_arrived_is_told_at_the_next_registration() {
    for encoding in Encoding::BOTH {
        for (info, state) in [(info("dev"), "TASK_DROPPED"), (unaware(), "TASK_LOST")] {
            let (lab, wire) = wired(&[]);
            let mut framework = lab.framework_with(encoding, &info);
            let offer = framework.next_offer();
            wire.set_cut(true);
            framework.launch(&offer, &[sleeper(&offer, "t")]);
            lab.state_where("the master has launched the task", |state| {
                state["frameworks"][0]["tasks"][0]["state"] == "TASK_STAGING"
            });
            wire.hang_up_on_the_agent();
            let status = framework.wait_for("t", state);
            assert_eq!(status["reason"], "REASON_RECONCILIATION");
        }
    }
}
