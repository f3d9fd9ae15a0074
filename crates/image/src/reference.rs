//! Names of images as `docker pull` takes them: `[HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::{Digest, DigestError};

/// The longest name that registries take.
const LONGEST_NAME: usize = 255;
const LONGEST_TAG: usize = 128;
const DEFAULT_TAG: &str = "latest";
const HUB: &str = "docker.io";

/// Why a text names no image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// Nothing at all.
    #[error("the name of the image is empty")]
    Empty,
    /// A host that is none.
    #[error("'{0}' is no host of a registry: HOST or HOST:PORT")]
    Host(String),
    /// A repository with letters that it cannot have.
    #[error(
        "'{0}' is no repository: parts between slashes are lower-case letters and digits, with '.', '_' or '-' within"
    )]
    Repository(String),
    /// More than registries take.
    #[error("the name of an image has at most {LONGEST_NAME} characters, this one has {0}")]
    TooLong(usize),
    /// A tag with letters that it cannot have.
    #[error(
        "'{0}' is no tag: at most {LONGEST_TAG} of letters, digits, '_', '.' and '-', not beginning with '.' or '-'"
    )]
    Tag(String),
    /// What comes after `@`.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// The registry that an image comes from: a host in lower case, perhaps with a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RegistryHost(Box<str>);

impl RegistryHost {
    /// Docker Hub, where names without a host lead.
    pub fn hub() -> Self {
        Self(HUB.into())
    }

    /// Whether this is Docker Hub.
    pub fn is_hub(&self) -> bool {
        &*self.0 == HUB
    }

    /// As in names.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where its API answers, which is elsewhere for Docker Hub.
    pub fn endpoint(&self) -> &str {
        if self.is_hub() {
            "registry-1.docker.io"
        } else {
            &self.0
        }
    }

    /// Whether it is on this machine, where an encrypted connection protects nothing.
    pub fn is_loopback(&self) -> bool {
        let name = self.name();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost"
            || address
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    fn name(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => &self.0,
        }
    }
}

impl FromStr for RegistryHost {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refused = || ReferenceError::Host(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let (name, port) = match lower.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port)),
            _ => (lower.as_str(), None),
        };
        if port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(refused());
        }
        let bracketed = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let valid = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => name.split('.').all(is_label),
        };
        if !valid || lower.len() > LONGEST_NAME {
            return Err(refused());
        }
        let alias = matches!(
            lower.as_str(),
            "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com"
        );
        Ok(if alias {
            Self::hub()
        } else {
            Self(lower.into())
        })
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl TryFrom<String> for RegistryHost {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<RegistryHost> for String {
    fn from(host: RegistryHost) -> Self {
        host.0.into()
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Which image of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// What the tag points at now.
    Tag(Box<str>),
    /// This one for ever; a tag beside it says nothing.
    Digest(Digest),
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => out.write_str(tag),
            Self::Digest(digest) => digest.fmt(out),
        }
    }
}

/// An image of a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Reference {
    host: RegistryHost,
    repository: Box<str>,
    selector: Selector,
}

impl Reference {
    /// Reads a name; one without a host is Docker Hub's.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        Self::parse_with(text, &RegistryHost::hub())
    }

    /// Reads a name; one without a host is of `default`.
    pub fn parse_with(text: &str, default: &RegistryHost) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (host, rest) = match rest.split_once('/') {
            Some((host, rest)) if is_host(host) => (host.parse()?, rest),
            _ => (default.clone(), rest),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if !path.split('/').all(is_path_part) {
            return Err(ReferenceError::Repository(path.to_owned()));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag(tag.to_owned()));
        }
        let repository = if host.is_hub() && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        let length = host.as_str().len() + 1 + repository.len();
        if length > LONGEST_NAME {
            return Err(ReferenceError::TooLong(length));
        }
        let selector = match digest {
            Some(digest) => Selector::Digest(digest),
            None => Selector::Tag(tag.unwrap_or(DEFAULT_TAG).into()),
        };
        let repository = repository.into();
        Ok(Self {
            host,
            repository,
            selector,
        })
    }

    /// Whose it is.
    pub fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// As the registry's API has it: `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Which of the repository.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// As people write it: without the host and folder that are understood.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let Some(path) = full.strip_prefix("docker.io/") else {
            return full;
        };
        path.strip_prefix("library/").unwrap_or(path).to_owned()
    }
}

/// What stands before the first slash is a host if it could not be a folder.
fn is_host(text: &str) -> bool {
    text == "localhost"
        || text.contains(['.', ':'])
        || text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_path_part(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let [Some(first), Some(last)] = [bytes.first(), bytes.last()] else {
        return false;
    };
    word(*first) && word(*last) && bytes.split(|byte| word(*byte)).all(is_separator)
}

fn is_separator(between: &[u8]) -> bool {
    matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|byte| *byte == b'-')
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag.len() <= LONGEST_TAG
        && !tag.starts_with(['.', '-'])
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        Self::parse(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.host, self.repository)?;
        match &self.selector {
            Selector::Tag(tag) => write!(out, ":{tag}"),
            Selector::Digest(digest) => write!(out, "@{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn short_names_mean_what_docker_means_by_them() {
        for (text, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1.36", "docker.io/library/busybox:1.36"),
            ("bitnami/redis", "docker.io/bitnami/redis:latest"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("index.docker.io/a/b:c", "docker.io/a/b:c"),
            ("localhost/x", "localhost/x:latest"),
            ("localhost:5000/x/y:z", "localhost:5000/x/y:z"),
            ("Registry.Example/x", "registry.example/x:latest"),
            ("quay.io/a/b/c/d:1", "quay.io/a/b/c/d:1"),
            ("[::1]:5000/x", "[::1]:5000/x:latest"),
            ("a__b/c-d.e--f", "docker.io/a__b/c-d.e--f:latest"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(Reference::parse(full).unwrap(), reference);
            assert_eq!(Reference::parse(&reference.familiar()).unwrap(), reference);
        }
    }

    #[test]
    fn a_digest_decides_and_the_tag_beside_it_does_not() {
        let reference = Reference::parse(&format!("busybox:1@sha256:{HEX}")).unwrap();
        assert_eq!(
            reference.to_string(),
            format!("docker.io/library/busybox@sha256:{HEX}")
        );
    }

    #[test]
    fn a_name_without_a_host_is_of_the_default_registry() {
        let mine: RegistryHost = "registry.local:5000".parse().unwrap();
        let reference = Reference::parse_with("busybox", &mine).unwrap();
        assert_eq!(reference.to_string(), "registry.local:5000/busybox:latest");
        let other = Reference::parse_with("quay.io/x", &mine).unwrap();
        assert_eq!(other.host().as_str(), "quay.io");
    }

    #[test]
    fn what_names_no_image_is_refused_with_the_part_that_is_wrong() {
        let long = format!("a/{}", "b".repeat(300));
        for (text, reason) in [
            ("", "is empty"),
            ("UPPER", "'UPPER' is no repository"),
            ("a//b", "'a//b' is no repository"),
            ("../x", "no host"),
            ("a/../b", "no repository"),
            ("a..b", "no repository"),
            ("a___b", "no repository"),
            ("-a", "no repository"),
            ("a:", "'' is no tag"),
            ("a:-b", "'-b' is no tag"),
            ("a:b/c", "no host of a registry"),
            ("a/b:c/d", "'c/d' is no tag"),
            ("a@sha256:12", "64 lower-case"),
            ("a@b", "ALGORITHM:HEX"),
            ("host.x:99999/a", "no host of a registry"),
            ("x_y.z/a", "no host of a registry"),
            (&long, "at most 255"),
        ] {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn only_hosts_of_this_machine_are_loopback() {
        for (host, is) in [
            ("localhost:5000", true),
            ("127.0.0.2", true),
            ("[::1]:80", true),
            ("localhost.example", false),
            ("10.0.0.1:5000", false),
        ] {
            let host: RegistryHost = host.parse().unwrap();
            assert_eq!(host.is_loopback(), is, "{host}");
        }
    }
}
