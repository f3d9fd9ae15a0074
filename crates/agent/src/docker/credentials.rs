//! Who we are to the registry of an image: by what the task has fetched, else by what the operator says.

use std::io::{self, Read as _};
use std::path::Path;

use mezz_docker::RegistryAuth;
use mezz_image::credentials::{Credential, CredentialsError, DockerConfig};
use mezz_image::reference::{Reference, ReferenceError};

use crate::fetch::beneath::Sandbox;

/// Where Docker's own command line looks, with the sandbox as its home.
const FILES: [&str; 2] = [".docker/config.json", ".dockercfg"];
/// More than any such file has.
const LONGEST: u64 = 1 << 20;

/// Why credentials are of no use.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error("{file} in the sandbox: {source}")]
    Read {
        file: &'static str,
        source: io::Error,
    },
    #[error("{file} in the sandbox: {source}")]
    Config {
        file: &'static str,
        source: CredentialsError,
    },
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("container.docker.image: {0}")]
    Image(#[from] ReferenceError),
}

/// What an operator gives: Docker's JSON, or where a file of it is.
pub(crate) fn config(given: &str) -> Result<DockerConfig, AuthError> {
    if given.trim_start().starts_with('{') {
        return Ok(DockerConfig::parse(given)?);
    }
    let path = given.strip_prefix("file://").unwrap_or(given);
    let text = std::fs::read_to_string(path).map_err(|source| AuthError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(DockerConfig::parse(&text)?)
}

/// What was fetched into the sandbox. No link leads out of it.
pub(super) fn of_sandbox(sandbox: &Path) -> Result<Option<DockerConfig>, AuthError> {
    for file in FILES {
        let read = |source| AuthError::Read { file, source };
        let content = match Sandbox::open(sandbox).and_then(|sandbox| sandbox.read(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(read)?,
        };
        let mut text = String::new();
        let mut content = content.take(LONGEST);
        content.read_to_string(&mut text).map_err(read)?;
        let config = DockerConfig::parse(&text);
        return config
            .map(Some)
            .map_err(|source| AuthError::Config { file, source });
    }
    Ok(None)
}

/// Who we are to this image's registry, if we are anybody there.
pub(super) fn registry_auth(
    config: Option<&DockerConfig>,
    image: &str,
) -> Result<Option<RegistryAuth>, AuthError> {
    let Some(config) = config else {
        return Ok(None);
    };
    let reference = Reference::parse(image)?;
    let Some(credential) = config.for_host(reference.host())? else {
        return Ok(None);
    };
    let mut auth = RegistryAuth {
        serveraddress: reference.host().as_str().to_owned(),
        ..RegistryAuth::default()
    };
    match credential {
        Credential::Password { user, password } => {
            auth.username.clone_from(user);
            auth.password.clone_from(password);
        }
        Credential::IdentityToken(token) => auth.identitytoken.clone_from(token),
        Credential::RegistryToken(token) => auth.registrytoken.clone_from(token),
    }
    Ok(Some(auth))
}
