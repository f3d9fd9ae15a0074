//! Tasks on networks of plugins: what they find there, how they are reached, and that nothing is left of them.
#![allow(clippy::unwrap_used)]

#[path = "support/images.rs"]
mod images;
mod support;

use std::path::PathBuf;
use std::time::Duration;

use images::{busybox, save};
use mezz_proto::v1::network_info::PortMapping;
use mezz_proto::v1::{
    ContainerInfo, HealthCheck, Image, NetworkInfo, TaskInfo, TaskState, container_info,
    health_check, image,
};
use serde_json::{Value, json};
use support::{Agent, FakeMaster, Link, framework, shell};

/// Whether plugins can do their work here; `cargo xtask test` sees to the packages.
fn is_ready() -> bool {
    rustix::process::geteuid().is_root() && PathBuf::from("/usr/lib/cni/bridge").exists()
}

struct Lab {
    folder: tempfile::TempDir,
    master: FakeMaster,
    bridge: String,
    gateway: String,
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The plugin leaves the bridge for the next container.
        let mut command = std::process::Command::new("ip");
        let _ = command.args(["link", "delete", &self.bridge]).output();
    }
}

impl Lab {
    async fn new(number: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bridge = format!("mezz{}-{number}", std::process::id() % 10_000);
        let config = folder.path().join("cni");
        std::fs::create_dir(&config).unwrap();
        let third = std::process::id() % 200;
        let network = json!({
            "cniVersion": "1.0.0",
            "name": "blue",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": bridge,
                    "isGateway": true,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": folder.path().join("leases"),
                        "ranges": [[{"subnet": format!("10.{}.{third}.0/24", 200 + number)}]],
                    },
                    "dns": {"nameservers": ["192.0.2.53"], "search": ["blue.test"]},
                },
            ],
        });
        std::fs::write(config.join("blue.conflist"), network.to_string()).unwrap();
        let mut mapped = network;
        mapped["name"] = "mapped".into();
        let mapper = json!({"type": "portmap", "capabilities": {"portMappings": true}});
        mapped["plugins"].as_array_mut().unwrap().push(mapper);
        std::fs::write(config.join("mapped.conflist"), mapped.to_string()).unwrap();
        save(
            &folder.path().join("archives"),
            "busybox:latest",
            &json!({}),
            vec![busybox()],
        );
        Self {
            folder,
            master: FakeMaster::start().await,
            bridge,
            gateway: format!("10.{}.{third}.1", 200 + number),
        }
    }

    async fn agent(&mut self) -> (Agent, Link) {
        self.agent_that_dies_at(None).await
    }

    async fn agent_that_dies_at(&mut self, point: Option<&str>) -> (Agent, Link) {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let (archives, config) = (path("archives"), path("cni"));
        let mut flags = vec![
            ("--docker-registry", archives.as_str()),
            ("--network-cni-config-dir", config.as_str()),
        ];
        flags.extend(point.map(|point| ("$MEZZ_CRASH_POINT", point)));
        let agent = Agent::start(
            &self.master.address,
            Some(&self.folder.path().join("work")),
            &flags,
        );
        let link = self.master.accept().await;
        (agent, link)
    }

    /// What plugins and agent have made.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        for folder in [
            "leases/blue",
            "work/isolators/network/cni",
            "work/images/containers",
            "work/native",
        ] {
            let entries = std::fs::read_dir(self.folder.path().join(folder));
            for entry in entries.into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().unwrap();
                let is_own = ["lock", "last_reserved_ip"]
                    .iter()
                    .any(|own| name.starts_with(own));
                if !is_own {
                    left.push(format!("{folder}/{name}"));
                }
            }
        }
        let mut command = std::process::Command::new("ip");
        let veths = command
            .args(["-o", "link", "show", "master", &self.bridge])
            .output()
            .unwrap();
        left.extend(
            String::from_utf8(veths.stdout)
                .unwrap()
                .lines()
                .map(str::to_owned),
        );
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        let here = self.folder.path().to_str().unwrap().to_owned();
        left.extend(
            mounts
                .lines()
                .filter(|line| line.contains(&here))
                .map(str::to_owned),
        );
        left
    }

    async fn until_clean(&self) {
        for _ in 0..500 {
            if self.left().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", self.left());
    }
}

fn on_blue() -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        network_infos: vec![NetworkInfo {
            name: Some("blue".into()),
            ..NetworkInfo::default()
        }],
        ..ContainerInfo::default()
    }
}

fn in_image(container: ContainerInfo) -> ContainerInfo {
    ContainerInfo {
        mesos: Some(container_info::MesosInfo {
            image: Some(Image {
                r#type: image::Type::Docker.into(),
                docker: Some(image::Docker {
                    name: "busybox".into(),
                    ..image::Docker::default()
                }),
                ..Image::default()
            }),
        }),
        ..container
    }
}

fn task(id: &str, command: &str, container: ContainerInfo) -> TaskInfo {
    TaskInfo {
        container: Some(Box::new(container)),
        ..shell(id, command)
    }
}

async fn written(agent: &Agent, name: &str) -> String {
    let (_, body) = agent
        .get(&format!("/v1/tasks/fw-0000/{name}/logs?follow=true"))
        .await;
    let texts = body.lines().filter_map(|line| {
        let entry: Value = serde_json::from_str(line).ok()?;
        Some(entry.get("data")?.as_str()?.to_owned())
    });
    texts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_on_a_network_has_an_address_that_its_statuses_show() {
    if !is_ready() {
        return;
    }
    let mut lab = Lab::new(1).await;
    let (agent, mut link) = lab.agent().await;
    let look =
        "hostname; cat /etc/hosts /etc/resolv.conf; cat /proc/net/dev | grep -c eth0; sleep 0.3";
    let mut named = in_image(on_blue());
    named.hostname = Some("web-1".into());
    link.run(
        &framework(true),
        vec![task("bare", look, on_blue()), task("image", look, named)],
    );
    let seen = link.finish(&["bare", "image"]).await;
    for name in ["bare", "image"] {
        let running = seen[name]
            .iter()
            .find(|status| status.state() == TaskState::TaskRunning);
        let status = running.unwrap().container_status.clone().unwrap();
        let network = &status.network_infos[0];
        assert_eq!(network.name.as_deref(), Some("blue"));
        let address = network.ip_addresses[0].ip_address.clone().unwrap();
        assert!(address.starts_with("10."), "{address}");
        let text = written(&agent, name).await;
        let hostname = if name == "image" {
            "web-1".to_owned()
        } else {
            status.container_id.unwrap().value
        };
        assert!(
            text.starts_with(&format!("{hostname}\n127.0.0.1 localhost\n")),
            "{text}"
        );
        assert!(text.contains(&format!("{address} {hostname}\n")), "{text}");
        assert!(text.contains("nameserver 192.0.2.53"), "{text}");
        assert!(text.ends_with("\n1\n"), "{text}");
    }
    let (_, state) = agent.get("/state").await;
    assert!(state.contains(r#""name":"blue""#), "{state}");
    lab.until_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_reach_a_task_in_its_own_network() {
    if !is_ready() {
        return;
    }
    let mut lab = Lab::new(2).await;
    let (_agent, mut link) = lab.agent().await;
    let mut serving = task(
        "t",
        "mkdir -p /tmp/www && echo ok > /tmp/www/index.html && exec /bin/busybox httpd -f -p 127.0.0.1:8123 -h /tmp/www",
        in_image(on_blue()),
    );
    serving.health_check = Some(Box::new(HealthCheck {
        r#type: Some(health_check::Type::Http.into()),
        http: Some(health_check::HttpCheckInfo {
            port: 8123,
            path: Some("/".into()),
            ..health_check::HttpCheckInfo::default()
        }),
        interval_seconds: Some(0.1),
        delay_seconds: Some(0.0),
        grace_period_seconds: Some(10.0),
        ..HealthCheck::default()
    }));
    link.run(&framework(true), vec![serving]);
    loop {
        let status = link.update().await;
        link.acknowledge(&status);
        assert!(!support::is_terminal(status.state()), "{status:?}");
        if status.healthy == Some(true) {
            break;
        }
    }
    link.kill("t");
    link.finish(&["t"]).await;
    lab.until_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_network_does_not_do_is_refused_with_its_reason() {
    if !is_ready() {
        return;
    }
    let mut lab = Lab::new(3).await;
    let (_agent, mut link) = lab.agent().await;
    let mut mapped = on_blue();
    mapped.network_infos[0].port_mappings = vec![PortMapping {
        host_port: 31_000,
        container_port: 80,
        protocol: None,
    }];
    let mut unknown = on_blue();
    unknown.network_infos[0].name = Some("red".into());
    link.run(
        &framework(true),
        vec![
            task("mapped", "true", mapped),
            task("unknown", "true", unknown),
        ],
    );
    let seen = link.finish(&["mapped", "unknown"]).await;
    for (name, wanted) in [("mapped", "portMappings"), ("unknown", "red")] {
        let last = seen[name].last().unwrap();
        assert_eq!(last.state(), TaskState::TaskFailed);
        assert!(
            last.message().starts_with("Failed to launch container: "),
            "{last:?}"
        );
        assert!(last.message().contains(wanted), "{last:?}");
    }
    lab.until_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_dies_at_any_step_leaves_nothing_of_what_it_prepared() {
    if !is_ready() {
        return;
    }
    let mut lab = Lab::new(4).await;
    for point in [
        "agent.before_prepare",
        "agent.after_prepare",
        "agent.after_warden",
        "agent.before_acknowledge_exit",
        "agent.before_clean_up",
        "agent.after_clean_up",
    ] {
        let id = point.replace('.', "-");
        let (mut agent, link) = lab.agent_that_dies_at(Some(point)).await;
        link.run(
            &framework(true),
            vec![task(&id, "true", in_image(on_blue()))],
        );
        agent.wait().await;
        drop(link);
        let (_again, mut link) = lab.agent().await;
        let seen = link.finish(&[&id]).await;
        assert!(!seen[&id].is_empty());
        lab.until_clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_on_a_network_lives_on_when_its_agent_dies() {
    if !is_ready() {
        return;
    }
    let mut lab = Lab::new(5).await;
    let (mut agent, mut link) = lab.agent().await;
    let script = "trap 'ip addr show eth0 | grep -c \"inet 10\"; exit 0' TERM; echo up; while true; do sleep 0.1; done";
    link.run(
        &framework(true),
        vec![task("t", script, in_image(on_blue()))],
    );
    link.until("t", TaskState::TaskRunning).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    agent.crash();
    drop(link);
    let (again, mut link) = lab.agent().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!lab.left().is_empty());
    link.kill("t");
    let seen = link.finish(&["t"]).await;
    let last = seen["t"].last().unwrap().container_status.clone().unwrap();
    assert_eq!(last.network_infos[0].name.as_deref(), Some("blue"));
    let text = written(&again, "t").await;
    assert!(text.starts_with("up\n1\n"), "{text}");
    lab.until_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapped_port_of_the_host_leads_into_the_container() {
    if !is_ready() || !PathBuf::from("/usr/sbin/iptables").exists() {
        return;
    }
    let mut lab = Lab::new(6).await;
    let (_agent, mut link) = lab.agent().await;
    let port = 20_000 + std::process::id() % 10_000;
    let mut mapped = in_image(on_blue());
    mapped.network_infos[0].name = Some("mapped".into());
    mapped.network_infos[0].port_mappings = vec![PortMapping {
        host_port: port,
        container_port: 8080,
        protocol: Some("tcp".into()),
    }];
    let script = "while true; do echo from-within | nc -l -p 8080; done";
    link.run(&framework(true), vec![task("t", script, mapped)]);
    let running = link.until("t", TaskState::TaskRunning).await;
    let network = &running.container_status.unwrap().network_infos[0];
    assert_eq!(network.port_mappings[0].host_port, port);
    let mut text = String::new();
    for _ in 0..200 {
        if let Ok(mut stream) =
            std::net::TcpStream::connect((lab.gateway.as_str(), u16::try_from(port).unwrap()))
            && std::io::Read::read_to_string(&mut stream, &mut text).is_ok()
            && !text.is_empty()
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(text, "from-within\n");
    link.kill("t");
    link.finish(&["t"]).await;
    lab.until_clean().await;
}
