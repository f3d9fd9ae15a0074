//! The folder of network configurations, read anew whenever a network is looked up.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::CniError;
use crate::fault::ConfigFault;
use crate::network::{Network, Plugin};
use crate::plugins::PluginFolders;
use crate::port_mapper::{self, PORT_MAPPER};

/// The networks of a folder.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Each with its file, in the order of the files' names.
    pub networks: Vec<(PathBuf, Network)>,
    /// What was left out, and why.
    pub skipped: Vec<Skipped>,
}

/// A file that gives no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub file: PathBuf,
    /// The network that it would have given, if so much could be read.
    pub name: Option<String>,
    /// Why it does not.
    pub fault: ConfigFault,
}

impl Catalogue {
    /// Reads a folder: every file in it that is not hidden, whatever its name ends in.
    pub fn read(folder: &Path, programs: &PluginFolders) -> Result<Self, CniError> {
        let mut catalogue = Self::default();
        for file in files(folder).map_err(CniError::io("cannot read the networks in", folder))? {
            let text = match std::fs::read_to_string(&file) {
                Ok(text) => text,
                // Removed while the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    let fault = ConfigFault::new("", format!("cannot be read: {error}"));
                    catalogue.skip(file, None, fault);
                    continue;
                }
            };
            match read_network(folder, &text, programs) {
                Ok(network) if catalogue.get(network.name.as_str()).is_some() => {
                    let name = network.name.to_string();
                    let problem = format!("\"{name}\" is configured by an earlier file already");
                    catalogue.skip(file, Some(name), ConfigFault::new("name", problem));
                }
                Ok(network) => catalogue.networks.push((file, network)),
                Err(fault) => catalogue.skip(file, name_of(&text), fault),
            }
        }
        Ok(catalogue)
    }

    /// The network of a name.
    pub fn get(&self, name: &str) -> Option<&Network> {
        let mut networks = self.networks.iter().map(|(_, network)| network);
        networks.find(|network| network.name.as_str() == name)
    }

    /// The network of a name, or why there is none.
    pub(crate) fn find(&self, name: &str, folder: &Path) -> Result<&Network, CniError> {
        if let Some(network) = self.get(name) {
            return Ok(network);
        }
        let mut skipped = self.skipped.iter();
        if let Some(skipped) = skipped.find(|skipped| skipped.name.as_deref() == Some(name)) {
            return Err(CniError::Config {
                file: skipped.file.clone(),
                fault: skipped.fault.clone(),
            });
        }
        Err(CniError::UnknownNetwork {
            name: name.to_owned(),
            folder: folder.to_owned(),
            known: self.told(),
        })
    }

    fn told(&self) -> String {
        let names: Vec<&str> = self
            .networks
            .iter()
            .map(|(_, network)| network.name.as_str())
            .collect();
        let mut text = if names.is_empty() {
            "there is no network".to_owned()
        } else {
            format!("there are: {}", names.join(", "))
        };
        for skipped in &self.skipped {
            let file = skipped.file.file_name().unwrap_or_default();
            text = format!("{text}; {} is left out: {}", file.display(), skipped.fault);
        }
        text
    }

    fn skip(&mut self, file: PathBuf, name: Option<String>, fault: ConfigFault) {
        self.skipped.push(Skipped { file, name, fault });
    }
}

fn read_network(
    folder: &Path,
    text: &str,
    programs: &PluginFolders,
) -> Result<Network, ConfigFault> {
    let mut network = Network::parse(text)?;
    if !network.load_only_inlined_plugins {
        let fragments = read_fragments(&folder.join(network.name.as_str()))?;
        network.append(fragments);
    }
    if programs.find(PORT_MAPPER).is_none() {
        network = port_mapper::translated(network)?;
    }
    network.completed()
}

/// The plugins in the folder that bears a network's name, if there is one.
fn read_fragments(folder: &Path) -> Result<Vec<Plugin>, ConfigFault> {
    let files = match files(folder) {
        Ok(files) => files,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => {
            let problem = format!("cannot be read: {error}");
            return Err(ConfigFault::new(folder.display().to_string(), problem));
        }
    };
    let of_plugins = files.iter().filter(|file| {
        file.extension()
            .is_some_and(|extension| extension == "conf")
    });
    of_plugins
        .map(|file| {
            let at = file.display().to_string();
            let text = std::fs::read_to_string(file)
                .map_err(|error| ConfigFault::new(&at, format!("cannot be read: {error}")))?;
            match serde_json::from_str(&text) {
                Ok(Value::Object(object)) => Plugin::read(object, &at),
                Ok(_) => Err(ConfigFault::new(&at, "must hold the object of a plugin")),
                Err(error) => Err(ConfigFault::new(&at, format!("holds no JSON: {error}"))),
            }
        })
        .collect()
}

/// Files that are not hidden, by name.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The name of a network that is otherwise at fault.
fn name_of(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    Some(value.get("name")?.as_str()?.to_owned())
}
