//! Objects on their way to the master: of one file as it is, of several or of other systems' files as one text.

use mezz_spec::{Fault, Name, Object};
use serde_json::Value;

use super::apply::tell;
use super::files::{self, Source};
use super::foreign::{self, Origin};
use crate::client::error::ClientError;
use crate::client::http::Content;
use crate::client::objects;
use crate::object_args::FilesArgs;
use crate::output::talk;

/// A body for the master.
#[derive(Debug)]
pub(crate) struct Batch {
    media_type: &'static str,
    text: String,
    /// The file whose lines faults are told with.
    name: Option<String>,
}

impl Batch {
    /// What stands in files; none when one of them is wrong, which has been told.
    pub(crate) fn of_files(from: &FilesArgs) -> Result<Option<Self>, ClientError> {
        let under = from.foreign.under.as_deref();
        let under = under.map(objects::name).transpose()?;
        Ok(Self::of(&files::sources(&from.files)?, under.as_ref()))
    }

    /// What stands in texts; none when one of them is wrong, which has been told.
    pub(crate) fn of(sources: &[Source], under: Option<&Name>) -> Option<Self> {
        // One file of ours goes as it is, so that faults have its lines. All else becomes one text, since all or none
        // are applied.
        if let [one] = sources
            && under.is_none()
            && foreign::origin(one) == Origin::Native
        {
            return Some(Self {
                media_type: one.media_type(),
                text: one.text.clone(),
                name: Some(one.path.clone()),
            });
        }
        let mut found = Vec::new();
        let mut all_well = true;
        for source in sources {
            match read(source, under) {
                Ok(objects) => found.extend(objects.iter().map(Object::to_value)),
                Err(faults) => {
                    tell(Some(&source.path), &faults);
                    all_well = false;
                }
            }
        }
        all_well.then(|| Self {
            media_type: "application/json",
            text: Value::Array(found).to_string(),
            name: None,
        })
    }

    /// One object from elsewhere than a file.
    pub(crate) fn of_value(object: &Value) -> Self {
        Self {
            media_type: "application/json",
            text: object.to_string(),
            name: None,
        }
    }

    /// As a request has it.
    pub(crate) fn content(&self) -> Content<'_> {
        Content {
            media_type: self.media_type,
            bytes: self.text.as_bytes(),
        }
    }

    /// The file that it was, if it was one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// The objects of a text of any origin; what has no meaning here is told as warnings.
pub(super) fn read(source: &Source, under: Option<&Name>) -> Result<Vec<Object>, Vec<Fault>> {
    let read = foreign::read(source, under)?;
    if read.origin != Origin::Native {
        let (path, origin) = (&source.path, read.origin.words());
        talk::note(&format!("{path}: read as {origin}"));
    }
    for dropped in &read.dropped {
        let place = [dropped.object.as_str(), dropped.path.as_str()];
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        let place = place.join(" ");
        talk::warning(&format!("{}: {place}: {}", source.path, dropped.why));
    }
    Ok(read.objects)
}
