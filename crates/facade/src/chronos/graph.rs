//! Jobs and who comes after whom: as lines of text, for graphviz, and in short.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::allow;
use super::shown::{Activity, all, last_state, standing};
use crate::answer::Answer;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::world::{World, job_status};

const PLAIN: &str = "text/plain";

/// `node,NAME,LAST,STATE` and `link,FROM,TO`.
pub(super) fn csv(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let activity = Activity::of(world);
    let jobs = all(world);
    let mut text = String::new();
    for kept in &jobs {
        let last = last_state(&job_status(kept.record));
        let state = activity.state(kept.record.key);
        writeln!(text, "node,{},{last},{state}", kept.name).expect("a string takes all");
    }
    for kept in &jobs {
        for parent in &kept.parents {
            writeln!(text, "link,{parent},{}", kept.name).expect("a string takes all");
        }
    }
    Ok(Answer::text(PLAIN, text).into())
}

/// For graphviz.
pub(super) fn dot(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let jobs = all(world);
    let numbers: BTreeMap<&str, usize> = jobs
        .iter()
        .enumerate()
        .map(|(index, kept)| (kept.name.as_str(), index + 1))
        .collect();
    let mut text = String::from("digraph G {\n");
    for kept in &jobs {
        let number = numbers[kept.name.as_str()];
        writeln!(text, "  {number} [ label=\"{}\" ];", kept.name).expect("a string takes all");
    }
    for kept in &jobs {
        for parent in &kept.parents {
            if let Some(from) = numbers.get(parent.as_str()) {
                let to = numbers[kept.name.as_str()];
                writeln!(text, "  {from} -> {to};").expect("a string takes all");
            }
        }
    }
    text.push_str("}\n");
    Ok(Answer::text(PLAIN, text).into())
}

/// All jobs in short.
pub(super) fn summary(request: &Request, world: &World<'_>) -> Result<Outcome, Answer> {
    allow(request, &["GET"])?;
    let activity = Activity::of(world);
    let jobs: Vec<Value> = all(world)
        .iter()
        .map(|kept| {
            let standing = standing(world, kept, &activity);
            json!({
                "name": kept.name,
                "status": last_state(&job_status(kept.record)),
                "state": activity.state(kept.record.key),
                "schedule": standing.schedule.unwrap_or_default(),
                "parents": kept.parents,
                "disabled": standing.is_disabled,
            })
        })
        .collect();
    Ok(Answer::json(json!({ "jobs": jobs })).into())
}
