//! The agent's death: what checkpoints goes on, what does not ends as Mesos ends it.

use std::time::Duration;

use mezz_testkit::processes::{is_running, signal};
use mezz_testkit::wait::eventually;
use rustix::process::Signal;

use crate::lab::{Lab, SOON, names};
use crate::load::Load;
use mezz_testkit::framework::framework_info;

#[test]
fn five_hundred_checkpointed_tasks_live_through_the_agents_death_and_fifty_others_end() {
    let mut lab = Lab::new();
    let master = lab.master();
    let agent = lab.agent(&master);
    let mut keeping = Load::new(master.address(), "keeping");
    let mut passing_info = framework_info("passing", &["*"]);
    passing_info["checkpoint"] = false.into();
    passing_info["capabilities"] = serde_json::json!([{"type": "MULTI_ROLE"}]);
    let mut passing = Load::with(master.address(), passing_info);
    for id in names("keep", 500) {
        keeping.want(&id, lab.lasting(&id));
    }
    keeping.until("500 run", SOON, |load| load.count("TASK_RUNNING") == 500);
    for id in names("pass", 50) {
        passing.want(&id, lab.lasting(&id));
    }
    passing.until("50 run", SOON, |load| {
        // Who is offered something must answer, or the other waits for it.
        keeping.step();
        load.count("TASK_RUNNING") == 50
    });
    let before = lab.lives(names("keep", 500));
    let passed = lab.lives(names("pass", 50));

    agent.kill_9();
    passing.until_all_ended(SOON);
    for seen in passing.tasks.values() {
        let last = seen.last_words();
        assert_eq!(
            (&last["state"], &last["reason"]),
            (&"TASK_LOST".into(), &"REASON_AGENT_DISCONNECTED".into())
        );
    }
    for (id, (pid, _)) in passed {
        eventually(&format!("{id} ends with the agent"), || {
            (!is_running(pid)).then_some(())
        });
    }
    passing.leave();
    // While no agent runs, ten tasks end, by two signals.
    for (number, id) in names("keep", 10).iter().enumerate() {
        signal(
            before[id].0,
            if number < 5 {
                Signal::KILL
            } else {
                Signal::TERM
            },
        );
    }
    for id in names("keep", 10) {
        eventually("it is dead", || (!is_running(before[&id].0)).then_some(()));
    }

    let _agent = lab.agent(&master);
    keeping.until("ten ends are told", SOON, |load| {
        load.count("TASK_FAILED") == 10
    });
    let after = lab.lives(names("keep", 500).into_iter().skip(10));
    for (id, life) in &after {
        assert_eq!(life, &before[id], "{id} is not the process that it was");
    }
    keeping.listen(Duration::from_millis(700));
    assert_eq!(keeping.count("TASK_RUNNING"), 490, "{}", keeping.summary());
    assert!(
        keeping.tasks["keep-0"].last_words()["message"]
            .as_str()
            .unwrap()
            .contains("signal Killed"),
        "{}",
        keeping.summary()
    );
    // The agent is in full control of what it took up again.
    for (pid, _) in after.values() {
        signal(*pid, Signal::TERM);
    }
    keeping.until_all_ended(SOON);
    lab.assert_one_end_each(&keeping, "after the agent's death");
    keeping.want("afterwards", lab.brief("afterwards"));
    keeping.until_all_ended(SOON);
    assert_eq!(keeping.tasks["afterwards"].end(), Some("TASK_FINISHED"));
}
