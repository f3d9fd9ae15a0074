//! Measures services whose number of instances follows what they use, and tells the core.
//!
//! Owns when is measured and what a figure means; what follows from it is decided by the controller. Agents are asked for
//! the use of the instances in question and of nothing else; a metric with a URL is asked by this master.

mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use mezz_core::event::Event;
use mezz_core::records::Records;
use mezz_spec::Spec;
use mezz_spec::service::{Metric, MetricSource, Replicas};
use mezz_workload::key::ObjectKey;
use mezz_workload::records::{InstanceRecord, Phase};

use crate::inbox::Input;
use crate::leading::is_leading;
use crate::shared::Shared;
use sources::{Sample, Sources};

/// A service that is measured.
struct Scaled {
    object: ObjectKey,
    metrics: Vec<Metric>,
    /// What an instance asked for, in thousandths of a cpu and in bytes.
    cpus: u64,
    mem: u64,
    /// Those that are ready, with their agents.
    instances: Vec<(Arc<str>, Arc<str>)>,
}

impl Scaled {
    fn asks_agents(&self) -> bool {
        let of_agents =
            |metric: &Metric| matches!(metric.of, MetricSource::Cpu | MetricSource::Memory);
        self.metrics.iter().any(of_agents)
    }
}

/// Measures as long as this master runs; only the leader does anything.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut before: BTreeMap<Arc<str>, Sample> = BTreeMap::new();
    let sources = Sources::new(shared.client.clone());
    loop {
        tokio::time::sleep(shared.options.autoscale_interval).await;
        if !is_leading(&shared) {
            before.clear();
            continue;
        }
        let view = shared.view();
        let scaled = scaled(&view.records);
        let now = usage(&sources, &view.records, &scaled).await;
        for service in &scaled {
            let mut averages = Vec::with_capacity(service.metrics.len());
            for metric in &service.metrics {
                averages.push(average(&sources, service, metric, &before, &now).await);
            }
            let object = service.object;
            let event = Event::Metrics { object, averages };
            shared.inbox.send(Input::Event(event)).await;
        }
        before = now;
    }
}

fn scaled(records: &Records) -> Vec<Scaled> {
    let work = &records.work;
    let mut found: Vec<Scaled> = Vec::new();
    for (_, object) in work.objects.iter() {
        let Spec::Service(service) = &*object.spec else {
            continue;
        };
        let (Replicas::Autoscale(bounds), None) = (&service.replicas, object.deleted_at) else {
            continue;
        };
        let resources = service
            .template
            .containers
            .first()
            .map(|own| &own.resources);
        found.push(Scaled {
            object: object.key,
            metrics: bounds.metrics.clone(),
            cpus: resources.map_or(0, |resources| resources.cpus.0),
            mem: resources.map_or(0, |resources| resources.mem.0.saturating_mul(1_024)),
            instances: Vec::new(),
        });
    }
    if found.is_empty() {
        return found;
    }
    let is_ready = |one: &InstanceRecord| one.ready && one.phase == Phase::Running;
    for (_, instance) in work.instances.iter().filter(|(_, one)| is_ready(one)) {
        let of = found.iter_mut().find(|one| one.object == instance.object);
        if let Some(service) = of {
            let agent = Arc::clone(&instance.agent.id);
            service.instances.push((Arc::clone(&instance.id), agent));
        }
    }
    found
}

/// What all instances in question have used so far, as far as their agents tell.
async fn usage(
    sources: &Sources,
    records: &Records,
    scaled: &[Scaled],
) -> BTreeMap<Arc<str>, Sample> {
    let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for service in scaled.iter().filter(|service| service.asks_agents()) {
        for (instance, agent) in &service.instances {
            wanted.entry(agent).or_default().insert(instance);
        }
    }
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    let agents = records.agents.iter().filter_map(|(_, agent)| {
        let tasks = wanted.get(&*agent.id)?;
        let authority = format!("{}:{}", agent.ip, agent.info.port.unwrap_or(5051));
        Some((authority, tasks.iter().map(ToString::to_string).collect()))
    });
    let agents = agents.collect();
    let mut frameworks = records.frameworks.iter();
    let Some((_, own)) = frameworks.find(|(_, framework)| framework.built_in) else {
        return BTreeMap::new();
    };
    sources.usage(&own.id, agents).await
}

/// The average of all instances, in thousandths of the metric's unit.
async fn average(
    sources: &Sources,
    service: &Scaled,
    metric: &Metric,
    before: &BTreeMap<Arc<str>, Sample>,
    now: &BTreeMap<Arc<str>, Sample>,
) -> Option<u64> {
    let samples = service.instances.iter().filter_map(|(id, _)| {
        let new = now.get(id)?;
        Some((before.get(id), new))
    });
    match &metric.of {
        MetricSource::Cpu => {
            mean(samples.filter_map(|(old, new)| new.cpu_since(old?, service.cpus)))
        }
        MetricSource::Memory => mean(samples.filter_map(|(_, new)| new.memory(service.mem))),
        MetricSource::Url(url) => {
            let all = sources.number(url).await?;
            let ready = u64::try_from(service.instances.len()).ok()?;
            all.checked_div(ready)
        }
        // Refused where specs are read.
        MetricSource::RequestsInFlight => None,
    }
}

fn mean(values: impl Iterator<Item = u64>) -> Option<u64> {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for value in values {
        sum = sum.saturating_add(value);
        count += 1;
    }
    sum.checked_div(count)
}

/// Between two measurements, where nothing else is said.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
