//! Commands in a container that runs.

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::output::OutputStream;
use crate::transport::{Call, escaped};

/// A command to run in a container, as the container's own user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ExecRequest<'a> {
    attach_stdout: bool,
    attach_stderr: bool,
    cmd: &'a [String],
    env: &'a [String],
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    id: String,
}

/// How a command in a container is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ExecState {
    pub(crate) running: bool,
    pub(crate) exit_code: Option<i64>,
    pub(crate) pid: i32,
}

impl Engine {
    /// Makes a command ready; the answer is its id.
    pub(crate) async fn make_exec(
        &self,
        container: &str,
        command: &[String],
        environment: &[String],
    ) -> Result<String, EngineError> {
        let call = "make a command in a container";
        let request = ExecRequest {
            attach_stdout: true,
            attach_stderr: true,
            cmd: command,
            env: environment,
        };
        let body =
            serde_json::to_vec(&request).map_err(|source| EngineError::Answer { call, source })?;
        let path = format!("/containers/{}/exec", escaped(container));
        let made: Made = self
            .transport
            .get(Call::post(call, path).with(body))
            .await?;
        Ok(made.id)
    }

    /// Runs it; its output ends when it has.
    pub(crate) async fn start_exec(&self, id: &str) -> Result<OutputStream, EngineError> {
        let call = Call::post(
            "run a command in a container",
            format!("/exec/{}/start", escaped(id)),
        );
        let body = br#"{"Detach":false,"Tty":false}"#.to_vec();
        Ok(OutputStream::new(
            self.transport.open(call.with(body)).await?,
        ))
    }

    pub(crate) async fn exec_state(&self, id: &str) -> Result<ExecState, EngineError> {
        let call = Call::get(
            "inspect a command in a container",
            format!("/exec/{}/json", escaped(id)),
        );
        self.transport.get(call).await
    }
}
