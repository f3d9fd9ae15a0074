//! A client over temporary folders, and stub plugins that note what they were told.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mezz_cni::{
    AttachRequest, Cni, ContainerId, PluginFolders, Resolver, Settings, remove_namespace,
};
use mezz_proto::v1;
use serde_json::Value;

/// Notes its call and its input, then does what the file `<plugin>.<command>` beside it says.
const STUB: &str = r#"#!/bin/sh
here=${0%/*}
name=${0##*/}
cat > "$here/$name.$CNI_COMMAND.input"
env | sort > "$here/$name.$CNI_COMMAND.env"
if [ "$CNI_COMMAND" != VERSION ]; then
    echo "$name $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >> "$here/calls"
fi
if [ -f "$here/$name.$CNI_COMMAND" ]; then
    . "$here/$name.$CNI_COMMAND"
elif [ "$CNI_COMMAND" = VERSION ]; then
    echo '{"cniVersion": "1.1.0", "supportedVersions": ["0.4.0", "1.0.0", "1.1.0"]}'
fi
"#;

/// Temporary folders of one test; whatever is still mounted in them is let go at the end.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) cni: Cni,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Duration::from_secs(20), Resolver::default())
    }

    pub(crate) fn with(deadline: Duration, resolver: Resolver) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["config", "plugins", "run"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let cni = client(folder.path(), deadline, resolver);
        Self { folder, cni }
    }

    /// The client of the agent's next life.
    pub(crate) fn restarted(&self) -> Cni {
        let settings = self.cni.settings();
        client(
            self.folder.path(),
            settings.deadline,
            settings.resolver.clone(),
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn network(&self, file: &str, text: &str) {
        let path = self.path("config").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A stub, and what it does at each command.
    pub(crate) fn stub(&self, name: &str, scripts: &[(&str, &str)]) {
        let path = self.path("plugins").join(name);
        std::fs::write(&path, STUB).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        for (command, script) in scripts {
            self.script(name, command, script);
        }
    }

    pub(crate) fn script(&self, name: &str, command: &str, script: &str) {
        let path = self.path("plugins").join(format!("{name}.{command}"));
        std::fs::write(path, script).unwrap();
    }

    /// What a plugin was given at its last call of a command.
    pub(crate) fn input(&self, name: &str, command: &str) -> Value {
        let path = self.path("plugins").join(format!("{name}.{command}.input"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    pub(crate) fn environment(&self, name: &str, command: &str) -> String {
        let path = self.path("plugins").join(format!("{name}.{command}.env"));
        std::fs::read_to_string(path).unwrap()
    }

    /// The calls so far, as `plugin COMMAND container interface`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("plugins/calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The folders of containers for which something has been begun.
    pub(crate) fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("run")).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.path("run"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let _ = remove_namespace(&entry.path().join("ns"));
        }
    }
}

pub(crate) fn client(folder: &Path, deadline: Duration, resolver: Resolver) -> Cni {
    Cni::new(Settings {
        config_dir: folder.join("config"),
        plugins: PluginFolders::new(vec![folder.join("plugins"), PathBuf::from("/usr/lib/cni")]),
        run_dir: folder.join("run"),
        deadline,
        resolver,
        search_path: "/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
    })
}

pub(crate) fn id(text: &str) -> ContainerId {
    ContainerId::new(text).unwrap()
}

pub(crate) fn nobody() -> BTreeSet<ContainerId> {
    BTreeSet::new()
}

pub(crate) fn info(name: &str) -> v1::NetworkInfo {
    v1::NetworkInfo {
        name: Some(name.to_owned()),
        ..v1::NetworkInfo::default()
    }
}

/// A request for a container on these networks.
pub(crate) fn request(container: &str, infos: &[v1::NetworkInfo]) -> AttachRequest {
    AttachRequest::of(id(container), None, infos)
        .unwrap()
        .expect("a network has a name")
}

/// Namespaces are root's to make. Elsewhere these tests show nothing, and say so.
pub(crate) fn may_make_namespaces() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        eprintln!("skipped: network namespaces need root");
    }
    may
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
