//! Stacks of layers: what they show through the kernel's overlayfs is what the copy back end makes.

#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use mezz_image::digest::Digest;
use mezz_image::limits::Limits;
use mezz_image::media;
use mezz_image::provision::Backend;
use mezz_image::reference::Reference;
use mezz_image::store::{Access, Image, Rootfs, Store};
use support::{Tar, is_root, open_store, put_layers, tree, unpack_into};

/// An image of these layers, in the store.
fn image(store: &Arc<Store>, layers: &[Tar]) -> Image {
    let chains = put_layers(store, layers);
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|layer| format!("\"{}\"", Digest::of(&layer.clone().bytes())))
        .collect();
    let config = format!(
        r#"{{"rootfs":{{"type":"layers","diff_ids":[{}]}},"config":{{"Cmd":["x"]}}}}"#,
        diff_ids.join(",")
    );
    let id = Digest::of(config.as_bytes());
    store.write_document(&id, config.as_bytes()).unwrap();
    let manifest = Digest::of(media::OCI_MANIFEST.as_bytes());
    let reference = Reference::parse("test").unwrap();
    store
        .put_image(&reference, &manifest, &id, &chains, Access::Everyone)
        .unwrap();
    store.image(&reference).unwrap().unwrap()
}

/// What the kernel shows of an overlay, in a mount namespace of its own.
fn mounted(rootfs: &Rootfs, by_short_names: bool, at: &Path) -> Option<Vec<String>> {
    let Rootfs::Overlay(overlay) = rootfs else {
        panic!("no overlay: {rootfs:?}");
    };
    let (data, _) = overlay.mount_data();
    let data = if by_short_names {
        format!(
            "lowerdir={},upperdir={},workdir={}",
            overlay.stack.names.join(":"),
            overlay.upper.display(),
            overlay.work.display()
        )
    } else {
        data.into_string().unwrap()
    };
    let script = "mount -t overlay overlay -o \"$1\" \"$2\" || exit 99; cp -a \"$2/.\" \"$3\"";
    let copy = at.join("seen");
    std::fs::create_dir(&copy).unwrap();
    let point = at.join("point");
    std::fs::create_dir(&point).unwrap();
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh", &data])
        .args([&point, &copy])
        .current_dir(&overlay.stack.links);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.code() == Some(99) {
        eprintln!("{said}");
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(tree(&copy))
}

fn base() -> Tar {
    Tar::new()
        .directory("./")
        .entry(b'5', "./tmp/", b"", |header| header.set_mode(0o1777))
        .directory("etc/")
        .file("etc/passwd", "root")
        .file("etc/shadow", "secret")
        .directory("cache/")
        .file("cache/old", "1")
        .directory("cache/deep/")
        .file("cache/deep/old", "2")
        .directory("both/")
        .file("both/below", "3")
        .file("file-then-directory", "4")
        .directory("directory-then-file/")
        .file("directory-then-file/x", "5")
        .symlink("link", "etc/passwd")
        .hard_link("etc/alias", "etc/passwd")
}

fn middle() -> Tar {
    Tar::new()
        .file("etc/.wh.shadow", "")
        .file("cache/.wh..wh..opq", "")
        .file("cache/new", "6")
        .file(".wh.both", "")
        .directory("both/")
        .file("both/above", "7")
        .directory("file-then-directory/")
        .file("file-then-directory/y", "8")
        .file("directory-then-file", "9")
        .file("tmp/made", "10")
        .file(".wh..wh.plnk", "")
        .file(".wh.never-there", "")
        .file("cache/.wh.hides-nothing", "")
}

fn top() -> Tar {
    Tar::new()
        .file("etc/shadow", "again")
        .file(".wh.link", "")
        .directory("gone/")
        .file("gone/.wh.x", "")
}

const SHOWN: &[&str] = &[
    "both directory",
    "both/above \"7\"",
    "cache directory",
    "cache/new \"6\"",
    "directory-then-file \"9\"",
    "etc directory",
    "etc/alias \"root\"",
    "etc/passwd \"root\"",
    "etc/shadow \"again\"",
    "file-then-directory directory",
    "file-then-directory/y \"8\"",
    "gone directory",
    "tmp directory",
    "tmp/made \"10\"",
];

#[test]
fn whiteouts_hide_what_is_below_in_both_back_ends() {
    if !is_root() {
        eprintln!("skipped: whiteouts of overlayfs need root to be looked at");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder.path().join("store"));
    let image = image(&store, &[base(), middle(), top()]);
    let copy = store
        .provision(&"copy".parse().unwrap(), &image, Backend::Copy)
        .unwrap();
    let Rootfs::Copy { root } = &copy else {
        panic!("no copy: {copy:?}");
    };
    assert_eq!(tree(root), SHOWN);
    let [passwd, alias] =
        ["etc/passwd", "etc/alias"].map(|name| root.join(name).metadata().unwrap());
    assert_eq!(passwd.ino(), alias.ino());
    for by_short_names in [false, true] {
        let at = tempfile::tempdir().unwrap();
        let name = format!("overlay-{by_short_names}").parse().unwrap();
        let overlay = store.provision(&name, &image, Backend::Overlay).unwrap();
        match mounted(&overlay, by_short_names, at.path()) {
            Some(shown) => assert_eq!(shown, SHOWN, "by short names: {by_short_names}"),
            None => eprintln!("skipped: overlayfs cannot be mounted here"),
        }
    }
}

#[test]
fn directories_that_a_layer_only_goes_through_stay_as_they_are_below() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder.path().join("store"));
    let image = image(&store, &[base(), middle()]);
    let top = store.layer_root(image.layers.last().unwrap());
    assert_eq!(top.join("tmp").metadata().unwrap().mode() & 0o7777, 0o1777);
    assert_eq!(top.join("etc").metadata().unwrap().mtime(), 1_000_000);
    let name = "a".parse().unwrap();
    let Rootfs::Overlay(overlay) = store.provision(&name, &image, Backend::Overlay).unwrap() else {
        panic!("no overlay");
    };
    assert_eq!(overlay.upper.metadata().unwrap().mtime(), 1_000_000);
}

#[test]
fn an_opaque_root_hides_all_layers_below() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder.path().join("store"));
    let clean = Tar::new().file(".wh..wh..opq", "").file("only", "x");
    let image = image(&store, &[base(), clean, Tar::new().file("more", "y")]);
    assert_eq!(store.stack(&image.layers).unwrap().trees.len(), 2);
    let copy = store
        .provision(&"c".parse().unwrap(), &image, Backend::Copy)
        .unwrap();
    let Rootfs::Copy { root } = copy else {
        panic!("no copy");
    };
    assert_eq!(tree(&root), ["more \"y\"", "only \"x\""]);
}

#[test]
fn owners_modes_times_and_attributes_are_the_layers() {
    if !is_root() {
        eprintln!("skipped: owners need root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let layer = Tar::new()
        .entry(b'5', "d/", b"", |header| {
            header.set_mode(0o2550);
            header.set_uid(7);
        })
        .entry(b'0', "d/su", b"x", |header| {
            header.set_mode(0o4755);
            header.set_uid(1234);
            header.set_gid(2345);
            header.set_mtime(77);
        })
        .attribute("user.note", "hello")
        .attribute("security.selinux", "label")
        .file("noted", "")
        .entry(b'6', "pipe", b"", |header| header.set_mode(0o640))
        .device(b'3', "dev/null", 1, 3)
        .device(b'3', "dev/console", 5, 1)
        .symlink("dangling", "/nowhere");
    let unpacked = unpack_into(&layer.bytes(), folder.path(), &Limits::default()).unwrap();
    let su = folder.path().join("d/su").metadata().unwrap();
    assert_eq!(
        (su.uid(), su.gid(), su.mode() & 0o7777, su.mtime()),
        (1234, 2345, 0o4755, 77)
    );
    let directory = folder.path().join("d").metadata().unwrap();
    assert_eq!(
        (directory.mode() & 0o7777, directory.mtime()),
        (0o2550, 1_000_000)
    );
    let mut value = [0; 5];
    let length =
        rustix::fs::getxattr(folder.path().join("noted"), "user.note", &mut value[..]).unwrap();
    assert_eq!((length, &value), (5, b"hello"));
    assert_eq!(
        (unpacked.left_out.devices, unpacked.left_out.attributes),
        (1, 1)
    );
    let shown = tree(folder.path());
    for line in ["pipe pipe", "dev/null device", "dangling -> /nowhere"] {
        assert!(shown.iter().any(|shown| shown == line), "{line}: {shown:?}");
    }
}

#[test]
fn all_packings_of_a_layer_make_the_same_tree() {
    let layer = base();
    let zstd = zstd::encode_all(&layer.clone().bytes()[..], 1).unwrap();
    let mut trees = Vec::new();
    for packed in [layer.clone().bytes(), layer.clone().gzip(), zstd] {
        let folder = tempfile::tempdir().unwrap();
        unpack_into(&packed, folder.path(), &Limits::default()).unwrap();
        trees.push(tree(folder.path()));
    }
    assert!(trees[0] == trees[1] && trees[1] == trees[2]);
}
