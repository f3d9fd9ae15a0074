//! The fetcher's cache, as tasks, servers and metrics see it.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mezz_proto::v1::command_info::Uri;
use mezz_proto::v1::{TaskInfo, TaskState};
use support::{Agent, FakeMaster, Link, framework, shell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Counts what it is asked; `/slow…` answers late, `/broken…` fails the first time, `/size/N/…` has N bytes.
struct Server {
    base: String,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap();
                    let text = String::from_utf8_lossy(&request[..length]).into_owned();
                    let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                    let before = count.fetch_add(1, Ordering::SeqCst);
                    // The reader may have given up.
                    let _ = stream.write_all(&answer(&path, before).await).await;
                });
            }
        });
        Self { base, asked }
    }

    fn uri(&self, path: &str) -> Uri {
        Uri {
            value: format!("{}{path}", self.base),
            cache: Some(true),
            ..Uri::default()
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn answer(path: &str, before: usize) -> Vec<u8> {
    if path.starts_with("/slow") {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    if path.starts_with("/broken") && before == 0 {
        return b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
    }
    let size = path
        .strip_prefix("/size/")
        .and_then(|rest| rest.split('/').next()?.parse().ok());
    let body = vec![b'x'; size.unwrap_or(5)];
    let head = if path.ends_with("unknown") {
        // Its length shows only at its end.
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned()
    } else {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )
    };
    [head.into_bytes(), body].concat()
}

fn fetching(id: &str, command: &str, uris: Vec<Uri>) -> TaskInfo {
    let mut task = shell(id, command);
    task.command.as_mut().unwrap().uris = uris;
    task
}

async fn agent(work_dir: Option<&Path>, options: &[(&str, &str)]) -> (Agent, Link) {
    let mut master = FakeMaster::start().await;
    let agent = Agent::start(&master.address, work_dir, options);
    let link = master.accept().await;
    (agent, link)
}

async fn run(link: &mut Link, tasks: Vec<TaskInfo>) -> Vec<(TaskState, String)> {
    let ids: Vec<String> = tasks
        .iter()
        .map(|task| task.task_id.value.clone())
        .collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    link.run(&framework(true), tasks);
    let seen = link.finish(&ids).await;
    let last = |id: &&str| {
        let status = seen[*id].last().unwrap();
        (status.state(), status.message().to_owned())
    };
    ids.iter().map(last).collect()
}

async fn succeed(link: &mut Link, tasks: Vec<TaskInfo>) {
    for (state, message) in run(link, tasks).await {
        assert_eq!(state, TaskState::TaskFinished, "{message}");
    }
}

async fn used(agent: &Agent) -> f64 {
    let metrics = agent.json("/metrics/snapshot").await;
    metrics["containerizer/fetcher/cache_size_used_bytes"]
        .as_f64()
        .unwrap()
}

#[tokio::test]
async fn one_download_serves_concurrent_tasks_and_those_after_them() {
    let server = Server::start().await;
    let (agent, mut link) = agent(None, &[]).await;
    let task = |index: usize| {
        let command = "test \"$(cat file)\" = xxxxx && echo mine >> file";
        fetching(
            &format!("t{index}"),
            command,
            vec![server.uri("/slow/file")],
        )
    };
    succeed(&mut link, (0..5).map(task).collect()).await;
    succeed(&mut link, vec![task(5)]).await;
    assert_eq!(server.asked(), 1);
    assert!((used(&agent).await - 5.0).abs() < 0.1);
    let metrics = agent.json("/metrics/snapshot").await;
    assert_eq!(
        metrics["containerizer/fetcher/cache_size_total_bytes"],
        2_147_483_648.0
    );
    assert_eq!(metrics["containerizer/fetcher/task_fetches_succeeded"], 6.0);
}

#[tokio::test]
async fn the_cache_keeps_its_size_by_removing_what_was_used_longest_ago() {
    let server = Server::start().await;
    let (agent, mut link) = agent(None, &[("--fetcher-cache-size", "1000")]).await;
    let mut next = 0;
    let mut task = |name: &str| {
        next += 1;
        let uri = server.uri(&format!("/size/400/{name}"));
        fetching(&format!("t{next}"), "true", vec![uri])
    };
    for name in ["a", "b", "a"] {
        succeed(&mut link, vec![task(name)]).await;
    }
    assert_eq!(server.asked(), 2);
    // The third makes room by the second, not by the first, which was used since.
    for (name, asked) in [("c", 3), ("a", 3), ("b", 4)] {
        succeed(&mut link, vec![task(name)]).await;
        assert_eq!(server.asked(), asked, "{name}");
        assert!(used(&agent).await <= 1000.0);
    }
}

#[tokio::test]
async fn what_is_larger_than_the_cache_is_fetched_without_it() {
    let server = Server::start().await;
    let (agent, mut link) = agent(None, &[("--fetcher-cache-size", "1000")]).await;
    for (id, path) in [("known", "/size/5000/big"), ("grows", "/size/5000/unknown")] {
        let name = path.rsplit('/').next().unwrap();
        let command = format!("test \"$(wc -c < {name})\" = 5000");
        succeed(
            &mut link,
            vec![fetching(id, &command, vec![server.uri(path)])],
        )
        .await;
    }
    assert!(used(&agent).await < 0.1);
    let small = fetching("small", "test -f s", vec![server.uri("/size/900/s")]);
    succeed(&mut link, vec![small]).await;
    assert!((used(&agent).await - 900.0).abs() < 0.1);
}

#[tokio::test]
async fn a_download_that_failed_is_tried_anew_by_the_next_task() {
    let server = Server::start().await;
    let (_agent, mut link) = agent(None, &[]).await;
    let task = |id: &str| fetching(id, "test -f file", vec![server.uri("/broken/file")]);
    let first = run(&mut link, vec![task("first")]).await;
    assert_eq!(first[0].0, TaskState::TaskFailed);
    assert!(first[0].1.contains("500"), "{}", first[0].1);
    succeed(&mut link, vec![task("second"), task("third")]).await;
}

#[tokio::test]
async fn a_task_that_is_killed_while_it_waits_does_not_end_the_download_of_the_others() {
    let server = Server::start().await;
    let (_agent, mut link) = agent(None, &[]).await;
    let task = |id: &str| fetching(id, "test -f file", vec![server.uri("/slow/file")]);
    link.run(&framework(true), vec![task("leaves"), task("stays")]);
    link.kill("leaves");
    let seen = link.finish(&["leaves", "stays"]).await;
    let last = |id: &str| seen[id].last().unwrap().state();
    assert_eq!(last("leaves"), TaskState::TaskKilled);
    assert_eq!(last("stays"), TaskState::TaskFinished);
}

#[tokio::test]
async fn files_of_the_cache_are_renamed_extracted_and_made_executable_like_others() {
    let (agent, mut link) = agent(None, &[]).await;
    let files = tempfile::tempdir().unwrap();
    let tool = files.path().join("tool");
    std::fs::write(&tool, "#!/bin/sh\ntouch made\n").unwrap();
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(7);
    tar.append_data(&mut header, "dir/file", &b"content"[..])
        .unwrap();
    let archive = files.path().join("a.tar");
    std::fs::write(&archive, tar.into_inner().unwrap()).unwrap();
    let uri = |path: &Path| Uri {
        value: path.display().to_string(),
        cache: Some(true),
        ..Uri::default()
    };
    let uris = || {
        vec![
            Uri {
                executable: Some(true),
                output_file: Some("bin/run".into()),
                ..uri(&tool)
            },
            uri(&archive),
            Uri {
                extract: Some(false),
                output_file: Some("kept.tar".into()),
                ..uri(&archive)
            },
        ]
    };
    let command = "bin/run && test -f made && grep -q content dir/file && test -f kept.tar";
    succeed(&mut link, vec![fetching("first", command, uris())]).await;
    // What is cached is no longer asked for.
    std::fs::remove_file(&tool).unwrap();
    std::fs::remove_file(&archive).unwrap();
    succeed(&mut link, vec![fetching("second", command, uris())]).await;
    assert!(used(&agent).await > 7.0);
}

#[tokio::test]
async fn users_do_not_share_files() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let server = Server::start().await;
    let (_agent, mut link) = agent(None, &[]).await;
    let task = |id: &str, user: &str| {
        let mut task = fetching(id, "test -w file", vec![server.uri("/file")]);
        task.command.as_mut().unwrap().user = Some(user.into());
        task
    };
    succeed(&mut link, vec![task("a", "root")]).await;
    succeed(&mut link, vec![task("b", "nobody")]).await;
    succeed(&mut link, vec![task("c", "nobody")]).await;
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_restarted_agent_begins_with_an_empty_cache_and_leaves_other_files_alone() {
    let server = Server::start().await;
    let (work, caches) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(caches.path().join("other"), "stays").unwrap();
    let options = [("--fetcher-cache-dir", caches.path().to_str().unwrap())];
    for (round, id) in ["first", "second"].into_iter().enumerate() {
        let (mut agent, mut link) = agent(Some(work.path()), &options).await;
        assert!(used(&agent).await < 0.1);
        let task = fetching(id, "test -f file", vec![server.uri("/file")]);
        succeed(&mut link, vec![task]).await;
        assert_eq!(server.asked(), round + 1);
        assert_eq!(cached_files(caches.path()), 1);
        if round == 0 {
            agent.crash();
        } else {
            agent.signal(rustix::process::Signal::TERM);
            agent.wait().await;
        }
    }
    assert_eq!(cached_files(caches.path()), 0);
    assert!(caches.path().join("other").exists());
}

fn cached_files(caches: &Path) -> usize {
    let folders = std::fs::read_dir(caches).unwrap().flatten();
    folders
        .filter_map(|entry| std::fs::read_dir(entry.path()).ok())
        .map(Iterator::count)
        .sum()
}
