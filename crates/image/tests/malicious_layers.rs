//! Layers that nobody should be able to use against a host: each is refused with its reason, and nothing outside of
//! the layer's folder has changed.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write as _;
use std::path::Path;

use mezz_image::limits::Limits;
use support::{Tar, tree, unpack_into};

fn limits() -> Limits {
    Limits {
        layer_bytes: 8 << 20,
        layer_entries: 5_000,
        header_bytes: 64 << 10,
        ..Limits::default()
    }
}

/// Unpacks beside a file that an attacker would like to change or to read.
fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    let layer = folder.path().join("layer");
    std::fs::create_dir(&layer).unwrap();
    let error = unpack_into(bytes, &layer, &limits()).map(|_| tree(&layer));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    let beside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(beside.len(), 2, "something was made beside the layer");
    error.unwrap_err().to_string()
}

#[test]
fn paths_and_links_that_lead_out_are_refused() {
    let outside = "/tmp";
    for (layer, reason) in [
        (Tar::new().file("../victim", "x"), "'..'"),
        (Tar::new().file("a/../../victim", "x"), "'..'"),
        (Tar::new().directory("../escaped"), "'..'"),
        (Tar::new().symlink("../link", "x"), "'..'"),
        (Tar::new().file(".wh.../victim", "x"), "no valid whiteout"),
        (Tar::new().file("a/../.wh.victim", ""), "'..'"),
        (Tar::new().file(".wh...", ""), "no valid whiteout"),
        (Tar::new().file(".wh..", ""), "no valid whiteout"),
        // A link first, then through it.
        (
            Tar::new().symlink("out", "..").file("out/victim", "x"),
            "leads out of the layer",
        ),
        (
            Tar::new().symlink("out", outside).file("out/victim", "x"),
            "leads out of the layer",
        ),
        (
            Tar::new().symlink("out", outside).directory("out/new"),
            "leads out of the layer",
        ),
        (
            Tar::new()
                .symlink("out", "/proc/self/root/tmp")
                .file("out/x", "x"),
            "leads out of the layer",
        ),
        (
            Tar::new()
                .directory("a/")
                .symlink("a/b", "../..")
                .file("a/b/victim", "x"),
            "leads out of the layer",
        ),
        (
            Tar::new()
                .symlink("one", "two")
                .symlink("two", "..")
                .file("one/victim", "x"),
            "leads out of the layer",
        ),
        (
            Tar::new()
                .symlink("a", "b")
                .symlink("b", "a")
                .file("a/x", ""),
            "in circles",
        ),
        (
            Tar::new().symlink("out", "..").file("out/.wh.victim", ""),
            "leads out of the layer",
        ),
        (
            Tar::new().symlink("out", "..").file("out/.wh..wh..opq", ""),
            "leads out of the layer",
        ),
        // Hard links.
        (Tar::new().hard_link("a", "../victim"), "'..'"),
        (
            Tar::new().hard_link("a", "/etc/passwd"),
            "not in this layer",
        ),
        (Tar::new().hard_link("a", "none"), "not in this layer"),
        (
            Tar::new().symlink("out", "..").hard_link("a", "out/victim"),
            "leads out of the layer",
        ),
        (
            Tar::new()
                .symlink("etc", "/etc")
                .hard_link("a", "etc/passwd"),
            "leads out of the layer",
        ),
        (
            Tar::new().directory("d/").hard_link("a", "d"),
            "is a directory",
        ),
        (Tar::new().hard_link("a", "."), "is a directory"),
        (
            Tar::new().file("f", "x").file("f/g", "x"),
            "through what is no directory",
        ),
        (Tar::new().symlink("./", "/etc"), "root is not a directory"),
        (Tar::new().file(".", "x"), "root is not a directory"),
    ] {
        let error = refusal(&layer.bytes());
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn a_link_to_outside_may_be_in_a_layer_but_is_replaced_and_not_followed() {
    let layer = Tar::new()
        .symlink("out", "../victim")
        .file("out", "mine")
        .symlink("etc", "/etc")
        .directory("etc/");
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    let root = folder.path().join("layer");
    std::fs::create_dir(&root).unwrap();
    unpack_into(&layer.bytes(), &root, &limits()).unwrap();
    assert_eq!(tree(&root), ["etc directory", "out \"mine\""]);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
}

#[test]
fn devices_and_marks_of_overlayfs_are_refused() {
    for (layer, reason) in [
        (
            Tar::new().device(b'4', "dev/sda", 8, 0),
            "a block device 8:0",
        ),
        (
            Tar::new().device(b'3', "dev/mem", 1, 1),
            "a character device 1:1",
        ),
        (
            Tar::new().device(b'3', "dev/kmsg", 1, 11),
            "a character device 1:11",
        ),
        (
            Tar::new().device(b'3', "dev/kvm", 10, 232),
            "a character device 10:232",
        ),
        (
            Tar::new().device(b'3', "etc/passwd", 0, 0),
            "a character device 0:0",
        ),
        (
            Tar::new()
                .attribute("trusted.overlay.redirect", "/etc")
                .directory("a/"),
            "'trusted.overlay.redirect', which a layer must not set",
        ),
        (
            Tar::new()
                .attribute("trusted.overlay.opaque", "y")
                .directory("a/"),
            "trusted.overlay.opaque",
        ),
        (
            Tar::new()
                .attribute("user.overlay.metacopy", "")
                .file("a", ""),
            "user.overlay.metacopy",
        ),
        (
            Tar::new().file(".wh.a", "").hard_link("b", "a"),
            "a mark of overlayfs",
        ),
        (Tar::new().entry(b'S', "a", b"", |_| {}), "sparse"),
        (Tar::new().entry(b'M', "a", b"", |_| {}), "kind 'M'"),
    ] {
        let error = refusal(&layer.bytes());
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn bombs_end_at_their_caps() {
    let zeros = vec![0; 64 << 20];
    let big = Tar::new().entry(b'0', "zeros", &zeros[..9 << 20], |_| {});
    let packed = zstd::encode_all(&big.clone().bytes()[..], 3).unwrap();
    assert!(packed.len() < 10_000, "{}", packed.len());
    let reason = "more than the limit of 8388608 bytes";
    // One file above the cap says so before it is read; several do by what they unpack to.
    assert!(refusal(&packed).contains("size of an entry"));
    let several = (0..5).fold(Tar::new(), |tar, number| {
        tar.entry(b'0', &format!("z{number}"), &zeros[..2 << 20], |_| {})
    });
    assert!(refusal(&several.gzip()).contains(reason));
    // Zeros behind the end of the tar belong to its digest and have to be read.
    let mut behind = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    behind
        .write_all(&Tar::new().file("a", "x").bytes())
        .unwrap();
    behind.write_all(&zeros).unwrap();
    assert!(refusal(&behind.finish().unwrap()).contains(reason));
    let many = (0..5_001).fold(Tar::new(), |tar, number| {
        tar.file(&format!("f{number}"), "")
    });
    assert!(refusal(&many.gzip()).contains("more than 5000 entries"));
    let name = Tar::new()
        .entry(b'L', "x", &vec![b'a'; 1 << 20], |_| {})
        .file("f", "");
    assert!(refusal(&name.gzip()).contains("names and attributes"));
    let deep = Tar::new()
        .entry(b'L', "x", "d/".repeat(300).as_bytes(), |_| {})
        .directory("d/");
    assert!(refusal(&deep.bytes()).contains("deeper than the limit"));
}

#[test]
fn content_that_is_not_what_the_configuration_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Tar::new().file("a", "x").bytes();
    let rules = mezz_image::unpack::Rules {
        limits: &limits(),
        privilege: mezz_image::unpack::Privilege::of_process(),
        given_up: &std::sync::atomic::AtomicBool::new(false),
    };
    let other = mezz_image::digest::Digest::of(b"other");
    let packed = std::io::Cursor::new(bytes);
    let error = mezz_image::unpack::unpack(packed, folder.path(), &other, &rules).unwrap_err();
    assert!(
        error.to_string().contains(&format!("says {other}")),
        "{error}"
    );
}

#[test]
fn what_is_given_up_ends() {
    let folder = tempfile::tempdir().unwrap();
    let rules = mezz_image::unpack::Rules {
        limits: &limits(),
        privilege: mezz_image::unpack::Privilege::of_process(),
        given_up: &std::sync::atomic::AtomicBool::new(true),
    };
    let bytes = Tar::new().file("a", "x").bytes();
    let digest = mezz_image::digest::Digest::of(&bytes);
    let packed = std::io::Cursor::new(bytes);
    let error = mezz_image::unpack::unpack(packed, folder.path(), &digest, &rules).unwrap_err();
    assert!(error.to_string().contains("given up"), "{error}");
    assert!(!Path::new(&folder.path().join("a")).exists());
}
