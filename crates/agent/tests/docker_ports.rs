//! Networks of containers of a real Docker Engine.
#![allow(clippy::unwrap_used)]

#[path = "support/docker.rs"]
mod engines;
mod support;

use engines::{agent, docker, engine, info, nothing_is_left, scalar};
use mezz_proto::v1::container_info::docker_info;
use mezz_proto::v1::{self, TaskInfo, TaskState};
use mezz_testkit::Bridging;
use support::{FakeMaster, framework};

#[tokio::test]
async fn ports_of_the_host_lead_into_a_container_of_a_bridge() {
    let Some(engine) = engine(Bridging::Own) else {
        return;
    };
    let mut master = FakeMaster::start().await;
    let work_dir = tempfile::tempdir().unwrap();
    let _agent = agent(&master, work_dir.path(), &engine);
    let mut link = master.accept().await;
    let port = free_port();
    link.run(&framework(true), vec![server(port)]);
    let running = link.until("served", TaskState::TaskRunning).await;
    let networks = running.container_status.unwrap().network_infos;
    let address = networks[0].ip_addresses[0].ip_address().to_owned();
    assert!(address.starts_with("10."), "{address}");
    loop {
        let status = link.until("served", TaskState::TaskRunning).await;
        if status.healthy == Some(true) {
            break;
        }
    }
    let url = format!("http://127.0.0.1:{port}/it");
    let answer = std::process::Command::new("curl")
        .args([
            "-sS",
            "--retry",
            "20",
            "--retry-connrefused",
            "--retry-delay",
            "0",
            &url,
        ])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout), "here\n");
    link.kill("served");
    link.until("served", TaskState::TaskKilled).await;
    nothing_is_left(&engine).await;
}

fn server(port: u16) -> TaskInfo {
    let mut task = docker(
        "served",
        "mkdir /www; echo here > /www/it; httpd -f -p 8080 -h /www",
    );
    task.resources = vec![scalar("cpus", 0.1), scalar("mem", 32.0), ports(port)];
    let docker = info(&mut task);
    docker.network = Some(docker_info::Network::Bridge.into());
    docker.port_mappings = vec![docker_info::PortMapping {
        host_port: u32::from(port),
        container_port: 8080,
        protocol: None,
    }];
    task.health_check = Some(Box::new(v1::HealthCheck {
        r#type: Some(v1::health_check::Type::Http.into()),
        http: Some(v1::health_check::HttpCheckInfo {
            port: 8080,
            path: Some("/it".to_owned()),
            ..v1::health_check::HttpCheckInfo::default()
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(0.1),
        grace_period_seconds: Some(60.0),
        ..v1::HealthCheck::default()
    }));
    task
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn ports(port: u16) -> v1::Resource {
    let port = u64::from(port);
    v1::Resource {
        name: "ports".to_owned(),
        r#type: v1::value::Type::Ranges.into(),
        ranges: Some(v1::value::Ranges {
            range: vec![v1::value::Range {
                begin: port,
                end: port,
            }],
        }),
        ..v1::Resource::default()
    }
}
