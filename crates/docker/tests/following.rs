//! Containers of a real Engine, followed by a real process.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use mezz_docker::follow::{Ended, FollowSpec, Reports};
use mezz_docker::{ContainerName, ContainerRequest, Engine, HostRules, Needs, Run};
use mezz_proto::v1::container_info::DockerInfo;
use mezz_proto::v1::{ContainerInfo, Parameter, container_info};
use mezz_testkit::{Bridging, DockerEngine};
use rustix::process::{Pid, Signal, kill_process};

const IMAGE: &str = "busybox:test";
const LABEL: &str = "mezzanine.test";

struct World {
    docker: DockerEngine,
    engine: Engine,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

struct Followed {
    name: ContainerName,
    folder: PathBuf,
    process: Child,
}

impl World {
    /// None where there is no Engine to be had.
    fn new() -> Option<Self> {
        let docker = match DockerEngine::start(Bridging::None) {
            Ok(docker) => docker,
            Err(reason) => {
                eprintln!("skipped: {reason}");
                return None;
            }
        };
        docker.make_image(IMAGE, &[]);
        Some(Self {
            engine: Engine::at(&docker.socket()),
            docker,
            folder: tempfile::tempdir().expect("a temporary folder"),
            runtime: tokio::runtime::Runtime::new().expect("a runtime"),
        })
    }

    fn run(&self, id: &str, shell: &str, parameters: &[(&str, &str)]) -> Followed {
        let name = ContainerName::of(id);
        let folder = self.folder.path().join(id);
        fs::create_dir(&folder).expect("a folder");
        let parameters = parameters.iter().map(|(key, value)| Parameter {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        });
        let container = ContainerInfo {
            r#type: container_info::Type::Docker.into(),
            docker: Some(DockerInfo {
                image: IMAGE.to_owned(),
                network: Some(container_info::docker_info::Network::None.into()),
                parameters: parameters.collect(),
                ..DockerInfo::default()
            }),
            ..ContainerInfo::default()
        };
        let request = ContainerRequest {
            name: &name,
            container: &container,
            run: Run::Shell(shell),
            environment: &[],
            needs: &Needs::default(),
            sandbox: &folder,
            mapped: "/mnt/mesos/sandbox",
            labels: [(LABEL.to_owned(), "mine".to_owned())].into(),
        };
        let rules = HostRules {
            quotas: false,
            memory_bytes: 0,
        };
        let words = request.in_words(rules).expect("a request");
        let created = self.runtime.block_on(self.engine.create(&name, &words));
        created.expect("the Engine makes the container");
        let process = self.follow(&name, &folder);
        Followed {
            name,
            folder,
            process,
        }
    }

    fn follow(&self, name: &ContainerName, folder: &std::path::Path) -> Child {
        let spec = FollowSpec {
            socket: self.docker.socket(),
            container: name.as_str().to_owned(),
        };
        let file = folder.join("spec.json");
        let text = serde_json::to_vec(&spec).expect("a spec can be written");
        fs::write(&file, text).expect("the spec is written");
        let own = std::env::current_exe().expect("our own path");
        let target = own.ancestors().nth(2).expect("the target folder");
        let open = |name: &str| File::create(folder.join(name)).expect("a file");
        Command::new(target.join("examples/follower"))
            .arg(file)
            .stdout(open("stdout"))
            .stderr(open("stderr"))
            .spawn()
            .expect("the example is built")
    }
}

impl Followed {
    fn wait(&mut self) -> ExitStatus {
        self.process.wait().expect("it is our child")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    fn reports(&self) -> Reports {
        Reports::beside(&self.folder.join("spec.json"))
    }

    fn wait_for_output(&self, text: &str) {
        let end = Instant::now() + Duration::from_mins(1);
        while !self.read("stdout").contains(text) {
            assert!(Instant::now() < end, "no {text:?}: {}", self.read("stderr"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn send(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id");
        kill_process(pid, signal).expect("it lives");
    }
}

#[test]
fn a_process_stands_for_its_container() {
    let Some(world) = World::new() else { return };
    outputs_and_exit_codes(&world);
    long_outputs(&world);
    signals(&world);
    containers_that_cannot_start(&world);
    memory(&world);
    removal(&world);
}

fn outputs_and_exit_codes(world: &World) {
    let mut one = world.run("codes", "echo out; echo err >&2; pwd; exit 7", &[]);
    assert_eq!(one.wait().code(), Some(7));
    assert_eq!(one.read("stdout"), "out\n/\n");
    assert_eq!(one.read("stderr"), "err\n");
    let (inspected, text) = one.reports().read_running().expect("it ran");
    assert!(inspected.has_started());
    assert!(text.contains("\"Name\":\"/mesos-codes\""), "{text}");
    let exited = Ended::Exited {
        code: 7,
        oom_killed: false,
    };
    assert_eq!(one.reports().read_ended(), Some(exited));
}

fn long_outputs(world: &World) {
    let mut long = world.run("long", "seq 1 200000; printf end", &[]);
    assert_eq!(long.wait().code(), Some(0));
    let text = long.read("stdout");
    let expected = (1..=200_000).map(|number| format!("{number}\n"));
    assert_eq!(text, expected.collect::<String>() + "end");
}

fn signals(world: &World) {
    let script = "trap 'echo stopping; exit 5' TERM; trap 'echo usr1' USR1; echo up; \
                  while :; do sleep 0.05; done";
    let mut trapped = world.run("trapped", script, &[]);
    trapped.wait_for_output("up");
    trapped.send(Signal::USR1);
    trapped.wait_for_output("usr1");
    trapped.send(Signal::TERM);
    assert_eq!(trapped.wait().code(), Some(5));
    let script = "trap 'exit 9' QUIT; echo up; while :; do sleep 0.05; done";
    let mut own = world.run("own", script, &[("stop-signal", "SIGQUIT")]);
    own.wait_for_output("up");
    own.send(Signal::TERM);
    assert_eq!(own.wait().code(), Some(9), "the image's own signal");
    let mut killed = world.run("killed", "echo up; sleep 1000", &[]);
    killed.wait_for_output("up");
    let kill = world.engine.signal(killed.name.as_str(), "SIGKILL");
    world.runtime.block_on(kill).expect("it is killed");
    let status = killed.wait();
    assert_eq!((status.code(), status.signal()), (Some(137), None));
}

fn containers_that_cannot_start(world: &World) {
    let mut none = world.run("none", "true", &[("entrypoint", "/no/such/program")]);
    assert_eq!(none.wait().code(), Some(125));
    let Some(Ended::NotStarted { message }) = none.reports().read_ended() else {
        panic!("it did not start");
    };
    assert!(message.contains("/no/such/program"), "{message}");
    assert!(none.read("stderr").contains("/no/such/program"));
    assert!(none.reports().read_running().is_none());
}

fn memory(world: &World) {
    let shell = "tail /dev/zero & wait $!; exit $?";
    let mut hog = world.run("hog", shell, &[("memory", "32m"), ("memory-swap", "32m")]);
    assert_eq!(hog.wait().code(), Some(137));
    let oom = Ended::Exited {
        code: 137,
        oom_killed: true,
    };
    assert_eq!(hog.reports().read_ended(), Some(oom));
}

fn removal(world: &World) {
    let all = || {
        let listed = world.runtime.block_on(world.engine.list(LABEL, "mine"));
        listed.expect("the Engine lists")
    };
    let running = world.run("running", "echo up; sleep 1000", &[]);
    running.wait_for_output("up");
    let listed = all();
    assert!(listed.len() > 5, "also those that have ended: {listed:?}");
    let others = world.runtime.block_on(world.engine.list(LABEL, "other"));
    assert_eq!(others.expect("the Engine lists"), []);
    for container in listed {
        let removed = world.runtime.block_on(world.engine.remove(&container.id));
        removed.expect("it is removed");
        let again = world.runtime.block_on(world.engine.remove(&container.id));
        again.expect("nothing is left to remove");
    }
    assert_eq!(all(), []);
    let mut running = running;
    assert_eq!(running.wait().code(), Some(137));
}

#[test]
fn an_engine_that_is_not_there_is_told_by_its_socket() {
    let engine = Engine::at(std::path::Path::new("/nowhere/docker.sock"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let error = runtime
        .block_on(engine.version())
        .expect_err("nobody answers");
    assert!(error.is_of_connection());
    assert!(
        error.to_string().contains("/nowhere/docker.sock"),
        "{error}"
    );
}
