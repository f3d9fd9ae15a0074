//! `POST /api/v1`: the reads of the operator API, and where its other calls lead; what is not built says so by name.

use http::{Method, StatusCode};
use mezz_agent_core::{AgentRecords, ExecutorRecord, FrameworkRecord};
use mezz_http::files_http::{account_name, refusal};
use mezz_http::negotiate::MediaType;
use mezz_http::{Request, Response, respond};
use mezz_proto::v1;
use mezz_proto::v1::agent::{Call, Response as Answer, call::Type, response};
use std::sync::Arc;
use std::time::Duration;

use super::media_types::MediaTypes;
use super::{AgentHttp, MESOS_VERSION, attach, container_calls, containers, metrics, shown};

/// Answers one call.
pub(super) async fn answer(agent: &AgentHttp, mut request: Request) -> Result<Response, Response> {
    agent.view().await?;
    request.expect_method(&[Method::POST])?;
    let types = MediaTypes::of(request.headers())?;
    if types.content == MediaType::RecordIo {
        return attach::streaming(agent, request, types).await;
    }
    let body = request.read_body().await?;
    let call = decode_call(types.content, &body)?;
    types.check(call.r#type())?;
    match call.r#type() {
        Type::SetLoggingLevel => return set_logging_level(agent, &call),
        Type::LaunchNestedContainerSession => return attach::session(agent, call, types).await,
        Type::AttachContainerOutput => return attach::output(agent, &call, types).await,
        kind if container_calls::is_one(kind) => {
            return container_calls::answer(agent, call, types).await;
        }
        _ => {}
    }
    if call.r#type() == Type::PruneImages {
        return prune_images(agent, &call).await;
    }
    let answer = read(agent, &call).await?;
    let mut response = respond::with_type(
        StatusCode::OK,
        types.accept.name(),
        encode(&answer, types.accept),
    );
    respond::compress(request.headers(), &mut response);
    Ok(response)
}

/// Decodes a call and holds it against the rules.
pub(super) fn decode_call(media: MediaType, body: &[u8]) -> Result<Call, Response> {
    let mut call: Call = decode(media, body)?;
    call.r#type = call.r#type.filter(|number| Type::try_from(*number).is_ok());
    validate(&call)
        .and_then(|()| container_calls::validate(&call))
        .map_err(|error| {
            respond::bad_request(format!("Failed to validate agent::Call: {error}"))
        })?;
    Ok(call)
}

/// Decodes a call; the texts of refusals are Mesos's.
pub(super) fn decode<M: mezz_proto::Json>(media: MediaType, body: &[u8]) -> Result<M, Response> {
    match media {
        MediaType::Protobuf => {
            mezz_proto::decode_binary(body).map_err(|error| respond::bad_request(error.to_string()))
        }
        MediaType::Json | MediaType::RecordIo => {
            mezz_proto::from_json(body).map_err(|error| respond::bad_request(error.to_string()))
        }
    }
}

pub(super) fn encode(answer: &Answer, media: MediaType) -> Vec<u8> {
    match media {
        MediaType::Protobuf => prost::Message::encode_to_vec(answer),
        MediaType::Json | MediaType::RecordIo => mezz_proto::to_json(answer),
    }
}

fn validate(call: &Call) -> Result<(), String> {
    if call.r#type.is_none() {
        return Err("Expecting 'type' to be present".to_owned());
    }
    let missing = match call.r#type() {
        Type::GetMetrics => call.get_metrics.is_none(),
        Type::SetLoggingLevel => call.set_logging_level.is_none(),
        Type::ListFiles => call.list_files.is_none(),
        Type::ReadFile => call.read_file.is_none(),
        Type::LaunchNestedContainer => call.launch_nested_container.is_none(),
        Type::WaitNestedContainer => call.wait_nested_container.is_none(),
        Type::KillNestedContainer => call.kill_nested_container.is_none(),
        Type::RemoveNestedContainer => call.remove_nested_container.is_none(),
        Type::LaunchNestedContainerSession => call.launch_nested_container_session.is_none(),
        Type::AttachContainerInput => call.attach_container_input.is_none(),
        Type::AttachContainerOutput => call.attach_container_output.is_none(),
        Type::LaunchContainer => call.launch_container.is_none(),
        Type::WaitContainer => call.wait_container.is_none(),
        Type::KillContainer => call.kill_container.is_none(),
        Type::RemoveContainer => call.remove_container.is_none(),
        _ => false,
    };
    if missing {
        Err(format!(
            "Expecting '{}' to be present",
            call.r#type().as_str_name().to_lowercase()
        ))
    } else {
        Ok(())
    }
}

fn set_logging_level(agent: &AgentHttp, call: &Call) -> Result<Response, Response> {
    let wanted = call.set_logging_level.unwrap_or_default();
    let duration = Duration::from_nanos(u64::try_from(wanted.duration.nanoseconds).unwrap_or(0));
    agent
        .logging
        .set(wanted.level, duration)
        .map_err(respond::bad_request)?;
    Ok(respond::ok())
}

/// Removes the images that no container stands on; those that are named stay.
async fn prune_images(agent: &AgentHttp, call: &Call) -> Result<Response, Response> {
    let excluded = call.prune_images.clone().unwrap_or_default();
    let names = excluded.excluded_images.into_iter();
    let names: Vec<String> = names.filter_map(|image| Some(image.docker?.name)).collect();
    let native = Arc::clone(&agent.native);
    blocking(move || native.prune(&names))
        .await?
        .map_err(respond::bad_request)?;
    Ok(respond::ok())
}

async fn read(agent: &AgentHttp, call: &Call) -> Result<Answer, Response> {
    use response::Type as Kind;
    let mut answer = Answer::default();
    let kind = match call.r#type() {
        Type::GetHealth => {
            answer.get_health = Some(response::GetHealth { healthy: true });
            Kind::GetHealth
        }
        Type::GetFlags => {
            answer.get_flags = Some(flags(agent));
            Kind::GetFlags
        }
        Type::GetVersion => {
            answer.get_version = Some(version());
            Kind::GetVersion
        }
        Type::GetMetrics => {
            answer.get_metrics = Some(get_metrics(agent).await?);
            Kind::GetMetrics
        }
        Type::GetLoggingLevel => {
            answer.get_logging_level = Some(response::GetLoggingLevel {
                level: agent.logging.get(),
            });
            Kind::GetLoggingLevel
        }
        Type::ListFiles => {
            answer.list_files = Some(list_files(agent, call).await?);
            Kind::ListFiles
        }
        Type::ReadFile => {
            answer.read_file = Some(read_file(agent, call).await?);
            Kind::ReadFile
        }
        Type::GetContainers => {
            let asked = call.get_containers.unwrap_or_default();
            let others = containers::Others {
                nested: asked.show_nested(),
                standalone: asked.show_standalone(),
            };
            answer.get_containers = Some(response::GetContainers {
                containers: containers::list(agent, others).await?,
            });
            Kind::GetContainers
        }
        _ => records(&*agent.view().await?, call.r#type(), &mut answer)?,
    };
    answer.r#type = Some(kind.into());
    Ok(answer)
}

/// The calls that show the records.
fn records(
    records: &AgentRecords,
    kind: Type,
    answer: &mut Answer,
) -> Result<response::Type, Response> {
    use response::Type as Kind;
    Ok(match kind {
        Type::GetState => {
            answer.get_state = Some(response::GetState {
                get_tasks: Some(tasks(records)),
                get_executors: Some(executors(records)),
                get_frameworks: Some(frameworks(records)),
            });
            Kind::GetState
        }
        Type::GetFrameworks => {
            answer.get_frameworks = Some(frameworks(records));
            Kind::GetFrameworks
        }
        Type::GetExecutors => {
            answer.get_executors = Some(executors(records));
            Kind::GetExecutors
        }
        Type::GetTasks => {
            answer.get_tasks = Some(tasks(records));
            Kind::GetTasks
        }
        Type::GetOperations => {
            answer.get_operations = Some(response::GetOperations {
                operations: Vec::new(),
            });
            Kind::GetOperations
        }
        Type::GetAgent => {
            answer.get_agent = Some(response::GetAgent {
                agent_info: Some((*records.agent).clone()),
                ..response::GetAgent::default()
            });
            Kind::GetAgent
        }
        Type::GetResourceProviders => {
            answer.get_resource_providers = Some(response::GetResourceProviders {
                resource_providers: Vec::new(),
            });
            Kind::GetResourceProviders
        }
        other => {
            return Err(respond::not_implemented(format!(
                "{} is not built yet",
                other.as_str_name()
            )));
        }
    })
}

fn flags(agent: &AgentHttp) -> response::GetFlags {
    let flag = |(name, value): (&String, &String)| v1::Flag {
        name: name.clone(),
        value: Some(value.clone()),
    };
    response::GetFlags {
        flags: agent.flags.values().iter().map(flag).collect(),
    }
}

fn version() -> response::GetVersion {
    let version_info = v1::VersionInfo {
        version: MESOS_VERSION.to_owned(),
        build_date: Some("2026-01-01".to_owned()),
        build_time: Some(0.0),
        build_user: Some("mezz".to_owned()),
        ..v1::VersionInfo::default()
    };
    response::GetVersion { version_info }
}

async fn get_metrics(agent: &AgentHttp) -> Result<response::GetMetrics, Response> {
    let metric = |(name, value): (&str, f64)| v1::Metric {
        name: name.to_owned(),
        value: Some(value),
    };
    Ok(response::GetMetrics {
        metrics: metrics::all(agent).await?.into_iter().map(metric).collect(),
    })
}

fn frameworks(records: &AgentRecords) -> response::GetFrameworks {
    let shown = |record: &std::sync::Arc<FrameworkRecord>| response::get_frameworks::Framework {
        framework_info: (*record.info).clone(),
    };
    response::GetFrameworks {
        frameworks: records.frameworks.iter().map(shown).collect(),
        completed_frameworks: records.completed_frameworks.iter().map(shown).collect(),
    }
}

fn executors(records: &AgentRecords) -> response::GetExecutors {
    let shown = |framework: &FrameworkRecord, record: &ExecutorRecord| {
        let mut executor_info = (*record.info()).clone();
        executor_info.framework_id.clone_from(&framework.info.id);
        response::get_executors::Executor { executor_info }
    };
    let mut answer = response::GetExecutors::default();
    answer
        .executors
        .extend(shown::executors(records).map(|(framework, executor)| shown(framework, executor)));
    for framework in records
        .frameworks
        .iter()
        .chain(&records.completed_frameworks)
    {
        answer.completed_executors.extend(
            framework
                .completed_executors
                .iter()
                .map(|executor| shown(framework, executor)),
        );
    }
    answer
}

fn tasks(records: &AgentRecords) -> response::GetTasks {
    let mut answer = response::GetTasks::default();
    for framework in records
        .frameworks
        .iter()
        .chain(&records.completed_frameworks)
    {
        for executor in framework
            .executors
            .iter()
            .chain(&framework.completed_executors)
        {
            let of = |task| shown::task(records, framework, executor, task);
            answer.queued_tasks.extend(executor.queued.iter().map(of));
            for task in &executor.tasks {
                let list = if shown::is_terminal(task.state) {
                    &mut answer.terminated_tasks
                } else {
                    &mut answer.launched_tasks
                };
                list.push(of(task));
            }
            answer
                .completed_tasks
                .extend(executor.completed.iter().map(|task| of(task)));
        }
    }
    answer
}

async fn list_files(agent: &AgentHttp, call: &Call) -> Result<response::ListFiles, Response> {
    let path = call.list_files.clone().unwrap_or_default().path;
    let files = agent.files.clone();
    let entries = blocking(move || files.browse(&path))
        .await?
        .map_err(refusal)?;
    let info = |entry: &mezz_http::files::Entry| v1::FileInfo {
        path: entry.path.clone(),
        nlink: Some(i32::try_from(entry.nlink).unwrap_or(i32::MAX)),
        size: Some(entry.size),
        mtime: Some(v1::TimeInfo {
            nanoseconds: entry.mtime_seconds.saturating_mul(1_000_000_000),
        }),
        mode: Some(entry.mode),
        uid: Some(account_name("/etc/passwd", entry.uid)),
        gid: Some(account_name("/etc/group", entry.gid)),
    };
    Ok(response::ListFiles {
        file_infos: entries.iter().map(info).collect(),
    })
}

async fn read_file(agent: &AgentHttp, call: &Call) -> Result<response::ReadFile, Response> {
    let wanted = call.read_file.clone().unwrap_or_default();
    let files = agent.files.clone();
    let piece = blocking(move || {
        let offset = i64::try_from(wanted.offset).unwrap_or(i64::MAX);
        files.read(
            &wanted.path,
            offset,
            wanted
                .length
                .map(|length| i64::try_from(length).unwrap_or(i64::MAX)),
        )
    });
    let piece = piece.await?.map_err(refusal)?;
    Ok(response::ReadFile {
        size: piece.size,
        data: piece.data.into(),
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
