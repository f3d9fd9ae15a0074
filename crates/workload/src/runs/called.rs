//! What people call runs, whose ids are made for each object alone.

use crate::records::{Records, RunRecord};

impl Records {
    /// The runs that a text names: by the id alone, as `NAME/ID`, or as `KIND/NAME/ID`.
    pub fn run_called<'r, 't>(
        &'r self,
        text: &'t str,
    ) -> impl Iterator<Item = &'r RunRecord> + use<'r, 't> {
        let (of, id) = match text.rsplit_once('/') {
            Some((of, id)) => (Some(of), id),
            None => (None, text),
        };
        let is_of = move |run: &RunRecord| {
            let Some(of) = of else {
                return true;
            };
            self.objects.get(run.object.index()).is_some_and(|object| {
                let kind = object.spec.kind().word();
                let name = object.name.as_str();
                let full = of.strip_prefix(kind);
                of == name || of == &name[1..] || full == Some(name)
            })
        };
        let runs = self.runs.iter().map(|(_, run)| &**run);
        runs.filter(move |run| *run.id == *id && is_of(run))
    }
}
