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
pub(crate) struct Environment {
    merged: BTreeMap<String, String>,
    pub(crate) marker: CString,
}

impl Environment {
    pub(crate) fn merge(
        scope: &str,
        launch_id: LaunchId,
        default_path: &str,
        layers: &[Vec<EnvironmentVariable>],
    ) -> Result<Self, PlanError> {
        let mut merged = BTreeMap::new();
        merged.insert("PATH".to_owned(), default_path.to_owned());
        for (name, value) in layers.iter().flatten() {
            check_name(name)?;
            if value.contains('\0') {
                return Err(PlanError::NulByte {
                    field: format!("environment variable {name:?}"),
                });
            }
            merged.insert(name.clone(), value.clone());
        }
        merged.insert(MARKER_NAME.to_owned(), launch_name(scope, launch_id));
        let marker = marker_of(scope, launch_id);
        Ok(Self { merged, marker })
    }

    pub(crate) fn path(&self) -> &str {
        self.merged.get("PATH").map_or("", String::as_str)
    }

    pub(crate) fn into_entries(self) -> Vec<CString> {
        self.merged
            .into_iter()
            .map(|(name, value)| {
                CString::new(format!("{name}={value}"))
                    .expect("names and values were checked for NUL")
            })
            .collect()
    }
}

fn launch_name(scope: &str, launch_id: LaunchId) -> String {
    format!("{scope}.{launch_id}")
}

/// The entry of the environment by which the processes of a launch are known; the scope is checked before.
pub(crate) fn marker_of(scope: &str, launch_id: LaunchId) -> CString {
    let name = launch_name(scope, launch_id);
    CString::new(format!("{MARKER_NAME}={name}")).expect("a checked scope holds no NUL")
}

fn check_name(name: &str) -> Result<(), PlanError> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(PlanError::EnvironmentName {
            name: name.to_owned(),
        });
    }
    Ok(())
}
