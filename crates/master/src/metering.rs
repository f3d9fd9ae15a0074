//! Measures services whose number of instances follows what they use, and tells the core.
//!
//! Owns when is measured and what a figure means; what follows from it is decided by the controller. Agents are asked for
//! the use of the instances in question and of nothing else; a metric with a URL, and what instances answer themselves, is
//! asked by this master.

mod gauges;
mod sources;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mezz_core::event::Event;
use mezz_core::records::Records;
use mezz_spec::Spec;
use mezz_spec::service::{Gauge, Metric, MetricSource, Replicas};
use mezz_spec::template::{Port, Protocol};
use mezz_workload::key::ObjectKey;
use mezz_workload::records::{InstanceRecord, Phase};

use crate::inbox::Input;
use crate::leading::is_leading;
use crate::shared::Shared;
use sources::{Question, Sample, Sources};

/// A service that is measured.
struct Scaled {
    object: ObjectKey,
    metrics: Vec<Metric>,
    /// What an instance asked for, in thousandths of a cpu and in bytes.
    cpus: u64,
    mem: u64,
    ports: Vec<Port>,
    /// Those that are ready.
    instances: Vec<Measured>,
}

/// An instance that is measured.
struct Measured {
    id: Arc<str>,
    agent: Arc<str>,
    ip: Arc<str>,
    /// In the order of the template's.
    ports: Vec<u16>,
}

impl Scaled {
    fn asks_agents(&self) -> bool {
        let of_agents = |metric: &Metric| {
            matches!(
                metric.of,
                MetricSource::Cpu | MetricSource::Memory | MetricSource::RequestsInFlight
            )
        };
        self.metrics.iter().any(of_agents)
    }

    fn asks_connections(&self) -> bool {
        let mut metrics = self.metrics.iter();
        metrics.any(|metric| metric.of == MetricSource::RequestsInFlight)
    }

    /// The numbers of an instance's TCP ports, with their names.
    fn tcp_ports<'a>(&'a self, instance: &'a Measured) -> impl Iterator<Item = (&'a str, u16)> {
        let both = self.ports.iter().zip(&instance.ports);
        both.filter(|(port, _)| port.protocol != Protocol::Udp)
            .map(|(port, number)| (&*port.name, *number))
    }

    /// Where each instance answers a gauge.
    fn answering(&self, gauge: &Gauge) -> Vec<(Arc<str>, u16)> {
        let is_wanted = |name: &str| gauge.port.as_deref().is_none_or(|wanted| wanted == name);
        let of_instance = |instance: &Measured| {
            let mut ports = self.tcp_ports(instance);
            let (_, number) = ports.find(|(name, _)| is_wanted(name))?;
            Some((Arc::clone(&instance.ip), number))
        };
        self.instances.iter().filter_map(of_instance).collect()
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
        let container = service.template.containers.first();
        let resources = container.map(|own| &own.resources);
        found.push(Scaled {
            object: object.key,
            metrics: bounds.metrics.clone(),
            cpus: resources.map_or(0, |resources| resources.cpus.0),
            mem: resources.map_or(0, |resources| resources.mem.0.saturating_mul(1_024)),
            ports: container.map_or_else(Vec::new, |own| own.ports.clone()),
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
            service.instances.push(Measured {
                id: Arc::clone(&instance.id),
                agent: Arc::clone(&instance.agent.id),
                ip: Arc::clone(&instance.agent.ip),
                ports: instance.ports.clone(),
            });
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
    let mut wanted: BTreeMap<&str, Question> = BTreeMap::new();
    for service in scaled.iter().filter(|service| service.asks_agents()) {
        for instance in &service.instances {
            let question = wanted.entry(&instance.agent).or_default();
            question.tasks.insert(instance.id.to_string());
            if service.asks_connections() {
                let ports = service.tcp_ports(instance).map(|(_, number)| number);
                question
                    .ports
                    .insert(instance.id.to_string(), ports.collect());
            }
        }
    }
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    let agents = records.agents.iter().filter_map(|(_, agent)| {
        let question = wanted.remove(&*agent.id)?;
        let authority = format!("{}:{}", agent.ip, agent.info.port.unwrap_or(5051));
        Some((authority, question))
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
    let samples = service.instances.iter().filter_map(|one| {
        let new = now.get(&one.id)?;
        Some((before.get(&one.id), new))
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
        MetricSource::RequestsInFlight => mean(samples.filter_map(|(_, new)| new.connections())),
        MetricSource::Gauge(gauge) => {
            let answers = sources.gauges(gauge, service.answering(gauge)).await;
            mean(answers.into_iter())
        }
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
