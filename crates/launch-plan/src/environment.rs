//! The child's environment: merging of lists by precedence, and the marker of a launch.
//!
//! Must never read the environment of the own process.

use crate::plan::LaunchId;
use crate::planning::PlanError;
use std::collections::BTreeMap;
use std::ffi::CString;

/// The environment variable that every process of a launch carries.
pub const MARKER_NAME: &str = "MEZZ_LAUNCH_ID";

/// One variable: name and value.
pub type EnvironmentVariable = (String, String);

/// The merged environment of one child.
#[derive(Debug)]
pub(crate) struct Environment<'a> {
    merged: BTreeMap<&'a str, &'a str>,
    pub(crate) marker: CString,
}

impl<'a> Environment<'a> {
    pub(crate) fn merge(
        scope: &str,
        launch_id: LaunchId,
        default_path: &'a str,
        layers: &'a [Vec<EnvironmentVariable>],
    ) -> Result<Self, PlanError> {
        let mut merged = BTreeMap::from([("PATH", default_path)]);
        for (name, value) in layers.iter().flatten() {
            check_name(name)?;
            if value.contains('\0') {
                return Err(PlanError::NulByte {
                    field: format!("environment variable {name:?}"),
                });
            }
            merged.insert(name, value);
        }
        merged.remove(MARKER_NAME);
        Ok(Self {
            merged,
            marker: marker_of(scope, launch_id),
        })
    }

    pub(crate) fn path(&self) -> &str {
        self.merged.get("PATH").copied().unwrap_or_default()
    }

    /// Ordered by name, but for the marker, which is the last.
    pub(crate) fn into_entries(self) -> Vec<CString> {
        let variables = self
            .merged
            .into_iter()
            .map(|(name, value)| entry(name, value));
        variables.chain([self.marker]).collect()
    }
}

/// In a single allocation of the right size: there are many of them in every launch.
fn entry(name: &str, value: &str) -> CString {
    let mut text = Vec::with_capacity(name.len() + value.len() + 2);
    text.extend_from_slice(name.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value.as_bytes());
    text.push(0);
    CString::from_vec_with_nul(text).expect("scope, names and values were checked for NUL")
}

/// The entry of the environment by which the processes of a launch are known; the scope is checked before.
pub(crate) fn marker_of(scope: &str, launch_id: LaunchId) -> CString {
    entry(MARKER_NAME, &format!("{scope}.{launch_id}"))
}

fn check_name(name: &str) -> Result<(), PlanError> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(PlanError::EnvironmentName {
            name: name.to_owned(),
        });
    }
    Ok(())
}
