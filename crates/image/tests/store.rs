//! The store: what survives, what is swept away, and what is never removed.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mezz_image::digest::Digest;
use mezz_image::provision::Backend;
use mezz_image::reference::Reference;
use mezz_image::store::{Access, Image, Rootfs, Store, StoreSettings};
use support::world::{large, plain};
use support::{Tar, open_store, put_layers, tree};

fn put(store: &Arc<Store>, name: &str, layers: &[Tar]) -> Image {
    let chains = put_layers(store, layers);
    let ids = layers
        .iter()
        .map(|layer| format!("\"{}\"", plain(layer.clone()).1));
    let ids: Vec<String> = ids.collect();
    let config = format!(
        r#"{{"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        ids.join(",")
    );
    let id = Digest::of(config.as_bytes());
    store.write_document(&id, config.as_bytes()).unwrap();
    store
        .write_document(&Digest::of(name.as_bytes()), name.as_bytes())
        .unwrap();
    let manifest = Digest::of(name.as_bytes());
    let reference = Reference::parse(name).unwrap();
    store
        .put_image(&reference, &manifest, &id, &chains, Access::Everyone)
        .unwrap();
    store.image(&reference).unwrap().unwrap()
}

fn base() -> Tar {
    Tar::new().file("base", "1")
}

fn names(store: &Arc<Store>) -> Vec<String> {
    let images = store.images();
    images
        .iter()
        .map(|image| image.reference.familiar())
        .collect()
}

fn of_boot(folder: &Path, boot_id: &str) -> StoreSettings {
    StoreSettings {
        boot_id: boot_id.to_owned(),
        ..StoreSettings::new(folder)
    }
}

#[test]
fn images_and_what_containers_stand_on_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path());
    let image = put(&store, "a", &[base(), large()]);
    let name = "c.1".parse().unwrap();
    let rootfs = store.provision(&name, &image, Backend::Overlay).unwrap();
    let layers = image.layers.clone();
    drop((image, store));
    let store = open_store(folder.path());
    let again = store
        .image(&Reference::parse("a").unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(again.layers, layers);
    assert_eq!(store.provisioned(&name).unwrap(), Some(rootfs.clone()));
    let Rootfs::Overlay(overlay) = rootfs else {
        panic!("no overlay");
    };
    for (name, tree) in overlay.stack.names.iter().zip(&overlay.stack.trees) {
        let link = overlay.stack.links.join(name).canonicalize().unwrap();
        assert_eq!(link, tree.canonicalize().unwrap());
    }
}

#[test]
fn only_one_process_has_the_store_and_nobody_else_may_look_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = open_store(&path);
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
    let error = Store::open(StoreSettings::new(&path)).unwrap_err();
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    drop(store);
    std::fs::write(path.join("version"), "7").unwrap();
    let error = Store::open(StoreSettings::new(&path)).unwrap_err();
    assert!(error.to_string().contains("version 7"), "{error}");
}

#[test]
fn what_a_crash_left_unfinished_is_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path());
    let image = put(&store, "a", &[base()]);
    let draft = store.draft_layer().unwrap();
    std::fs::write(draft.root().join("half"), "x").unwrap();
    std::mem::forget(draft);
    let top = store.layer_root(&image.layers[0]);
    drop((image, store));
    let hidden = top.parent().unwrap().with_file_name("sha256-broken");
    for unfinished in [
        hidden.clone(),
        folder.path().join("containers/half"),
        folder.path().join("temporary/trash-9/deep"),
    ] {
        std::fs::create_dir_all(&unfinished).unwrap();
        std::fs::write(unfinished.join("file"), "x").unwrap();
    }
    std::os::unix::fs::symlink("/etc", folder.path().join("temporary/link")).unwrap();
    std::os::unix::fs::symlink("../layers/none", folder.path().join("l/zz")).unwrap();
    std::fs::write(folder.path().join("images/torn.json"), "{").unwrap();
    let store = open_store(folder.path());
    assert_eq!(names(&store), ["a:latest"]);
    assert!(!hidden.exists() && top.exists());
    assert!(tree(&folder.path().join("temporary")).is_empty());
    assert!(tree(&folder.path().join("containers")).is_empty());
    assert_eq!(tree(&folder.path().join("l")).len(), 1);
    assert!(Path::new("/etc/passwd").exists());
}

#[test]
fn layers_that_were_not_synced_are_not_trusted_after_the_machine_went_down() {
    let folder = tempfile::tempdir().unwrap();
    let reference = Reference::parse("a").unwrap();
    let store = Store::open(of_boot(folder.path(), "one")).unwrap();
    drop(put(&store, "a", &[base()]));
    drop(store);
    let store = Store::open(of_boot(folder.path(), "one")).unwrap();
    assert!(
        store.image(&reference).unwrap().is_some(),
        "a crash of the agent alone loses nothing"
    );
    drop(store);
    let store = Store::open(of_boot(folder.path(), "two")).unwrap();
    assert!(store.image(&reference).unwrap().is_none());
    let image = put(&store, "a", &[base()]);
    store.settle().unwrap();
    drop((image, store));
    let store = Store::open(of_boot(folder.path(), "three")).unwrap();
    assert!(store.image(&reference).unwrap().is_some());
}

#[test]
fn a_damaged_document_makes_the_image_missing_and_nothing_worse() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path());
    let image = put(&store, "a", &[base()]);
    let file = format!("blobs/sha256-{}", image.id.hex());
    std::fs::write(folder.path().join(file), "{}").unwrap();
    let reference = Reference::parse("a").unwrap();
    assert!(store.image(&reference).unwrap().is_none());
}

#[test]
fn pruning_leaves_what_is_used_excluded_or_held() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path());
    let excluded = put(&store, "excluded", &[base(), Tar::new().file("a", "")]);
    let used = put(&store, "used", &[base(), Tar::new().file("b", "")]);
    let held = put(&store, "held", &[Tar::new().file("c", "")]);
    let idle = put(&store, "idle", &[base(), Tar::new().file("d", "")]);
    let gone = store.layer_root(&idle.layers[1]);
    let container = "container".parse().unwrap();
    store
        .provision(&container, &used, Backend::Overlay)
        .unwrap();
    drop((excluded, used, idle));
    let keep = BTreeSet::from([Reference::parse("excluded").unwrap()]);
    let collected = store.prune(&keep).unwrap();
    assert_eq!(collected.images, [Reference::parse("idle").unwrap()]);
    assert_eq!(collected.layers, 1);
    assert!(!gone.exists());
    assert_eq!(
        names(&store),
        ["excluded:latest", "held:latest", "used:latest"]
    );
    // The container ends, the holder goes: nothing is left but what is excluded.
    store.destroy(&container).unwrap();
    store.destroy(&container).unwrap();
    drop(held);
    store.prune(&keep).unwrap();
    assert_eq!(names(&store), ["excluded:latest"]);
    store.prune(&BTreeSet::new()).unwrap();
    for left in ["layers", "blobs", "images", "containers", "l", "temporary"] {
        assert!(tree(&folder.path().join(left)).is_empty(), "{left}");
    }
}

#[test]
fn room_is_made_by_the_image_unused_for_longest() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path());
    for name in ["a", "b", "c"] {
        drop(put(
            &store,
            name,
            &[Tar::new().file(name, &"x".repeat(1000))],
        ));
    }
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000);
    drop(store);
    // The file's time says when the image was used last.
    for file in std::fs::read_dir(folder.path().join("images")).unwrap() {
        let path = file.unwrap().path();
        if std::fs::read_to_string(&path)
            .unwrap()
            .contains("library/b")
        {
            std::fs::File::open(&path)
                .unwrap()
                .set_modified(old)
                .unwrap();
        }
    }
    let store = open_store(folder.path());
    let collected = store.collect(&BTreeSet::new(), 500).unwrap();
    assert_eq!(collected.images, [Reference::parse("b").unwrap()]);
    assert_eq!(collected.bytes, 1000);
}

#[test]
fn a_container_has_one_root_and_a_name_that_is_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(folder.path());
    let image = put(&store, "a", &[base()]);
    let name = "c".parse().unwrap();
    store.provision(&name, &image, Backend::Copy).unwrap();
    let error = store.provision(&name, &image, Backend::Copy).unwrap_err();
    assert!(
        error.to_string().contains("has a root file system already"),
        "{error}"
    );
    for bad in ["", ".", "..", "a/b", "../x", "a\0", "a:b", "a,b"] {
        let error = bad.parse::<mezz_image::store::ContainerName>().unwrap_err();
        assert!(
            error.to_string().contains("cannot name a container"),
            "{error}"
        );
    }
}

/// Where the child of the next test works; unset in a usual run.
const CHILD: &str = "MEZZ_IMAGE_TEST_CHILD";

/// Puts, provisions, destroys and prunes without end, until it is killed.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let store = open_store(&folder);
    for round in 0.. {
        let own = format!("image{}", round % 3);
        let image = put(
            &store,
            &own,
            &[base(), Tar::new().file(&own, "x").file(".wh.base", "")],
        );
        let container = format!("c{}", round % 4).parse().unwrap();
        store.destroy(&container).unwrap();
        let backend = [Backend::Overlay, Backend::Copy][round % 2];
        store.provision(&container, &image, backend).unwrap();
        drop(image);
        if round % 5 == 4 {
            store.prune(&BTreeSet::new()).unwrap();
        }
    }
}

#[test]
fn a_store_that_was_killed_at_any_moment_opens_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for round in 0..25_u64 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_is_killed"])
            .env(CHILD, folder.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20 + round * 7 % 60));
        assert_eq!(child.try_wait().unwrap(), None, "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open_store(folder.path());
        assert!(tree(&folder.path().join("temporary")).is_empty());
        for summary in store.images() {
            let Some(image) = store.image(&summary.reference).unwrap() else {
                continue;
            };
            for chain in &image.layers {
                assert!(!tree(&store.layer_root(chain)).is_empty());
            }
        }
        let containers = store.containers();
        for container in &containers {
            // Whatever a container stands on is there in full.
            match store.provisioned(container).unwrap().unwrap() {
                Rootfs::Overlay(overlay) => {
                    assert!(overlay.upper.is_dir() && overlay.work.is_dir());
                    let links = overlay.stack.names.iter();
                    assert!(
                        links
                            .map(|name| overlay.stack.links.join(name))
                            .all(|link| link.is_dir())
                    );
                }
                Rootfs::Copy { root } => assert_eq!(tree(&root).len(), 1),
            }
        }
        let folders = std::fs::read_dir(folder.path().join("containers")).unwrap();
        assert_eq!(folders.count(), containers.len());
        seen += containers.len();
        let links = std::fs::read_dir(folder.path().join("l")).unwrap().count();
        assert_eq!(
            links,
            std::fs::read_dir(folder.path().join("layers"))
                .unwrap()
                .count()
        );
    }
    assert!(seen > 10, "the child got nowhere");
}
