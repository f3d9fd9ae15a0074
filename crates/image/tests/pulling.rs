//! Pulls of images: what is asked of a registry, how often, and what becomes of it.

#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mezz_image::digest::Digest;
use mezz_image::media;
use mezz_image::pull::{Phase, PullPolicy};
use support::Tar;
use support::registry::{Content, Server};
use support::world::{gzip, large, plain, publish, request, small, world, zstd};

#[tokio::test]
async fn an_image_of_many_platforms_and_packings_is_pulled_once() {
    let layers = [
        plain(small()),
        gzip(Tar::new().file("a", "1")),
        zstd(Tar::new().file("b", "2")),
    ];
    let mut content = Content::default();
    let (manifest, _) = content.parts("x", &layers);
    let digest = content.manifest("x", "unnamed", media::OCI_MANIFEST, &manifest);
    let platform = |architecture: &str, digest: &Digest| {
        format!(
            r#"{{"mediaType":"{}","digest":"{digest}","size":{},"platform":{{"os":"linux","architecture":"{architecture}"}}}}"#,
            media::OCI_MANIFEST,
            manifest.len()
        )
    };
    let here = mezz_image::platform::Platform::host().architecture;
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
        platform("s390x", &Digest::of(b"other")),
        platform(&here, &digest)
    );
    let top = content.manifest("x", "latest", media::OCI_INDEX, index.as_bytes());
    let server = Server::start(move |request| content.answer(request));
    let world = world();
    let pull = world
        .puller
        .pull(request(&server, "x", PullPolicy::IfNotPresent));
    let image = pull.image().await.unwrap();
    assert_eq!(image.manifest, top);
    assert_eq!(image.config.defaults.command, ["x"]);
    assert_eq!(world.top(&image), ["b \"2\""]);
    let progress = *pull.progress().borrow();
    assert_eq!(
        (progress.phase, progress.layers, progress.layers_done),
        (Phase::Done, 3, 3)
    );
    assert_eq!(progress.bytes, progress.bytes_done);
    let asked = server.requests().len();
    world.get(&server, "x").await.unwrap();
    assert_eq!(
        server.requests().len(),
        asked,
        "nothing is asked for an image that is here"
    );
    world
        .pull(request(&server, "x", PullPolicy::Always))
        .await
        .unwrap();
    assert_eq!(server.requests()[asked..], ["HEAD /v2/x/manifests/latest"]);
    // What was downloaded to be unpacked does not stay.
    assert!(!world.store.has_blob(&Digest::of(&layers[1].0)));
    assert!(world.store.has_blob(&image.id));
}

#[tokio::test]
async fn a_tag_that_moved_is_pulled_again_if_the_policy_says_so() {
    let first = publish("x", &[plain(small())]);
    let second = publish("x", &[plain(small()), plain(Tar::new().file("new", "!"))]);
    let moved = Arc::new(AtomicUsize::new(0));
    let for_server = Arc::clone(&moved);
    let server = Server::start(move |request| match for_server.load(Ordering::Relaxed) {
        0 => first.answer(request),
        _ => second.answer(request),
    });
    let world = world();
    let old = world.get(&server, "x").await.unwrap();
    moved.store(1, Ordering::Relaxed);
    assert_eq!(world.get(&server, "x").await.unwrap().id, old.id);
    let new = world
        .pull(request(&server, "x", PullPolicy::Always))
        .await
        .unwrap();
    assert_eq!(new.layers.len(), 2);
    assert_eq!(new.layers[0], old.layers[0]);
    let layer = Digest::of(&plain(small()).0).to_string();
    assert_eq!(server.count(&layer), 1, "the common layer is here already");
}

#[tokio::test]
async fn many_who_want_the_same_cause_one_download() {
    let shared = gzip(large());
    let mut content = publish("x", &[shared.clone(), plain(Tar::new().file("x", ""))]);
    content.image(
        "y",
        "latest",
        &[shared.clone(), plain(Tar::new().file("y", ""))],
    );
    // The same content in the other repository.
    let server = Server::start(move |request| {
        if request.path.contains("/blobs/") {
            std::thread::sleep(Duration::from_millis(50));
        }
        content.answer(request)
    });
    let world = world();
    let names = ["x", "y", "x", "y", "x", "x"];
    let pulls: Vec<_> = names
        .map(|name| {
            world
                .puller
                .pull(request(&server, name, PullPolicy::IfNotPresent))
        })
        .into_iter()
        .collect();
    for pull in &pulls {
        pull.image().await.unwrap();
    }
    let layer = Digest::of(&shared.0).to_string();
    assert_eq!(server.count(&layer), 1, "{:?}", server.requests());
    assert_eq!(server.count("GET /v2/x/manifests"), 1);
}

#[tokio::test]
async fn nobody_waits_any_more_and_the_download_ends() {
    let content = publish("x", &[gzip(large())]);
    let server = Server::start(move |request| {
        if request.path.contains("/blobs/") {
            std::thread::sleep(Duration::from_millis(300));
        }
        content.answer(request)
    });
    let world = world();
    let pull = world
        .puller
        .pull(request(&server, "x", PullPolicy::IfNotPresent));
    let mut progress = pull.progress();
    while server.count("/blobs/") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(pull);
    assert!(
        progress
            .wait_for(|progress| progress.phase == Phase::Done)
            .await
            .is_err()
    );
    assert!(world.store.images().is_empty());
    // And whoever comes later gets it.
    world.get(&server, "x").await.unwrap();
}

#[tokio::test]
async fn a_layer_that_was_damaged_on_its_way_is_fetched_again() {
    let layer = gzip(large());
    let content = publish("x", std::slice::from_ref(&layer));
    let server = Server::start(move |request| content.answer(request));
    let world = world();
    let blob = world
        .store
        .folder()
        .join(format!("blobs/sha256-{}", Digest::of(&layer.0).hex()));
    std::fs::write(Path::new(&blob), b"damaged").unwrap();
    world.get(&server, "x").await.unwrap();
}
