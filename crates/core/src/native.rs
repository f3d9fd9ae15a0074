//! The built-in framework `mezz`: tasks that people run without a framework of their own.

use mezz_proto::v1;

/// A call to the built-in framework.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum NativeCall {
    /// Place and run one task; answered with `TaskAccepted` once it is durable.
    Run(Box<NativeTask>),
    /// Kill a task of any framework that the caller may touch.
    Kill {
        task_id: String,
        framework_id: Option<String>,
        grace_period_ns: Option<i64>,
    },
}

/// A task as the user wants it; the core adds id and agent.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NativeTask {
    /// Shown name; also the stem of the id when `id` is unset.
    pub name: String,
    /// A wanted id; refused with 409 when it is in use.
    pub id: Option<String>,
    pub role: String,
    /// Higher goes first within the role; above zero, preemptible work of lower priority makes way.
    pub priority: i32,
    pub resources: Vec<v1::Resource>,
    /// How many host ports it wants; they come as `PORT0`… and in its resources.
    pub port_count: u32,
    pub command: v1::CommandInfo,
    pub container: Option<v1::ContainerInfo>,
    pub labels: Option<v1::Labels>,
    pub kill_policy: Option<v1::KillPolicy>,
}
