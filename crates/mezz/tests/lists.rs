//! How lists are shown, from answers as the native API gives them.

mod support;

use support::{Answer, Server, mezz_at};

const TASKS: &str = r#"[{"id":"web.1","name":"web","framework":"marathon","framework_id":"F-0001","role":"dev/web","agent_id":"A-S0","hostname":"h1","state":"TASK_RUNNING","started_at":"2020-01-01T00:00:00Z","finished_at":null,"resources":{"cpus":0.5,"mem":64,"disk":0,"gpus":0},"ports":[31000,31001]},{"id":"mezz.2","name":"","framework":"mezz","framework_id":"F-0002","role":"*","agent_id":"A-S0","hostname":"h1","state":"TASK_STAGING","started_at":null,"finished_at":null,"resources":{"cpus":0.1,"mem":32.5,"disk":0,"gpus":0},"ports":[]}]"#;

/// Ages grow while the tests are kept.
fn without_ages(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let is_age = |word: &str| {
        let word = word.trim_end();
        word.strip_suffix('d')
            .is_some_and(|days| days.len() == 4 && days.bytes().all(|byte| byte.is_ascii_digit()))
    };
    words
        .iter()
        .map(|word| {
            if is_age(word.lines().next().unwrap_or("")) {
                word.replacen(&word[..4], "NNNN", 1)
            } else {
                (*word).to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn shown(target: &str, body: &str, arguments: &[&str]) -> String {
    without_ages(&mezz_at(&Server::json(target, 200, body), arguments).seen())
}

#[test]
fn tasks_are_a_table() {
    insta::assert_snapshot!(shown("GET /v1/tasks", TASKS, &["ps"]), @"
    exit code: 0
    --- stdout
    ID      NAME  STATE    HOST  CPUS   MEM    AGE
    web.1   web   RUNNING  h1     0.5    64  NNNNd
    mezz.2  -     STAGING  h1     0.1  32.5      -
    ");
    insta::assert_snapshot!(shown("GET /v1/tasks", TASKS, &["ps", "-o", "wide"]), @"
    exit code: 0
    --- stdout
    ID      NAME  STATE    HOST  CPUS   MEM    AGE  FRAMEWORK  ROLE     PORTS        DISK  GPUS  AGENT  ENDED
    web.1   web   RUNNING  h1     0.5    64  NNNNd  marathon   dev/web  31000,31001     0     0  A-S0   -
    mezz.2  -     STAGING  h1     0.1  32.5      -  mezz       *        -               0     0  A-S0   -
    ");
}

#[test]
fn tasks_are_shown_in_every_format() {
    insta::assert_snapshot!(shown("GET /v1/tasks", TASKS, &["ps", "-o", "name"]), @"
    exit code: 0
    --- stdout
    web.1
    mezz.2
    ");
    insta::assert_snapshot!(shown("GET /v1/tasks", TASKS, &["ps", "-o", "yaml"]), @r#"
    exit code: 0
    --- stdout
    - agent_id: A-S0
      finished_at: null
      framework: marathon
      framework_id: F-0001
      hostname: h1
      id: web.1
      name: web
      ports:
        - 31000
        - 31001
      resources:
        cpus: 0.5
        disk: 0
        gpus: 0
        mem: 64
      role: dev/web
      started_at: "2020-01-01T00:00:00Z"
      state: TASK_RUNNING
    - agent_id: A-S0
      finished_at: null
      framework: mezz
      framework_id: F-0002
      hostname: h1
      id: mezz.2
      name: ""
      ports: []
      resources:
        cpus: 0.1
        disk: 0
        gpus: 0
        mem: 32.5
      role: "*"
      started_at: null
      state: TASK_STAGING
    "#);
    assert_eq!(
        shown("GET /v1/tasks", TASKS, &["ps", "-o", "json"]),
        format!("exit code: 0\n--- stdout\n{TASKS}\n")
    );
}

#[test]
fn filters_of_tasks_become_a_query() {
    let server = Server::json(
        "GET /v1/tasks?framework=F%2F1&state=TASK_FAILED&all=true",
        200,
        "[]",
    );
    insta::assert_snapshot!(mezz_at(&server, &["ps", "--framework", "F/1", "--state", "failed"]).seen(), @"
    exit code: 0
    --- stderr
    no tasks; `mezz ps --all` also lists those that have ended, `mezz run -- COMMAND` runs one
    ");
}

#[test]
fn agents_show_what_is_used_of_what_is_there() {
    let agents = r#"[{"id":"A-S0","hostname":"h1","address":"127.0.0.1:5051","state":"active","active":true,"registered_at":"2020-01-01T00:00:00Z","version":"1.11.0","attributes":{"rack":"r1","zone":"w"},"resources":{"total":{"cpus":4,"mem":15000,"disk":20000,"gpus":0,"ports":"31000-32000"},"used":{"cpus":1.5,"mem":128,"disk":0,"gpus":0},"offered":{"cpus":0,"mem":0}},"tasks":3}]"#;
    insta::assert_snapshot!(shown("GET /v1/agents", agents, &["agents"]), @"
    exit code: 0
    --- stdout
    ID    HOST  STATE    CPUS        MEM  TASKS    AGE
    A-S0  h1    active  1.5/4  128/15000      3  NNNNd
    ");
    insta::assert_snapshot!(shown("GET /v1/agents", agents, &["agents", "-o", "wide"]), @"
    exit code: 0
    --- stdout
    ID    HOST  STATE    CPUS        MEM  TASKS    AGE  ADDRESS         VERSION     DISK  GPUS  PORTS        ATTRIBUTES
    A-S0  h1    active  1.5/4  128/15000      3  NNNNd  127.0.0.1:5051  1.11.0   0/20000   0/0  31000-32000  rack=r1,zone=w
    ");
}

#[test]
fn frameworks_roles_and_offers_are_tables() {
    let frameworks = r#"[{"id":"F-0001","name":"marathon","user":"root","state":"active","roles":["dev","ops"],"principal":null,"webui_url":"http://m/","registered_at":"2020-01-01T00:00:00Z","tasks":2,"resources":{"used":{"cpus":1,"mem":64},"offered":{"cpus":0,"mem":0}},"checkpoint":true,"failover_timeout_secs":604800}]"#;
    insta::assert_snapshot!(shown("GET /v1/frameworks", frameworks, &["frameworks", "-o", "wide"]), @"
    exit code: 0
    --- stdout
    ID      NAME      STATE   ROLES    TASKS  CPUS  MEM    AGE  USER  PRINCIPAL  CHECKPOINT  FAILOVER-SECS  URL
    F-0001  marathon  active  dev,ops      2     1   64  NNNNd  root  -          yes                604800  http://m/
    ");
    let roles = r#"[{"name":"dev","weight":2,"frameworks":["F-0001"],"resources":{"used":{"cpus":1,"mem":64},"offered":{}},"share":0.125}]"#;
    insta::assert_snapshot!(shown("GET /v1/roles", roles, &["roles"]), @"
    exit code: 0
    --- stdout
    NAME  WEIGHT  SHARE  CPUS  MEM  FRAMEWORKS
    dev        2  12.5%     1   64  F-0001
    ");
    let offers = r#"[{"id":"O-1","framework_id":"F-0001","role":"dev","agent_id":"A-S0","hostname":"h1","resources":{"cpus":2.25,"mem":1024},"created_at":"2020-01-01T00:00:00Z"}]"#;
    insta::assert_snapshot!(shown("GET /v1/offers", offers, &["offers"]), @"
    exit code: 0
    --- stdout
    ID   FRAMEWORK  ROLE  HOST  CPUS   MEM    AGE
    O-1  F-0001     dev   h1    2.25  1024  NNNNd
    ");
}

#[test]
fn an_empty_list_says_so_on_stderr() {
    insta::assert_snapshot!(shown("GET /v1/tasks", "[]", &["ps"]), @"
    exit code: 0
    --- stderr
    no tasks; `mezz ps --all` also lists those that have ended, `mezz run -- COMMAND` runs one
    ");
    assert_eq!(
        shown("GET /v1/tasks", "[]", &["ps", "-o", "json"]),
        "exit code: 0\n--- stdout\n[]\n"
    );
}

#[test]
fn why_lists_its_reasons() {
    let why = r#"{"id":"web.1","kind":"task","reasons":["8 agents lack gpus:1","role quota is 4 cpus short"]}"#;
    insta::assert_snapshot!(shown("GET /v1/why/web.1", why, &["why", "web.1"]), @"
    exit code: 0
    --- stdout
    task web.1
      8 agents lack gpus:1
      role quota is 4 cpus short
    ");
}

const EVENT: &str = r#"{"sequence":7,"type":"task_updated","at":"2026-01-01T00:00:00Z","task_id":"web.1","state":"TASK_RUNNING"}"#;

#[test]
fn the_last_events_are_lines() {
    let target = "GET /v1/events?since=5m&type=task_updated&task=web.1";
    let server = Server::json(target, 200, &format!("[{EVENT}]"));
    let arguments = [
        "events",
        "--since",
        "5m",
        "--type",
        "task_updated",
        "--task",
        "web.1",
    ];
    insta::assert_snapshot!(mezz_at(&server, &arguments).seen(), @"
    exit code: 0
    --- stdout
    2026-01-01T00:00:00Z  task_updated  state=TASK_RUNNING task_id=web.1
    ");
    let server = Server::json("GET /v1/events", 200, "[]");
    insta::assert_snapshot!(mezz_at(&server, &["events"]).seen(), @"
    exit code: 0
    --- stderr
    no such event is kept; `mezz events --follow` waits for the next one
    ");
}

#[test]
fn followed_events_go_on_after_the_last_one_when_the_stream_breaks() {
    let problem = r#"{"title":"Refused","status":403,"detail":"enough"}"#;
    let server = Server::new(vec![
        (
            "GET /v1/events",
            vec![Answer::Broken(vec![EVENT.to_owned()])],
        ),
        (
            "GET /v1/events?after=7",
            vec![Answer::Json(403, problem.to_owned())],
        ),
    ]);
    let outcome = mezz_at(&server, &["events", "-f", "-o", "json"]);
    let event: serde_json::Value = serde_json::from_str(EVENT).expect("JSON");
    assert_eq!(outcome.stdout, format!("{event}\n"));
    assert_eq!(outcome.code, 5, "{}", outcome.stderr);
    assert_eq!(
        server.requests(),
        ["GET /v1/events", "GET /v1/events?after=7"]
    );
}

#[test]
fn a_watched_list_is_shown_again_when_it_has_changed() {
    let waiting = "GET /v1/offers?index=0&wait=30s";
    let server = Server::new(vec![
        (
            "GET /v1/offers",
            vec![Answer::Json(200, r#"[{"id":"O1"}]"#.to_owned())],
        ),
        (
            waiting,
            vec![
                Answer::Json(200, r#"[{"id":"O1"}]"#.to_owned()),
                Answer::Json(200, r#"[{"id":"O2"}]"#.to_owned()),
                Answer::Json(503, "{}".to_owned()),
            ],
        ),
    ]);
    let outcome = mezz_at(&server, &["offers", "--watch", "-o", "name"]);
    assert_eq!((outcome.stdout.as_str(), outcome.code), ("O1\nO2\n", 4));
}

#[test]
fn the_state_of_the_cluster_is_told_in_a_few_lines() {
    let agents = r#"[{"state":"connected","resources":{"total":{"cpus":4,"mem":100},"used":{"cpus":1.5},"offered":{"cpus":2}}},{"state":"connected","resources":{"total":{"cpus":4,"mem":28}}}]"#;
    let answers = [
        (
            "GET /v1/version",
            r#"{"mezz_version":"0.1.0","version":"1.11.0"}"#,
        ),
        ("GET /v1/agents", agents),
        ("GET /v1/frameworks", r#"[{"state":"active"}]"#),
        (
            "GET /v1/tasks",
            r#"[{"state":"TASK_RUNNING"},{"state":"TASK_STAGING"}]"#,
        ),
        ("GET /v1/offers", "[]"),
        (
            "GET /v1/freeze",
            r#"{"frozen":true,"until":"2026-01-31T12:00:00.000000Z"}"#,
        ),
    ];
    let script = answers.map(|(target, body)| (target, vec![Answer::Json(200, body.to_owned())]));
    let server = Server::new(script.to_vec());
    insta::assert_snapshot!(mezz_at(&server, &["status"]).seen(), @"
    exit code: 0
    --- stdout
    master      mezz 0.1.0 at MASTER
    frozen      nothing is started, ended or rolled until 2026-01-31T12:00:00Z, or `mezz thaw`
    agents      2 connected
    frameworks  1 active
    tasks       1 running, 1 staging
    offers      0
    cpus        1.5 used, 2 offered, of 8
    mem         0 used, 0 offered, of 128 MiB
    disk        0 used, 0 offered, of 0 MiB
    gpus        0 used, 0 offered, of 0
    ");
}

#[test]
fn why_takes_the_name_of_a_framework() {
    let empty = [
        "GET /v1/tasks?all=true",
        "GET /v1/agents",
        "GET /v1/groups",
        "GET /v1/services",
        "GET /v1/jobs",
        "GET /v1/crons",
        "GET /v1/dags",
        "GET /v1/secrets",
        "GET /v1/configs",
        "GET /v1/runs",
        "GET /v1/rollouts",
    ];
    let empty = empty.map(|target| (target, vec![Answer::Json(200, "[]".to_owned())]));
    let mut script = vec![
        (
            "GET /v1/frameworks",
            vec![Answer::Json(
                200,
                r#"[{"id":"F-1","name":"spark"}]"#.to_owned(),
            )],
        ),
        (
            "GET /v1/why/F-1",
            vec![Answer::Json(
                200,
                r#"{"id":"F-1","kind":"framework","reasons":[]}"#.to_owned(),
            )],
        ),
    ];
    script.extend(empty);
    let server = Server::new(script);
    insta::assert_snapshot!(mezz_at(&server, &["why", "spark"]).seen(), @"
    exit code: 0
    --- stdout
    framework F-1
      nothing stands in its way
    ");
    insta::assert_snapshot!(mezz_at(&server, &["why", "nobody"]).seen(), @"
    exit code: 3
    --- stderr
    error: no object, run, rollout, task, framework, role, agent or offer is called 'nobody', or begins so
    hint: `mezz get all`, `mezz runs`, `mezz ps --all`, `mezz frameworks`, `mezz roles` and `mezz agents` list what there is
    ");
}

#[test]
fn every_selector_of_tasks_becomes_a_part_of_the_query() {
    let target = "GET /v1/tasks?role=dev&agent=h1&label=team%3Dx&label=y";
    let server = Server::json(target, 200, r#"[{"id":"t"}]"#);
    let arguments = [
        "ps", "--role", "dev", "--agent", "h1", "-l", "team=x", "-l", "y", "-o", "name",
    ];
    assert_eq!(mezz_at(&server, &arguments).stdout, "t\n");
}

#[test]
fn both_versions_are_told() {
    let server = Server::json(
        "GET /v1/version",
        200,
        r#"{"mezz_version":"0.1.0","version":"1.11.0"}"#,
    );
    insta::assert_snapshot!(mezz_at(&server, &["version"]).seen(), @"
    exit code: 0
    --- stdout
    client  mezz 0.1.0
    master  mezz 0.1.0, speaks Mesos 1.11.0, at MASTER
    ");
    insta::assert_snapshot!(mezz_at(&server, &["version", "-o", "json"]).seen(), @r#"
    exit code: 0
    --- stdout
    {"client":{"mezz_version":"0.1.0"},"master":{"mezz_version":"0.1.0","version":"1.11.0"}}
    "#);
}
