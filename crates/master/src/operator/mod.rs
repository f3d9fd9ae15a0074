//! `POST /api/v1`: the operator API of the master.

mod large;
mod reads;
mod role_reads;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use mezz_core::event::OperatorAction;
use mezz_http::files::Entry;
use mezz_http::files_http::{account_name, refusal};
use mezz_http::negotiate::{self, MediaType};
use mezz_http::{Request, Response, respond};
use mezz_proto::v1;
use mezz_proto::v1::master::call::Type;
use mezz_proto::v1::master::{Call, response};

use crate::leading::require_leader;
use crate::scheduler_api::decode;
use crate::shared::Shared;
use crate::unversioned::{STREAMED_RECORDS, change};
use v1::master::Response as Answer;

/// Answers one call.
pub(crate) async fn handle(shared: &Arc<Shared>, mut request: Request) -> Response {
    match answer(shared, &mut request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answer(shared: &Arc<Shared>, request: &mut Request) -> Result<Response, Response> {
    require_leader(shared, request)?;
    request.expect_method(&[Method::POST])?;
    let media = negotiate::content_type(request.headers())?;
    let body = request.read_body().await?;
    let mut call: Call = decode(media, &body)?;
    call.r#type = call.r#type.filter(|number| Type::try_from(*number).is_ok());
    validate(&call).map_err(|error| {
        respond::bad_request(format!("Failed to validate master::Call: {error}"))
    })?;
    let accepted = negotiate::accept(request.headers())?;
    match call.r#type() {
        Type::Unknown => Err(respond::empty(StatusCode::NOT_IMPLEMENTED)),
        Type::Subscribe => Ok(stream::subscribe(shared, accepted)),
        Type::ListFiles => list_files(shared, &call, accepted).await,
        Type::ReadFile => read_file(shared, &call, accepted).await,
        Type::SetLoggingLevel => {
            let wanted = call.set_logging_level.unwrap_or_default();
            let duration = Duration::from_nanos(
                u64::try_from(wanted.duration.nanoseconds).unwrap_or_default(),
            );
            shared
                .logging
                .set(wanted.level, duration)
                .map_err(respond::bad_request)?;
            Ok(respond::ok())
        }
        Type::GetState => read_large(shared, large::Large::State, accepted, request).await,
        Type::GetTasks => read_large(shared, large::Large::Tasks, accepted, request).await,
        kind => match action(&call) {
            Some(action) => Ok(change(shared, action).await),
            None => read(shared, kind, accepted, request).await,
        },
    }
}

/// A call needs the message that goes with its type.
fn validate(call: &Call) -> Result<(), String> {
    if call.r#type.is_none() {
        return Err("Expecting 'type' to be present".into());
    }
    let present = match call.r#type() {
        Type::GetMetrics => call.get_metrics.is_some(),
        Type::SetLoggingLevel => call.set_logging_level.is_some(),
        Type::ListFiles => call.list_files.is_some(),
        Type::ReadFile => call.read_file.is_some(),
        Type::UpdateWeights => call.update_weights.is_some(),
        Type::ReserveResources => call.reserve_resources.is_some(),
        Type::UnreserveResources => call.unreserve_resources.is_some(),
        Type::CreateVolumes => call.create_volumes.is_some(),
        Type::DestroyVolumes => call.destroy_volumes.is_some(),
        Type::GrowVolume => call.grow_volume.is_some(),
        Type::ShrinkVolume => call.shrink_volume.is_some(),
        Type::UpdateMaintenanceSchedule => call.update_maintenance_schedule.is_some(),
        Type::StartMaintenance => call.start_maintenance.is_some(),
        Type::StopMaintenance => call.stop_maintenance.is_some(),
        Type::DrainAgent => call.drain_agent.is_some(),
        Type::DeactivateAgent => call.deactivate_agent.is_some(),
        Type::ReactivateAgent => call.reactivate_agent.is_some(),
        Type::UpdateQuota => call.update_quota.is_some(),
        Type::Teardown => call.teardown.is_some(),
        Type::MarkAgentGone => call.mark_agent_gone.is_some(),
        #[allow(deprecated)] // Still on the wire.
        Type::SetQuota => call.set_quota.is_some(),
        #[allow(deprecated)] // Still on the wire.
        Type::RemoveQuota => call.remove_quota.is_some(),
        _ => true,
    };
    if present {
        Ok(())
    } else {
        Err(format!(
            "Expecting '{}' to be present",
            call.r#type().as_str_name().to_lowercase()
        ))
    }
}

/// What a changing call asks of the core; none for reads and for what is not built.
fn action(call: &Call) -> Option<OperatorAction> {
    match call.r#type() {
        Type::Teardown => {
            let framework_id = call.teardown.as_ref()?.framework_id.value.clone();
            Some(OperatorAction::Teardown { framework_id })
        }
        Type::UpdateWeights => Some(OperatorAction::UpdateWeights(
            call.update_weights.as_ref()?.weight_infos.clone(),
        )),
        Type::MarkAgentGone => {
            let agent_id = call.mark_agent_gone.as_ref()?.agent_id.value.clone();
            Some(OperatorAction::MarkAgentGone { agent_id })
        }
        Type::DeactivateAgent => {
            let agent_id = call.deactivate_agent.as_ref()?.agent_id.value.clone();
            Some(OperatorAction::DeactivateAgent { agent_id })
        }
        Type::ReactivateAgent => {
            let agent_id = call.reactivate_agent.as_ref()?.agent_id.value.clone();
            Some(OperatorAction::ReactivateAgent { agent_id })
        }
        _ => None,
    }
}

async fn read(
    shared: &Arc<Shared>,
    kind: Type,
    media: MediaType,
    request: &Request,
) -> Result<Response, Response> {
    let owned = shared.clone();
    let built = tokio::task::spawn_blocking(move || {
        reads::answer(&owned, &owned.view(), kind).map(|answer| encode(&answer, media))
    })
    .await
    .map_err(|error| respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let body = built.ok_or_else(|| {
        respond::not_implemented(format!("{} is not built yet", kind.as_str_name()))
    })?;
    let mut response = respond::with_type(StatusCode::OK, media.name(), body);
    respond::compress(request.headers(), &mut response);
    Ok(response)
}

/// An answer that grows with the cluster: sent while it is being rendered, unless it is small or compressed.
async fn read_large(
    shared: &Arc<Shared>,
    what: large::Large,
    media: MediaType,
    request: &Request,
) -> Result<Response, Response> {
    let streamed = !respond::accepts_gzip(request.headers());
    let owned = shared.clone();
    let built = blocking(move || {
        let pieces = large::pieces(&owned.view(), what, media);
        if streamed && pieces.records() >= STREAMED_RECORDS {
            Err(pieces)
        } else {
            Ok(pieces.render())
        }
    });
    match built.await? {
        Ok(body) => {
            let mut response = respond::with_type(StatusCode::OK, media.name(), body);
            respond::compress(request.headers(), &mut response);
            Ok(response)
        }
        Err(pieces) => Ok(respond::bulk(media.name(), pieces.stream(&shared.readers))),
    }
}

fn encode(answer: &Answer, media: MediaType) -> Vec<u8> {
    match media {
        MediaType::Protobuf => prost::Message::encode_to_vec(answer),
        MediaType::Json | MediaType::RecordIo => mezz_proto::to_json(answer),
    }
}

async fn list_files(shared: &Shared, call: &Call, media: MediaType) -> Result<Response, Response> {
    let path = call.list_files.clone().unwrap_or_default().path;
    let files = shared.files.clone();
    let entries = blocking(move || files.browse(&path))
        .await?
        .map_err(refusal)?;
    let answer = Answer {
        r#type: Some(response::Type::ListFiles as i32),
        list_files: Some(response::ListFiles {
            file_infos: entries.iter().map(file_info).collect(),
        }),
        ..Answer::default()
    };
    Ok(respond::with_type(
        StatusCode::OK,
        media.name(),
        encode(&answer, media),
    ))
}

fn file_info(entry: &Entry) -> v1::FileInfo {
    v1::FileInfo {
        path: entry.path.clone(),
        nlink: Some(i32::try_from(entry.nlink).unwrap_or(i32::MAX)),
        size: Some(entry.size),
        mtime: Some(v1::TimeInfo {
            nanoseconds: entry.mtime_seconds.saturating_mul(1_000_000_000),
        }),
        mode: Some(entry.mode),
        uid: Some(account_name("/etc/passwd", entry.uid)),
        gid: Some(account_name("/etc/group", entry.gid)),
    }
}

async fn read_file(shared: &Shared, call: &Call, media: MediaType) -> Result<Response, Response> {
    let wanted = call.read_file.clone().unwrap_or_default();
    let files = shared.files.clone();
    let piece = blocking(move || {
        let offset = i64::try_from(wanted.offset).unwrap_or(i64::MAX);
        files.read(
            &wanted.path,
            offset,
            wanted
                .length
                .map(|length| i64::try_from(length).unwrap_or(i64::MAX)),
        )
    })
    .await?
    .map_err(refusal)?;
    let answer = Answer {
        r#type: Some(response::Type::ReadFile as i32),
        read_file: Some(response::ReadFile {
            size: piece.size,
            data: piece.data.into(),
        }),
        ..Answer::default()
    };
    Ok(respond::with_type(
        StatusCode::OK,
        media.name(),
        encode(&answer, media),
    ))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| respond::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}
