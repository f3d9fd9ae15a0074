//! How an app is updated, started again, ended, and what it waits for.

use mezz_spec::Name;
use mezz_spec::quantity::{Share, Span, Thousandths};
use mezz_spec::service::{Backoff, KillOrder, Never, Rolling, Unreachable, Update, Wait};
use serde_json::Value;

use super::template::seconds;
use crate::reading::{Members, thousandths};

/// A deployment of Marathon goes on until somebody ends it.
pub(super) fn update() -> Update {
    Update {
        deadline: Span::seconds(365 * 86_400),
        failure_budget: u32::MAX,
        auto_rollback: false,
        ..Update::default()
    }
}

/// From the share that stays healthy and the share that may be there in addition.
pub(super) fn rolling(members: &Members<'_>) -> Rolling {
    let given = members.object("upgradeStrategy");
    let share = |key| {
        let number = given.as_ref().and_then(|given| given.number(key));
        let number = number.unwrap_or(1.0);
        if number > 1.0
            && let Some(given) = &given
        {
            given.tell(key, "a number from 0 to 1 is wanted");
        }
        thousandths(number).min(1_000)
    };
    let (healthy, over) = (share("minimumHealthCapacity"), share("maximumOverCapacity"));
    if let Some(given) = &given {
        given.finish();
    }
    // As many as the strategy leaves healthy, and not one more: then one more has to come first.
    let surge = if healthy == 1_000 && over == 0 {
        Share::Count(1)
    } else {
        percent(over.div_ceil(10))
    };
    Rolling {
        max_unavailable: percent((1_000 - healthy) / 10),
        max_surge: surge,
    }
}

fn percent(count: u64) -> Share {
    Share::Percent(u32::try_from(count).unwrap_or(100))
}

pub(super) fn backoff(members: &Members<'_>) -> Backoff {
    let factor = members.number("backoffFactor").unwrap_or(1.15);
    Backoff {
        initial: seconds(members.number("backoffSeconds").unwrap_or(1.0)),
        factor: Thousandths(thousandths(factor)),
        max: seconds(members.number("maxLaunchDelaySeconds").unwrap_or(300.0)),
        ..Backoff::default()
    }
}

pub(super) fn unreachable(members: &Members<'_>) -> Unreachable {
    let never = Unreachable {
        replace_after: Wait::Never(Never::Never),
        expunge_after: Wait::Never(Never::Never),
    };
    match members.value("unreachableStrategy") {
        None => Unreachable::default(),
        Some(Value::String(text)) if text == "disabled" => never,
        Some(Value::Object(_)) => {
            let Some(given) = members.object("unreachableStrategy") else {
                return never;
            };
            let after = |key| Wait::Span(seconds(given.number(key).unwrap_or(0.0)));
            let read = Unreachable {
                replace_after: after("inactiveAfterSeconds"),
                expunge_after: after("expungeAfterSeconds"),
            };
            given.finish();
            read
        }
        Some(_) => {
            let message = "\"disabled\" or an object is wanted";
            members.tell("unreachableStrategy", message);
            never
        }
    }
}

pub(super) fn kill_order(members: &Members<'_>) -> KillOrder {
    let words = [
        ("YOUNGEST_FIRST", KillOrder::YoungestFirst),
        ("OLDEST_FIRST", KillOrder::OldestFirst),
    ];
    members.word("killSelection", &words).unwrap_or_default()
}

/// Paths may be relative to the app's group, with `..` for the one above.
pub(super) fn dependencies(members: &Members<'_>, name: &Name) -> Vec<Name> {
    let mut after = Vec::new();
    for text in members.texts("dependencies").unwrap_or_default() {
        match resolve(&text, name.parent().as_ref()) {
            Ok(name) if !after.contains(&name) => after.push(name),
            Ok(_) => {}
            Err(message) => members.tell("dependencies", message),
        }
    }
    after
}

/// A path of Marathon, seen from a group.
pub(crate) fn resolve(text: &str, group: Option<&Name>) -> Result<Name, String> {
    let mut parts: Vec<&str> = if text.starts_with('/') {
        Vec::new()
    } else {
        group.map_or_else(Vec::new, |group| group.components().collect())
    };
    for part in text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    Name::new(&parts.join("/")).map_err(|error| format!("'{text}': {error}"))
}
