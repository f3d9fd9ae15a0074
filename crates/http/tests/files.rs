//! The virtual file tree: what it shows and what it never shows.

#![allow(clippy::unwrap_used)]

use mezz_http::files::{Files, FilesError, MAX_READ_BYTES, mode_text};

fn tree() -> (tempfile::TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("sandbox");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::write(root.join("stdout"), "hello").unwrap();
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    std::os::unix::fs::symlink("/stdout", root.join("absolute")).unwrap();
    let files = Files::new();
    files.attach("/box", root);
    (folder, files)
}

#[test]
fn an_offset_of_minus_one_tells_the_size() {
    let (_folder, files) = tree();
    let piece = files.read("/box/stdout", -1, None).unwrap();
    assert_eq!((piece.offset, piece.data.len(), piece.size), (5, 0, 5));
}

#[test]
fn pieces_are_read_from_an_offset_up_to_a_length() {
    let (_folder, files) = tree();
    assert_eq!(files.read("/box/stdout", 1, Some(2)).unwrap().data, b"el");
    assert_eq!(
        files.read("/box/stdout", 1, Some(-1)).unwrap().data,
        b"ello"
    );
    let beyond = files.read("/box/stdout", 99, None).unwrap();
    assert_eq!((beyond.offset, beyond.data.len()), (99, 0));
    assert!(matches!(
        files.read("/box/stdout", -2, None),
        Err(FilesError::Invalid(_))
    ));
    assert!(matches!(
        files.read("/box/sub", 0, None),
        Err(FilesError::Invalid(_))
    ));
}

#[test]
fn one_read_returns_at_most_64_kib() {
    let (folder, files) = tree();
    std::fs::write(folder.path().join("sandbox/long"), vec![b'x'; 100_000]).unwrap();
    let piece = files.read("/box/long", 0, None).unwrap();
    assert_eq!(piece.data.len() as u64, MAX_READ_BYTES);
    assert_eq!(piece.size, 100_000);
}

#[test]
fn nothing_outside_of_the_root_is_ever_read() {
    let (_folder, files) = tree();
    for path in [
        "/box/../secret",
        "/box/out",
        "/box/sub/../../secret",
        "/secret",
        "/boxer/stdout",
        "/",
    ] {
        assert!(
            matches!(files.read(path, 0, None), Err(FilesError::NotFound)),
            "{path}"
        );
    }
    // A link to an absolute path stays inside the root.
    assert_eq!(files.read("/box/absolute", 0, None).unwrap().data, b"hello");
}

#[test]
fn a_folder_lists_its_entries_by_virtual_path() {
    let (_folder, files) = tree();
    let entries = files.browse("/box/").unwrap();
    let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(
        paths,
        ["/box/absolute", "/box/out", "/box/stdout", "/box/sub"]
    );
    assert_eq!(&mode_text(entries[2].mode)[..1], "-");
    assert_eq!(&mode_text(entries[3].mode)[..1], "d");
    assert_eq!(mode_text(0o100_644), "-rw-r--r--");
}
