//! Offers delivered to and decoded by many frameworks, each of which declines everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mezz_bench::shapes::{TaskShape, framework_info, register};
use mezz_proto::v1;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use v1::scheduler::{Call, Event, call};

use super::fleet::{Duty, Fleet};
use super::master::Master;
use super::streams::Stream;
use super::{Load, runtime};
use crate::measures::{Line, line, median};

const MEDIA: &str = "application/x-protobuf";
const SPAN: Duration = Duration::from_secs(5);

pub(crate) fn measure(load: &Load) -> Result<Vec<Line>> {
    let runtime = runtime()?;
    let master = Master::start(&load.mezz, &load.folder("offers")?, &[])?;
    let agents: Vec<_> = (0..load.scaled(2_000))
        .map(|number| register(number, TaskShape::Usual))
        .collect();
    let fleet = Fleet::start(&runtime, &master.address, &agents, 1_000, Duty::KeepRunning);
    fleet.registered(Duration::from_secs(30))?;
    let count = load.scaled(200);
    let received = Arc::new(AtomicU64::new(0));
    let mut frameworks = Vec::new();
    for number in 0..count {
        let (address, received) = (master.address.clone(), received.clone());
        frameworks.push(runtime.spawn(decline_all(address, number, received)));
    }
    std::thread::sleep(Duration::from_secs(2));
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (before, cpu) = (received.load(Ordering::Relaxed), master.cpu());
        let started = Instant::now();
        std::thread::sleep(SPAN);
        let offers = (received.load(Ordering::Relaxed) - before) as f64;
        rates.push(offers / started.elapsed().as_secs_f64());
        costs.push(master.cpu().saturating_sub(cpu).as_secs_f64() * 1e6 / offers);
    }
    for framework in frameworks {
        if framework.is_finished() {
            runtime.block_on(framework)??;
        }
    }
    fleet.check()?;
    Ok(vec![line(
        format!("offers/s delivered to and decoded by {count} frameworks, each declined"),
        format!(
            "{:.0} (CPU of the master {:.1} µs each)",
            median(&mut rates),
            median(&mut costs)
        ),
        "goal 50,000, stretch 150,000; Mesos's allocator alone 35–42 µs each",
    )])
}

/// A framework that takes offers and gives them back, as fast as they come.
async fn decline_all(address: String, number: usize, received: Arc<AtomicU64>) -> Result<()> {
    let subscribe = Call {
        r#type: Some(call::Type::Subscribe as i32),
        subscribe: Some(Box::new(call::Subscribe {
            framework_info: framework_info(&format!("decliner-{number}"), true),
            ..call::Subscribe::default()
        })),
        ..Call::default()
    };
    let path = "/api/v1/scheduler";
    let mut stream = Stream::open(&address, path, MEDIA, &subscribe.encode_to_vec()).await?;
    let id = stream.id.clone().context("no Mesos-Stream-Id")?;
    let calls = TcpStream::connect(&address).await?;
    calls.set_nodelay(true)?;
    let (mut answers, mut calls) = calls.into_split();
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 * 1024];
        while answers.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    let mut framework = None;
    loop {
        let mut declined = Vec::new();
        let more = stream
            .more(|record| {
                let event = Event::decode(record)?;
                if let Some(subscribed) = event.subscribed {
                    framework = Some(subscribed.framework_id);
                }
                if let Some(offers) = event.offers {
                    declined.extend(offers.offers.into_iter().map(|offer| offer.id));
                }
                Ok(())
            })
            .await?;
        ensure!(more, "a framework's stream ended");
        if declined.is_empty() {
            continue;
        }
        received.fetch_add(declined.len() as u64, Ordering::Relaxed);
        let call = Call {
            framework_id: framework.clone(),
            r#type: Some(call::Type::Decline as i32),
            decline: Some(call::Decline {
                offer_ids: declined,
                filters: Some(v1::Filters {
                    refuse_seconds: Some(0.0),
                }),
            }),
            ..Call::default()
        };
        let body = call.encode_to_vec();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {MEDIA}\r\nMesos-Stream-Id: {id}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        calls.write_all(&request).await?;
    }
}
