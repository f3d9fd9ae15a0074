//! Well-formed input: golden samples, recorded dialogues, and what the parts of this program say to each other.

use base64::Engine as _;
use mezz_launch_plan::LaunchId;
use mezz_proto::agent_protocol as agent;
use mezz_proto::agent_protocol::Frame;
use mezz_proto::agent_protocol::frame::Body;
use mezz_proto::v1;
use mezz_warden::frames::{encode_reply, encode_request};
use mezz_warden::{Reply, Request, SignalScope};
use prost::Message as _;

/// In the order in which the codecs choose their message.
const GOLDEN: [(&str, &str); 8] = [
    (
        "scheduler-call",
        include_str!("../../crates/proto/tests/golden/scheduler-call.tsv"),
    ),
    (
        "scheduler-event",
        include_str!("../../crates/proto/tests/golden/scheduler-event.tsv"),
    ),
    (
        "executor-call",
        include_str!("../../crates/proto/tests/golden/executor-call.tsv"),
    ),
    (
        "executor-event",
        include_str!("../../crates/proto/tests/golden/executor-event.tsv"),
    ),
    (
        "master-call",
        include_str!("../../crates/proto/tests/golden/master-call.tsv"),
    ),
    (
        "master-response",
        include_str!("../../crates/proto/tests/golden/master-response.tsv"),
    ),
    (
        "agent-call",
        include_str!("../../crates/proto/tests/golden/agent-call.tsv"),
    ),
    (
        "agent-response",
        include_str!("../../crates/proto/tests/golden/agent-response.tsv"),
    ),
];

const CAPTURES: &str = include_str!("../../tests/captures/scheduler-dialogue.txt");

/// The binary samples of one file.
pub(crate) fn golden(name: &str) -> Vec<Vec<u8>> {
    let files = GOLDEN.iter().filter(|(file, _)| *file == name);
    files
        .flat_map(|(_, text)| samples(text))
        .map(|(binary, _)| binary)
        .collect()
}

fn samples(text: &'static str) -> impl Iterator<Item = (Vec<u8>, &'static str)> {
    text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, '\t').skip(1);
        let binary = base64::engine::general_purpose::STANDARD.decode(parts.next()?);
        Some((binary.ok()?, parts.next()?))
    })
}

fn chosen(number: usize, bytes: &[u8]) -> Vec<u8> {
    let number = u8::try_from(number).expect("there are eight messages");
    [&[number], bytes].concat()
}

pub(crate) fn json() -> Vec<Vec<u8>> {
    let golden = GOLDEN.iter().enumerate().flat_map(|(number, (_, text))| {
        samples(text).map(move |(_, json)| chosen(number, json.as_bytes()))
    });
    // Calls as clients write them.
    let recorded = CAPTURES.lines().filter_map(|line| line.strip_prefix("> {"));
    golden
        .chain(recorded.map(|line| chosen(0, format!("{{{line}").as_bytes())))
        .collect()
}

pub(crate) fn binary() -> Vec<Vec<u8>> {
    let golden = GOLDEN.iter().enumerate();
    golden
        .flat_map(|(number, (_, text))| samples(text).map(move |(bytes, _)| chosen(number, &bytes)))
        .collect()
}

pub(crate) fn recordio() -> Vec<Vec<u8>> {
    [
        "\u{1}5\nhello0\n3\n{}\n",
        "\u{2}0\n0\n0\n",
        "\u{3}1048577\nx",
        "\u{4}12\n{\"type\": 1}\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(crate) fn resources() -> Vec<Vec<u8>> {
    [
        "cpus:8;mem:8000;disk:10000;ports:[31000-32000, 33000-33000]",
        "cpus(dev):0.001;gpus(a/b):2;set:{a,b , c}",
        r#"[{"name":"cpus","type":"SCALAR","scalar":{"value":1.5},"role":"*"}]"#,
        r#"[{"name":"disk","type":"SCALAR","scalar":{"value":10},"reservations":[{"type":"STATIC","role":"a"}],"disk":{"source":{"type":"MOUNT","mount":{"root":"/d"}}}}]"#,
        "rack:r1;zone:west;num:3;range:[1-2]",
        "cpus:0.01|mem:32;disk:1",
        "10mins",
        "1.5weeks",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(crate) fn ids() -> Vec<Vec<u8>> {
    [
        "*", "dev", "a/b/c", "..", "a//b", "-x", "a b", "/a", "a/", "a/./b",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(crate) fn queries() -> Vec<Vec<u8>> {
    [
        "path=/a%20b&offset=-1&length=10",
        "jsonp=f&x",
        "a=1&a=2&&=",
        "%",
        "order=asc&limit=18446744073709551616",
        "flag=true;b",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(crate) fn warden_frames() -> Vec<Vec<u8>> {
    let requests = [
        Request::Hello {
            version: 1,
            generation: 2,
        },
        Request::Signal {
            launch_id: LaunchId(7),
            signal: 15,
            scope: SignalScope::Tree,
        },
        Request::KillTree {
            launch_id: LaunchId(7),
        },
        Request::List,
        Request::Reexec {
            path: "/bin/mezz".into(),
        },
    ];
    let requests = requests.iter().map(|request| {
        let mut frame = Vec::new();
        encode_request(request, &mut frame);
        frame[4..].to_vec()
    });
    let reply = Reply::Welcome {
        version: 1,
        plan_version: 1,
        warden_pid: 7,
        launches: 0,
    };
    let mut frame = Vec::new();
    encode_reply(&reply, &mut frame);
    requests.chain([frame[4..].to_vec()]).collect()
}

fn frame(body: Body) -> Vec<u8> {
    Frame {
        body: Some(body),
        ..Frame::default()
    }
    .encode_to_vec()
}

fn resource(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..v1::Resource::default()
    }
}

/// Hello and registration of an agent.
pub(crate) fn agent_greeting() -> [Vec<u8>; 2] {
    let info = v1::AgentInfo {
        hostname: "host".into(),
        port: Some(5051),
        resources: vec![resource("cpus", 4.0), resource("mem", 4096.0)],
        ..v1::AgentInfo::default()
    };
    [
        frame(Body::Hello(agent::Hello {
            protocol_version: 1,
            mezz_version: "0".into(),
            boot_id: "b".into(),
            ..agent::Hello::default()
        })),
        frame(Body::Register(agent::Register {
            agent: info,
            version: "1.11.0".into(),
            capabilities: vec!["MULTI_ROLE".into()],
            ip: Some("127.0.0.1".into()),
            token: None,
        })),
    ]
}

/// The update of a task that runs.
pub(crate) fn agent_update() -> Vec<u8> {
    frame(Body::StatusUpdate(agent::StatusUpdate {
        framework_id: v1::FrameworkId {
            value: "m-0000".into(),
        },
        status: v1::TaskStatus {
            task_id: v1::TaskId { value: "t".into() },
            state: v1::TaskState::TaskRunning as i32,
            uuid: Some(vec![1; 16].into()),
            ..v1::TaskStatus::default()
        },
        ..agent::StatusUpdate::default()
    }))
}

/// What an agent hears of its master: it is admitted and registered, and runs a command and an executor.
pub(crate) fn master_greeting() -> Vec<Vec<u8>> {
    let framework = v1::FrameworkInfo {
        user: "root".into(),
        name: "f".into(),
        id: Some(v1::FrameworkId { value: "F".into() }),
        checkpoint: Some(true),
        ..v1::FrameworkInfo::default()
    };
    let task = |id: &str| v1::TaskInfo {
        name: id.into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: v1::AgentId { value: "A".into() },
        ..v1::TaskInfo::default()
    };
    let command = v1::CommandInfo {
        value: Some("true".into()),
        ..v1::CommandInfo::default()
    };
    let executor = v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: "e".into() },
        command: Some(command.clone()),
        ..v1::ExecutorInfo::default()
    };
    let tasks = [
        v1::TaskInfo {
            command: Some(command),
            ..task("t")
        },
        v1::TaskInfo {
            executor: Some(executor.into()),
            ..task("u")
        },
    ];
    let runs = tasks
        .into_iter()
        .zip(1..)
        .map(|(task, launch_token)| agent::RunTask {
            task,
            launch_token,
            instance: None,
        });
    vec![
        frame(Body::Admitted(agent::Admitted {
            cluster_id: "c".into(),
            epoch: 1,
            window: Some(100),
            ping_timeout_ms: 75_000,
            ..agent::Admitted::default()
        })),
        frame(Body::Registered(agent::Registered {
            agent_id: v1::AgentId { value: "A".into() },
            master: v1::MasterInfo::default(),
        })),
        frame(Body::RunTasks(agent::RunTasks {
            framework_id: v1::FrameworkId { value: "F".into() },
            framework: Some(framework),
            tasks: runs.collect(),
        })),
        frame(Body::KillTask(agent::KillTask {
            framework_id: v1::FrameworkId { value: "F".into() },
            task_id: v1::TaskId { value: "u".into() },
            kill_policy: None,
        })),
    ]
}

/// Frames as they travel, each after its length.
pub(crate) fn agent_frames() -> Vec<Vec<u8>> {
    let frames = agent_greeting().into_iter().chain(master_greeting());
    let frames = frames.chain([frame(Body::Part(agent::Part {
        data: vec![1; 9].into(),
        last: true,
    }))]);
    let lengths = |frame: &Vec<u8>| {
        u32::try_from(frame.len())
            .expect("a seed is short")
            .to_be_bytes()
    };
    frames
        .enumerate()
        .map(|(sequence, bytes)| {
            let mut frame = Frame::decode(&*bytes).expect("it was just encoded");
            frame.sequence = Some(sequence as u64 % 2);
            let bytes = frame.encode_to_vec();
            [&lengths(&bytes)[..], &bytes].concat()
        })
        .collect()
}

/// Examples of all kinds, and the valid corpus.
pub(crate) fn objects() -> Vec<Vec<u8>> {
    let marked = |mark: u8, text: &str| [&[mark], text.as_bytes()].concat();
    let mut seeds: Vec<Vec<u8>> = mezz_spec::Kind::ALL
        .into_iter()
        .map(|kind| marked(b'Y', mezz_spec::init(kind)))
        .collect();
    for (mark, text) in [
        (
            b'Y',
            include_str!("../../crates/spec/tests/corpus/valid/services.yaml"),
        ),
        (
            b'Y',
            include_str!("../../crates/spec/tests/corpus/valid/work.yaml"),
        ),
        (
            b'T',
            include_str!("../../crates/spec/tests/corpus/valid/many.toml"),
        ),
        (
            b'J',
            include_str!("../../crates/spec/tests/corpus/valid/stream.json"),
        ),
    ] {
        seeds.push(marked(mark, text));
    }
    seeds
}

/// Files of other systems.
pub(crate) fn foreign() -> Vec<Vec<u8>> {
    [
        "Yservices: {a: {image: \"x:${T:-1}\", command: a 'b c', ports: [\"80:80\", 53-55/udp, {target: 1}], environment: [A=b], depends_on: {b: {condition: service_healthy}}, healthcheck: {test: [CMD, a], interval: 1m}, deploy: {replicas: 2, resources: {limits: {cpus: '1', memory: 5m}}}}, b: {restart: \"no\"}}\nconfigs: {c: {content: x}}\n",
        "YapiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: b}\nspec: {replicas: 2, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b, command: [c], env: [{name: A, value: b}], resources: {requests: {cpu: 10m, memory: 1Gi}}, livenessProbe: {httpGet: {port: 80}}}]}}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: YQ==}\n---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {containers: [{name: a}]}}}}}\n",
        "J{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"a\"}, \"spec\": {\"selector\": {\"a\": \"b\"}, \"ports\": [{\"port\": 80}]}}]}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Bodies for the APIs of other systems.
pub(crate) fn facades() -> Vec<Vec<u8>> {
    [
        r#"a{"id": "/a/b", "cmd": "x", "instances": 2, "cpus": 0.1, "mem": 32, "constraints": [["hostname", "UNIQUE"]], "healthChecks": [{"protocol": "TCP", "portIndex": 0}], "portDefinitions": [{"port": 0, "name": "web"}], "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.5}, "labels": {"a": "b"}}"#,
        r#"g{"id": "/", "groups": [{"id": "a", "apps": [{"id": "b", "cmd": "x", "dependencies": ["c"]}, {"id": "c", "args": ["x"]}]}]}"#,
        r#"j{"id": "a.b", "description": "x", "labels": {"a": "b"}, "run": {"cmd": "x", "cpus": 0.1, "mem": 32, "disk": 0, "env": {"A": "b", "C": {"secret": "s"}}, "secrets": {"s": {"source": "/x"}}, "placement": {"constraints": [{"attribute": "rack", "operator": "LIKE", "value": "r.*"}]}, "artifacts": [{"uri": "http://h/f", "extract": false}], "restart": {"policy": "ON_FAILURE", "activeDeadlineSeconds": 120}, "maxLaunchDelay": 60, "volumes": [{"containerPath": "p", "secret": "s"}], "user": "u", "taskKillGracePeriodSeconds": 5}}"#,
        r#"s{"id": "a", "run": {"args": ["x", "y"]}, "schedules": [{"id": "nightly", "cron": "0 3 * * *", "timezone": "Europe/Berlin", "startingDeadlineSeconds": 60, "concurrencyPolicy": "FORBID", "enabled": true}]}"#,
        r#"c{"id": "nightly", "cron": "*/5 1-3 * * MON-FRI", "timezone": "UTC"}"#,
        r#"i{"name": "A_b", "command": "x", "schedule": "R5/2026-01-01T01:00:00+01:00/PT1H", "scheduleTimeZone": "PST", "epsilon": "PT15M", "retries": "2", "cpus": "0.5", "mem": 64, "environmentVariables": [{"name": "A", "value": 1}], "constraints": [["rack", "EQUALS", "1"]], "uris": ["http://h/f"], "owner": "me", "concurrent": false, "softError": true, "maxCompletionTime": 10}"#,
        r#"d{"name": "b", "command": "/x", "shell": false, "arguments": ["y"], "parents": ["a"], "disabled": false, "fetch": [{"uri": "http://h/f", "output_file": "g"}]}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// Zones with schedules.
pub(crate) fn schedules() -> Vec<Vec<u8>> {
    [
        "Europe/Berlin|30 2 * * MON-FRI",
        "America/New_York|*/10 * 29 2 *",
        "Pacific/Apia|0 0 12 L * 5#2",
        "UTC|@daily",
        "Australia/Lord_Howe|R5/2024-02-29T02:15:00/P1Y2M3DT4H5M6S",
        "UTC|R//PT90M",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
