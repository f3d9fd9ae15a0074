//! `mezz convert`: files of other systems as ours, and ours as theirs. It needs no cluster.

use mezz_spec::Object;
use serde_json::Value;

use super::apply::tell_faults;
use super::batch;
use super::files;
use crate::client::error::ClientError;
use crate::client::objects;
use crate::exit::Exit;
use crate::object_args::{ConvertArgs, Target};
use crate::output::{show, talk, yaml};

/// Prints the objects of files as another system, or we, would write them.
pub(in super::super) fn convert(args: &ConvertArgs) -> Result<Exit, ClientError> {
    let under = args
        .foreign
        .under
        .as_deref()
        .map(objects::name)
        .transpose()?;
    let mut found = Vec::new();
    let mut all_well = true;
    for source in files::sources(&args.files)? {
        match batch::read(&source, under.as_ref()) {
            Ok(objects) => found.extend(objects),
            Err(faults) => {
                tell_faults(Some(&source.path), &faults);
                all_well = false;
            }
        }
    }
    if !all_well {
        return Ok(Exit::Usage);
    }
    let documents: Vec<Value> = match args.to {
        Target::Mezz => found.iter().map(Object::to_value).collect(),
        Target::Compose => exported(mezz_convert::to_compose(&found)),
        Target::Kubernetes => exported(mezz_convert::to_kubernetes(&found)),
    };
    if documents.is_empty() {
        talk::note("nothing is left to write");
    }
    let texts: Vec<String> = documents.iter().map(yaml::yaml).collect();
    show::write(&texts.join("---\n"))?;
    Ok(Exit::Ok)
}

fn exported(export: mezz_convert::Export) -> Vec<Value> {
    for dropped in &export.dropped {
        let (object, path, why) = (&dropped.object, &dropped.path, &dropped.why);
        talk::warning(&format!("{object} {path}: {why}"));
    }
    export.documents
}
