//! The plain status page at `/`, for browsers without the web app.

use std::sync::Arc;

use http::StatusCode;
use mezz_core::records::{AgentState, FrameworkState, TaskList};
use mezz_http::{Response, respond};

use crate::shared::{Leader, Shared};

/// What runs here, in one page.
pub(crate) fn status_page(shared: &Arc<Shared>) -> Response {
    let view = shared.view();
    let records = &view.records;
    let agents = records
        .agents
        .iter()
        .filter(|(_, agent)| agent.state == AgentState::Connected)
        .count();
    let frameworks = records
        .frameworks
        .iter()
        .filter(|(_, framework)| framework.state == FrameworkState::Active)
        .count();
    let tasks = records
        .tasks
        .iter()
        .filter(|(_, task)| task.list == TaskList::Live)
        .count();
    let role = match shared.leader() {
        Leader::Me => "leads".to_owned(),
        Leader::Other(address) => format!("does not lead; {} does", escape(&address)),
        Leader::Unknown => "does not lead, and knows no leader".to_owned(),
    };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Mezzanine</title></head><body>\n\
         <h1>Mezzanine {}</h1>\n<p>This master {role}.</p>\n\
         <ul><li><a href=\"/v1/agents\">{agents} agents</a></li>\
         <li><a href=\"/v1/frameworks\">{frameworks} frameworks</a></li>\
         <li><a href=\"/v1/tasks\">{tasks} live tasks</a></li>\
         <li>{} outstanding <a href=\"/v1/offers\">offers</a></li>\
         <li><a href=\"/v1/openapi.json\">the API</a>, <a href=\"/metrics/snapshot\">metrics</a></li></ul>\n\
         </body></html>\n",
        env!("CARGO_PKG_VERSION"),
        records.offers.len(),
    );
    respond::with_type(StatusCode::OK, "text/html; charset=utf-8", page)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
