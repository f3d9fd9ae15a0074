//! The environment of an instance: from its groups, from us, from its template; the later wins.

use std::collections::BTreeMap;

use mezz_proto::v1;
use mezz_spec::template::{Command, Container, Entry, EnvValue, MaterialRef};
use mezz_spec::{Kind, Name, Spec};
use v1::environment::Variable;
use v1::environment::variable::Type;
use v1::secret::Reference;

use crate::instances::task::{StartError, TaskPlan};
use crate::workloads::Workloads;

/// What a config or secret holds for an instance: a text, or where the shell finds it.
pub(crate) enum Material {
    Text(String),
    Secret(Reference),
}

impl Workloads {
    pub(crate) fn environment(&self, plan: &TaskPlan<'_>) -> Result<v1::Environment, StartError> {
        let mut all: BTreeMap<String, Variable> = BTreeMap::new();
        let mut put = |name: &str, value: String| {
            all.insert(name.to_owned(), plain(name, value));
        };
        for (name, value) in plan.env {
            put(name, value.clone());
        }
        put("HOST", plan.agent.hostname.to_string());
        put("MEZZ_NAME", plan.name.to_string());
        put("MEZZ_INSTANCE", plan.id.to_owned());
        // What programs that ran under Marathon look for.
        put("MESOS_TASK_ID", plan.id.to_owned());
        put("MEZZ_AGENT", plan.agent.id.to_string());
        for (name, value) in plan.extra {
            put(name, value.clone());
        }
        put_ports(plan, &mut put);
        put_log_limits(plan.container, &mut put);
        for (name, value) in &plan.container.env {
            let variable = match value {
                EnvValue::Text(text) => plain(name, text.clone()),
                EnvValue::From(from) => match self.material(from)? {
                    Material::Text(text) => plain(name, text),
                    Material::Secret(reference) => Variable {
                        name: name.clone(),
                        r#type: Some(Type::Secret as i32),
                        value: None,
                        secret: Some(v1::Secret {
                            r#type: Some(v1::secret::Type::Reference as i32),
                            reference: Some(reference),
                            value: None,
                        }),
                    },
                },
            };
            all.insert(name.clone(), variable);
        }
        Ok(v1::Environment {
            variables: all.into_values().collect(),
        })
    }

    /// What a reference to a config or secret stands for.
    pub(crate) fn material(&self, from: &MaterialRef) -> Result<Material, StartError> {
        match from {
            MaterialRef::Config(entry) => {
                let object = self.object(Kind::Config, &entry.name);
                let Some(Spec::Config(config)) = object.map(|object| &*object.spec) else {
                    return Err(StartError::Missing(Kind::Config, entry.name.to_string()));
                };
                let key = key_of(Kind::Config, entry, config.data.keys())?;
                Ok(Material::Text(config.data[key].clone()))
            }
            MaterialRef::Secret(entry) => {
                let object = self.object(Kind::Secret, &entry.name);
                let Some(Spec::Secret(secret)) = object.map(|object| &*object.spec) else {
                    return Err(StartError::Missing(Kind::Secret, entry.name.to_string()));
                };
                let key = key_of(Kind::Secret, entry, secret.data.keys())?;
                let digest = secret.digest.as_deref().unwrap_or_default();
                Ok(Material::Secret(Reference {
                    name: secret_version(&entry.name, digest),
                    key: Some(key.clone()),
                }))
            }
        }
    }

    /// Why an instance of this container cannot be started now, as far as configs and secrets go.
    pub(crate) fn missing_material(&self, container: &Container) -> Option<StartError> {
        let from_env = container.env.values().filter_map(|value| match value {
            EnvValue::From(from) => Some(from),
            EnvValue::Text(_) => None,
        });
        let from_files = container.files.iter().map(|file| &file.from);
        from_env
            .chain(from_files)
            .find_map(|from| self.material(from).err())
    }
}

/// What an instance refers to: a secret as it was when the instance was started.
pub(crate) fn secret_version(name: &Name, digest: &str) -> String {
    format!("{name}@{digest}")
}

fn key_of<'a>(
    kind: Kind,
    entry: &Entry,
    mut keys: impl Iterator<Item = &'a String> + Clone,
) -> Result<&'a String, StartError> {
    let name = entry.name.to_string();
    match &entry.key {
        Some(key) => keys
            .find(|found| *found == key)
            .ok_or_else(|| StartError::NoKey(kind, name, key.clone())),
        None => match (keys.next(), keys.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(StartError::WhichKey(kind, name)),
        },
    }
}

fn put_ports(plan: &TaskPlan<'_>, put: &mut impl FnMut(&str, String)) {
    let numbers: Vec<String> = plan.ports.iter().map(ToString::to_string).collect();
    if let Some(first) = numbers.first() {
        put("PORT", first.clone());
        put("PORTS", numbers.join(","));
    }
    for (index, (port, number)) in plan.container.ports.iter().zip(&numbers).enumerate() {
        put(&format!("PORT{index}"), number.clone());
        let name: String = port
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        put(&format!("PORT_{name}"), number.clone());
    }
}

/// What of its output an agent keeps, in Mesos's words: the file that is written to and one older, each half of all.
fn put_log_limits(container: &Container, put: &mut impl FnMut(&str, String)) {
    let Some(size) = container.logs.as_ref().and_then(|logs| logs.max_size) else {
        return;
    };
    for stream in ["STDOUT", "STDERR"] {
        let half = format!("{}KB", size.0 / 2);
        put(&format!("CONTAINER_LOGGER_MAX_{stream}_SIZE"), half);
        let kept = "rotate 1".to_owned();
        put(
            &format!("CONTAINER_LOGGER_LOGROTATE_{stream}_OPTIONS"),
            kept,
        );
    }
}

fn plain(name: &str, value: String) -> Variable {
    Variable {
        name: name.to_owned(),
        r#type: None,
        value: Some(value),
        secret: None,
    }
}

/// A command as a task or a check runs it.
pub(crate) fn command_info(command: &Command) -> v1::CommandInfo {
    match command {
        Command::Shell(text) => v1::CommandInfo {
            shell: Some(true),
            value: Some(text.clone()),
            ..v1::CommandInfo::default()
        },
        Command::Words(words) => v1::CommandInfo {
            shell: Some(false),
            value: words.first().cloned(),
            arguments: words.clone(),
            ..v1::CommandInfo::default()
        },
    }
}
