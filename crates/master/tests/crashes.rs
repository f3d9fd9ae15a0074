//! A master that dies at each of its crash points: what it has answered is never forgotten.

#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use mezz_master::{CRASH_POINTS, MasterOptions, run};
use mezz_testkit::http_client::Client;
use serde_json::json;

const FOLDER: &str = "MEZZ_TEST_FOLDER";
const PATIENCE: Duration = Duration::from_secs(20);
/// Visits at which a process dies: the first ones lie in the election, the later ones in the request.
const VISITS: u32 = 4;

/// The points that lie on the way of a native task without an agent.
const POINTS: &[&str] = &[
    "master.elected",
    "master.before_persist",
    "master.after_persist",
    "master.durable_before_release",
    "master.released",
    "master.before_reply",
];

/// Not a test by itself: the process that dies.
#[test]
fn the_process_that_dies() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let backend = mezz_store::open_redb(&folder.join("store")).unwrap();
        let master = run(MasterOptions::new(backend, "127.0.0.1:0".parse().unwrap()))
            .await
            .unwrap();
        master.ready().await;
        let partial = folder.join("address.partial");
        std::fs::write(&partial, master.address().to_string()).unwrap();
        std::fs::rename(&partial, folder.join("address")).unwrap();
        tokio::time::sleep(PATIENCE * 3).await;
    });
}

struct Process(Child);

impl Process {
    fn start(folder: &Path, crash_point: Option<String>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_process_that_dies", "--nocapture"]);
        command
            .env(FOLDER, folder)
            .env_remove(mezz_warden::crash_point::VARIABLE);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(point) = crash_point {
            command.env(mezz_warden::crash_point::VARIABLE, point);
        }
        Self(command.spawn().unwrap())
    }

    /// Its address, or how it died before it had one.
    fn address(&mut self, folder: &Path) -> Result<String, ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(address) = std::fs::read_to_string(folder.join("address")) {
                std::fs::remove_file(folder.join("address")).unwrap();
                return Ok(address);
            }
            if let Some(status) = self.0.try_wait().unwrap() {
                return Err(status);
            }
            assert!(
                Instant::now() < deadline,
                "the master neither serves nor dies"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn died_by_itself(&mut self) -> bool {
        let status = self.0.try_wait().unwrap();
        status.is_some_and(|status| status.signal() == Some(9))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_task_that_was_answered_survives_a_crash_at_every_point_and_no_task_is_doubled() {
    for point in POINTS {
        assert!(CRASH_POINTS.contains(point));
        let mut died = 0;
        for visit in 1..=VISITS {
            let folder = tempfile::tempdir().unwrap();
            let mut first = Process::start(folder.path(), Some(format!("{point}:{visit}")));
            let mut answered = false;
            match first.address(folder.path()) {
                Err(status) => assert_eq!(status.signal(), Some(9), "{point}:{visit}"),
                Ok(address) => {
                    let body = json!({"id": "kept", "command": "true"});
                    let answer = Client::new(address).post_json("/v1/tasks", &body);
                    answered = answer.is_ok_and(|answer| answer.status == 201);
                }
            }
            std::thread::sleep(Duration::from_millis(10));
            died += u32::from(first.died_by_itself());
            drop(first);

            let mut second = Process::start(folder.path(), None);
            let client = Client::new(second.address(folder.path()).unwrap());
            let found = client.get("/v1/tasks/kept").unwrap().status;
            assert!(
                found == 200 || !answered,
                "{point}:{visit}: an answered task is gone"
            );
            let again = client
                .post_json("/v1/tasks", &json!({"id": "kept", "command": "true"}))
                .unwrap();
            assert_eq!(
                again.status,
                if found == 200 { 409 } else { 201 },
                "{point}:{visit}: {}",
                again.text()
            );
            let list = client.get("/v1/tasks?all=true").unwrap().json();
            assert_eq!(list.as_array().unwrap().len(), 1, "{point}:{visit}: {list}");
        }
        assert!(died > 0, "{point} was never reached");
    }
}
