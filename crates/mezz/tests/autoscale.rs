//! Services whose number of instances follows what they use, in a real `mezz dev`.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use support::dev::Dev;

/// Answers every request with a number.
fn metric() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let number = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&number);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let body = shown.load(Ordering::Relaxed).to_string();
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    (format!("http://{address}/queue"), number)
}

fn ready(dev: &Dev, wanted: &str) {
    dev.until(&["get", "services"], |text| {
        text.lines()
            .any(|line| line.split_whitespace().nth(1) == Some(wanted))
    });
}

fn applied(dev: &Dev, folder: &tempfile::TempDir, metric: &str, command: &str) {
    let file = folder.path().join("service.yaml");
    let text = format!(
        "kind: service\nname: /scaled\nspec:\n  replicas: {{min: 1, max: 3, cooldown_up: 0s, cooldown_down: 0s, metrics: \
         [{metric}]}}\n  template:\n    containers:\n      - command: {command}\n        \
         resources: {{cpus: 0.05, mem: 16MiB}}\n"
    );
    std::fs::write(&file, text).expect("a file");
    let file = file.display().to_string();
    let outcome = dev.mezz(&["apply", "--wait", "-f", &file]);
    assert_eq!(outcome.code, 0, "{}", outcome.seen());
}

#[test]
fn a_service_follows_the_number_that_a_url_answers_up_and_down() {
    let (dev, folder) = (
        Dev::start(&["--autoscale-interval=200ms"]),
        tempfile::tempdir(),
    );
    let folder = folder.expect("a folder");
    let (url, number) = metric();
    let of_url = format!("{{of: {{url: '{url}'}}, target: 10}}");
    number.store(10, Ordering::Relaxed);
    applied(&dev, &folder, &of_url, "sleep 1000");
    ready(&dev, "1/1");
    number.store(25, Ordering::Relaxed);
    ready(&dev, "3/3");
    number.store(4, Ordering::Relaxed);
    ready(&dev, "1/1");
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_service_grows_while_its_instances_are_busy_and_shrinks_when_they_rest() {
    let dev = Dev::start(&["--autoscale-interval=500ms"]);
    let folder = tempfile::tempdir().expect("a folder");
    let rest = folder.path().join("rest");
    let command = format!(
        "\"i=0; while [ ! -e {} ]; do i=$((i+1)); [ $((i % 2000)) = 0 ] && sleep 0.05; done; exec sleep 1000\"",
        rest.display()
    );
    applied(&dev, &folder, "{of: cpu, target: 70}", &command);
    ready(&dev, "3/3");
    std::fs::write(&rest, "").expect("a file");
    ready(&dev, "1/1");
    assert_eq!(dev.stop(), Some(0));
}
