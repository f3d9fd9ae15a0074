//! The pure function that turns a spec and the facts of the host into a plan.
//!
//! Must never look at the host itself, nor leave a choice to the warden.

use crate::environment::Environment;
use crate::isolating::{IsolationError, isolate};
use crate::isolation_spec::IsolationSpec;
use crate::mounting::sandbox_in_container;
use crate::plan::{CloneMode, Input, KillMethod, LaunchId, LaunchPlan, Output, SessionMode};
use crate::spec::{
    CommandSpec, ContainerSpec, HostFacts, InputSpec, OutputSpec, PidNamespaces, Place, Privilege,
    SandboxContent,
};
use crate::{Credentials, Rlimit};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// How long one step between clone and exec may take unless the agent says otherwise.
pub const DEFAULT_STEP_DEADLINE_MS: u32 = 5_000;

/// Why no plan could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A string that must reach the kernel holds a NUL byte.
    #[error("{field} holds a NUL byte")]
    NulByte {
        /// What holds it.
        field: String,
    },
    /// There is nothing to run.
    #[error("command.value is empty")]
    NoProgram,
    /// The child's `PATH` is empty and the program has no slash.
    #[error("command.value {program:?} has no slash and PATH is empty")]
    NoPath {
        /// What was to be run.
        program: String,
    },
    /// The agent's scope is not a plain name.
    #[error("scope {scope:?} is empty or not made of letters, digits, '-', '_' and '.'")]
    Scope {
        /// The scope.
        scope: String,
    },
    /// An environment variable has an impossible name.
    #[error("environment variable name {name:?} is empty or holds '=' or NUL")]
    EnvironmentName {
        /// The name.
        name: String,
    },
    /// The sandbox is not an absolute path.
    #[error("sandbox {path:?} is not an absolute path")]
    SandboxNotAbsolute {
        /// The path.
        path: String,
    },
    /// A stream's file name is not a plain name.
    #[error("{field} {name:?} is not a plain file name")]
    StreamName {
        /// Which stream.
        field: &'static str,
        /// The name.
        name: String,
    },
    /// The user is unknown on this host.
    #[error("user {name:?} does not exist on this host")]
    UnknownUser {
        /// The user's name.
        name: String,
    },
    /// Another user was asked for, but the agent is not root.
    #[error("cannot run as user {name:?}: the agent runs as uid {uid}, not as root")]
    NotPrivileged {
        /// The wanted user.
        name: String,
        /// The agent's user id.
        uid: u32,
    },
    /// A soft limit is above its hard limit.
    #[error("{resource}: soft limit {soft:?} is above hard limit {hard:?}")]
    RlimitOrder {
        /// The limit's name.
        resource: &'static str,
        /// The soft limit.
        soft: Option<u64>,
        /// The hard limit.
        hard: Option<u64>,
    },
    /// The mask has bits outside 0777.
    #[error("umask {umask:#o} is above 0777")]
    Umask {
        /// The mask.
        umask: u32,
    },
    /// The container cannot be set apart as it shall be.
    #[error(transparent)]
    Isolation(#[from] IsolationError),
}

/// Computes what the warden is to do for `spec` on this host.
pub fn plan(spec: &ContainerSpec, host: &HostFacts) -> Result<LaunchPlan, PlanError> {
    if !spec.sandbox.is_absolute() {
        return Err(PlanError::SandboxNotAbsolute {
            path: spec.sandbox.display().to_string(),
        });
    }
    check_scope(&host.scope)?;
    if let Some(umask) = spec.umask.filter(|umask| *umask > 0o777) {
        return Err(PlanError::Umask { umask });
    }
    check_rlimits(&spec.rlimits)?;
    let user = match &spec.credentials {
        Some(credentials) => switch_to(credentials, &credentials.uid.to_string(), host)?,
        None => user_switch(spec.user.as_deref(), host)?,
    };
    let environment = Environment::merge(
        &host.scope,
        spec.launch_id,
        &host.default_path,
        &spec.environment,
    )?;
    let (programs, argv) = command(&spec.command, environment.path())?;
    let sandbox = sandbox_in_container(&spec.isolation, &spec.sandbox);
    let directory = match &spec.working_directory {
        Some(directory) => sandbox.join(directory),
        None => sandbox.to_owned(),
    };
    let isolation = isolate(spec, host, user.as_ref())?;
    let marker = environment.marker.clone();
    Ok(LaunchPlan {
        launch_id: spec.launch_id,
        clone: clone_mode(spec, host, user.as_ref(), &programs),
        kill: kill_method(spec.launch_id, host)?,
        session: SessionMode::NewSession,
        cgroups: Vec::new(),
        rlimits: spec.rlimits.clone(),
        user,
        umask: spec.umask,
        stdin: match spec.stdio.stdin {
            InputSpec::Null => Input::Null,
            InputSpec::Pipe => Input::Pipe,
        },
        stdout: output("stdio.stdout", &spec.stdio.stdout, sandbox)?,
        stderr: output("stdio.stderr", &spec.stdio.stderr, sandbox)?,
        directory: c_path("working_directory", &directory)?,
        programs,
        argv,
        env: environment.into_entries(),
        marker,
        survival: spec.survival,
        leftovers: spec.leftovers,
        step_deadline_ms: DEFAULT_STEP_DEADLINE_MS,
        isolation,
        terminal: spec.terminal,
    })
}

/// The entry of the environment by which the processes of a launch are known.
pub fn marker(scope: &str, launch_id: LaunchId) -> Result<CString, PlanError> {
    check_scope(scope)?;
    Ok(crate::environment::marker_of(scope, launch_id))
}

/// How a tree launched as `launch_id` is ended on this host.
pub fn kill_method(launch_id: LaunchId, host: &HostFacts) -> Result<KillMethod, PlanError> {
    let leaf = Path::new(&host.scope).join(launch_id.to_string());
    // A host with both is a hybrid one, where a launch through the freezer costs less (by a third where it forks).
    if let Some(root) = &host.freezer_v1 {
        return Ok(KillMethod::FreezerV1 {
            path: c_path("freezer_v1", &root.join(&leaf))?,
        });
    }
    if let Some(root) = &host.cgroup_v2 {
        return Ok(KillMethod::CgroupV2 {
            path: c_path("cgroup_v2", &root.join(&leaf))?,
        });
    }
    Ok(match host.pid_namespaces {
        PidNamespaces::Available => KillMethod::PidNamespace,
        PidNamespaces::Unavailable => KillMethod::Session,
    })
}

/// A child that shares our memory suspends us until it execs: allowed only when nothing that a user chose or can
/// touch lies on its way there. A program elsewhere is as good if it was found on a local disk: it runs as the
/// warden's own user, who could stop the warden anyway.
fn clone_mode(
    spec: &ContainerSpec,
    host: &HostFacts,
    user: Option<&Credentials>,
    programs: &[CString],
) -> CloneMode {
    let fresh = spec.working_directory.is_none() && spec.sandbox_content == SandboxContent::Fresh;
    let own_paths = fresh && host.sandboxes == Place::LocalDisk;
    let trusted = |program: &CString| {
        let path = Path::new(std::ffi::OsStr::from_bytes(program.as_bytes()));
        let plain = path
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let local =
            spec.program_place == Place::LocalDisk && path.is_absolute() && programs.len() == 1;
        plain
            && (local
                || host
                    .trusted_program_dirs
                    .iter()
                    .any(|dir| path.starts_with(dir)))
    };
    let no_namespace = host.cgroup_v2.is_some()
        || host.freezer_v1.is_some()
        || host.pid_namespaces == PidNamespaces::Unavailable;
    let plain = spec.isolation == IsolationSpec::default();
    if plain && user.is_none() && own_paths && no_namespace && programs.iter().all(trusted) {
        CloneMode::Vfork
    } else {
        CloneMode::Fork
    }
}

/// It becomes a directory's name and part of an environment variable.
fn check_scope(scope: &str) -> Result<(), PlanError> {
    let plain = scope
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if scope.trim_matches('.').is_empty() || !plain {
        return Err(PlanError::Scope {
            scope: scope.to_owned(),
        });
    }
    Ok(())
}

fn check_rlimits(rlimits: &[Rlimit]) -> Result<(), PlanError> {
    for limit in rlimits {
        let above = match (limit.soft, limit.hard) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(soft), Some(hard)) => soft > hard,
        };
        if above {
            return Err(PlanError::RlimitOrder {
                resource: limit.resource.name(),
                soft: limit.soft,
                hard: limit.hard,
            });
        }
    }
    Ok(())
}

fn user_switch(name: Option<&str>, host: &HostFacts) -> Result<Option<Credentials>, PlanError> {
    let Some(name) = name else { return Ok(None) };
    let wanted = host.users.get(name).ok_or_else(|| PlanError::UnknownUser {
        name: name.to_owned(),
    })?;
    switch_to(wanted, name, host)
}

fn switch_to(
    wanted: &Credentials,
    name: &str,
    host: &HostFacts,
) -> Result<Option<Credentials>, PlanError> {
    match host.privilege {
        // Root already: a switch to root would only cost the fast path.
        Privilege::Root if wanted.uid == 0 && wanted.gid == 0 => Ok(None),
        Privilege::Root => Ok(Some(wanted.clone())),
        Privilege::User { uid } if uid == wanted.uid => Ok(None),
        Privilege::User { uid } => Err(PlanError::NotPrivileged {
            name: name.to_owned(),
            uid,
        }),
    }
}

fn command(command: &CommandSpec, path: &str) -> Result<(Vec<CString>, Vec<CString>), PlanError> {
    match command {
        CommandSpec::Shell(text) => {
            let argv = vec![
                c"sh".to_owned(),
                c"-c".to_owned(),
                c_string("command.value", text)?,
            ];
            Ok((vec![c"/bin/sh".to_owned()], argv))
        }
        CommandSpec::Argv { program, argv } => {
            if program.is_empty() {
                return Err(PlanError::NoProgram);
            }
            let programs = candidates(program, path)?;
            let argv = if argv.is_empty() {
                vec![c_string("command.value", program)?]
            } else {
                argv.iter()
                    .enumerate()
                    .map(|(index, argument)| {
                        c_string(&format!("command.arguments[{index}]"), argument)
                    })
                    .collect::<Result<_, _>>()?
            };
            Ok((programs, argv))
        }
    }
}

/// What `execvp` would try; an empty entry of `PATH` is the working directory.
fn candidates(program: &str, path: &str) -> Result<Vec<CString>, PlanError> {
    if program.contains('/') {
        return Ok(vec![c_string("command.value", program)?]);
    }
    if path.is_empty() {
        return Err(PlanError::NoPath {
            program: program.to_owned(),
        });
    }
    path.split(':')
        .map(|dir| {
            if dir.is_empty() {
                format!("./{program}")
            } else {
                format!("{dir}/{program}")
            }
        })
        .map(|candidate| c_string("command.value", &candidate))
        .collect()
}

fn output(field: &'static str, output: &OutputSpec, sandbox: &Path) -> Result<Output, PlanError> {
    Ok(match output {
        OutputSpec::Null => Output::Null,
        OutputSpec::Pipe => Output::Pipe,
        OutputSpec::SandboxFile(name) => {
            let mut parts = Path::new(name).components();
            let plain = matches!(
                (parts.next(), parts.next()),
                (Some(Component::Normal(_)), None)
            ) && !name.contains('/');
            if !plain {
                return Err(PlanError::StreamName {
                    field,
                    name: name.clone(),
                });
            }
            Output::Append(c_path(field, &sandbox.join(name))?)
        }
    })
}

pub(crate) fn c_path(field: &str, path: &Path) -> Result<CString, PlanError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| PlanError::NulByte {
        field: field.to_owned(),
    })
}

pub(crate) fn c_string(field: &str, text: &str) -> Result<CString, PlanError> {
    CString::new(text).map_err(|_| PlanError::NulByte {
        field: field.to_owned(),
    })
}
