//! Images of files: archives of `docker save`, OCI layouts as folders and as tars, Mesos's folder of archives.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;

use mezz_image::digest::Digest;
use mezz_image::pull::{PullPolicy, PullRequest, PullSettings, Puller};
use mezz_image::reference::Reference;
use mezz_image::registry::{Registries, RegistrySettings};
use mezz_image::source::Source;
use support::registry::Content;
use support::world::{gzip, plain, small};
use support::{Tar, open_store, tree};

/// Pulls from a source into a new store; gives what the top layer holds.
async fn pull(source: Source, name: &str) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path());
    let settings = PullSettings {
        source,
        ..PullSettings::default()
    };
    let registries = Registries::new(RegistrySettings::default()).unwrap();
    let puller = Puller::new(Arc::clone(&store), registries, settings);
    let pull = puller.pull(PullRequest {
        reference: Reference::parse(name).unwrap(),
        policy: PullPolicy::IfNotPresent,
        config: None,
    });
    let image = pull.image().await.map_err(|error| error.to_string())?;
    Ok(tree(&store.layer_root(image.layers.last().unwrap())))
}

/// Files of a layout with one image for each name.
fn layout(names: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![(
        "oci-layout".to_owned(),
        br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
    )];
    let mut entries = Vec::new();
    for name in names {
        let mut content = Content::default();
        let layers = [
            gzip(small()),
            plain(Tar::new().file(&name.replace('/', "-"), "top")),
        ];
        let (manifest, _) = content.parts("x", &layers);
        let digest = content.blob("x", &manifest);
        for (path, (_, bytes)) in content.0 {
            let digest = path.rsplit('/').next().unwrap();
            files.push((format!("blobs/{}", digest.replace(':', "/")), bytes));
        }
        entries.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":{},"annotations":{{"org.opencontainers.image.ref.name":"{name}"}}}}"#,
            manifest.len()
        ));
    }
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    );
    files.push(("index.json".to_owned(), index.into_bytes()));
    files
}

fn write(folder: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn tar_of(files: &[(String, Vec<u8>)]) -> Tar {
    let files = files.iter();
    files.fold(Tar::new(), |tar, (name, bytes)| {
        tar.entry(b'0', name, bytes, |_| {})
    })
}

/// An archive as `docker save` wrote it before version 25, whose second image has its layer as a link.
fn saved() -> Tar {
    let base = plain(small());
    let top = plain(Tar::new().file("top", "x"));
    let config = |ids: &[&Digest]| {
        let ids: Vec<String> = ids.iter().map(|id| format!("\"{id}\"")).collect();
        format!(
            r#"{{"os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            ids.join(",")
        )
    };
    let list = r#"[{"Config":"one.json","RepoTags":["busybox:1"],"Layers":["a/layer.tar","b/layer.tar"]},{"Config":"two.json","RepoTags":["quay.io/x/y:2"],"Layers":["c/layer.tar"]}]"#;
    Tar::new()
        .entry(b'0', "a/layer.tar", &base.0, |_| {})
        .entry(b'0', "b/layer.tar", &top.0, |_| {})
        .symlink("c/layer.tar", "../b/layer.tar")
        .file("one.json", &config(&[&base.1, &top.1]))
        .file("two.json", &config(&[&top.1]))
        .file("manifest.json", list)
}

#[tokio::test]
async fn layouts_are_read_as_folders_and_as_tars() {
    let folder = tempfile::tempdir().unwrap();
    let files = layout(&["1.0", "quay.io/x/y:2"]);
    let place = folder.path().join("layout");
    write(&place, &files);
    let tar = folder.path().join("layout.tar");
    std::fs::write(&tar, tar_of(&files).bytes()).unwrap();
    for source in [Source::Layout(place), Source::Archive(tar)] {
        for (name, top) in [
            ("anything:1.0", "1.0 \"top\""),
            ("quay.io/x/y:2", "quay.io-x-y:2 \"top\""),
        ] {
            assert_eq!(pull(source.clone(), name).await.unwrap(), [top]);
        }
        let error = pull(source, "busybox").await.unwrap_err();
        assert!(error.ends_with("it has 1.0, quay.io/x/y:2"), "{error}");
    }
}

#[tokio::test]
async fn archives_of_docker_save_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.tar");
    std::fs::write(&path, saved().bytes()).unwrap();
    for name in ["busybox:1", "quay.io/x/y:2"] {
        let top = pull(Source::Archive(path.clone()), name).await.unwrap();
        assert_eq!(top, ["top \"x\""], "{name}");
    }
    let error = pull(Source::Archive(path), "busybox:2").await.unwrap_err();
    assert!(error.contains("it has busybox:1, quay.io/x/y:2"), "{error}");
}

#[tokio::test]
async fn a_folder_of_archives_is_searched_by_name_as_in_mesos() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("busybox:1.tar"), saved().bytes()).unwrap();
    std::fs::create_dir_all(folder.path().join("quay.io/x")).unwrap();
    std::fs::write(folder.path().join("quay.io/x/y:2.tar"), saved().bytes()).unwrap();
    let source = Source::ArchiveFolder(folder.path().to_owned());
    for name in ["busybox:1", "quay.io/x/y:2"] {
        pull(source.clone(), name).await.unwrap();
    }
    let error = pull(source, "busybox:3").await.unwrap_err();
    assert!(error.contains("busybox:3.tar: No such file"), "{error}");
}

#[tokio::test]
async fn broken_archives_are_refused_with_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let mut spoilt = layout(&["1"]);
    let at = spoilt
        .iter()
        .position(|(name, _)| name.starts_with("blobs/"))
        .unwrap();
    let without = spoilt
        .clone()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("blobs/"));
    let without: Vec<_> = without.collect();
    for file in &mut spoilt[at..] {
        if file.0.starts_with("blobs/") {
            file.1.push(b'\n');
        }
    }
    for (bytes, reason) in [
        (b"text".to_vec(), "no archive of an image"),
        (saved().gzip(), "is compressed: unpack it"),
        (Tar::new().file("x", "").bytes(), "has no 'manifest.json'"),
        (
            Tar::new().file("manifest.json", "{}").bytes(),
            "'manifest.json' in",
        ),
        (
            Tar::new()
                .file("manifest.json", r#"[{"Config":"../../etc/passwd"}]"#)
                .bytes(),
            "has no '../../etc/passwd'",
        ),
        (
            Tar::new().file("index.json", "{}").bytes(),
            "no schemaVersion",
        ),
        (tar_of(&spoilt).bytes(), "not what its name says"),
        (tar_of(&without).bytes(), "has no 'blobs/sha256/"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = pull(Source::Archive(path.clone()), "x:1")
            .await
            .unwrap_err();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[tokio::test]
async fn a_layout_cannot_make_us_read_what_is_outside_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("layout");
    write(&place, &layout(&["1"]));
    let secret = folder.path().join("secret");
    std::fs::rename(place.join("index.json"), &secret).unwrap();
    std::os::unix::fs::symlink("../secret", place.join("index.json")).unwrap();
    let error = pull(Source::Layout(place), "x:1").await.unwrap_err();
    assert!(error.contains("manifest.json"), "{error}");
}
