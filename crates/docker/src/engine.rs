//! The Engine's calls, one by one.
//!
//! Must never decide what becomes of a container.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::create::CreateRequest;
use crate::error::EngineError;
use crate::inspect::Inspected;
use crate::name::ContainerName;
use crate::output::OutputStream;
use crate::transport::{Call, Transport, escaped};

/// The client of one Engine.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) transport: Transport,
}

/// What the Engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EngineVersion {
    /// Of the Engine.
    pub version: String,
    /// Of its API.
    pub api_version: String,
}

/// A container that was made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    /// The Engine's id of it.
    pub id: String,
    /// What it could not do as asked.
    #[serde(default)]
    pub warnings: Option<Vec<String>>,
}

/// A container of a list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    /// The Engine's id of it.
    pub id: String,
    /// What it was marked with.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i64,
}

impl Engine {
    /// Of the Engine at this socket; nothing is asked yet.
    pub fn at(socket: &Path) -> Self {
        Self {
            transport: Transport::new(socket),
        }
    }

    /// What it says of itself.
    pub async fn version(&self) -> Result<EngineVersion, EngineError> {
        self.transport.get(Call::get("version", "/version")).await
    }

    /// Whether it has this image.
    pub async fn has_image(&self, image: &str) -> Result<bool, EngineError> {
        let path = format!("/images/{}/json", escaped(image));
        match self.transport.ask(Call::get("inspect image", path)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a container.
    pub async fn create(
        &self,
        name: &ContainerName,
        request: &CreateRequest,
    ) -> Result<Created, EngineError> {
        let call = "create container";
        let body =
            serde_json::to_vec(request).map_err(|source| EngineError::Answer { call, source })?;
        let path = format!("/containers/create?name={}", escaped(name.as_str()));
        self.transport.get(Call::post(call, path).with(body)).await
    }

    /// Starts a container; one that runs is left as it is.
    pub async fn start(&self, container: &str) -> Result<(), EngineError> {
        let call = of_container("start container", container, "start");
        done(self.transport.ask(call).await)
    }

    /// What it tells of a container, and the same as it was told.
    pub async fn inspect(&self, container: &str) -> Result<(Inspected, String), EngineError> {
        let call = "inspect container";
        let path = format!("/containers/{}/json", escaped(container));
        let text = self.transport.ask(Call::get(call, path)).await?;
        let text = String::from_utf8_lossy(&text).into_owned();
        match Inspected::parse(&text) {
            Ok(inspected) => Ok((inspected, text)),
            Err(source) => Err(EngineError::Answer { call, source }),
        }
    }

    /// Both outputs of a container, from now on.
    pub async fn attach(&self, container: &str) -> Result<OutputStream, EngineError> {
        let query = "attach?stream=1&stdout=1&stderr=1";
        let call = of_container("attach to container", container, query);
        Ok(OutputStream::new(self.transport.open(call).await?))
    }

    /// The exit code of a container, when it has ended.
    pub async fn wait(&self, container: &str) -> Result<i64, EngineError> {
        let call = of_container("wait for container", container, "wait");
        let name = call.name;
        let answer = self.transport.open(call).await?;
        let text = crate::transport::whole(name, answer).await?;
        let waited: Waited = serde_json::from_slice(&text)
            .map_err(|source| EngineError::Answer { call: name, source })?;
        Ok(waited.status_code)
    }

    /// Sends a signal to a container's first process; one that has ended is left alone.
    pub async fn signal(&self, container: &str, signal: &str) -> Result<(), EngineError> {
        let action = format!("kill?signal={}", escaped(signal));
        let call = of_container("signal container", container, &action);
        done(self.transport.ask(call).await)
    }

    /// Ends a container if it runs, and removes it with its anonymous volumes; one that is not there is left so.
    pub async fn remove(&self, container: &str) -> Result<(), EngineError> {
        let path = format!("/containers/{}?force=1&v=1", escaped(container));
        let call = Call::of("remove container", http::Method::DELETE, path);
        match self.transport.ask(call).await {
            Err(error) if error.is_missing() => Ok(()),
            other => done(other),
        }
    }

    /// All containers, also such as have ended, with this label.
    pub async fn list(&self, key: &str, value: &str) -> Result<Vec<Listed>, EngineError> {
        let filter = serde_json::json!({ "label": [format!("{key}={value}")] }).to_string();
        let path = format!("/containers/json?all=1&filters={}", escaped(&filter));
        self.transport.get(Call::get("list containers", path)).await
    }
}

fn of_container(name: &'static str, container: &str, action: &str) -> Call {
    Call::post(name, format!("/containers/{}/{action}", escaped(container)))
}

fn done<T>(outcome: Result<T, EngineError>) -> Result<(), EngineError> {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) if error.is_done_already() => Ok(()),
        Err(error) => Err(error),
    }
}
