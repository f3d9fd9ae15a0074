//! Numbers that instances answer themselves: plain, or as a metric in the text format of Prometheus.

use std::sync::Arc;

use mezz_spec::service::Gauge;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::sources::{PATIENCE, Sources, read, thousandths};

const MOST_BYTES: usize = 4 << 20;
/// So many instances are asked at the same time.
const AT_ONCE: usize = 64;

impl Sources {
    /// What instances answer, in thousandths; who does not answer a number in time is left out.
    pub(super) async fn gauges(&self, gauge: &Gauge, at: Vec<(Arc<str>, u16)>) -> Vec<u64> {
        let made = || reqwest::Client::builder().no_proxy().build().ok();
        let Some(client) = self.instances.get_or_init(made) else {
            return Vec::new();
        };
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        // One moment for all: a service that hangs must not make the next measurement late.
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut questions = JoinSet::new();
        for (ip, port) in at {
            let (client, permits, gauge) = (client.clone(), Arc::clone(&permits), gauge.clone());
            let url = url(&ip, port, &gauge.path);
            let question = async move {
                let _permit = permits.acquire().await;
                let text = read(&client, &url, MOST_BYTES).await?;
                number(&text, gauge.metric.as_deref()).map_err(|error| format!("{url}: {error}"))
            };
            questions.spawn(async move {
                let answer = tokio::time::timeout_at(end, question).await;
                answer.unwrap_or_else(|_| Err("no answer in time".to_owned()))
            });
        }
        let mut numbers = Vec::new();
        while let Some(answer) = questions.join_next().await {
            match answer {
                Ok(Ok(number)) => numbers.push(number),
                Ok(Err(error)) => tracing::debug!(error, "an instance cannot be measured"),
                Err(_) => {}
            }
        }
        numbers
    }
}

fn url(ip: &str, port: u16, path: &str) -> String {
    if ip.contains(':') {
        format!("http://[{ip}]:{port}{path}")
    } else {
        format!("http://{ip}:{port}{path}")
    }
}

fn number(text: &str, metric: Option<&str>) -> Result<u64, String> {
    let Some(metric) = metric else {
        let plain = thousandths(text.trim());
        return plain.ok_or_else(|| "the answer is not a number of 0 or more".to_owned());
    };
    let mut sum = None;
    for value in text.lines().filter_map(|line| sample(line, metric)) {
        let value = thousandths(value)
            .ok_or_else(|| format!("{metric} is '{value}', and not a number of 0 or more"))?;
        sum = Some(sum.unwrap_or(0_u64).saturating_add(value));
    }
    sum.ok_or_else(|| format!("there is no metric {metric}"))
}

/// The value in a line, if it is a sample of the metric, whatever its labels.
fn sample<'a>(line: &'a str, metric: &str) -> Option<&'a str> {
    let rest = line.trim_start().strip_prefix(metric)?;
    let values = match rest.strip_prefix('{') {
        Some(labels) => after_labels(labels)?,
        None if rest.starts_with([' ', '\t']) => rest,
        None => return None,
    };
    values.split_ascii_whitespace().next()
}

/// What follows the brace that closes labels; one within a quoted value closes nothing.
fn after_labels(text: &str) -> Option<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, char) in text.char_indices() {
        match char {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '}' if !is_quoted => return text.get(at + 1..),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPOSED: &str = r#"# HELP in_flight Requests that are being answered.
# TYPE in_flight gauge
in_flight{path="/a}b\"{ 9"} 3 1767225600000
in_flight{path="/b",} 1.5
in_flight_total 900
 bare	7
broken NaN
"#;

    #[test]
    fn all_samples_of_a_metric_count_together_and_none_of_another() {
        assert_eq!(number(EXPOSED, Some("in_flight")), Ok(4_500));
        assert_eq!(number(EXPOSED, Some("bare")), Ok(7_000));
        assert_eq!(
            number(EXPOSED, Some("in_flight_to")),
            Err("there is no metric in_flight_to".to_owned())
        );
        assert!(number(EXPOSED, Some("broken")).unwrap_err().contains("NaN"));
    }

    #[test]
    fn without_a_metric_the_answer_is_a_plain_number() {
        assert_eq!(number(" 12.5\n", None), Ok(12_500));
        assert!(number(EXPOSED, None).is_err());
    }

    #[test]
    fn an_address_of_ipv6_stands_in_brackets() {
        assert_eq!(url("::1", 80, "/metrics"), "http://[::1]:80/metrics");
        assert_eq!(url("10.0.0.1", 80, "/m"), "http://10.0.0.1:80/m");
    }
}
