//! Manifests of Kubernetes, as people have them.

#![allow(clippy::unwrap_used, reason = "tests")]

use mezz_convert::{Conversion, Options, Source, read, to_kubernetes};
use mezz_spec::{Format, Name, Object};
use serde_json::{Value, json};

const FILE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: shop}
data: {app.conf: "a = 1", level: info}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
type: Opaque
data: {password: aHVudGVyMg==, blob: /w==}
stringData: {user: app}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}, annotations: {note: x}}
spec:
  replicas: 3
  minReadySeconds: 5
  selector: {matchLabels: {app: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: robot
      nodeSelector: {disktype: ssd}
      tolerations: [{key: a}]
      topologySpreadConstraints: [{topologyKey: topology.kubernetes.io/zone, maxSkew: 2, whenUnsatisfiable: DoNotSchedule}]
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms: [{matchExpressions: [{key: cores, operator: Gt, values: ["4"]}]}]
      volumes:
        - {name: conf, configMap: {name: conf}}
        - {name: data, emptyDir: {}}
      containers:
        - name: web
          image: nginx:1.27
          command: [nginx]
          args: [-g, daemon off;]
          env:
            - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
            - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: PLAIN, value: "1"}
          envFrom: [{prefix: C_, configMapRef: {name: conf}}]
          ports: [{name: http, containerPort: 80}]
          resources: {requests: {cpu: 250m, memory: 64Mi}, limits: {memory: 128Mi}}
          livenessProbe: {httpGet: {path: healthz, port: http}, periodSeconds: 5}
          readinessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 2, failureThreshold: 1}
          startupProbe: {tcpSocket: {port: 80}, periodSeconds: 2, failureThreshold: 30}
          lifecycle: {preStop: {exec: {command: [sleep, "5"]}}}
          volumeMounts: [{name: conf, mountPath: /etc/app}, {name: data, mountPath: /data}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 8080, targetPort: http}, {port: 9, targetPort: 9}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  timeZone: Europe/Berlin
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 200
  suspend: true
  jobTemplate:
    spec:
      backoffLimit: 2
      activeDeadlineSeconds: 600
      template:
        spec:
          restartPolicy: OnFailure
          containers: [{name: main, image: app, command: [run]}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec: {selector: {}, template: {spec: {containers: [{name: a, image: b}]}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {}
"#;

fn convert() -> Conversion {
    let (source, conversion) =
        read(FILE, Format::Yaml, &Options::default()).expect("it is converted");
    assert_eq!(source, Source::Kubernetes);
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
fn a_deployment_keeps_what_has_a_meaning() {
    let web = named(&convert().objects, "/shop/web");
    assert_eq!(web["kind"], "service");
    assert_eq!(web["labels"], json!({ "app": "web" }));
    let spec = &web["spec"];
    assert_eq!(spec["replicas"], 3);
    assert_eq!(
        spec["update"],
        json!({ "ready_for": "5s", "strategy": { "rolling": { "max_surge": 1 } } })
    );
    assert_eq!(
        spec["placement"],
        json!({
            "require": [
                { "key": "disktype", "op": "in", "values": ["ssd"] },
                { "key": "cores", "op": "at_least", "values": ["5"] },
            ],
            "spread": [{ "key": "zone", "max_skew": 2 }],
        })
    );
    assert_eq!(spec["template"]["kill"], json!({ "grace": "30s" }));
    let container = &spec["template"]["containers"][0];
    assert_eq!(
        *container,
        json!({
            "name": "web",
            "image": "nginx:1.27",
            "command": ["nginx", "-g", "daemon off;"],
            "env": {
                "PASSWORD": { "secret": { "name": "/shop/db", "key": "password" } },
                "PLAIN": "1",
                "C_app.conf": { "config": { "name": "/shop/conf", "key": "app.conf" } },
                "C_level": { "config": { "name": "/shop/conf", "key": "level" } },
            },
            "files": [
                { "path": "etc/app/app.conf", "from": { "config": { "name": "/shop/conf", "key": "app.conf" } } },
                { "path": "etc/app/level", "from": { "config": { "name": "/shop/conf", "key": "level" } } },
            ],
            "ports": [{ "name": "http", "container_port": 80, "service_port": 8080 }],
            "resources": { "cpus": 0.25, "mem": 64, "limits": { "mem": 128 } },
            "checks": {
                "health": { "http": { "port": "http", "path": "/healthz" }, "interval": "5s", "timeout": "1s", "grace": "1m" },
                "ready": { "tcp": { "port": 80 }, "delay": "2s", "timeout": "1s", "failures": 1, "grace": "1m" },
            },
            "pre_stop": { "command": ["sleep", "5"], "timeout": "30s" },
        })
    );
}

#[test]
fn configs_secrets_and_crons_come_along() {
    let objects = convert().objects;
    assert_eq!(
        named(&objects, "/shop/db")["spec"]["data"],
        json!({ "password": "hunter2", "user": "app" })
    );
    let cron = named(&objects, "/nightly");
    assert_eq!(cron["kind"], "cron");
    let spec = &cron["spec"];
    assert_eq!(spec["enabled"], false);
    assert_eq!(spec["overlap"], "forbid");
    assert_eq!(spec["starting_deadline"], "3m20s");
    assert_eq!(spec["run"]["job"]["retries"], 2);
    assert_eq!(spec["run"]["job"]["deadline"], "10m");
    assert_eq!(named(&objects, "/agent")["spec"]["replicas"], "per_node");
}

#[test]
fn everything_that_was_dropped_is_told_with_the_reason() {
    let dropped = convert().dropped;
    let paths: Vec<String> = dropped
        .iter()
        .map(|one| format!("{} {}", one.object, one.path))
        .collect();
    for path in [
        "Secret db /data/blob",
        "Deployment web /metadata/annotations",
        "Deployment web /spec/template/spec/serviceAccountName",
        "Deployment web /spec/template/spec/tolerations",
        "Deployment web /spec/template/spec/volumes/1",
        "Deployment web /spec/template/spec/containers/0/env/1/valueFrom/fieldRef",
        "Service web /spec/ports/1",
        "Ingress web ",
    ] {
        assert!(
            paths.iter().any(|other| other == path),
            "{path} is not in {paths:#?}"
        );
    }
}

#[test]
fn an_amount_that_is_none_is_refused_at_its_place() {
    let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {spec: {containers: [{name: a, image: b, resources: {requests: {cpu: lots}}}]}}}";
    let faults = read(text, Format::Yaml, &Options::default()).unwrap_err();
    assert_eq!(
        faults[0].path,
        "/spec/template/spec/containers/0/resources/requests/cpu"
    );
}

#[test]
fn our_objects_can_be_written_as_manifests_and_come_back() {
    let first = convert().objects;
    let export = to_kubernetes(&first);
    let text = Value::Array(export.documents).to_string();
    let (_, again) = read(&text, Format::Json, &Options::default()).expect("it is read");
    for name in ["/shop/web", "/shop/conf", "/agent"] {
        let (mut one, mut other) = (named(&first, name), named(&again.objects, name));
        // Probes lose the difference between delay and grace, files their place.
        for value in [&mut one, &mut other] {
            if let Some(Value::Object(container)) = value.pointer_mut("/spec/template/containers/0")
            {
                container.remove("checks");
                container.remove("files");
            }
            value.as_object_mut().unwrap().remove("labels");
            value["spec"].as_object_mut().unwrap().remove("placement");
        }
        if let Some(resources) = one.pointer_mut("/spec/template/containers/0/resources") {
            assert!(resources["cpus"].is_number());
        }
        assert_eq!(one, other);
    }
    assert!(
        export
            .dropped
            .iter()
            .any(|one| one.path == "/spec/placement")
    );
    assert!(!text.contains("hunter2"));
}

#[test]
fn of_several_checks_of_a_kind_the_first_is_written_and_the_others_are_told() {
    let template = json!({ "containers": [{
        "command": "serve",
        "checks": { "health": [{ "tcp": { "port": 1 } }, { "tcp": { "port": 2 } }], "ready": [{ "tcp": { "port": 3 } }] },
    }] });
    let spec =
        mezz_spec::Spec::from_json(mezz_spec::Kind::Service, json!({ "template": template }));
    let object = Object {
        name: Name::new("/web").unwrap(),
        labels: std::collections::BTreeMap::new(),
        spec: spec.unwrap(),
        generation: None,
    };
    let written = to_kubernetes(&[object]);
    let text = Value::Array(written.documents).to_string();
    assert!(text.contains("livenessProbe") && text.contains("readinessProbe"));
    let dropped: Vec<&str> = written
        .dropped
        .iter()
        .map(|one| one.path.as_str())
        .collect();
    assert!(
        dropped.contains(&"/spec/template/containers/0/checks/health/1"),
        "{dropped:?}"
    );
}
