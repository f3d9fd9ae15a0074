//! Debian's `docker-registry` on the loopback: pushed to by a few lines of our own, pulled from by the product.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mezz_image::media;
use mezz_image::pull::PullPolicy;
use mezz_image::reference::Reference;
use support::Tar;
use support::registry::Content;
use support::world::{gzip, large, plain, small, world, zstd};

/// A registry, ended with the test.
struct Registry {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `None` where the program is not installed, which `cargo xtask test` sees to.
fn start() -> Option<Registry> {
    if !Path::new("/usr/bin/docker-registry").exists() {
        assert!(
            std::env::var_os("CI").is_none(),
            "docker-registry is not installed"
        );
        eprintln!("skipped: docker-registry is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let config = folder.path().join("config.yml");
    let data = folder.path().join("data");
    let text = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
        data.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("docker-registry");
    command
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let registry = Registry {
        child,
        address,
        _folder: folder,
    };
    for _ in 0..500 {
        if TcpStream::connect(&registry.address).is_ok() {
            return Some(registry);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("docker-registry does not listen");
}

impl Registry {
    /// One request; gives the status and the headers.
    fn send(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    }

    /// Puts all that a registry of ours would answer with into the real one.
    fn push(&self, content: &Content) {
        let is_blob = |path: &str| path.contains("/blobs/");
        for (path, (_, bytes)) in content.0.iter().filter(|(path, _)| is_blob(path)) {
            let (folder, digest) = path.rsplit_once('/').unwrap();
            let (status, answer) = self.send("POST", &format!("{folder}/uploads/"), "", b"");
            assert_eq!(status, 202, "{answer}");
            let location = answer.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("location")
                    .then(|| value.trim().to_owned())
            });
            let location = location.unwrap();
            let path = &location[location.find("/v2/").unwrap()..];
            let path = format!("{path}&digest={digest}");
            let (status, answer) = self.send("PUT", &path, "application/octet-stream", bytes);
            assert_eq!(status, 201, "{answer}");
        }
        for (path, (media_type, bytes)) in content.0.iter().filter(|(path, _)| !is_blob(path)) {
            let (status, answer) = self.send("PUT", path, media_type, bytes);
            assert_eq!(status, 201, "{answer}");
        }
    }
}

#[tokio::test]
async fn what_was_pushed_to_a_real_registry_is_pulled_from_it() {
    let Some(registry) = start() else { return };
    let layers = [
        plain(small()),
        gzip(large()),
        zstd(Tar::new().file("top", "x")),
    ];
    let mut content = Content::default();
    content.image("team/app", "1.0", &layers);
    let (manifest, _) = content.parts("team/docker", &layers[..2]);
    let docker = String::from_utf8(manifest)
        .unwrap()
        .replace(media::OCI_MANIFEST, media::DOCKER_MANIFEST)
        .replace(media::OCI_CONFIG, media::DOCKER_CONFIG)
        .replace(media::OCI_LAYER, media::DOCKER_LAYER);
    let digest = content.manifest(
        "team/docker",
        "2",
        media::DOCKER_MANIFEST,
        docker.as_bytes(),
    );
    registry.push(&content);
    let world = world();
    let request = |name: &str, policy| mezz_image::pull::PullRequest {
        reference: Reference::parse(&format!("{}/{name}", registry.address)).unwrap(),
        policy,
        config: None,
    };
    let image = world
        .pull(request("team/app:1.0", PullPolicy::IfNotPresent))
        .await
        .unwrap();
    assert_eq!(world.top(&image), ["top \"x\""]);
    let by_digest = format!("team/docker@{digest}");
    for name in ["team/docker:2", &by_digest] {
        let image = world.pull(request(name, PullPolicy::Always)).await.unwrap();
        assert_eq!(
            (image.manifest.clone(), image.layers.len()),
            (digest.clone(), 2)
        );
    }
    let again = world
        .pull(request("team/app:1.0", PullPolicy::Always))
        .await
        .unwrap();
    assert_eq!(again.id, image.id);
    for (name, reason) in [
        ("team/app:none", "has no team/app/manifests/none"),
        ("other/app:1", "has no other/app/manifests/1"),
    ] {
        let error = world
            .pull(request(name, PullPolicy::Always))
            .await
            .unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}
