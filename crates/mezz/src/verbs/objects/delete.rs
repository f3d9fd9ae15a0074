//! `mezz delete`.

use mezz_spec::{Kind, Name};

use super::apply::tell;
use super::{batch, files};
use crate::client::api::Api;
use crate::client::error::ClientError;
use crate::client::objects::{self, path, split};
use crate::exit::Exit;
use crate::object_args::DeleteArgs;
use crate::output::{show, talk};

/// Deletes objects; goes on after one that cannot be deleted, and ends with the first failure's exit code.
pub(in super::super) fn delete(master: &str, args: &DeleteArgs) -> Result<Exit, ClientError> {
    let wanted = match &args.kind {
        Some(word) => vec![one(word, args.name.as_deref())?],
        None => match of_files(args)? {
            Some(wanted) => wanted,
            None => return Ok(Exit::Refused),
        },
    };
    let mut api = Api::new(master)?;
    let query = args
        .generation
        .map_or_else(String::new, |number| format!("?generation={number}"));
    let mut exit = Exit::Ok;
    for (kind, name) in wanted {
        match api.delete(&format!("{}{query}", path(kind, &name))) {
            Ok(_) => {
                show::write(&format!("{kind} {name} deleted\n"))?;
            }
            Err(error) => {
                let code = talk::client_error(&error);
                if exit == Exit::Ok {
                    exit = code;
                }
            }
        }
    }
    Ok(exit)
}

fn one(word: &str, name: Option<&str>) -> Result<(Kind, Name), ClientError> {
    match (split(word), name) {
        ((Some(kind), name), None) => Ok((kind, objects::name(name)?)),
        (_, Some(name)) => Ok((objects::known_kind(word)?, objects::name(name)?)),
        ((None, _), None) => {
            let message = format!("'{word}' names no object: write KIND NAME or KIND/NAME");
            Err(ClientError::Usage(message))
        }
    }
}

/// What stands in files, in the order opposite to that of applying; none when a file is wrong, which has been told.
fn of_files(args: &DeleteArgs) -> Result<Option<Vec<(Kind, Name)>>, ClientError> {
    let mut wanted = Vec::new();
    for source in files::sources(&args.files)? {
        match batch::read(&source, None) {
            Ok(found) => {
                wanted.extend(found.into_iter().map(|one| (one.spec.kind(), one.name)));
            }
            Err(faults) => {
                tell(Some(&source.path), &faults);
                return Ok(None);
            }
        }
    }
    let place = |kind: Kind| Kind::ALL.iter().position(|other| *other == kind);
    wanted.sort_by_key(|(kind, name)| std::cmp::Reverse((place(*kind), name.clone())));
    Ok(Some(wanted))
}
