//! Tasks in images: what they find there, what is refused, and that nothing is left of them.
#![allow(clippy::unwrap_used)]

#[path = "support/images.rs"]
mod images;
mod support;

use std::path::Path;

use images::{Layer, busybox, save};
use mezz_proto::v1::{
    self, CommandInfo, ContainerInfo, HealthCheck, Image, TaskInfo, TaskState, container_info,
    health_check, image,
};
use serde_json::{Value, json};
use support::{Agent, FakeMaster, Link, framework, shell};
use tar::EntryType;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn image(name: &str) -> Image {
    Image {
        r#type: image::Type::Docker.into(),
        docker: Some(image::Docker {
            name: name.into(),
            ..image::Docker::default()
        }),
        ..Image::default()
    }
}

fn in_image(name: &str) -> ContainerInfo {
    ContainerInfo {
        r#type: container_info::Type::Mesos.into(),
        mesos: Some(container_info::MesosInfo {
            image: Some(image(name)),
        }),
        ..ContainerInfo::default()
    }
}

fn task(id: &str, command: &str, container: ContainerInfo) -> TaskInfo {
    TaskInfo {
        container: Some(Box::new(container)),
        ..shell(id, command)
    }
}

/// A task that leaves it to its image what is run.
fn by_image(id: &str, arguments: &[&str], container: ContainerInfo) -> TaskInfo {
    TaskInfo {
        command: Some(CommandInfo {
            shell: Some(false),
            arguments: arguments.iter().map(|&text| text.into()).collect(),
            ..CommandInfo::default()
        }),
        ..task(id, "", container)
    }
}

struct Lab {
    folder: tempfile::TempDir,
    master: FakeMaster,
}

impl Lab {
    async fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            master: FakeMaster::start().await,
        }
    }

    fn archives(&self) -> std::path::PathBuf {
        self.folder.path().join("archives")
    }

    fn work(&self) -> std::path::PathBuf {
        self.folder.path().join("work")
    }

    fn image(&self, name: &str, config: &Value, layers: Vec<Layer>) {
        save(&self.archives(), name, config, layers);
    }

    async fn agent(&mut self, more: &[(&str, &str)]) -> (Agent, Link) {
        let archives = self.archives().display().to_string();
        let mut flags = vec![("--docker-registry", archives.as_str())];
        flags.extend(more);
        let agent = Agent::start(&self.master.address, Some(&self.work()), &flags);
        let link = self.master.accept().await;
        (agent, link)
    }

    /// What the store holds for containers.
    fn containers(&self) -> usize {
        let folder = self.work().join("images/containers");
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }

    async fn until_clean(&self) {
        for _ in 0..500 {
            if self.containers() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("containers are left in the store");
    }
}

/// What tasks have written and how they ended, by id.
async fn outputs(agent: &Agent, link: &mut Link, tasks: Vec<TaskInfo>) -> Vec<String> {
    let ids: Vec<String> = tasks
        .iter()
        .map(|task| task.task_id.value.clone())
        .collect();
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    link.run(&framework(true), tasks);
    let seen = link.finish(&names).await;
    let mut outputs = Vec::new();
    for name in names {
        let last = seen[name].last().unwrap();
        outputs.push(format!(
            "{}[{}]",
            written(agent, name).await,
            last.message()
        ));
    }
    outputs
}

async fn written(agent: &Agent, name: &str) -> String {
    let path = format!("/v1/tasks/fw-0000/{name}/logs?follow=true");
    let (_, body) = agent.get(&path).await;
    let texts = body.lines().filter_map(|line| {
        let entry: Value = serde_json::from_str(line).ok()?;
        Some(entry.get("data")?.as_str()?.to_owned())
    });
    texts.collect()
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mounts").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_an_image_sees_the_image_and_its_sandbox() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new().await;
    let config = json!({"Env": ["COLOUR=blue", "PATH=/bin"], "WorkingDir": "/srv"});
    let layers = vec![
        busybox(),
        Layer::new()
            .folder("srv/")
            .file("srv/lower", b"lower\n", 0o644)
            .file("gone", b"x", 0o644),
        Layer::new()
            .file("srv/upper", b"upper\n", 0o644)
            .file(".wh.gone", b"", 0o644),
    ];
    lab.image("busybox:latest", &config, layers);
    for backend in ["overlay", "copy"] {
        let (agent, mut link) = lab.agent(&[("--image-provisioner-backend", backend)]).await;
        let look = "pwd; ls; cat upper; echo $COLOUR $MESOS_SANDBOX; ls / | tr '\\n' ' '; \
                    echo kept > $MESOS_SANDBOX/kept; echo x > /new; ls -A /etc | tr '\\n' ' '";
        let seen = outputs(
            &agent,
            &mut link,
            vec![task(backend, look, in_image("busybox"))],
        )
        .await;
        let wanted = "/srv\nlower\nupper\nupper\nblue /mnt/mesos/sandbox\n\
                      bin dev etc mnt proc srv sys tmp ";
        assert!(seen[0].starts_with(wanted), "{backend}: {}", seen[0]);
        lab.until_clean().await;
        assert!(
            !mounts().contains(lab.work().to_str().unwrap()),
            "{}",
            mounts()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_image_says_of_its_use_stands_below_what_the_task_says() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new().await;
    let config = json!({
        "Entrypoint": ["/bin/echo", "entry"], "Cmd": ["cmd"], "User": "web", "Env": ["A=image", "B=image"],
    });
    lab.image("team/app:1", &config, vec![busybox()]);
    lab.image(
        "team/cmd:1",
        &json!({"Cmd": ["echo", "of", "cmd"]}),
        vec![busybox()],
    );
    lab.image("team/none:1", &json!({}), vec![busybox()]);
    let (agent, mut link) = lab.agent(&[]).await;
    let mut rooted = task(
        "user",
        "id -u; id -g; touch mine; stat -c %u mine",
        in_image("team/app:1"),
    );
    rooted.command.as_mut().unwrap().user = Some("root".into());
    let seen = outputs(
        &agent,
        &mut link,
        vec![
            by_image("entry", &[], in_image("team/app:1")),
            by_image("arguments", &["of", "task"], in_image("team/app:1")),
            by_image("cmd", &[], in_image("team/cmd:1")),
            by_image("nothing", &[], in_image("team/none:1")),
            task(
                "web",
                "id -u; id -g; id -G; touch mine; stat -c %u mine; echo $A",
                in_image("team/app:1"),
            ),
            rooted,
        ],
    )
    .await;
    let done = "[Command exited with status 0]";
    assert_eq!(seen[0], format!("entry cmd\n{done}"));
    assert_eq!(seen[1], format!("entry of task\n{done}"));
    assert_eq!(seen[2], format!("of cmd\n{done}"));
    assert!(
        seen[3].contains("neither ENTRYPOINT nor CMD"),
        "{}",
        seen[3]
    );
    assert_eq!(
        seen[4],
        format!("4711\n4712\n4712 4713\n4711\nimage\n{done}")
    );
    assert_eq!(seen[5], format!("0\n0\n0\n{done}"));
    lab.until_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_a_task_in_an_image_runs_in_the_image() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new().await;
    let config = json!({"Env": ["COLOUR=blue"], "WorkingDir": "/srv", "User": "web"});
    let layers = vec![
        busybox(),
        Layer::new()
            .folder("srv/")
            .file("srv/only-here", b"", 0o644),
    ];
    lab.image("busybox:latest", &config, layers);
    let (mut agent, mut link) = lab.agent(&[]).await;
    let mut checked = task("t", "while true; do sleep 1; done", in_image("busybox"));
    let command = "test -f only-here && test $COLOUR = blue && test $(id -u) = 4711 && touch $MESOS_SANDBOX/seen";
    checked.health_check = Some(Box::new(HealthCheck {
        r#type: Some(health_check::Type::Command.into()),
        command: Some(CommandInfo {
            value: Some(command.into()),
            ..CommandInfo::default()
        }),
        interval_seconds: Some(0.1),
        delay_seconds: Some(0.0),
        grace_period_seconds: Some(0.0),
        consecutive_failures: Some(1),
        ..HealthCheck::default()
    }));
    checked.command.as_mut().unwrap().user = None;
    link.run(&framework(true), vec![checked]);
    loop {
        let status = link.update().await;
        link.acknowledge(&status);
        assert!(!support::is_terminal(status.state()), "{status:?}");
        if status.healthy == Some(true) {
            break;
        }
    }
    // A later life of the agent knows how the container was furnished.
    agent.crash();
    drop(link);
    let (agent, mut link) = lab.agent(&[]).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    link.kill("t");
    let seen = link.finish(&["t"]).await;
    assert_eq!(
        seen["t"].last().unwrap().state(),
        TaskState::TaskKilled,
        "{seen:?}"
    );
    assert!(!written(&agent, "t").await.contains("not known any more"));
    lab.until_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_refused_with_its_reason() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new().await;
    let evil = [
        (
            "up",
            Layer::new().raw("../../escaped", EntryType::Regular, "", b"x"),
        ),
        (
            "link",
            Layer::new().raw("out", EntryType::Symlink, "/", b"").raw(
                "out/escaped",
                EntryType::Regular,
                "",
                b"x",
            ),
        ),
        (
            "hard",
            Layer::new().raw("hard", EntryType::Link, "../../../etc/passwd", b""),
        ),
    ];
    let names: Vec<_> = evil.iter().map(|(name, _)| *name).collect();
    for (name, layer) in evil {
        lab.image(
            &format!("evil/{name}:1"),
            &json!({}),
            vec![busybox(), layer],
        );
    }
    lab.image(
        "busybox:latest",
        &json!({"User": "nobody-here"}),
        vec![busybox()],
    );
    let (agent, mut link) = lab.agent(&[]).await;
    let appc = ContainerInfo {
        mesos: Some(container_info::MesosInfo {
            image: Some(Image {
                r#type: image::Type::Appc.into(),
                ..Image::default()
            }),
        }),
        ..in_image("x")
    };
    let mut tasks = vec![
        task("missing", "true", in_image("not/there:1")),
        task("name", "true", in_image("No Name")),
        task("appc", "true", appc),
        by_image("user", &["true"], in_image("busybox")),
    ];
    tasks[3].command.as_mut().unwrap().value = Some("true".into());
    tasks.extend(
        names
            .iter()
            .map(|name| task(name, "cat /etc/shadow", in_image(&format!("evil/{name}:1")))),
    );
    let seen = outputs(&agent, &mut link, tasks).await;
    for (seen, wanted) in seen.iter().zip([
        "Failed to pull the image 'not/there:1': ",
        "container.mesos.image.docker.name: ",
        "container.mesos.image.type APPC",
        "the image's /etc/passwd has no user 'nobody-here'",
        "layer 1 (",
    ]) {
        assert!(seen.starts_with("[Failed to launch container: "), "{seen}");
        assert!(seen.contains(wanted), "{seen}");
    }
    assert!(!Path::new("/escaped").exists() && !lab.folder.path().join("escaped").exists());
    assert_eq!(lab.containers(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_signal_of_an_image_ends_its_task() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new().await;
    lab.image(
        "busybox:latest",
        &json!({"StopSignal": "SIGINT"}),
        vec![busybox()],
    );
    let (agent, mut link) = lab.agent(&[]).await;
    let script = "trap 'echo interrupted; exit 0' INT; trap '' TERM; echo ready; while true; do sleep 0.1; done";
    link.run(
        &framework(true),
        vec![task("t", script, in_image("busybox"))],
    );
    link.until("t", TaskState::TaskRunning).await;
    loop {
        let (_, body) = agent.get("/v1/tasks/fw-0000/t/logs").await;
        if body.contains("ready") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    link.kill("t");
    link.finish(&["t"]).await;
    assert_eq!(written(&agent, "t").await, "ready\ninterrupted\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_and_secrets_are_volumes_too() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new().await;
    lab.image("busybox:latest", &json!({}), vec![busybox()]);
    lab.image(
        "data:1",
        &json!({}),
        vec![Layer::new().file("word", b"from an image\n", 0o644)],
    );
    let (agent, mut link) = lab.agent(&[]).await;
    let volume = |path: &str| v1::Volume {
        mode: v1::volume::Mode::Ro.into(),
        container_path: path.into(),
        ..v1::Volume::default()
    };
    let secret = v1::Secret {
        r#type: Some(v1::secret::Type::Value.into()),
        value: Some(v1::secret::Value {
            data: b"hush\n".to_vec().into(),
        }),
        ..v1::Secret::default()
    };
    let mut container = in_image("busybox");
    container.volumes = vec![
        v1::Volume {
            image: Some(image("data:1")),
            ..volume("/data")
        },
        v1::Volume {
            source: Some(v1::volume::Source {
                r#type: Some(v1::volume::source::Type::Secret.into()),
                secret: Some(secret),
                ..v1::volume::Source::default()
            }),
            ..volume("/run/secret")
        },
    ];
    let script = "cat /data/word /run/secret; echo x > /data/new || echo refused";
    let seen = outputs(&agent, &mut link, vec![task("t", script, container)]).await;
    assert!(seen[0].starts_with("from an image\nhush\n"), "{}", seen[0]);
    assert!(seen[0].contains("refused"), "{}", seen[0]);
    lab.until_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_removes_the_images_that_no_container_stands_on() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new().await;
    for name in ["used:1", "kept:1", "gone:1"] {
        let own = Layer::new().file(name, name.as_bytes(), 0o644);
        lab.image(name, &json!({}), vec![busybox(), own]);
    }
    let (agent, mut link) = lab.agent(&[]).await;
    let quick = ["kept", "gone"].map(|name| task(name, "true", in_image(&format!("{name}:1"))));
    outputs(&agent, &mut link, quick.to_vec()).await;
    let script = "while true; do sleep 1; done";
    link.run(
        &framework(true),
        vec![task("t", script, in_image("used:1"))],
    );
    link.until("t", TaskState::TaskRunning).await;
    let layers = || {
        std::fs::read_dir(lab.work().join("images/layers"))
            .unwrap()
            .count()
    };
    let before = layers();
    let call = json!({
        "type": "PRUNE_IMAGES",
        "prune_images": {"excluded_images": [{"type": "DOCKER", "docker": {"name": "kept:1"}}]},
    });
    let client = reqwest::Client::new();
    let request = client.post(format!("{}/api/v1", agent.url));
    let request = request
        .header("content-type", "application/json")
        .body(call.to_string());
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(layers(), before - 1);
    link.kill("t");
    link.finish(&["t"]).await;
    lab.until_clean().await;
}

/// Says nothing, ever.
fn silent_registry() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_killed_while_its_image_is_pulled_ends_at_once() {
    if !is_root() {
        return;
    }
    let mut lab = Lab::new().await;
    let (_listener, address) = silent_registry();
    let url = format!("http://{address}");
    let work = lab.work();
    let agent = Agent::start(
        &lab.master.address,
        Some(&work),
        &[("--docker-registry", &url)],
    );
    let mut link = lab.master.accept().await;
    link.run(
        &framework(true),
        vec![task("t", "true", in_image("never:1"))],
    );
    link.until("t", TaskState::TaskStarting).await;
    loop {
        let (_, state) = agent.get("/state").await;
        if state.contains("asking the registry for") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    link.kill("t");
    let seen = link.finish(&["t"]).await;
    let last = seen["t"].last().unwrap();
    assert_eq!(last.state(), TaskState::TaskKilled, "{last:?}");
    assert_eq!(lab.containers(), 0);
}

/// Debian's registry, ended with the test.
struct Registry(std::process::Child, String);

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Registry {
    fn start(folder: &Path) -> Self {
        let port = silent_registry().1.rsplit(':').next().unwrap().to_owned();
        let address = format!("127.0.0.1:{port}");
        let config = folder.join("registry.yml");
        let data = folder.join("registry");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = std::process::Command::new("docker-registry");
        command.arg("serve").arg(&config);
        let none = std::process::Stdio::null;
        let child = command.stdout(none()).stderr(none()).spawn().unwrap();
        for _ in 0..500 {
            if std::net::TcpStream::connect(&address).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self(child, address)
    }

    async fn put(&self, url: &str, kind: &str, bytes: Vec<u8>) {
        let client = reqwest::Client::new();
        let request = client.put(url).header("content-type", kind).body(bytes);
        assert_eq!(request.send().await.unwrap().status(), 201);
    }

    async fn blob(&self, name: &str, bytes: Vec<u8>) -> Value {
        let digest = mezz_image::digest::Digest::of(&bytes).to_string();
        let size = bytes.len();
        let client = reqwest::Client::new();
        let begin = client.post(format!("http://{}/v2/{name}/blobs/uploads/", self.1));
        let begun = begin.send().await.unwrap();
        let location = begun.headers()["location"].to_str().unwrap().to_owned();
        self.put(
            &format!("{location}&digest={digest}"),
            "application/octet-stream",
            bytes,
        )
        .await;
        json!({"digest": digest, "size": size})
    }

    async fn push(&self, name: &str, tag: &str, config: &Value, layer: Layer) {
        const KIND: &str = "application/vnd.oci.image";
        let layer = layer.bytes();
        let id = mezz_image::digest::Digest::of(&layer).to_string();
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [id]},
        });
        let mut config = self.blob(name, config.to_string().into_bytes()).await;
        config["mediaType"] = format!("{KIND}.config.v1+json").into();
        let mut layer = self.blob(name, layer).await;
        layer["mediaType"] = format!("{KIND}.layer.v1.tar").into();
        let kind = format!("{KIND}.manifest.v1+json");
        let manifest =
            json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
        let url = format!("http://{}/v2/{name}/manifests/{tag}", self.1);
        self.put(&url, &kind, manifest.to_string().into_bytes())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_runs_in_an_image_of_a_real_registry() {
    if !is_root() || !Path::new("/usr/bin/docker-registry").exists() {
        return;
    }
    let mut lab = Lab::new().await;
    let registry = Registry::start(lab.folder.path());
    registry
        .push(
            "team/app",
            "1",
            &json!({"Cmd": ["echo", "first"]}),
            busybox(),
        )
        .await;
    let work = lab.work();
    let url = format!("http://{}", registry.1);
    let agent = Agent::start(
        &lab.master.address,
        Some(&work),
        &[("--docker-registry", &url)],
    );
    let mut link = lab.master.accept().await;
    let seen = outputs(
        &agent,
        &mut link,
        vec![by_image("a", &[], in_image("team/app:1"))],
    )
    .await;
    assert!(seen[0].starts_with("first\n"), "{}", seen[0]);
    registry
        .push(
            "team/app",
            "1",
            &json!({"Cmd": ["echo", "second"]}),
            busybox(),
        )
        .await;
    let mut fresh = in_image(&format!("{}/team/app:1", registry.1));
    let image = fresh.mesos.as_mut().unwrap().image.as_mut().unwrap();
    image.cached = Some(false);
    let tasks = vec![
        by_image("b", &[], in_image("team/app:1")),
        by_image("c", &[], fresh),
    ];
    let seen = outputs(&agent, &mut link, tasks).await;
    // What is cached is not asked for again.
    assert!(
        seen[0].starts_with("first\n") || seen[0].starts_with("second\n"),
        "{}",
        seen[0]
    );
    assert!(seen[1].starts_with("second\n"), "{}", seen[1]);
    lab.until_clean().await;
}
