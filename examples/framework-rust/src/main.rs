//! A framework in Rust: runs a command a number of times and ends when all of them have finished.
//!
//! ```text
//! cargo run -- [MASTER] [COUNT] [COMMAND]
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::io::{BufRead, BufReader, Read};
use std::process::ExitCode;

use serde_json::{Value, json};

const CPUS: f64 = 0.1;
const MEM: f64 = 32.0;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One subscription: events come in on its stream, calls go out beside it.
struct Master {
    url: String,
    /// Every later call names the stream, so that the master knows which instance speaks.
    stream_id: String,
    framework_id: Value,
    events: Box<dyn BufRead>,
}

impl Master {
    fn subscribe(address: &str, framework_info: &Value) -> Result<Self> {
        let url = format!("http://{address}/api/v1/scheduler");
        let call = json!({"type": "SUBSCRIBE", "subscribe": {"framework_info": framework_info}});
        let response = post(&url).send_json(&call)?;
        let stream_id = response.headers()["Mesos-Stream-Id"].to_str()?.to_owned();
        // A stream has no end, so its length must not be limited.
        let body = response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader();
        let events = Box::new(BufReader::new(body));
        Ok(Self {
            url,
            stream_id,
            framework_id: Value::Null,
            events,
        })
    }

    /// RecordIO: the length of a record in decimal, a line feed, the record.
    fn next_event(&mut self) -> Result<Value> {
        let mut length = String::new();
        if self.events.read_line(&mut length)? == 0 {
            return Err("the master ended the stream".into());
        }
        let mut record = vec![0; length.trim().parse()?];
        self.events.read_exact(&mut record)?;
        Ok(serde_json::from_slice(&record)?)
    }

    /// Sends a call; its effect comes as events. 202 says only that it was well formed.
    fn call(&self, kind: &str, contents: Value) -> Result<()> {
        let mut call = json!({"type": kind, "framework_id": self.framework_id});
        call[kind.to_lowercase()] = contents;
        post(&self.url)
            .header("Mesos-Stream-Id", &self.stream_id)
            .send_json(&call)?;
        Ok(())
    }

    /// Takes as many tasks as fit into the offer, or declines it for a while.
    fn answer(&self, offer: &Value, waiting: &mut Vec<String>, command: &str) -> Result<()> {
        let (mut cpus, mut mem) = (scalar(offer, "cpus"), scalar(offer, "mem"));
        let mut tasks = Vec::new();
        while cpus >= CPUS && mem >= MEM {
            let Some(name) = waiting.pop() else { break };
            tasks.push(task(offer, &name, command));
            (cpus, mem) = (cpus - CPUS, mem - MEM);
        }
        if tasks.is_empty() {
            let filters = json!({"refuse_seconds": 60});
            return self.call(
                "DECLINE",
                json!({"offer_ids": [offer["id"]], "filters": filters}),
            );
        }
        let operations = json!([{"type": "LAUNCH", "launch": {"task_infos": tasks}}]);
        self.call(
            "ACCEPT",
            json!({"offer_ids": [offer["id"]], "operations": operations}),
        )
    }

    /// An update is sent again until it is acknowledged; those made by the master have no uuid and need none.
    fn acknowledge(&self, status: &Value) -> Result<()> {
        if status["uuid"].is_null() {
            return Ok(());
        }
        self.call(
            "ACKNOWLEDGE",
            json!({"agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]}),
        )
    }
}

/// The master takes the content type literally: a parameter such as a charset is refused with 415.
fn post(url: &str) -> ureq::RequestBuilder<ureq::typestate::WithBody> {
    ureq::post(url).header("Content-Type", "application/json")
}

fn scalar(offer: &Value, name: &str) -> f64 {
    let resources = offer["resources"].as_array().into_iter().flatten();
    resources
        .filter(|resource| resource["name"] == name)
        .filter_map(|resource| resource["scalar"]["value"].as_f64())
        .sum()
}

fn task(offer: &Value, name: &str, command: &str) -> Value {
    json!({
        "name": name,
        "task_id": {"value": name},
        "agent_id": offer["agent_id"],
        "command": {"shell": true, "value": command},
        "resources": [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": CPUS}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": MEM}},
        ],
    })
}

/// Returns how many tasks did not finish.
fn run(master: &mut Master, mut waiting: Vec<String>, command: &str) -> Result<usize> {
    let mut left: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut failed = 0;
    while !left.is_empty() {
        let event = master.next_event()?;
        match event["type"].as_str() {
            Some("SUBSCRIBED") => {
                master.framework_id = event["subscribed"]["framework_id"].clone();
                println!("subscribed as {}", master.framework_id["value"]);
            }
            Some("OFFERS") => {
                for offer in event["offers"]["offers"].as_array().into_iter().flatten() {
                    master.answer(offer, &mut waiting, command)?;
                }
            }
            Some("UPDATE") => {
                let status = &event["update"]["status"];
                let (name, state) = (&status["task_id"]["value"], &status["state"]);
                println!("{name} {state} {}", status["message"]);
                master.acknowledge(status)?;
                let goes_on = [
                    "TASK_STAGING",
                    "TASK_STARTING",
                    "TASK_RUNNING",
                    "TASK_KILLING",
                ];
                if !goes_on.iter().any(|one| state == one) {
                    left.remove(name.as_str().unwrap_or_default());
                    failed += usize::from(state != "TASK_FINISHED");
                }
            }
            Some("ERROR") => return Err(event["error"]["message"].to_string().into()),
            _ => {}
        }
    }
    master.call("TEARDOWN", Value::Null)?;
    Ok(failed)
}

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:5050".into());
    let count: usize = arguments.next().map_or(Ok(3), |count| count.parse())?;
    let command = arguments
        .next()
        .unwrap_or_else(|| "echo hello from a framework".into());
    let info = json!({
        "user": std::env::var("USER").unwrap_or_else(|_| "root".into()),
        "name": "example-rust",
        "roles": ["examples"],
        "capabilities": [{"type": "MULTI_ROLE"}],
    });
    let mut master = Master::subscribe(&address, &info)?;
    let waiting = (0..count)
        .map(|number| format!("example-{number}"))
        .collect();
    let failed = run(&mut master, waiting, &command)?;
    Ok(ExitCode::from(u8::from(failed > 0)))
}
