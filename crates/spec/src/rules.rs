//! What a schema cannot say: what belongs together, what excludes each other, and what is not built yet.
//!
//! The checks run on decoded specs. Each module owns one part of them and adds faults with the paths of the document.

mod checks;
mod crons;
mod dags;
mod jobs;
mod placements;
mod scaling;
mod services;
mod templates;
mod texts;
mod together;

pub use together::together;

use std::fmt;

use serde_json::Value;

use crate::cron::Target;
use crate::fault::{Fault, MAX_FAULTS, below};
use crate::group::Group;
use crate::material::{Config, Secret};
use crate::object::{Object, Spec};

/// The largest object, as JSON.
pub const MAX_OBJECT_BYTES: usize = 1 << 20;

/// Faults of one object, for itself.
pub fn check(object: &Object) -> Vec<Fault> {
    let mut out = Faults::default();
    let size = object.spec.to_json().to_string().len();
    if size > MAX_OBJECT_BYTES {
        let message = format!("the object has {size} bytes; {MAX_OBJECT_BYTES} are allowed");
        out.tell(
            "/spec",
            message,
            "split it, or let the work fetch large data itself",
        );
    }
    texts::labels(&object.labels, "/labels", &mut out);
    match &object.spec {
        Spec::Group(group) => check_group(object, group, &mut out),
        Spec::Service(service) => services::check(object, service, &mut out),
        Spec::Job(job) => jobs::check(job, "/spec", jobs::Started::ByItself, &mut out),
        Spec::Cron(cron) => crons::check(cron, &mut out),
        Spec::Dag(dag) => dags::check(dag, &mut out),
        Spec::Secret(secret) => check_secret(secret, &mut out),
        Spec::Config(config) => check_config(config, &mut out),
    }
    out.0.truncate(MAX_FAULTS);
    out.0
}

/// Faults found so far.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn tell(
        &mut self,
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.0.push(Fault::new(path, message).hint(hint));
    }

    /// That something is not built.
    fn missing(&mut self, path: impl Into<String>, what: &str, hint: &str) {
        self.tell(path, format!("{what} not built yet"), hint);
    }
}

fn check_group(object: &Object, group: &Group, out: &mut Faults) {
    texts::labels(&group.labels, "/spec/labels", out);
    for (name, value) in &group.env {
        texts::variable(name, Some(value), "/spec/env", out);
    }
    texts::role(group.role.as_deref(), "/spec/role", out);
    check_after(object, &group.after, out);
}

/// Nothing waits for itself, or for what it is a part of.
fn check_after(object: &Object, after: &[crate::name::Name], out: &mut Faults) {
    for (index, other) in after.iter().enumerate() {
        let path = below("/spec/after", index);
        if object.name.is_within(other) {
            let message = format!("{} would wait for itself", object.name);
            out.tell(path, message, "name something outside of it");
        } else if other.is_within(&object.name) {
            let message = format!(
                "{} would wait for {other}, which is a part of it",
                object.name
            );
            out.tell(path, message, "name something outside of it");
        } else if after[..index].contains(other) {
            out.tell(path, format!("{other} is named twice"), "keep it once");
        }
    }
}

fn check_config(config: &Config, out: &mut Faults) {
    if config.data.is_empty() {
        out.tell(
            "/spec/data",
            "a config needs an entry",
            "write data: {key: value}",
        );
    }
    for key in config.data.keys() {
        texts::entry_key(key, out);
    }
}

fn check_secret(secret: &Secret, out: &mut Faults) {
    if secret.data.is_empty() {
        out.tell(
            "/spec/data",
            "a secret needs an entry",
            "write data: {key: value}",
        );
    }
    for (key, value) in &secret.data {
        texts::entry_key(key, out);
        if value.is_none() {
            let path = below("/spec/data", key);
            out.tell(
                path,
                "the value is missing",
                "write it, or leave the entry out",
            );
        }
    }
    if secret.digest.is_some() {
        let path = "/spec/digest";
        out.tell(path, "the digest is made from the values", "leave it out");
    }
}

/// What a cron or a node of a dag runs.
fn check_target(target: &Target, path: &str, out: &mut Faults) {
    match target {
        Target::Job(job) => jobs::check(job, &format!("{path}/job"), jobs::Started::ByAnother, out),
        Target::JobRef(reference) | Target::DagRef(reference) => {
            let word = match target {
                Target::DagRef(_) => "dag_ref",
                _ => "job_ref",
            };
            for name in reference.parameters.keys() {
                let path = format!("{path}/{word}/parameters");
                texts::parameter_name(name, &below(&path, name), out);
            }
        }
    }
}

/// An object from JSON or what is like it, checked in full.
pub(crate) fn object_from(value: Value) -> Result<Object, Vec<Fault>> {
    let kind = texts::kind_of(&value).map_err(|fault| vec![fault])?;
    let faults = crate::check::check(kind, &value);
    if !faults.is_empty() {
        return Err(faults);
    }
    let object = Object::decode(kind, value).map_err(|fault| vec![fault])?;
    let faults = check(&object);
    if faults.is_empty() {
        Ok(object)
    } else {
        Err(faults)
    }
}

/// A number with its noun.
fn counted(count: usize, noun: &str) -> impl fmt::Display {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}
