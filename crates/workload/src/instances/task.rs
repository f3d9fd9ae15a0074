//! The task of an instance, from its template and the place that it got.

use std::collections::BTreeMap;

use mezz_proto::agent_protocol::{InstanceFile, InstanceTerms, PreStop};
use mezz_proto::v1;
use mezz_spec::template::{
    Artifact, Container, EnvValue, Kill, Limit, MaterialFile, MaterialRef, Template,
};
use mezz_spec::{Kind, Name};

use crate::event::AgentInfo;
use crate::instances::environment::{Material, command_info};
use crate::instances::{checks, ports, wire_labels};
use crate::workloads::Workloads;

/// Why an instance cannot be started now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StartError {
    #[error("there is no {0} '{1}', which its environment or files refer to")]
    Missing(Kind, String),
    #[error("{0} '{1}' has no key '{2}', which its environment or files refer to")]
    NoKey(Kind, String, String),
    #[error("{0} '{1}' has not exactly one key; say in the reference which one is meant")]
    WhichKey(Kind, String),
}

/// What a task is made of.
pub(crate) struct TaskPlan<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a Name,
    pub(crate) template: &'a Template,
    pub(crate) container: &'a Container,
    /// In the order of the container's ports.
    pub(crate) ports: &'a [u16],
    pub(crate) agent: &'a AgentInfo,
    pub(crate) labels: &'a BTreeMap<String, String>,
    /// From the groups.
    pub(crate) env: &'a BTreeMap<String, String>,
    /// From the controller: what the instance is.
    pub(crate) extra: &'a [(String, String)],
}

impl Workloads {
    /// The task, without agent id and resources.
    pub(crate) fn task_info(&self, plan: &TaskPlan<'_>) -> Result<v1::TaskInfo, StartError> {
        let container = plan.container;
        let mut command = container
            .command
            .as_ref()
            .map_or_else(of_image, command_info);
        command.user.clone_from(&plan.template.user);
        command.uris = container.artifacts.iter().map(uri).collect();
        command.environment = Some(self.environment(plan)?);
        let name = host_name(plan.name);
        Ok(v1::TaskInfo {
            task_id: v1::TaskId {
                value: plan.id.to_owned(),
            },
            command: Some(command),
            container: container.image.as_deref().map(in_image),
            health_check: first(checks::health(container, plan.ports)),
            check: first(checks::checks(container, plan.ports)),
            kill_policy: Some(kill_policy(&plan.template.kill)),
            labels: wire_labels(plan.labels),
            discovery: (!plan.ports.is_empty()).then(|| {
                Box::new(v1::DiscoveryInfo {
                    visibility: v1::discovery_info::Visibility::Framework as i32,
                    name: Some(name.clone()),
                    ports: Some(ports::announced(&container.ports, plan.ports)),
                    ..v1::DiscoveryInfo::default()
                })
            }),
            limits: limits(container),
            name,
            ..v1::TaskInfo::default()
        })
    }

    /// What the task has no room for.
    pub(crate) fn terms(
        &self,
        container: &Container,
        numbers: &[u16],
    ) -> Result<Option<Box<InstanceTerms>>, StartError> {
        let files = container.files.iter().map(|file| self.file(file));
        let health = container.checks.health().iter();
        let mut http = health.filter_map(|check| check.http.as_ref());
        let terms = InstanceTerms {
            files: files.collect::<Result<_, StartError>>()?,
            secrets: Vec::new(),
            pre_stop: container.pre_stop.as_ref().map(|own| PreStop {
                command: own.command.as_ref().map(command_info),
                url: own.http.as_ref().map(|http| {
                    let port = ports::number(&http.port, &container.ports, numbers);
                    let scheme = checks::scheme(http.scheme);
                    format!("{scheme}://127.0.0.1:{port}{}", http.path)
                }),
                timeout_ns: own.timeout.nanoseconds(),
            }),
            exact_statuses: http.any(|http| !http.statuses.is_empty()).then_some(true),
            health_checks: others(checks::health(container, numbers)),
            checks: others(checks::checks(container, numbers)),
            https_checks: checks::https(container),
        };
        let has_secrets = container
            .env
            .values()
            .any(|value| matches!(value, EnvValue::From(MaterialRef::Secret(_))));
        let is_needed = has_secrets || terms != InstanceTerms::default();
        Ok(is_needed.then(|| Box::new(terms)))
    }

    fn file(&self, file: &MaterialFile) -> Result<InstanceFile, StartError> {
        let (content, secret) = match self.material(&file.from)? {
            Material::Text(text) => (Some(text.into_bytes().into()), None),
            Material::Secret(reference) => (None, Some(reference)),
        };
        Ok(InstanceFile {
            path: file.path.clone(),
            content,
            secret,
        })
    }
}

/// What runs is for the image to say.
fn of_image() -> v1::CommandInfo {
    v1::CommandInfo {
        shell: Some(false),
        ..v1::CommandInfo::default()
    }
}

fn in_image(name: &str) -> Box<v1::ContainerInfo> {
    Box::new(v1::ContainerInfo {
        r#type: v1::container_info::Type::Mesos.into(),
        mesos: Some(v1::container_info::MesosInfo {
            image: Some(v1::Image {
                r#type: v1::image::Type::Docker.into(),
                docker: Some(v1::image::Docker {
                    name: name.to_owned(),
                    ..v1::image::Docker::default()
                }),
                ..v1::Image::default()
            }),
        }),
        ..v1::ContainerInfo::default()
    })
}

/// A name as host names are written, the innermost part first: `/team/app` is `app.team`.
pub(crate) fn host_name(name: &Name) -> String {
    let parts: Vec<&str> = name.components().rev().collect();
    parts.join(".")
}

/// What a task has room for.
fn first<T>(checks: Vec<T>) -> Option<Box<T>> {
    checks.into_iter().next().map(Box::new)
}

/// What it has no room for.
fn others<T>(checks: Vec<T>) -> Vec<T> {
    checks.into_iter().skip(1).collect()
}

fn uri(artifact: &Artifact) -> v1::command_info::Uri {
    v1::command_info::Uri {
        value: artifact.uri.clone(),
        executable: Some(artifact.executable),
        extract: Some(artifact.extract && !artifact.executable),
        cache: Some(artifact.cache),
        output_file: artifact.path.clone(),
    }
}

fn kill_policy(kill: &Kill) -> v1::KillPolicy {
    v1::KillPolicy {
        grace_period: Some(v1::DurationInfo {
            nanoseconds: i64::try_from(kill.grace.nanoseconds()).unwrap_or(i64::MAX),
        }),
    }
}

fn limits(container: &Container) -> BTreeMap<String, v1::value::Scalar> {
    let mut limits = BTreeMap::new();
    let Some(bounds) = &container.resources.limits else {
        return limits;
    };
    let scalar = |thousandths: u64| v1::value::Scalar {
        value: thousandths as f64 / 1_000.0,
    };
    let unlimited = v1::value::Scalar {
        value: f64::INFINITY,
    };
    if let Some(cpus) = bounds.cpus {
        let value = match cpus {
            Limit::Amount(cpus) => scalar(cpus.0),
            Limit::Unlimited(_) => unlimited,
        };
        limits.insert("cpus".to_owned(), value);
    }
    if let Some(mem) = bounds.mem {
        let value = match mem {
            Limit::Amount(mem) => scalar(mem.mebibytes_thousandths()),
            Limit::Unlimited(_) => unlimited,
        };
        limits.insert("mem".to_owned(), value);
    }
    limits
}
