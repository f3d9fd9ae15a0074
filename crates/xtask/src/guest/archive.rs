//! A file system in memory as the kernel unpacks it: the portable format of cpio.

use std::collections::BTreeSet;

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// An archive under construction; folders above what is added come by themselves.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    known: BTreeSet<String>,
}

impl Archive {
    pub(super) fn folder(&mut self, path: &str) {
        self.above(path);
        self.entry(path, FOLDER | 0o755, b"");
    }

    pub(super) fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.above(path);
        self.entry(path, FILE | mode, content);
    }

    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.above(path);
        self.entry(path, LINK | 0o777, target.as_bytes());
    }

    /// The bytes of the whole.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.write("TRAILER!!!", 0, b"");
        self.bytes
    }

    fn above(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            self.entry(&path[..end], FOLDER | 0o755, b"");
        }
    }

    /// What was added once is not added again: suites share libraries and folders.
    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        if self.known.insert(path.to_owned()) {
            self.write(path, mode, content);
        }
    }

    fn write(&mut self, path: &str, mode: u32, content: &[u8]) {
        // Number, mode, owner, group, links, time, size, four device numbers, length of the name, sum.
        let fields = [
            self.known.len(),
            mode as usize,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            0,
            0,
            path.len() + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them_and_nothing_comes_twice() {
        let mut archive = Archive::default();
        archive.file("a/b/one", 0o644, b"12345");
        archive.file("a/b/two", 0o644, b"");
        archive.link("a/b/one", "elsewhere");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<&str> = text
            .split("070701")
            .skip(1)
            .map(|entry| entry[104..].split('\0').next().unwrap_or_default())
            .collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two", "TRAILER!!!"]);
        assert!(text.contains("12345") && !text.contains("elsewhere"));
    }
}
