//! Secrets and configs in a real `mezz dev`: instances get them, and nobody else sees a value.

mod support;

use std::path::{Path, PathBuf};

use support::dev::Dev;

const VALUE: &str = "correct-horse-battery";

/// A folder with the files of a test, among them what instances write.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }
}

fn secret(value: &str) -> String {
    format!("kind: secret\nname: /team/db\nspec:\n  data: {{password: {value}}}\n")
}

const CONFIG: &str =
    "kind: config\nname: /team/settings\nspec:\n  data: {level: loud, app.conf: 'a = 1'}\n";

/// A service that writes what it was given into a file outside of its sandbox.
fn service(seen: &Path, more: &str) -> String {
    let seen = seen.display();
    format!(
        "kind: service\nname: /team/web\nspec:\n  template:\n{more}    containers:\n      - command: >-\n          \
         echo \"$PASSWORD $LEVEL $(cat conf/password) $(cat conf/app.conf) $(stat -Lc %a conf/password)\" >> {seen};\n          \
         touch up; exec sleep 1000\n        resources: {{cpus: 0.01, mem: 16MiB}}\n        env:\n          \
         PASSWORD: {{secret: {{name: /team/db}}}}\n          LEVEL: {{config: {{name: /team/settings, key: level}}}}\n        \
         files:\n          - {{path: conf/password, from: {{secret: {{name: /team/db, key: password}}}}}}\n          \
         - {{path: conf/app.conf, from: {{config: {{name: /team/settings, key: app.conf}}}}}}\n        checks:\n          \
         ready: {{command: 'test -f up && test \"$PASSWORD\" = \"$(cat conf/password)\"', interval: 100ms}}\n"
    )
}

fn until(what: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !what() {
        assert!(begun.elapsed() < support::dev::PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Whether any file below a folder holds a text.
fn holds(folder: &Path, text: &str) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() && !path.is_symlink() {
            return holds(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        !path.is_symlink()
            && bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
    })
}

#[test]
fn an_instance_waits_for_its_secret_gets_it_and_nobody_else_does() {
    let files = Files::new();
    let work = files.path("work");
    let key = files.write("key", &"ab".repeat(32));
    let (work_dir, key) = (
        format!("--work-dir={}", work.display()),
        format!("--secret-key-file={key}"),
    );
    let mut dev = Dev::start(&[&work_dir, &key]);
    let seen = files.path("seen");
    let web = files.write("web.yaml", &service(&seen, ""));
    let config = files.write("config.yaml", CONFIG);
    let db = files.write("db.yaml", &secret(VALUE));
    assert_eq!(
        dev.mezz(&["apply", "--no-wait", "-f", &web, "-f", &config])
            .code,
        0
    );
    dev.until(&["why", "service/team/web"], |text| {
        text.contains("no secret '/team/db'")
    });
    let applied = dev.mezz(&["apply", "-f", &db]);
    assert_eq!(
        applied.stdout,
        "secret /team/db created, generation 1\n",
        "{}",
        applied.seen()
    );
    let again = dev.mezz(&["apply", "-f", &db]);
    assert_eq!(again.stdout, "secret /team/db unchanged, generation 1\n");
    until(|| !read(&seen).is_empty());
    assert_eq!(read(&seen), format!("{VALUE} loud {VALUE} a = 1 400\n"));
    dev.until(&["get", "services"], |text| text.contains("1/1"));

    let shown = dev.mezz(&["get", "secret/team/db", "-o", "yaml"]).stdout;
    assert!(
        shown.contains("password") && shown.contains("digest"),
        "{shown}"
    );
    for path in [
        "/v1/secrets",
        "/v1/secrets/team/db",
        "/state",
        "/v1/instances",
        "/tasks",
        "/registrar(1)/registry",
    ] {
        let text = dev.get(path);
        assert!(!text.contains(VALUE), "{path}: {text}");
    }
    dev.kill();
    assert!(!holds(&work, VALUE), "nothing on disk has it");

    let dev = Dev::start(&[&work_dir, &key]);
    dev.until(&["get", "services"], |text| text.contains("1/1"));
    let id = dev.mezz(&["get", "instances", "-o", "name"]).stdout;
    let id = id.trim().rsplit('/').next().unwrap_or_default().to_owned();
    let killed = dev.mezz(&["kill", &id]);
    assert_eq!(killed.code, 0, "{}", killed.seen());
    until(|| read(&seen).lines().count() == 2);
    assert_eq!(dev.stop(), Some(0));
    let refused = support::mezz(&["dev", "--port=0", &work_dir]);
    assert_ne!(refused.code, 0);
    assert!(
        refused.stderr.contains("--secret-key-file"),
        "{}",
        refused.seen()
    );
}

/// Makes an archive of an image as `docker save` does.
const SAVE: &str = r#"
set -e
mkdir -p root/bin images
cp /bin/busybox root/bin/busybox
for name in sh cat test touch sleep; do ln -s busybox root/bin/$name; done
tar -C root -cf layer.tar .
id=$(sha256sum layer.tar | cut -d' ' -f1)
printf '{"architecture":"amd64","os":"linux","config":{"User":"1234"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$id" > config.json
printf '[{"Config":"config.json","RepoTags":["busybox:latest"],"Layers":["layer.tar"]}]' > manifest.json
tar --force-local -cf images/busybox:latest.tar manifest.json config.json layer.tar
"#;

#[test]
fn an_instance_in_an_image_finds_its_secret_files() {
    if !rustix::process::geteuid().is_root() || cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let files = Files::new();
    let mut script = std::process::Command::new("sh");
    let made = script
        .arg("-c")
        .arg(SAVE)
        .current_dir(files.0.path())
        .status();
    assert!(made.expect("a shell").success());
    let registry = format!("--docker-registry={}", files.path("images").display());
    let dev = Dev::start(&["--image-providers=docker", &registry]);
    let service = "kind: service\nname: /team/web\nspec:\n  template:\n    containers:\n      - image: busybox\n        \
                   command: 'cat conf/password && touch up && exec sleep 1000'\n        \
                   resources: {cpus: 0.01, mem: 16MiB}\n        files:\n          \
                   - {path: conf/password, from: {secret: {name: /team/db, key: password}}}\n        checks:\n          \
                   ready: {command: 'test -f up && test ! -e /usr', interval: 100ms}\n";
    let text = format!("{}---\n{service}", secret(VALUE));
    let file = files.write("web.yaml", &text);
    let applied = dev.mezz(&["apply", "--wait", "-f", &file]);
    assert_eq!(applied.code, 0, "{}", applied.seen());
}
