//! Which columns each list has and how an element of the API's answer fills them. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::age::age;
use super::table::Align;

/// How a cell is made of an element.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell {
    /// The value at a path of keys separated by dots.
    At(&'static str),
    /// A task state without its prefix.
    State(&'static str),
    /// Time since the instant at a path.
    Since(&'static str),
    /// Two quantities, as in `1.5/4`.
    Of(&'static str, &'static str),
    /// A fraction as a percentage.
    Percent(&'static str),
    /// `key=value` pairs of a mapping.
    Pairs(&'static str),
}

/// Whether a column is part of the plain table or only of the wide one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Plain,
    Wide,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) align: Align,
    pub(crate) cell: Cell,
    pub(crate) width: Width,
}

/// A list that a verb shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listing {
    /// The key whose value `-o name` prints.
    pub(crate) key: &'static str,
    pub(crate) columns: &'static [Column],
    /// What is said when it is empty.
    pub(crate) empty: &'static str,
}

pub(super) const fn left(title: &'static str, cell: Cell) -> Column {
    Column {
        title,
        align: Align::Left,
        cell,
        width: Width::Plain,
    }
}

pub(super) const fn right(title: &'static str, cell: Cell) -> Column {
    Column {
        title,
        align: Align::Right,
        cell,
        width: Width::Plain,
    }
}

pub(super) const fn wide(mut column: Column) -> Column {
    column.width = Width::Wide;
    column
}

pub(crate) const TASKS: Listing = Listing {
    key: "id",
    columns: &[
        left("ID", Cell::At("id")),
        left("NAME", Cell::At("name")),
        left("STATE", Cell::State("state")),
        left("HOST", Cell::At("hostname")),
        right("CPUS", Cell::At("resources.cpus")),
        right("MEM", Cell::At("resources.mem")),
        right("AGE", Cell::Since("started_at")),
        wide(left("FRAMEWORK", Cell::At("framework"))),
        wide(left("ROLE", Cell::At("role"))),
        wide(left("PORTS", Cell::At("ports"))),
        wide(right("DISK", Cell::At("resources.disk"))),
        wide(right("GPUS", Cell::At("resources.gpus"))),
        wide(left("AGENT", Cell::At("agent_id"))),
        wide(left("ENDED", Cell::Since("finished_at"))),
    ],
    empty: "no tasks; `mezz ps --all` also lists those that have ended, `mezz run -- COMMAND` runs one",
};

pub(crate) const USAGE: Listing = Listing {
    key: "id",
    columns: &[
        left("ID", Cell::At("id")),
        right("CPUS", Cell::At("used.cpus")),
        right("OF", Cell::At("resources.cpus")),
        right("MEM", Cell::At("used.mem")),
        right("OF", Cell::At("resources.mem")),
        left("HOST", Cell::At("hostname")),
        wide(left("FRAMEWORK", Cell::At("framework_id"))),
        wide(left("AGENT", Cell::At("agent_id"))),
    ],
    empty: "no task runs; `mezz run -- COMMAND` runs one",
};

pub(crate) const AGENTS: Listing = Listing {
    key: "id",
    columns: &[
        left("ID", Cell::At("id")),
        left("HOST", Cell::At("hostname")),
        left("STATE", Cell::At("state")),
        right(
            "CPUS",
            Cell::Of("resources.used.cpus", "resources.total.cpus"),
        ),
        right("MEM", Cell::Of("resources.used.mem", "resources.total.mem")),
        right("TASKS", Cell::At("tasks")),
        right("AGE", Cell::Since("registered_at")),
        wide(left("ADDRESS", Cell::At("address"))),
        wide(left("VERSION", Cell::At("version"))),
        wide(right(
            "DISK",
            Cell::Of("resources.used.disk", "resources.total.disk"),
        )),
        wide(right(
            "GPUS",
            Cell::Of("resources.used.gpus", "resources.total.gpus"),
        )),
        wide(left("PORTS", Cell::At("resources.total.ports"))),
        wide(left("ATTRIBUTES", Cell::Pairs("attributes"))),
    ],
    empty: "no agents; `mezz agent --master HOST:PORT` adds one",
};

pub(crate) const FRAMEWORKS: Listing = Listing {
    key: "id",
    columns: &[
        left("ID", Cell::At("id")),
        left("NAME", Cell::At("name")),
        left("STATE", Cell::At("state")),
        left("ROLES", Cell::At("roles")),
        right("TASKS", Cell::At("tasks")),
        right("CPUS", Cell::At("resources.used.cpus")),
        right("MEM", Cell::At("resources.used.mem")),
        right("AGE", Cell::Since("registered_at")),
        wide(left("USER", Cell::At("user"))),
        wide(left("PRINCIPAL", Cell::At("principal"))),
        wide(left("CHECKPOINT", Cell::At("checkpoint"))),
        wide(right("FAILOVER-SECS", Cell::At("failover_timeout_secs"))),
        wide(left("URL", Cell::At("webui_url"))),
    ],
    empty: "no frameworks have subscribed",
};

pub(crate) const ROLES: Listing = Listing {
    key: "name",
    columns: &[
        left("NAME", Cell::At("name")),
        right("WEIGHT", Cell::At("weight")),
        right("SHARE", Cell::Percent("share")),
        right("CPUS", Cell::At("resources.used.cpus")),
        right("MEM", Cell::At("resources.used.mem")),
        wide(right("DISK", Cell::At("resources.used.disk"))),
        wide(right("GPUS", Cell::At("resources.used.gpus"))),
        left("FRAMEWORKS", Cell::At("frameworks")),
    ],
    empty: "no roles are in use",
};

pub(crate) const OFFERS: Listing = Listing {
    key: "id",
    columns: &[
        left("ID", Cell::At("id")),
        left("FRAMEWORK", Cell::At("framework_id")),
        left("ROLE", Cell::At("role")),
        left("HOST", Cell::At("hostname")),
        right("CPUS", Cell::At("resources.cpus")),
        right("MEM", Cell::At("resources.mem")),
        right("AGE", Cell::Since("created_at")),
        wide(left("AGENT", Cell::At("agent_id"))),
        wide(right("DISK", Cell::At("resources.disk"))),
        wide(right("GPUS", Cell::At("resources.gpus"))),
        wide(left("PORTS", Cell::At("resources.ports"))),
    ],
    empty: "no offers are out: every framework has answered what it was offered",
};

impl Cell {
    /// The text of this cell for one element.
    pub(crate) fn text(self, element: &Value, now: Timestamp) -> String {
        match self {
            Self::At(path) => at(element, path).map(plain).unwrap_or_default(),
            Self::State(path) => {
                let state = at(element, path)
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                state.strip_prefix("TASK_").unwrap_or(state).to_owned()
            }
            Self::Since(path) => age(at(element, path).and_then(Value::as_str), now),
            Self::Of(part, whole) => {
                let text = |path| at(element, path).map_or_else(|| "0".to_owned(), plain);
                format!("{}/{}", text(part), text(whole))
            }
            Self::Percent(path) => at(element, path)
                .and_then(Value::as_f64)
                .map(|share| format!("{:.1}%", share * 100.0))
                .unwrap_or_default(),
            Self::Pairs(path) => at(element, path).map(pairs).unwrap_or_default(),
        }
    }
}

fn at<'a>(element: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(element, |value, key| value.get(key))
}

fn pairs(value: &Value) -> String {
    let Some(map) = value.as_object() else {
        return plain(value);
    };
    map.iter()
        .map(|(key, value)| format!("{key}={}", plain(value)))
        .collect::<Vec<_>>()
        .join(",")
}

/// A value in as few characters as a person needs.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => whole_seconds(text),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), quantity),
        Value::Bool(switch) => if *switch { "yes" } else { "no" }.to_owned(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Object(_) => pairs(value),
    }
}

/// A time without decimals that say nothing.
fn whole_seconds(text: &str) -> String {
    match text.strip_suffix(".000000Z") {
        Some(time) if time.len() == "2026-11-22T09:24:00".len() => format!("{time}Z"),
        _ => text.to_owned(),
    }
}

/// A quantity with at most three decimals, and none that are zero.
fn quantity(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
