//! Compose files, as people have them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use mezz_convert::{Conversion, Options, Source, read, to_compose};
use mezz_spec::{Format, Kind, Name, Object};
use serde_json::{Value, json};

const FILE: &str = r#"
name: shop
x-base: &base
  restart: always
  environment: {LOG: "${LEVEL:-info}", COST: "$$5"}
services:
  web:
    <<: *base
    image: "nginx:${TAG}"
    command: nginx -g 'daemon off;'
    ports: ["8080:80", "127.0.0.1:53:53/udp"]
    depends_on: {db: {condition: service_healthy}}
    volumes: ["./site:/usr/share/nginx/html"]
    user: "1000"
    stop_grace_period: 1m30s
    labels: [tier=front]
    configs: [{source: settings, target: /etc/app.conf}]
    logging: {driver: json-file, options: {max-size: 10m}}
    healthcheck: {test: ["CMD", curl, -f, http://localhost/], interval: 5s, timeout: 2s, retries: 4, start_period: 10s}
    deploy:
      replicas: 3
      resources: {limits: {cpus: "0.50", memory: 50M}, reservations: {memory: 20M}}
      update_config: {parallelism: 2, order: start-first, failure_action: rollback, delay: 10s}
      placement: {constraints: ["node.labels.disk == ssd", "node.role == manager"], max_replicas_per_node: 1}
  db:
    image: postgres
    environment: [POSTGRES_PASSWORD=secret, FROM_CALLER]
    deploy: {mode: global}
  My_Migration:
    image: app
    command: [migrate, --all]
    restart: "no"
configs:
  settings: {content: "a = 1\n"}
  other: {file: ./other.conf}
"#;

fn convert() -> Conversion {
    let options = Options {
        variables: BTreeMap::from([("TAG".to_owned(), "1.27".to_owned())]),
        ..Options::default()
    };
    let (source, conversion) = read(FILE, Format::Yaml, &options).expect("it is converted");
    assert_eq!(source, Source::Compose);
    conversion
}

fn named(objects: &[Object], name: &str) -> Value {
    let name = Name::new(name).unwrap();
    objects
        .iter()
        .find(|object| object.name == name)
        .expect("it is there")
        .to_sparse()
}

#[test]
fn a_service_keeps_what_has_a_meaning() {
    let conversion = convert();
    let web = named(&conversion.objects, "/shop/web");
    assert_eq!(
        web,
        json!({
            "kind": "service",
            "name": "/shop/web",
            "labels": { "tier": "front" },
            "spec": {
                "replicas": 3,
                "after": ["/shop/db"],
                "placement": {
                    "require": [{ "key": "disk", "op": "in", "values": ["ssd"] }],
                    "spread": [{ "key": "hostname", "max_per": 1 }],
                },
                "update": { "strategy": { "rolling": { "max_surge": 2 } } },
                "template": {
                    "user": "1000",
                    "kill": { "grace": "1m30s" },
                    "containers": [{
                        "image": "nginx:1.27",
                        "command": ["nginx", "-g", "daemon off;"],
                        "env": { "LOG": "info", "COST": "$5" },
                        "files": [{ "path": "etc/app.conf", "from": { "config": { "name": "/shop/settings", "key": "content" } } }],
                        "logs": { "max_size": 10 },
                        "ports": [
                            { "name": "port-80", "container_port": 80, "host_port": 8080 },
                            { "name": "port-53-udp", "container_port": 53, "host_port": 53, "protocol": "udp" },
                        ],
                        "checks": { "health": {
                            "command": ["curl", "-f", "http://localhost/"],
                            "interval": "5s", "timeout": "2s", "failures": 4,
                        } },
                        "resources": { "cpus": 0.5, "mem": 20, "limits": { "cpus": 0.5, "mem": 50 } },
                    }],
                },
            },
        })
    );
}

#[test]
fn what_is_not_restarted_becomes_a_job_and_names_become_ours() {
    let objects = convert().objects;
    let job = named(&objects, "/shop/my-migration");
    assert_eq!(job["kind"], "job");
    assert_eq!(
        job["spec"]["template"]["containers"][0]["command"],
        json!(["migrate", "--all"])
    );
    assert_eq!(named(&objects, "/shop/db")["spec"]["replicas"], "per_node");
    assert_eq!(
        named(&objects, "/shop/settings")["spec"]["data"]["content"],
        "a = 1\n"
    );
}

#[test]
fn everything_that_was_dropped_is_told_with_the_reason() {
    let dropped = convert().dropped;
    let paths: Vec<String> = dropped
        .iter()
        .map(|one| format!("{} {}", one.object, one.path))
        .collect();
    for path in [
        "service web /services/web/volumes",
        "service web /services/web/ports/1",
        "service web /services/web/deploy/update_config/delay",
        "service web /services/web/deploy/placement/constraints/1",
        "service db /services/db/environment/FROM_CALLER",
        "config other /configs/other/file",
        "service My_Migration /services/My_Migration",
    ] {
        assert!(
            paths.iter().any(|other| other == path),
            "{path} is not in {paths:#?}"
        );
    }
    assert!(dropped.iter().all(|one| !one.why.is_empty()));
}

#[test]
fn a_port_that_is_none_is_refused_at_its_place() {
    let text = "services: {a: {image: x, ports: [http]}}";
    let faults = read(text, Format::Yaml, &Options::default()).unwrap_err();
    assert_eq!(faults[0].path, "/services/a/ports/0");
}

#[test]
fn our_services_can_be_written_as_a_compose_file() {
    let text = r#"
kind: service
name: /team/web
spec:
  replicas: 2
  placement: {spread: [{key: zone, max_skew: 1}]}
  template:
    kill: {grace: 9s}
    containers: [{command: "echo $HOME", env: {A: b}, ports: [{name: http, host_port: 80}], checks: {health: {command: "true"}}}]
---
kind: secret
name: /team/db
spec: {data: {password: hunter2}}
"#;
    let (_, conversion) = read(text, Format::Yaml, &Options::default()).unwrap();
    let export = to_compose(&conversion.objects);
    let web = &export.documents[0]["services"]["team-web"];
    assert_eq!(web["command"], json!(["/bin/sh", "-c", "echo $$HOME"]));
    assert_eq!(web["deploy"]["replicas"], 2);
    assert_eq!(web["stop_grace_period"], "9s");
    assert_eq!(web["ports"][0]["published"], "80");
    let told: Vec<&str> = export.dropped.iter().map(|one| one.path.as_str()).collect();
    assert!(
        told.contains(&"/spec/placement") && told.contains(&"/spec/template/containers/0/image"),
        "{told:?}"
    );
    assert!(!export.documents[0].to_string().contains("hunter2"));
    let kinds: Vec<Kind> = conversion
        .objects
        .iter()
        .map(|object| object.spec.kind())
        .collect();
    assert_eq!(kinds, [Kind::Service, Kind::Secret]);
}
