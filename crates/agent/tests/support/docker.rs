//! A real Docker Engine, an agent that uses it, and tasks for it.
#![allow(
    dead_code,
    unreachable_pub,
    missing_debug_implementations,
    clippy::unwrap_used
)]

use std::path::Path;
use std::time::Duration;

use mezz_proto::v1::container_info::{self, DockerInfo, docker_info};
use mezz_proto::v1::{self, ContainerInfo, TaskInfo};
use mezz_testkit::{Bridging, DockerEngine};

use crate::support::{Agent, FakeMaster, shell};

pub const IMAGE: &str = "busybox:test";

pub fn engine(bridging: Bridging) -> Option<DockerEngine> {
    match DockerEngine::start(bridging) {
        Ok(engine) => {
            engine.make_image(IMAGE, &[]);
            Some(engine)
        }
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    }
}

pub fn agent(master: &FakeMaster, work_dir: &Path, engine: &DockerEngine) -> Agent {
    let socket = engine.socket().display().to_string();
    let flags = [("--docker-socket", socket.as_str())];
    Agent::start(&master.address, Some(work_dir), &flags)
}

pub fn docker(id: &str, command: &str) -> TaskInfo {
    let mut task = shell(id, command);
    task.container = Some(Box::new(ContainerInfo {
        r#type: container_info::Type::Docker.into(),
        docker: Some(DockerInfo {
            image: IMAGE.to_owned(),
            network: Some(docker_info::Network::None.into()),
            ..DockerInfo::default()
        }),
        ..ContainerInfo::default()
    }));
    task
}

pub fn info(task: &mut TaskInfo) -> &mut DockerInfo {
    let container = task.container.as_mut().unwrap();
    container.docker.as_mut().unwrap()
}

/// What an Engine has is removed after a task's end has been told.
pub async fn nothing_is_left(engine: &DockerEngine) {
    for _ in 0..500 {
        if engine.says(&["ps", "-aq"]).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{}", engine.says(&["ps", "-a"]));
}

pub fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..v1::Resource::default()
    }
}
