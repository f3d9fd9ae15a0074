//! What a reader of files meets: places, bounds, explanations, differences.

#![allow(clippy::unwrap_used, reason = "tests")]

use mezz_spec::quantity::Size;
use mezz_spec::read::{MAX_TEXT_BYTES, documents};
use mezz_spec::schema::any_schema;
use mezz_spec::{Fault, Format, Kind, Position, diff, explain, read, redacted};
use serde_json::json;

fn faults(text: &str) -> Vec<Fault> {
    read(text, Format::Yaml).expect_err("it is refused")
}

#[test]
fn a_fault_tells_object_place_line_and_what_to_do() {
    let text = "kind: service\nname: /team/web\nspec:\n  template:\n    containers:\n      - command: x\n        prots: []\n";
    let told: Vec<String> = faults(text).iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "service /team/web: /spec/template/containers/0/prots: 'prots' is not a field here; did you mean 'ports'? (line 7, column 9)"
        ]
    );
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_text() {
    let text = "kind: service\nname: /a\nlabels: {on: x}\nspec:\n  replicas: -1\n  template: {containers: [{comand: x}]}\n  priority: high\n";
    let found = faults(text);
    let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/labels/on",
            "/spec/replicas",
            "/spec/template/containers/0/comand",
            "/spec/priority"
        ]
    );
}

#[test]
fn faults_of_several_documents_say_which() {
    let text = "kind: config\nname: /a\nspec: {data: {a: 1}}\n---\nkind: nothing\n---\nkind: config\nname: /b\nspec: {}\n";
    let objects: Vec<Option<String>> = faults(text).into_iter().map(|fault| fault.object).collect();
    let wanted = ["config /a", "document 2", "config /b"].map(|title| Some(title.to_owned()));
    assert_eq!(objects, wanted);
}

#[test]
fn a_broken_text_tells_the_line() {
    let found = faults("kind: config\nname: [\n");
    assert!(found[0].at.is_some_and(|at| at.line >= 2), "{found:?}");
    let found = read("{\n \"kind\": nul}", Format::Json).unwrap_err();
    assert_eq!(found[0].at.map(|at| at.line), Some(2));
    let found = read("kind = \"config\"\n\nname = ", Format::Toml).unwrap_err();
    assert_eq!(found[0].at.map(|at| at.line), Some(3));
    let found = read(
        "kind = \"config\"\nname = \"/a\"\n[spec.data]\na = 1",
        Format::Toml,
    )
    .unwrap_err();
    assert_eq!(found[0].at, Some(Position { line: 4, column: 1 }));
}

#[test]
fn empty_documents_are_nothing() {
    assert_eq!(read("", Format::Yaml), Ok(Vec::new()));
    assert_eq!(
        read("# only words\n---\n---\n", Format::Yaml),
        Ok(Vec::new())
    );
    assert_eq!(read("", Format::Json), Ok(Vec::new()));
    assert_eq!(read("[]", Format::Json), Ok(Vec::new()));
    assert_eq!(read("", Format::Toml), Ok(Vec::new()));
}

#[test]
fn a_text_beyond_all_bounds_is_refused_before_it_is_read() {
    let text = " ".repeat(MAX_TEXT_BYTES + 1);
    assert!(
        documents(&text, Format::Json).unwrap_err()[0]
            .message
            .contains("are allowed")
    );
    let entry = "x".repeat(1 << 20);
    let text = format!("kind: config\nname: /a\nspec: {{data: {{a: {entry}}}}}");
    assert!(faults(&text)[0].message.contains("1048576 are allowed"));
}

#[test]
fn merged_keys_come_after_own_ones() {
    let text = "a: &a {x: 1, y: 1}\nb: {<<: [*a, {y: 2, z: 2}], x: 3}\n";
    let read = documents(text, Format::Yaml).unwrap();
    assert_eq!(read[0].value["b"], json!({ "x": 3, "y": 1, "z": 2 }));
}

#[test]
fn a_field_is_explained_with_its_type_and_default() {
    let deadline = explain("service.spec.update.deadline").unwrap();
    assert_eq!(deadline.shape, "a number or a span of time such as 30s");
    assert_eq!(deadline.default, Some(json!("10m")));
    assert!(
        deadline
            .description
            .starts_with("A rollout that makes no progress for so long")
    );
    let steps = explain("services/spec/update/strategy/canary/steps").unwrap();
    assert!(steps.required);
    assert!(
        steps
            .fields
            .iter()
            .any(|field| field.path == "service.spec.update.strategy.canary.steps.pause")
    );
    let secret = explain("job.spec.template.containers[].env.ANY.secret.name").unwrap();
    assert!(secret.description.contains("/team/app/web"));
    // Keys of maps may be left out.
    let after = explain("dag.spec.nodes.after").unwrap();
    assert_eq!(
        after.fields,
        explain("dag.spec.nodes.a.after")
            .unwrap()
            .fields
            .iter()
            .map(|field| {
                let path = field.path.replace("nodes.a.", "nodes.");
                mezz_spec::explain::Explanation {
                    path,
                    ..field.clone()
                }
            })
            .collect::<Vec<_>>()
    );
    assert_eq!(after.path, "dag.spec.nodes.after");
}

#[test]
fn a_field_that_is_none_is_not_explained_but_the_nearest_is_named() {
    let told = explain("service.spec.template.containers.prots")
        .unwrap_err()
        .to_string();
    assert!(
        told.ends_with("has no field 'prots'; did you mean 'ports'?"),
        "{told}"
    );
    assert!(explain("pod").unwrap_err().to_string().contains("service"));
}

#[test]
fn every_field_of_every_kind_has_a_description_or_speaks_for_itself() {
    let all = any_schema();
    assert_eq!(all["oneOf"].as_array().unwrap().len(), Kind::ALL.len());
    for kind in Kind::ALL {
        for field in explain(kind.word()).unwrap().fields {
            let is_told = !field.description.is_empty();
            assert!(is_told, "{}", field.path);
        }
    }
}

#[test]
fn a_difference_names_the_fields_and_hides_secrets() {
    let one = |text: &str| read(text, Format::Yaml).unwrap().remove(0).spec;
    let service = |rest: &str| {
        one(&format!(
            "kind: service\nname: /a\nspec:\n  template: {{containers: [{{command: x, ports: [{{name: a}}, {{name: b}}]}}]}}\n  {rest}"
        ))
    };
    let changes = diff(&service("replicas: 2"), &service("update: {deadline: 1m}"));
    let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["/replicas", "/update"]);
    assert_eq!(changes[0].old, Some(json!(2)));
    let reordered = one(
        "kind: service\nname: /a\nspec: {template: {containers: [{command: x, ports: [{name: b, host_port: 80}, {name: a}]}]}}",
    );
    let changes = diff(&service("replicas: 1"), &reordered);
    assert_eq!(changes.len(), 1);
    assert_eq!(
        changes[0].path,
        "/template/containers/main/ports/b/host_port"
    );
    let secret = |value: &str| {
        one(&format!(
            "kind: secret\nname: /a\nspec: {{data: {{k: {value}}}}}"
        ))
    };
    let told = serde_json::to_string(&diff(&secret("hunter2"), &secret("hunter3"))).unwrap();
    assert!(
        told.contains("/data/k") && !told.contains("hunter"),
        "{told}"
    );
    assert_eq!(redacted(&secret("hunter2"))["data"]["k"], "(hidden)");
}

#[test]
fn a_size_is_written_so_that_it_reads_the_same() {
    for kibibytes in (0..3_000).chain([(1 << 20) + 1, (1 << 30) + 7, 1 << 50]) {
        let size = Size(kibibytes);
        let written = serde_json::to_value(size).unwrap();
        assert_eq!(serde_json::from_value::<Size>(written).unwrap(), size);
    }
}
