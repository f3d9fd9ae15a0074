//! Corners of the protocol of registries: cuts, ranges, digests, challenges, redirects.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mezz_image::credentials::DockerConfig;
use mezz_image::digest::Digest;
use mezz_image::media;
use mezz_image::pull::{PullPolicy, PullRequest};
use mezz_image::reference::Reference;
use support::registry::{Content, Reply, Request, Server};
use support::world::{gzip, large, plain, publish, request, small, world, world_with};

#[tokio::test]
async fn a_download_goes_on_where_it_was_cut_off() {
    let layer = gzip(large());
    let content = publish("x", std::slice::from_ref(&layer));
    let blob = Digest::of(&layer.0).to_string();
    let (path, cuts) = (blob.clone(), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let mut reply = content.answer(request);
        if request.path.contains(&path) && cuts.fetch_add(1, Ordering::Relaxed) < 2 {
            reply.cut = Some(70_000);
        }
        reply
    });
    let world = world();
    world.get(&server, "x").await.unwrap();
    let ranges: Vec<Option<String>> = server
        .log()
        .iter()
        .filter(|request| request.path.contains(&blob))
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    assert_eq!(
        ranges,
        [
            None,
            Some("bytes=70000-".into()),
            Some("bytes=140000-".into())
        ]
    );
}

#[tokio::test]
async fn a_server_without_ranges_makes_a_download_begin_again() {
    let layer = gzip(large());
    let content = publish("x", std::slice::from_ref(&layer));
    let (path, cuts) = (Digest::of(&layer.0).to_string(), AtomicUsize::new(0));
    let server = Server::start(move |request| {
        let whole = Request {
            headers: std::collections::BTreeMap::new(),
            ..request.clone()
        };
        let mut reply = content.answer(&whole);
        if request.path.contains(&path) && cuts.fetch_add(1, Ordering::Relaxed) == 0 {
            reply.cut = Some(70_000);
        }
        reply
    });
    let world = world();
    let image = world.get(&server, "x").await.unwrap();
    assert_eq!(image.layers.len(), 1);
}

#[tokio::test]
async fn what_an_earlier_life_downloaded_is_used_and_what_it_spoilt_is_not() {
    let layer = gzip(large());
    let content = publish("x", std::slice::from_ref(&layer));
    let server = Server::start(move |request| content.answer(request));
    for (there, asked) in [
        (layer.0[..1000].to_vec(), vec![Some("bytes=1000-")]),
        (vec![7; 1000], vec![Some("bytes=1000-"), None]),
        (vec![7; layer.0.len() + 1], vec![None]),
        (vec![7; layer.0.len()], vec![None]),
        (layer.0.clone(), vec![]),
    ] {
        let world = world();
        let blob = Digest::of(&layer.0);
        world.store.partial(&blob).unwrap().write(&there).unwrap();
        let before = server.log().len();
        world.get(&server, "x").await.unwrap();
        let log = server.log();
        let ranges: Vec<Option<&str>> = log[before..]
            .iter()
            .filter(|request| request.path.contains(&blob.to_string()))
            .map(|request| request.header("range"))
            .collect();
        assert_eq!(ranges, asked);
    }
}

#[tokio::test]
async fn content_that_is_not_what_was_asked_for_is_refused() {
    let layer = gzip(large());
    let blob = Digest::of(&layer.0).to_string();
    let good = publish("x", std::slice::from_ref(&layer));
    let other_layer = plain(small());
    let lying = publish("x", &[(layer.0.clone(), other_layer.1)]);
    let config = good
        .0
        .iter()
        .find(|(_, (_, bytes))| bytes.starts_with(b"{\"arch"));
    let config = config.unwrap().0.clone();
    let spoil = move |part: String, with: Vec<u8>, content: Content| {
        Server::start(move |request| {
            let mut reply = content.answer(request);
            if request.path.contains(&part) && request.method == "GET" {
                reply.body.clone_from(&with);
            }
            reply
        })
    };
    let mut longer = layer.0.clone();
    longer.push(0);
    let mut other = layer.0.clone();
    other[5000] ^= 1;
    let manifests = "/manifests/".to_owned();
    for (server, reason) in [
        (spoil(blob.clone(), other, good.clone()), "which should be"),
        (spoil(blob.clone(), longer, good.clone()), "sends more than"),
        (
            spoil(blob.clone(), layer.0[..5000].to_vec(), good.clone()),
            "sends more than",
        ),
        (
            spoil(manifests.clone(), b"{}".to_vec(), good.clone()),
            "which should be",
        ),
        (
            spoil(manifests, vec![b' '; 5 << 20], good.clone()),
            "sends more than 4194304",
        ),
        (spoil(config, b"{\"a\"}".to_vec(), good), "sends more than"),
        (
            spoil("nothing".into(), vec![], lying),
            "the configuration of the image says",
        ),
    ] {
        let world = world();
        let error = world.get(&server, "x").await.unwrap_err();
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(world.store.images().is_empty());
    }
}

#[tokio::test]
async fn refusals_name_the_image_and_what_to_do() {
    let mut content = Content::default();
    content.manifest(
        "old",
        "latest",
        media::DOCKER_MANIFEST,
        br#"{"schemaVersion":1,"fsLayers":[]}"#,
    );
    content.manifest("chart", "latest", media::OCI_MANIFEST, br#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#);
    content.image("empty", "latest", &[]);
    let server = Server::start(move |request| match request.path.as_str() {
        path if path.contains("/private/") => {
            Reply::new(401).header("www-authenticate", "Basic realm=\"x\"")
        }
        path if path.contains("/broken/") => Reply::new(500),
        path if path.contains("/busy/") => Reply::new(429).header("retry-after", "0"),
        _ => content.answer(request),
    });
    let world = world();
    for (name, reason) in [
        (
            "none",
            "has no none/manifests/latest (MANIFEST_UNKNOWN manifest unknown)",
        ),
        ("old", "schema 1"),
        ("chart", "is no image"),
        ("empty", "no layers"),
        ("private", "no credentials for it in the docker config"),
        ("broken", "answers 500"),
        ("busy", "answers 429"),
    ] {
        let error = world.get(&server, name).await.unwrap_err();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    assert_eq!(
        server.count("/broken/"),
        4,
        "a server's error is tried again"
    );
    let error = world
        .pull(request(&server, "x", PullPolicy::Never))
        .await
        .unwrap_err();
    assert!(error.contains("the policy is never to pull"), "{error}");
    let nowhere = PullRequest {
        reference: Reference::parse("127.0.0.1:1/x").unwrap(),
        policy: PullPolicy::Always,
        config: None,
    };
    let error = world.pull(nowhere).await.unwrap_err();
    assert!(error.contains("127.0.0.1:1: Connection refused"), "{error}");
}

#[tokio::test]
async fn a_busy_registry_is_tried_again() {
    let content = publish("x", &[plain(small())]);
    let answers = AtomicUsize::new(0);
    let server = Server::start(
        move |request| match answers.fetch_add(1, Ordering::Relaxed) {
            number if number % 2 == 0 => Reply::new(503).header("retry-after", "0"),
            _ => content.answer(request),
        },
    );
    world().get(&server, "x").await.unwrap();
}

/// A registry that wants a token for `x`, of a server on itself, which wants this password.
fn guarded(content: Content, password: &'static str) -> Server {
    let address = Arc::new(std::sync::OnceLock::<String>::new());
    let for_server = Arc::clone(&address);
    let server = Server::start(move |request| {
        let own = for_server.get().unwrap();
        if request.path.starts_with("/token") {
            let scope = request.path.contains("scope=repository%3Ax%3Apull&")
                || request.path.ends_with("scope=repository%3Ax%3Apull");
            let basic = base64_of(&format!("me:{password}"));
            let asked = request.header("authorization") == Some(&format!("Basic {basic}"));
            let refreshed = request.body.contains("refresh_token=identity");
            return if (asked && scope) || refreshed {
                Reply::new(200).body(r#"{"token":"T","expires_in":300}"#)
            } else {
                Reply::new(401)
            };
        }
        if request.header("authorization") == Some("Bearer T") {
            return content.answer(request);
        }
        let challenge = format!(
            "Bearer realm=\"http://{own}/token\",service=\"s\",scope=\"repository:x:pull\""
        );
        Reply::new(401).header("www-authenticate", &challenge)
    });
    address.set(server.address.clone()).unwrap();
    server
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn auths(server: &Server, entry: &str) -> String {
    format!(r#"{{"auths":{{"{}":{entry}}}}}"#, server.address)
}

#[tokio::test]
async fn a_token_is_fetched_once_and_used_for_all_requests() {
    let content = publish("x", &[plain(small()), gzip(large())]);
    let server = guarded(content, "secret");
    let world = world_with(&auths(&server, r#"{"username":"me","password":"secret"}"#));
    world.get(&server, "x").await.unwrap();
    assert_eq!(server.count("/token"), 1, "{:?}", server.requests());
    assert_eq!(server.count("GET /v2/x/manifests"), 2);
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let server = guarded(publish("x", &[plain(small())]), "secret");
    let world = world_with(&auths(&server, r#"{"identitytoken":"identity"}"#));
    world.get(&server, "x").await.unwrap();
    assert_eq!(server.count("POST /token"), 1);
}

#[tokio::test]
async fn wrong_credentials_are_told_and_not_tried_for_ever() {
    let server = guarded(publish("x", &[plain(small())]), "secret");
    for (config, reason) in [
        (
            "{}".to_owned(),
            "answers 401 Unauthorized without credentials",
        ),
        (
            auths(&server, r#"{"username":"me","password":"wrong"}"#),
            "answers 401 Unauthorized with the credentials",
        ),
        (
            auths(&server, r#"{"registrytoken":"old"}"#),
            "the credentials for it are not accepted",
        ),
    ] {
        let before = server.requests().len();
        let error = world_with(&config).get(&server, "x").await.unwrap_err();
        assert!(error.contains(reason), "{reason}: {error}");
        assert!(
            server.requests().len() - before <= 4,
            "{:?}",
            server.requests()
        );
    }
}

#[tokio::test]
async fn a_password_goes_to_a_registry_that_wants_it() {
    let content = publish("x", &[plain(small())]);
    let basic = format!("Basic {}", base64_of("me:secret"));
    let server = Server::start(move |request| match request.header("authorization") {
        Some(header) if header == basic => content.answer(request),
        _ => Reply::new(401).header("www-authenticate", "Basic realm=\"r\""),
    });
    let world = world_with(&auths(&server, r#"{"username":"me","password":"secret"}"#));
    world.get(&server, "x").await.unwrap();
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_server() {
    let content = publish("x", &[gzip(large())]);
    let blobs = content.clone();
    let elsewhere = Server::start(move |request| blobs.answer(request));
    let (there, basic) = (
        elsewhere.address.clone(),
        format!("Basic {}", base64_of("me:secret")),
    );
    let server = Server::start(move |request| {
        if request.header("authorization") != Some(&basic) {
            return Reply::new(401).header("www-authenticate", "Basic realm=\"r\"");
        }
        if request.path.contains("/blobs/") {
            return Reply::new(307).header("location", &format!("http://{there}{}", request.path));
        }
        content.answer(request)
    });
    let world = world_with(&auths(&server, r#"{"username":"me","password":"secret"}"#));
    world.get(&server, "x").await.unwrap();
    let log = elsewhere.log();
    assert_eq!(log.len(), 2);
    assert!(
        log.iter()
            .all(|request| request.header("authorization").is_none())
    );
}

#[tokio::test]
async fn redirects_in_circles_end() {
    let server = Server::start(|request| Reply::new(302).header("location", &request.path));
    let error = world().get(&server, "x").await.unwrap_err();
    assert!(error.contains("redirects too often"), "{error}");
}

#[tokio::test]
async fn an_image_that_was_pulled_with_a_secret_is_not_given_to_others() {
    let server = guarded(publish("x", &[plain(small())]), "secret");
    let world = world();
    let with = |entry: &str| {
        let config = DockerConfig::parse(&auths(&server, entry)).unwrap();
        let server = &server;
        move |policy| mezz_image::pull::PullRequest {
            config: Some(Arc::new(config.clone())),
            ..request(server, "x", policy)
        }
    };
    let owner = with(r#"{"username":"me","password":"secret"}"#);
    world.pull(owner(PullPolicy::IfNotPresent)).await.unwrap();
    let stranger = with(r#"{"username":"me","password":"guess"}"#);
    let error = world
        .pull(stranger(PullPolicy::IfNotPresent))
        .await
        .unwrap_err();
    assert!(error.contains("401"), "{error}");
    let error = world.get(&server, "x").await.unwrap_err();
    assert!(error.contains("401"), "{error}");
    let error = world.pull(stranger(PullPolicy::Never)).await.unwrap_err();
    assert!(error.contains("pulled with other credentials"), "{error}");
    // Others whom the registry knows are let in without a download.
    let other = with(r#"{"username":"me","password":"secret","email":"x"}"#);
    let blobs = server.count("/blobs/");
    world.pull(other(PullPolicy::IfNotPresent)).await.unwrap();
    world.pull(other(PullPolicy::Never)).await.unwrap();
    assert_eq!(server.count("/blobs/"), blobs);
}
