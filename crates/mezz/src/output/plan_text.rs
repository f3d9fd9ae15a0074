//! A plan for people: object by object what changes, where instances would go, and what would wait.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::columns::plain;
use super::table::printable;

/// Hosts and fields that are named one by one in a short plan.
const NAMED: usize = 8;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Short,
    /// Every host, every field, ports too.
    Whole,
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn count(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    let list = value.get(key).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn objects(plan: &Value) -> &[Value] {
    list(plan, "objects")
}

fn changes(object: &Value) -> bool {
    text(object, "change") != "unchanged"
}

/// Whether anything would be changed.
pub(crate) fn is_change(plan: &Value) -> bool {
    objects(plan).iter().any(changes)
}

/// The objects that would be changed, one to a line.
pub(crate) fn names(plan: &Value) -> String {
    let changed = objects(plan).iter().filter(|object| changes(object));
    let parts = changed.flat_map(|object| [text(object, "kind"), text(object, "name"), "\n"]);
    parts.collect()
}

/// The whole plan.
pub(crate) fn text_of(plan: &Value, depth: Depth) -> String {
    let mut out = String::new();
    for object in objects(plan) {
        describe(object, depth, &mut out);
    }
    let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
    let mut waiting = 0;
    for object in objects(plan) {
        *numbers.entry(text(object, "change")).or_default() += 1;
        let placings = ["now", "first_run"].map(|key| object.get(key).unwrap_or(&Value::Null));
        waiting += placings
            .iter()
            .map(|one| count(one, "waiting"))
            .sum::<u64>();
    }
    let number = |key| numbers.get(key).copied().unwrap_or_default();
    let _ = write!(
        out,
        "plan: {} to create, {} to update, {} unchanged",
        number("created"),
        number("updated"),
        number("unchanged"),
    );
    if number("affected") > 0 {
        let _ = write!(out, ", {} more affected", number("affected"));
    }
    if waiting > 0 {
        let _ = write!(out, "; {} would find no place", instances(waiting));
    }
    out.push('\n');
    out
}

fn instances(number: u64) -> String {
    match number {
        1 => "1 instance".to_owned(),
        number => format!("{number} instances"),
    }
}

fn describe(object: &Value, depth: Depth, out: &mut String) {
    let (kind, name, generation) = (
        text(object, "kind"),
        text(object, "name"),
        count(object, "generation"),
    );
    let head = match text(object, "change") {
        "created" => format!("+ {kind} {name}: is created"),
        "updated" => format!("~ {kind} {name}: is updated to generation {generation}"),
        "affected" => format!("~ {kind} {name}: is not in these files, but is affected"),
        "deleted" => format!("- {kind} {name}: is deleted"),
        _ => format!("  {kind} {name}: unchanged"),
    };
    out.extend([&*printable(&head), "\n"]);
    fields(object, depth, out);
    let now = object.get("now").unwrap_or(&Value::Null);
    let is_one = count(now, "count") == 1;
    let verb = if is_one { "starts now" } else { "start now" };
    placing(now, verb, depth, out);
    let follow = count(object, "follow");
    if follow > 0 {
        let verb = if follow == 1 { "follows" } else { "follow" };
        let _ = writeln!(
            out,
            "    {} {verb} as these become ready",
            instances(follow)
        );
    }
    fires(object, out);
    if let Some(run) = object.get("first_run").filter(|run| !run.is_null()) {
        placing(run, "of a first run would start now", depth, out);
    }
    let refused = text(object, "first_run_refused");
    if !refused.is_empty() {
        let _ = writeln!(out, "    a run cannot be tried: {}", printable(refused));
    }
}

fn fires(object: &Value, out: &mut String) {
    let Some(fires) = object.get("fires").and_then(Value::as_array) else {
        return;
    };
    let times: Vec<String> = fires
        .iter()
        .filter_map(Value::as_str)
        .map(|at| at.replace(".000000Z", "Z"))
        .collect();
    if times.is_empty() {
        out.push_str("    does not fire\n");
    } else {
        let _ = writeln!(out, "    fires next at {}", times.join(", "));
    }
}

fn fields(object: &Value, depth: Depth, out: &mut String) {
    let all = list(object, "changes");
    let shown = match depth {
        Depth::Short => all.len().min(NAMED * 3),
        Depth::Whole => all.len(),
    };
    for change in &all[..shown] {
        let path = printable(text(change, "path"));
        let value = |key: &str| {
            let value = change.get(key).filter(|value| !value.is_null())?;
            Some(printable(&short(value, depth)))
        };
        let _ = match (value("old"), value("new")) {
            (Some(old), Some(new)) => writeln!(out, "    ~ {path}: {old} -> {new}"),
            (None, Some(new)) => writeln!(out, "    + {path}: {new}"),
            (Some(old), None) => writeln!(out, "    - {path}: {old}"),
            (None, None) => writeln!(out, "    ~ {path}"),
        };
    }
    if all.len() > shown {
        let more = all.len() - shown;
        let _ = writeln!(out, "    and {more} more fields (-o wide shows all)");
    }
}

fn short(value: &Value, depth: Depth) -> String {
    let text = value.to_string();
    if depth == Depth::Short && text.chars().count() > 100 {
        let begin: String = text.chars().take(97).collect();
        return format!("{begin}...");
    }
    text
}

fn placing(placing: &Value, verb: &str, depth: Depth, out: &mut String) {
    let places = list(placing, "places");
    let number = count(placing, "count");
    if number > 0 {
        let _ = writeln!(
            out,
            "    {} {verb} {}",
            instances(number),
            hosts(places, depth)
        );
    }
    let ends = list(placing, "ends");
    if !ends.is_empty() {
        let verb = if ends.len() == 1 { "ends" } else { "end" };
        let number = instances(ends.len() as u64);
        let _ = writeln!(out, "    {number} {verb} now {}", hosts(ends, depth));
    }
    let waiting = count(placing, "waiting");
    if waiting > 0 {
        let verb = if waiting == 1 { "finds" } else { "find" };
        let _ = writeln!(out, "    {} {verb} no place:", instances(waiting));
    }
    for reason in list(placing, "reasons").iter().filter_map(Value::as_str) {
        let _ = writeln!(out, "      - {}", printable(reason));
    }
}

/// Hosts with how many instances each.
fn hosts(places: &[Value], depth: Depth) -> String {
    let mut by_host: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for place in places {
        let host = (text(place, "hostname"), text(place, "agent_id"));
        let ports = list(place, "ports").iter().map(plain);
        by_host
            .entry(host)
            .or_default()
            .push(ports.collect::<Vec<_>>().join(","));
    }
    let several = |host: &str| by_host.keys().filter(|(other, _)| *other == host).count() > 1;
    let mut words: Vec<String> = Vec::new();
    for ((host, agent), ports) in &by_host {
        let mut word = (*host).to_owned();
        if several(host) {
            let _ = write!(word, " ({agent})");
        }
        if ports.len() > 1 {
            let _ = write!(word, " x{}", ports.len());
        }
        let ports: Vec<&str> = ports
            .iter()
            .map(String::as_str)
            .filter(|port| !port.is_empty())
            .collect();
        if depth == Depth::Whole && !ports.is_empty() {
            let _ = write!(word, " (ports {})", ports.join("; "));
        }
        words.push(word);
    }
    let shown = match depth {
        Depth::Short => words.len().min(NAMED),
        Depth::Whole => words.len(),
    };
    let more = words.len() - shown;
    let mut line = format!("on {}", words[..shown].join(", "));
    if more > 0 {
        let _ = write!(line, " and {more} more agents");
    }
    printable(&line)
}
