//! `mezz plan` and `mezz convert`: what an apply would do, and files of other systems.

mod support;

use std::path::PathBuf;

use support::dev::Dev;
use support::mezz;

fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

fn service(name: &str, replicas: u32, cpus: &str, command: &str) -> String {
    format!(
        "kind: service\nname: {name}\nspec:\n  replicas: {replicas}\n  template:\n    containers:\n      - command: {command}\n        \
         resources: {{cpus: {cpus}, mem: 16MiB}}\n"
    )
}

const HAND: &str = "---\nkind: job\nname: /team/hand\nspec:\n  start: manual\n  template:\n    containers:\n      - command: 'true'\n        \
                    resources: {cpus: 0.1, mem: 16MiB}\n";

#[test]
fn a_plan_tells_what_changes_where_instances_go_and_what_finds_no_place() {
    let (dev, folder) = (
        Dev::start(&["--resources", "cpus:4;mem:4000;ports:[31000-31100]"]),
        tempfile::tempdir().expect("a folder"),
    );
    let present = write(
        &folder,
        "web.yaml",
        &service("/team/web", 2, "0.1", "sleep 1000"),
    );
    assert_eq!(dev.mezz(&["plan", "-f", &present]).code, 2);
    assert_eq!(dev.mezz(&["apply", "--wait", "-f", &present]).code, 0);
    let same = dev.mezz(&["plan", "-f", &present]);
    insta::assert_snapshot!("plan_of_nothing", same.seen());
    assert_eq!(same.code, 0);

    let changed = service("/team/web", 3, "0.1", "sleep 2000");
    let large = service("/team/large", 3, "2.0", "sleep 1000");
    let file = write(&folder, "all.yaml", &format!("{changed}---\n{large}{HAND}"));
    let planned = dev.mezz(&["plan", "-f", &file]);
    insta::assert_snapshot!("plan_of_changes", planned.seen());
    assert_eq!(planned.code, 2);
    let names = dev.mezz(&["plan", "-f", &file, "-o", "name"]).stdout;
    assert_eq!(
        names,
        "service/team/web\nservice/team/large\njob/team/hand\n"
    );
    // Nothing was changed by all that.
    assert_eq!(dev.mezz(&["plan", "-f", &present]).code, 0);
    assert_eq!(dev.mezz(&["get", "job/team/hand"]).code, 3);

    let wrong = write(
        &folder,
        "wrong.yaml",
        "kind: service\nname: /a\nspec: {replica: 2}\n",
    );
    let refused = dev.mezz(&["plan", "-f", &wrong]);
    assert_eq!(refused.code, 5, "{}", refused.seen());
    assert_eq!(dev.stop(), Some(0));
}

const COMPOSE: &str = "name: shop\nservices:\n  web:\n    command: [sleep, '1000']\n    networks: [front]\n    \
                       deploy: {replicas: 2, resources: {limits: {cpus: '0.1', memory: 16M}}}\nnetworks: {front: {}}\n";
const APP: &str = r#"{"id": "/old/app", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, "ipAddress": {"networkName": "x"}}"#;

#[test]
fn a_file_of_another_system_is_applied_and_what_was_dropped_is_told() {
    let (dev, folder) = (Dev::start(&[]), tempfile::tempdir().expect("a folder"));
    let compose = write(&folder, "compose.yaml", COMPOSE);
    let applied = dev.mezz(&["apply", "--wait", "-f", &compose]);
    assert_eq!(applied.code, 0, "{}", applied.seen());
    assert_eq!(applied.stdout, "service /shop/web created, generation 1\n");
    for words in ["read as a Compose file", "warning: ", "/networks: "] {
        assert!(applied.stderr.contains(words), "{}", applied.seen());
    }
    let marathon = write(&folder, "app.json", APP);
    let applied = dev.mezz(&["apply", "--wait", "-f", &marathon, "--under", "/new"]);
    assert_eq!(applied.code, 0, "{}", applied.seen());
    assert_eq!(
        applied.stdout,
        "service /new/old/app created, generation 1\n"
    );
    assert!(
        applied.stderr.contains("/ipAddress: "),
        "{}",
        applied.seen()
    );
    let group =
        r#"{"id": "/shop2", "apps": [{"id": "app", "cmd": "sleep 1000", "cpus": 0.1, "mem": 16}]}"#;
    let group = write(&folder, "group.json", group);
    let applied = dev.mezz(&["apply", "--wait", "-f", &group]);
    assert_eq!(applied.code, 0, "{}", applied.seen());
    let expected = "group /shop2 created, generation 1\nservice /shop2/app created, generation 1\n";
    assert_eq!(applied.stdout, expected, "{}", applied.seen());
    let gone = dev.mezz(&["delete", "-f", &compose]);
    assert_eq!(
        gone.stdout,
        "service /shop/web deleted\n",
        "{}",
        gone.seen()
    );
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn files_are_converted_both_ways_without_a_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().display().to_string();
    let seen = |arguments: &[&str]| mezz(arguments).seen().replace(&place, "DIR");
    let compose = write(&folder, "compose.yaml", COMPOSE);
    insta::assert_snapshot!("convert_compose", seen(&["convert", &compose]));
    let to = seen(&["convert", &compose, "--to", "kubernetes"]);
    insta::assert_snapshot!("convert_compose_to_kubernetes", to);
    let app = write(&folder, "app.json", APP);
    insta::assert_snapshot!("convert_marathon", seen(&["convert", &app]));
    let wrong = write(
        &folder,
        "wrong.json",
        r#"{"id": "/a", "cmd": "true", "instances": "many"}"#,
    );
    insta::assert_snapshot!("convert_wrong", seen(&["convert", &wrong]));
}
