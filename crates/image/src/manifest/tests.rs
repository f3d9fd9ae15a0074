//! Tables of manifests: taken, or refused with their reason.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn parse(text: &str, came_as: Option<&str>) -> Result<Document, ManifestError> {
    let text = text.replace("HEX", HEX);
    Document::parse(text.as_bytes(), came_as, &Limits::default())
}

fn manifest(layers: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"sha256:HEX","size":2}},"layers":[{layers}]}}"#,
        media::OCI_MANIFEST,
        media::OCI_CONFIG
    )
}

fn layer(media_type: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:HEX","size":3}}"#)
}

#[test]
fn manifests_of_both_families_are_taken() {
    let docker = manifest(&layer(media::DOCKER_LAYER))
        .replace(media::OCI_MANIFEST, media::DOCKER_MANIFEST)
        .replace(media::OCI_CONFIG, media::DOCKER_CONFIG);
    for text in [
        manifest(&layer(&format!("{}+zstd", media::OCI_LAYER))),
        docker,
    ] {
        let Document::Manifest(manifest) = parse(&text, None).unwrap() else {
            panic!("no manifest: {text}");
        };
        assert_eq!((manifest.config.size, manifest.layers.len()), (2, 1));
    }
}

#[test]
fn a_server_that_names_no_known_type_leaves_it_to_the_document() {
    assert!(parse(&manifest(""), Some("application/octet-stream")).is_ok());
    assert!(
        parse(
            &manifest(""),
            Some(&format!("{}; charset=utf-8", media::OCI_MANIFEST))
        )
        .is_ok()
    );
}

#[test]
fn documents_that_are_no_image_are_refused_with_their_reason() {
    let many = vec![layer(media::OCI_LAYER); 10_000].join(",");
    let huge = layer(media::OCI_LAYER).replace(":3}", ":1152921504606846976}");
    let negative = layer(media::OCI_LAYER).replace(":3}", ":-3}");
    let both = manifest("").replace("\"layers\"", "\"manifests\":[],\"layers\"");
    for (text, came_as, reason) in [
        ("", None, "not valid"),
        ("[]", None, "not valid"),
        ("{}", None, "no schemaVersion"),
        (r#"{"schemaVersion":1,"fsLayers":[]}"#, None, "schema 1"),
        (r#"{"schemaVersion":3}"#, None, "schemaVersion 3"),
        (r#"{"schemaVersion":2}"#, None, "no config"),
        (
            r#"{"schemaVersion":2,"manifests":[]}"#,
            Some(media::OCI_MANIFEST),
            "no config",
        ),
        (
            &manifest(""),
            Some("application/vnd.docker.distribution.manifest.v1+prettyjws"),
            "schema 1",
        ),
        (&manifest(""), Some(media::OCI_INDEX), "came as"),
        (&both, None, "both manifests and layers"),
        (&manifest(&many), None, "10000 layers, the limit is 500"),
        (
            &manifest(&huge),
            None,
            "layer 0 has 1152921504606846976 bytes",
        ),
        (&manifest(&negative), None, "invalid value"),
        (&manifest(&layer("text/plain")), None, "no layer of files"),
        (
            &manifest(&layer(
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
            )),
            None,
            "not in the registry",
        ),
        (
            &manifest(&layer(
                "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
            )),
            None,
            "encrypted",
        ),
        (
            &manifest("").replace(
                media::OCI_CONFIG,
                "application/vnd.cncf.helm.config.v1+json",
            ),
            None,
            "is no image",
        ),
        (
            &manifest(&layer(media::OCI_LAYER).replace("HEX", "../../x")),
            None,
            "64 lower-case",
        ),
    ] {
        let error = parse(text, came_as).unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

fn entry(os: &str, architecture: &str, rest: &str) -> String {
    format!(
        r#"{{"mediaType":"{}","digest":"sha256:HEX","size":3,"platform":{{"os":"{os}","architecture":"{architecture}"}}{rest}}}"#,
        media::OCI_MANIFEST
    )
}

fn choose(entries: &[String]) -> Result<Descriptor, ManifestError> {
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    );
    let Document::Index(index) = parse(&text, Some(media::DOCKER_LIST))? else {
        panic!("no index: {text}");
    };
    let here = Platform {
        architecture: "amd64".into(),
        os: "linux".into(),
        variant: None,
    };
    index.choose(&here).cloned()
}

#[test]
fn an_index_gives_the_image_of_the_platform_and_never_an_attestation() {
    let attestation = r#","annotations":{"vnd.docker.reference.type":"attestation-manifest"}"#;
    let chosen = choose(&[
        entry("linux", "amd64", attestation),
        entry("linux", "arm64", ""),
        entry("linux", "amd64", r#","annotations":{"x":"y"}"#),
    ]);
    assert!(chosen.unwrap().annotations.unwrap().contains_key("x"));
}

#[test]
fn an_index_without_an_image_for_here_says_what_it_has() {
    let error = choose(&[entry("linux", "arm64", ""), entry("windows", "amd64", "")]);
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "no image for linux/amd64: there are linux/arm64, windows/amd64"
    );
    let none = choose(&[]).unwrap_err().to_string();
    assert!(none.ends_with("there are none"), "{none}");
}

#[test]
fn a_lone_entry_need_not_say_its_platform() {
    let entry = entry("linux", "amd64", "");
    let bare = entry.replace(r#","platform":{"os":"linux","architecture":"amd64"}"#, "");
    assert!(choose(std::slice::from_ref(&bare)).is_ok());
    assert!(choose(&[bare.clone(), bare]).is_err());
}
