//! `mezz plan`: what an apply would do, and where instances would go.

use super::apply::tell;
use super::batch::Batch;
use crate::args::Format;
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::exit::Exit;
use crate::object_args::PlanArgs;
use crate::output::plan_text;
use crate::output::{show, yaml};

/// Shows what would become of each object; the exit code says whether anything would.
pub(in super::super) fn plan(master: &str, args: &PlanArgs) -> Result<Exit, ClientError> {
    let Some(batch) = Batch::of_files(&args.from)? else {
        return Ok(Exit::Refused);
    };
    let mut api = Api::new(master)?;
    let plan = match api.post("/v1/plan", batch.content()) {
        Err(ClientError::Refused(problem)) if !problem.errors.is_empty() => {
            tell(batch.name(), &problem.errors);
            return Ok(Exit::Refused);
        }
        answer => answer?,
    };
    match args.output.output {
        Format::Json => show::write(&format!("{plan}\n"))?,
        Format::Yaml => show::write(&yaml::yaml(&plan))?,
        Format::Name => show::write(&plan_text::names(&plan))?,
        Format::Table => show::write(&plan_text::text_of(&plan, plan_text::Depth::Short))?,
        Format::Wide => show::write(&plan_text::text_of(&plan, plan_text::Depth::Whole))?,
    };
    Ok(if plan_text::is_change(&plan) {
        Exit::Changes
    } else {
        Exit::Ok
    })
}
