//! Tars as programs write them, and as nobody should.

use super::*;

fn read_all(bytes: &[u8], limits: &Limits) -> Result<Vec<(Entry, Vec<u8>)>, LayerError> {
    let mut entries = Entries::new(bytes, limits);
    let mut all = Vec::new();
    while let Some(entry) = entries.next_entry()? {
        let mut content = Vec::new();
        entries.read_to_end(&mut content)?;
        all.push((entry, content));
    }
    Ok(all)
}

fn reason(bytes: &[u8]) -> String {
    let limits = Limits {
        layer_entries: 100,
        header_bytes: 10_000,
        layer_bytes: 1 << 30,
        ..Limits::default()
    };
    read_all(bytes, &limits).unwrap_err().to_string()
}

fn header(kind: u8, path: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn entry(kind: u8, path: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, path, content.len() as u64).as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

#[test]
fn files_keep_their_names_content_and_attributes() {
    let long = format!("{}/f", "directory".repeat(20));
    let pax = [
        record("path", &long),
        record("size", "5"),
        record("uid", "4000000"),
        record("mtime", "12.5"),
        record("SCHILY.xattr.user.a", "b=c"),
        record("comment", "x"),
    ]
    .concat();
    let bytes = [
        entry(b'g', "pax", record("comment", "y").as_bytes()),
        entry(b'x', "pax", pax.as_bytes()),
        entry(b'0', "short", b"12345"),
        entry(b'L', "././@LongLink", b"other/name\0"),
        entry(b'0', "short", b""),
        entry(b'5', "d/", b""),
        vec![0; 1024],
    ]
    .concat();
    let all = read_all(&bytes, &Limits::default()).unwrap();
    let (first, content) = &all[0];
    assert_eq!(
        (first.path.shown(), content.as_slice()),
        (long, &b"12345"[..])
    );
    assert_eq!(
        (first.uid, first.modified.nanoseconds),
        (4_000_000, 500_000_000)
    );
    assert_eq!(first.attributes, [(b"user.a".to_vec(), b"b=c".to_vec())]);
    assert_eq!(all[1].0.path.shown(), "other/name");
    assert!(all[1].0.attributes.is_empty());
    assert_eq!(all[2].0.kind, EntryKind::Directory);
}

#[test]
fn a_tar_without_blocks_of_zeros_at_its_end_is_read() {
    let bytes = entry(b'0', "a", b"x");
    assert_eq!(read_all(&bytes, &Limits::default()).unwrap().len(), 1);
    assert!(read_all(b"", &Limits::default()).unwrap().is_empty());
}

#[test]
fn broken_and_hostile_tars_are_refused_with_their_reason() {
    let file = entry(b'0', "a", b"content");
    let huge = header(b'0', "a", 1 << 32).as_bytes().to_vec();
    let long_name = header(b'L', "a", 1 << 29).as_bytes().to_vec();
    let mut link = header(b'1', "a", 0);
    link.as_mut_bytes()[157..170].copy_from_slice(b"../etc/passwd");
    link.set_cksum();
    let names: Vec<u8> = (0..30)
        .flat_map(|_| entry(b'x', "p", &[b'\n'; 0]))
        .collect();
    for (bytes, wanted) in [
        (file[..515].to_vec(), "cannot be read"),
        (file[..700].to_vec(), "ends in the midst"),
        (file[..300].to_vec(), "ends in the midst"),
        ([&file[..], &[b'x'; 512]].concat(), "no tar"),
        ([&file[..], &[0; 512], &file].concat(), "after its end"),
        (huge, "size of an entry"),
        (long_name, "536870912 bytes of names"),
        (entry(b'0', "../../etc/passwd", b""), "'..'"),
        (entry(b'0', "", b""), "is empty"),
        (link.as_bytes().to_vec(), "hard link 'a' to '../etc/passwd'"),
        (entry(b'2', "a", b""), "has no target"),
        (entry(b'S', "a", b""), "sparse"),
        (entry(b'V', "a", b""), "kind 'V'"),
        (entry(b'x', "p", b"9 a=b\n"), "extended header"),
        (
            entry(b'x', "p", b"99999999999999999999 a=b\n"),
            "extended header",
        ),
        (entry(b'x', "p", b"1 a=b\n"), "extended header"),
        (
            entry(b'x', "p", record("size", "-1").as_bytes()),
            "size of an entry",
        ),
        (
            [
                entry(b'x', "p", record("GNU.sparse.major", "1").as_bytes()),
                file.clone(),
            ]
            .concat(),
            "sparse",
        ),
        (
            [
                entry(b'x', "p", record("path", "a\0/../b").as_bytes()),
                file,
            ]
            .concat(),
            "zero byte",
        ),
        (names.repeat(4), "more than 100 entries"),
    ] {
        let error = reason(&bytes);
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}
