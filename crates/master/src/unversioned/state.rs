//! `/state`: the whole cluster in one document.

use std::sync::Arc;

use mezz_core::records::{AgentRecord, AgentState, FrameworkState};

use super::{agents, frameworks};
use crate::json::Json;
use crate::pieces::Pieces;
use crate::shared::Shared;
use crate::view::View;

pub(super) fn state(shared: &Arc<Shared>, view: &Arc<View>) -> Pieces {
    let mut pieces = Pieces::default();
    let (owned, seen) = (Arc::clone(shared), Arc::clone(view));
    pieces.json(0, false, move |json| {
        json.open(b'{');
        header(json, &owned, &seen);
        json.key("flags").value(&owned.flags);
        json.key("slaves").open(b'[');
    });
    agents::add_registered(&mut pieces, view);
    let seen = Arc::clone(view);
    pieces.json(0, true, move |json| {
        json.close(b']');
        json.key("recovered_slaves")
            .array(|json| agents::write_recovered(json, &seen, |_| true));
        json.key("frameworks").open(b'[');
    });
    let mut grouped = frameworks::Grouped::new(view);
    grouped.add(&mut pieces, view, |framework| {
        framework.state != FrameworkState::Completed
    });
    pieces.json(0, true, |json| {
        json.close(b']');
        json.key("completed_frameworks").open(b'[');
    });
    grouped.add(&mut pieces, view, |framework| {
        framework.state == FrameworkState::Completed
    });
    pieces.json(0, true, |json| {
        json.close(b']');
        json.key("orphan_tasks").array(|_| {});
        json.key("unregistered_frameworks").array(|_| {});
        json.close(b'}');
    });
    pieces
}

fn header(json: &mut Json, shared: &Shared, view: &View) {
    let master = &view.records.master;
    let info = &master.info;
    let pid = info.pid.clone().unwrap_or_default();
    super::write_version(json);
    json.key("start_time").double(shared.started_at.seconds());
    if let Some(elected) = master.elected_at {
        json.key("elected_time").double(elected.seconds());
    }
    json.key("id").string(&info.id);
    json.key("pid").string(&pid);
    json.key("hostname").string(&shared.options.config.hostname);
    json.key("capabilities").strings(
        info.capabilities
            .iter()
            .map(|one| one.r#type().as_str_name()),
    );
    let count = |keep: &dyn Fn(&AgentRecord) -> bool| {
        view.records
            .agents
            .iter()
            .filter(|(_, agent)| keep(agent))
            .count() as f64
    };
    json.key("activated_slaves")
        .double(count(&|agent| agent.is_active()));
    let registered = |agent: &AgentRecord| {
        matches!(
            agent.state,
            AgentState::Connected | AgentState::Disconnected
        )
    };
    json.key("deactivated_slaves")
        .double(count(&|agent| registered(agent) && !agent.is_active()));
    json.key("unreachable_slaves")
        .double(count(&|agent| agent.state == AgentState::Unreachable));
    if let Some(domain) = &info.domain {
        json.key("domain").message(domain);
    }
    json.key("leader").string(&pid);
    json.key("leader_info").object(|json| {
        json.key("id").string(&info.id);
        json.key("pid").string(&pid);
        json.key("port").integer(info.port);
        json.key("hostname").string(&shared.options.config.hostname);
        if let Some(domain) = &info.domain {
            json.key("domain").message(domain);
        }
    });
    if let Some(log) = &shared.options.log_file {
        json.key("external_log_file").string(&log.to_string_lossy());
    }
}
