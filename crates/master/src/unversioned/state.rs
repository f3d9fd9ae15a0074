//! `/state`: the whole cluster in one document.

use mezz_core::records::{AgentState, FrameworkState};

use super::{agents, frameworks};
use crate::json::Json;
use crate::shared::Shared;
use crate::view::View;

pub(super) fn state(shared: &Shared, view: &View) -> Vec<u8> {
    let mut json = Json::new();
    json.object(|json| {
        header(json, shared, view);
        json.key("flags").value(&shared.flags);
        json.key("slaves")
            .array(|json| agents::write_agents(json, view, agents::Detail::Plain, |_| true));
        json.key("recovered_slaves")
            .array(|json| agents::write_recovered(json, view, |_| true));
        let grouped = frameworks::Grouped::new(view);
        json.key("frameworks").array(|json| {
            grouped.write(json, view, |framework| {
                framework.state != FrameworkState::Completed
            });
        });
        json.key("completed_frameworks").array(|json| {
            grouped.write(json, view, |framework| {
                framework.state == FrameworkState::Completed
            });
        });
        json.key("orphan_tasks").array(|_| {});
        json.key("unregistered_frameworks").array(|_| {});
    });
    json.finish()
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
    let count = |keep: &dyn Fn(&mezz_core::records::AgentRecord) -> bool| {
        view.records
            .agents
            .iter()
            .filter(|(_, agent)| keep(agent))
            .count() as f64
    };
    json.key("activated_slaves")
        .double(count(&|agent| agent.is_active()));
    let registered = |agent: &mezz_core::records::AgentRecord| {
        matches!(
            agent.state,
            AgentState::Connected | AgentState::Disconnected
        )
    };
    json.key("deactivated_slaves")
        .double(count(&|agent| registered(agent) && !agent.is_active()));
    json.key("unreachable_slaves")
        .double(count(&|agent| agent.state == AgentState::Unreachable));
    json.key("leader").string(&pid);
    json.key("leader_info").object(|json| {
        json.key("id").string(&info.id);
        json.key("pid").string(&pid);
        json.key("port").integer(info.port);
        json.key("hostname").string(&shared.options.config.hostname);
    });
    if let Some(log) = &shared.options.log_file {
        json.key("external_log_file").string(&log.to_string_lossy());
    }
}
