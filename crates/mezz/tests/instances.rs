//! What agents do for instances beyond running them, in a real `mezz dev`.

mod support;

use std::path::Path;

use support::dev::{Dev, PATIENCE};

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

fn until(what: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !what() {
        assert!(begun.elapsed() < PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn an_instance_is_drained_runs_its_last_command_and_is_told_to_end_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let seen = folder.path().join("seen");
    let told = seen.display();
    let text = format!(
        "kind: service\nname: /web\nspec:\n  template:\n    kill: {{drain: 1s, grace: 20s}}\n    containers:\n      - command: \
         trap 'echo told >> {told}; exit 0' TERM; touch up; while :; do sleep 0.05; done\n        \
         env: {{WORD: leaving}}\n        pre_stop: {{command: 'test -f up && sleep 0.3 && echo $WORD >> {told}'}}\n        \
         ports: [{{name: http}}]\n        resources: {{cpus: 0.01, mem: 16MiB}}\n        checks:\n          \
         ready: {{command: test -f up, interval: 100ms}}\n"
    );
    let dev = Dev::start(&[]);
    let file = write(folder.path(), "web.yaml", &text);
    let applied = dev.mezz(&["apply", "--wait", "-f", &file]);
    assert_eq!(applied.code, 0, "{}", applied.seen());
    assert!(dev.get("/v1/endpoints/web").contains("\"draining\":false"));
    assert_eq!(dev.mezz(&["delete", "-f", &file]).code, 0);
    let instances = dev.get("/v1/instances");
    assert!(instances.contains("\"phase\":\"draining\""), "{instances}");
    assert!(!seen.exists(), "nothing is done to it while it drains");
    until(|| std::fs::read_to_string(&seen).is_ok_and(|text| text.contains("told")));
    assert_eq!(
        std::fs::read_to_string(&seen).expect("a file"),
        "leaving\ntold\n"
    );
    dev.until(&["get", "instances", "-o", "name"], str::is_empty);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn an_instance_keeps_as_much_output_as_it_may() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "kind: service\nname: /loud\nspec:\n  template:\n    containers:\n      - command: >-\n          \
                pwd; i=0; while [ $i -lt 40000 ]; do echo \"line $i of a long text\"; i=$((i+1)); done; touch done; \
                exec sleep 1000\n        logs: {max_size: 64KiB}\n        resources: {cpus: 0.01, mem: 16MiB}\n        \
                checks: {ready: {command: test -f done, interval: 100ms}}\n";
    let work = folder.path().join("work");
    let dev = Dev::start(&[&format!("--work-dir={}", work.display())]);
    let file = write(folder.path(), "loud.yaml", text);
    let applied = dev.mezz(&["apply", "--wait", "-f", &file]);
    assert_eq!(applied.code, 0, "{}", applied.seen());
    let size = || {
        let mut bytes = 0;
        let mut folders = vec![work.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().unwrap_or_default();
                match entry.metadata() {
                    Ok(found) if found.is_dir() => folders.push(entry.path()),
                    Ok(found) if name.starts_with("stdout") => {
                        use std::os::unix::fs::MetadataExt;
                        bytes += found.blocks() * 512;
                    }
                    _ => {}
                }
            }
        }
        bytes
    };
    // A megabyte was written; what comes in a burst may be more for a while.
    until(|| (1..=256 << 10).contains(&size()));
    assert_eq!(dev.mezz(&["delete", "-f", &file]).code, 0);
    assert_eq!(dev.stop(), Some(0));
}
