//! Files that come into the sandbox before a task starts.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write;
use std::path::Path;

use mezz_proto::v1::command_info::Uri;
use mezz_proto::v1::{TaskInfo, TaskState};
use support::{Agent, FakeMaster, Link, framework, shell};

fn fetching(id: &str, command: &str, uris: Vec<Uri>) -> TaskInfo {
    let mut task = shell(id, command);
    task.command.as_mut().unwrap().uris = uris;
    task
}

fn uri(path: &Path) -> Uri {
    Uri {
        value: path.display().to_string(),
        ..Uri::default()
    }
}

async fn setting() -> (Agent, Link, tempfile::TempDir) {
    let mut master = FakeMaster::start().await;
    let files = tempfile::tempdir().unwrap();
    let home = files.path().display().to_string();
    let agent = Agent::start(&master.address, None, &[("--frameworks-home", &home)]);
    let link = master.accept().await;
    (agent, link, files)
}

fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        // Written raw: the library refuses the names that are of interest here.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

async fn succeeds(link: &mut Link, task: TaskInfo) {
    let id = task.task_id.value.clone();
    link.run(&framework(true), vec![task]);
    let seen = link.finish(&[&id]).await;
    let last = seen[&id].last().unwrap();
    assert_eq!(
        last.state(),
        TaskState::TaskFinished,
        "{id}: {}",
        last.message()
    );
}

async fn failure(link: &mut Link, task: TaskInfo) -> String {
    let id = task.task_id.value.clone();
    link.run(&framework(true), vec![task]);
    let seen = link.finish(&[&id]).await;
    let last = seen[&id].last().unwrap();
    assert_eq!(last.state(), TaskState::TaskFailed, "{id}");
    last.message().to_owned()
}

#[tokio::test]
async fn files_are_copied_renamed_and_made_executable() {
    let (_agent, mut link, files) = setting().await;
    let tool = files.path().join("tool");
    std::fs::write(&tool, "#!/bin/sh\necho works > made\n").unwrap();
    let executable = Uri {
        executable: Some(true),
        ..uri(&tool)
    };
    let renamed = Uri {
        output_file: Some("deep/er/name".into()),
        ..uri(&tool)
    };
    let by_scheme = Uri {
        value: format!("file://{}", tool.display()),
        output_file: Some("again".into()),
        ..Uri::default()
    };
    let relative = Uri {
        value: "tool".into(),
        output_file: Some("relative".into()),
        ..Uri::default()
    };
    let command =
        "./tool && grep works made && test -f deep/er/name && test -f again && test -f relative";
    succeeds(
        &mut link,
        fetching(
            "copy",
            command,
            vec![executable, renamed, by_scheme, relative],
        ),
    )
    .await;
}

#[tokio::test]
async fn every_kind_of_archive_is_extracted() {
    let (_agent, mut link, files) = setting().await;
    let plain = tar(&[("dir/file", "content")]);
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bzip2 = |bytes: &[u8]| {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let xz = |bytes: &[u8]| {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut zipped = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zipped
        .start_file("dir/file", zip::write::SimpleFileOptions::default())
        .unwrap();
    zipped.write_all(b"content").unwrap();
    let zipped = zipped.finish().unwrap().into_inner();
    let archives = [
        ("a.tar", plain.clone()),
        ("a.tar.gz", gzip(&plain)),
        ("a.tgz", gzip(&plain)),
        ("a.tar.bz2", bzip2(&plain)),
        ("a.tbz2", bzip2(&plain)),
        ("a.tar.xz", xz(&plain)),
        ("a.txz", xz(&plain)),
        ("a.zip", zipped),
    ];
    for (name, bytes) in archives {
        let path = files.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        succeeds(
            &mut link,
            fetching(name, "test \"$(cat dir/file)\" = content", vec![uri(&path)]),
        )
        .await;
        let kept = Uri {
            extract: Some(false),
            ..uri(&path)
        };
        succeeds(
            &mut link,
            fetching(
                &format!("kept-{name}"),
                &format!("test -f {name} && test ! -e dir"),
                vec![kept],
            ),
        )
        .await;
    }
    let path = files.path().join("single.gz");
    std::fs::write(&path, gzip(b"content")).unwrap();
    succeeds(
        &mut link,
        fetching(
            "single",
            "test \"$(cat single)\" = content",
            vec![uri(&path)],
        ),
    )
    .await;
}

#[tokio::test]
async fn nothing_is_ever_written_outside_of_the_sandbox() {
    let (_agent, mut link, files) = setting().await;
    let outside = files.path().join("outside");
    for (name, entry) in [
        ("up.tar", "../../escaped"),
        ("absolute.tar", "/tmp/mezz-test-escaped"),
    ] {
        let path = files.path().join(name);
        std::fs::write(&path, tar(&[(entry, "x")])).unwrap();
        let message = failure(&mut link, fetching(name, "true", vec![uri(&path)])).await;
        assert!(
            message.contains("leads outside of the sandbox"),
            "{message}"
        );
    }
    std::fs::create_dir(&outside).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "door", &outside).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    builder
        .append_data(&mut header, "door/inside", &b"x"[..])
        .unwrap();
    let path = files.path().join("door.tar");
    std::fs::write(&path, builder.into_inner().unwrap()).unwrap();
    failure(&mut link, fetching("door", "true", vec![uri(&path)])).await;
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    let escaping = Uri {
        output_file: Some("../x".into()),
        ..uri(&path)
    };
    let message = failure(&mut link, fetching("output", "true", vec![escaping])).await;
    assert!(message.contains("output_file '../x'"), "{message}");
}

#[tokio::test]
async fn a_failed_fetch_names_the_uri_and_the_reason() {
    let (_agent, mut link, files) = setting().await;
    let missing = files.path().join("missing");
    let message = failure(&mut link, fetching("missing", "true", vec![uri(&missing)])).await;
    assert!(
        message.contains(&format!("Failed to fetch '{}'", missing.display())),
        "{message}"
    );
    let ftp = Uri {
        value: "ftp://host/file".into(),
        ..Uri::default()
    };
    let message = failure(&mut link, fetching("ftp", "true", vec![ftp])).await;
    assert!(message.contains("unsupported scheme 'ftp'"), "{message}");
}

#[tokio::test]
async fn files_come_over_http_and_an_error_answer_fails_the_task() {
    let (_agent, mut link, _files) = setting().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let length = tokio::io::AsyncReadExt::read(&mut stream, &mut request)
                .await
                .unwrap();
            let found =
                String::from_utf8_lossy(&request[..length]).starts_with("GET /good/file?x=1 ");
            let answer: &[u8] = if found {
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nbytes"
            } else {
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            };
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                .await
                .unwrap();
        }
    });
    let good = Uri {
        value: format!("http://{address}/good/file?x=1"),
        ..Uri::default()
    };
    succeeds(
        &mut link,
        fetching("http", "test \"$(cat file)\" = bytes", vec![good]),
    )
    .await;
    let bad = Uri {
        value: format!("http://{address}/bad"),
        ..Uri::default()
    };
    let message = failure(&mut link, fetching("bad", "true", vec![bad])).await;
    assert!(message.contains("404 Not Found"), "{message}");
}

#[tokio::test]
async fn fetched_files_belong_to_the_task_user() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (_agent, mut link, files) = setting().await;
    let path = files.path().join("mine");
    std::fs::write(&path, "x").unwrap();
    let mut task = fetching(
        "user",
        "test \"$(stat -c %U mine)\" = nobody && test \"$(id -un)\" = nobody && touch new",
        vec![uri(&path)],
    );
    task.command.as_mut().unwrap().user = Some("nobody".into());
    succeeds(&mut link, task).await;
}
