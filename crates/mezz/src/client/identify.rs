//! Finds the task that a user means by an id, the beginning of one, a name, or `last`.

use jiff::Timestamp;
use serde_json::Value;

use super::api::Api;
use super::error::ClientError;
use super::http::percent_encoded;

/// The full id of the task that is meant, as `FRAMEWORK/TASK` where the id alone would not do.
pub(crate) fn task_id(api: &mut Api, given: &str) -> Result<String, ClientError> {
    if given.is_empty() {
        return Err(ClientError::Usage("the id of a task is empty".to_owned()));
    }
    if given != "last" {
        match api.get(&format!("/v1/tasks/{}", percent_encoded(given))) {
            Ok(_) => return Ok(given.to_owned()),
            Err(ClientError::Refused(problem)) if problem.status == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let tasks = api.list("/v1/tasks?all=true")?;
    if given == "last" {
        last(&tasks)
    } else {
        by_beginning(&tasks, given)
    }
}

fn text<'a>(task: &'a Value, key: &str) -> &'a str {
    task.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn last(tasks: &[Value]) -> Result<String, ClientError> {
    tasks
        .iter()
        .max_by_key(|task| recency(task))
        .map(|task| text(task, "id").to_owned())
        .ok_or_else(|| ClientError::NotFound {
            what: "there is no last task: none has run yet".to_owned(),
            hint: "run one with `mezz run -- COMMAND`".to_owned(),
        })
}

/// Orders tasks by when they came; one that waits to be placed is newer than all that had their chance.
fn recency(task: &Value) -> (bool, Option<Timestamp>) {
    let instant = |key| text(task, key).parse::<Timestamp>().ok();
    let at = instant("created_at")
        .or_else(|| instant("started_at"))
        .or_else(|| instant("finished_at"));
    (at.is_none() && text(task, "state") == "TASK_STAGING", at)
}

fn by_beginning(tasks: &[Value], given: &str) -> Result<String, ClientError> {
    one_of(tasks, given, "name")
}

/// The id in a list that is meant by a whole name or by the beginning of an id. A whole name goes before a beginning,
/// and of several with the same name the one that has not ended is meant.
pub(crate) fn one_of(list: &[Value], given: &str, name: &str) -> Result<String, ClientError> {
    let mut meant: Vec<&Value> = list.iter().filter(|one| text(one, name) == given).collect();
    if meant.len() > 1 {
        let live: Vec<&Value> = meant
            .iter()
            .copied()
            .filter(|one| has_not_ended(one))
            .collect();
        if live.len() == 1 {
            meant = live;
        }
    }
    if meant.is_empty() {
        let begun = list.iter().filter(|one| text(one, "id").starts_with(given));
        meant = begun.collect();
    }
    match meant.as_slice() {
        [] => Err(ClientError::NotFound {
            what: format!("no task has the id '{given}', or one that begins so"),
            hint: "`mezz ps --all` lists all tasks".to_owned(),
        }),
        [task] => Ok(text(task, "id").to_owned()),
        several => {
            let is_name = text(several[0], name) == given;
            let candidates = several
                .iter()
                .take(10)
                .map(|task| text(task, "id").to_owned())
                .collect();
            Err(ClientError::Ambiguous {
                given: given.to_owned(),
                is_name,
                candidates,
            })
        }
    }
}

fn has_not_ended(one: &Value) -> bool {
    one.get("finished_at").is_none_or(Value::is_null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_task_is_the_one_that_started_last_or_has_yet_to_start() {
        let mut tasks = vec![
            json!({"id": "b", "started_at": "2026-01-02T00:00:00Z"}),
            json!({"id": "a", "started_at": "2026-01-01T00:00:00Z"}),
        ];
        assert_eq!(last(&tasks).expect("a task"), "b");
        tasks.push(json!({"id": "c", "started_at": null, "finished_at": "2026-01-02T00:00:00.5Z", "state": "TASK_FAILED"}));
        tasks.push(json!({"id": "recovered", "started_at": null, "state": "TASK_RUNNING"}));
        assert_eq!(last(&tasks).expect("a task"), "c");
        tasks.push(json!({"id": "d", "started_at": null, "state": "TASK_STAGING"}));
        assert_eq!(last(&tasks).expect("a task"), "d");
    }

    #[test]
    fn the_beginning_of_several_ids_names_them() {
        let tasks = [
            json!({"id": "ab1", "name": "x"}),
            json!({"id": "ab2", "name": "y"}),
        ];
        let error = by_beginning(&tasks, "ab").expect_err("ambiguous");
        assert_eq!(
            error.to_string(),
            "'ab' is the beginning of several ids: ab1, ab2"
        );
        assert_eq!(by_beginning(&tasks, "x").expect("a name"), "ab1");
    }

    #[test]
    fn a_whole_name_goes_before_a_beginning_and_what_runs_before_what_has_ended() {
        let mut tasks = vec![
            json!({"id": "web-1", "name": "web", "finished_at": "2026-01-02T00:00:00Z"}),
            json!({"id": "web-2", "name": "web", "finished_at": null}),
            json!({"id": "website-3", "name": "website"}),
        ];
        assert_eq!(by_beginning(&tasks, "web").expect("a task"), "web-2");
        tasks.push(json!({"id": "web-4", "name": "web", "finished_at": null}));
        let error = by_beginning(&tasks, "web").expect_err("two of them run");
        assert_eq!(
            error.to_string(),
            "'web' is the name of several: web-1, web-2, web-4"
        );
    }
}
