//! Where the pods of Kubernetes may go: node selectors, affinity and spread as our placement.

use serde_json::{Value, json};

use super::Context;
use crate::fields::{Fields, text_of};

fn key_of(label: &str) -> &str {
    match label {
        "kubernetes.io/hostname" => "hostname",
        "topology.kubernetes.io/zone" | "failure-domain.beta.kubernetes.io/zone" => "zone",
        "topology.kubernetes.io/region" | "failure-domain.beta.kubernetes.io/region" => "region",
        other => other,
    }
}

pub(super) fn placement(pod: &mut Fields<'_>, spec: &mut Value, context: &mut Context<'_>) {
    let mut require = Vec::new();
    if let Some(Value::Object(labels)) = pod.take("nodeSelector") {
        for (key, value) in labels {
            require.push(json!({ "key": key_of(key), "op": "in", "values": [text_of(value)] }));
        }
    }
    if let Some(mut affinity) = pod.inner("affinity") {
        if let Some(mut node) = affinity.inner("nodeAffinity") {
            let path = node.path("requiredDuringSchedulingIgnoredDuringExecution");
            let terms = node.inner("requiredDuringSchedulingIgnoredDuringExecution");
            if let Some(mut terms) = terms {
                let all = terms.list("nodeSelectorTerms");
                if let [term] = all {
                    require.extend(expressions(term, &path, context));
                } else {
                    context.notes.drop(path, "several terms of which one has to hold: requirements here all hold at once");
                }
                terms.finish(&mut context.notes);
            }
            node.finish(&mut context.notes);
        }
        affinity.finish(&mut context.notes);
    }
    let mut spread = Vec::new();
    let path = pod.path("topologySpreadConstraints");
    for (index, item) in pod.list("topologySpreadConstraints").iter().enumerate() {
        let mut rule = Fields::of(item, format!("{path}/{index}"));
        let key = rule.text("topologyKey").unwrap_or_default();
        let skew = rule.number("maxSkew").unwrap_or(1);
        spread.push(json!({ "key": key_of(&key), "max_skew": skew }));
        if rule.text("whenUnsatisfiable").as_deref() == Some("ScheduleAnyway") {
            context.notes.drop(
                rule.path("whenUnsatisfiable"),
                "a spread is a requirement here",
            );
        }
        rule.ignore(&["labelSelector", "matchLabelKeys"]);
        rule.finish(&mut context.notes);
    }
    let mut ours = json!({});
    if !require.is_empty() {
        ours["require"] = require.into();
    }
    if !spread.is_empty() {
        ours["spread"] = spread.into();
    }
    if ours.as_object().is_some_and(|all| !all.is_empty()) {
        spec["placement"] = ours;
    }
    let why = "agents have no taints here: label them and require the label";
    pod.refuse(&["tolerations"], why, &mut context.notes);
    pod.refuse(
        &["priorityClassName", "priority"],
        "write priority: a number",
        &mut context.notes,
    );
    pod.refuse(
        &["nodeName"],
        "require the hostname instead",
        &mut context.notes,
    );
}

fn expressions(term: &Value, path: &str, context: &mut Context<'_>) -> Vec<Value> {
    let mut rules = Vec::new();
    let all = term.get("matchExpressions").and_then(Value::as_array);
    for item in all.into_iter().flatten() {
        let key = item.get("key").map(text_of).unwrap_or_default();
        let values: Vec<String> = item
            .get("values")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(text_of)
            .collect();
        let op = item.get("operator").map(text_of).unwrap_or_default();
        let above = |by: i64| {
            values
                .first()
                .and_then(|text| text.parse::<i64>().ok())
                .map(|number| vec![(number + by).to_string()])
        };
        let (op, values) = match op.as_str() {
            "In" => ("in", Some(values)),
            "NotIn" => ("not_in", Some(values)),
            "Exists" => ("exists", Some(Vec::new())),
            "DoesNotExist" => ("absent", Some(Vec::new())),
            "Gt" => ("at_least", above(1)),
            "Lt" => ("at_most", above(-1)),
            _ => ("", None),
        };
        match values {
            Some(values) => rules.push(json!({ "key": key_of(&key), "op": op, "values": values })),
            None => context.notes.drop(
                path,
                format!("the expression about '{key}' has no meaning here"),
            ),
        }
    }
    if term.get("matchFields").is_some() {
        context
            .notes
            .drop(path, "fields of nodes have no meaning here: use hostname");
    }
    rules
}
