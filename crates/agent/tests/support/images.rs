//! Images made here: archives as `docker save` writes them, with busybox where it is wanted.

use std::path::Path;

use mezz_image::digest::Digest;
use serde_json::{Value, json};

/// A layer, as a tar.
pub(crate) struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn file(mut self, path: &str, content: &[u8], mode: u32) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_mtime(1);
        self.0.append_data(&mut header, path, content).unwrap();
        self
    }

    pub(crate) fn folder(self, path: &str) -> Self {
        self.special(path, tar::EntryType::Directory, "")
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        self.special(path, tar::EntryType::Symlink, target)
    }

    /// With a name as it is, however bad.
    #[allow(dead_code, reason = "not every file of tests has bad images")]
    pub(crate) fn raw(
        mut self,
        path: &str,
        kind: tar::EntryType,
        target: &str,
        content: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn special(mut self, path: &str, kind: tar::EntryType, target: &str) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o755);
        header.set_mtime(1);
        if target.is_empty() {
            self.0.append_data(&mut header, path, &[][..]).unwrap();
        } else {
            self.0.append_link(&mut header, path, target).unwrap();
        }
        self
    }

    #[allow(dead_code, reason = "not every file of tests pushes images")]
    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Programs, accounts, and the folders that programs expect.
pub(crate) fn busybox() -> Layer {
    let program = std::fs::read("/bin/busybox").or_else(|_| std::fs::read("/usr/bin/busybox"));
    let mut layer = Layer::new()
        .folder("bin/")
        .file("bin/busybox", &program.unwrap(), 0o755);
    for name in [
        "sh", "cat", "echo", "env", "id", "ls", "pwd", "sleep", "true", "touch", "stat", "mount",
        "hostname", "ip", "httpd", "nc", "wget", "readlink", "test", "rm", "mkdir", "wc", "printf",
    ] {
        layer = layer.link(&format!("bin/{name}"), "/bin/busybox");
    }
    layer
        .folder("etc/")
        .file(
            "etc/passwd",
            b"root:x:0:0::/root:/bin/sh\nweb:x:4711:4712::/srv:/bin/sh\n",
            0o644,
        )
        .file(
            "etc/group",
            b"root:x:0:\nweb:x:4712:\nlogs:x:4713:web\n",
            0o644,
        )
        .folder("tmp/")
}

/// Writes `NAME:TAG.tar` into a folder of archives.
pub(crate) fn save(folder: &Path, name: &str, config: &Value, layers: Vec<Layer>) {
    let layers: Vec<Vec<u8>> = layers.into_iter().map(Layer::bytes).collect();
    let ids: Vec<String> = layers
        .iter()
        .map(|layer| Digest::of(layer).to_string())
        .collect();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": ids},
    });
    let config = serde_json::to_vec(&config).unwrap();
    let config_name = format!("{}.json", Digest::of(&config).hex());
    let names: Vec<String> = (0..layers.len())
        .map(|number| format!("{number}/layer.tar"))
        .collect();
    let manifest = json!([{"Config": config_name, "RepoTags": [name], "Layers": names}]);
    let mut archive = Layer::new()
        .file(
            "manifest.json",
            &serde_json::to_vec(&manifest).unwrap(),
            0o644,
        )
        .file(&config_name, &config, 0o644);
    for (name, layer) in names.iter().zip(&layers) {
        archive = archive.file(name, layer, 0o644);
    }
    let path = folder.join(format!("{name}.tar"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, archive.bytes()).unwrap();
}
