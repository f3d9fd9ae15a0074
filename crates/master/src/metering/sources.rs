//! Where figures come from: agents, and URLs that answer a number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use mezz_http::client::Client;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Who does not answer by then is left out.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BYTES_OF_USAGE: usize = 64 << 20;
const MOST_BYTES_OF_NUMBER: usize = 4 << 10;

/// What an instance had used at a moment of its agent's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    at_us: u64,
    cpu_us: u64,
    rss_bytes: u64,
    connections: Option<u64>,
}

/// What an agent is asked.
#[derive(Debug, Default, Serialize)]
pub(super) struct Question {
    pub(super) tasks: BTreeSet<String>,
    /// Ports whose connections are counted, by task.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) ports: BTreeMap<String, BTreeSet<u16>>,
}

impl Sample {
    /// Established connections, in thousandths.
    pub(super) fn connections(&self) -> Option<u64> {
        self.connections?.checked_mul(1_000)
    }

    /// Percent of `cpus` (in thousandths of a cpu) since an earlier sample, in thousandths.
    pub(super) fn cpu_since(&self, earlier: &Self, cpus: u64) -> Option<u64> {
        let span_us = self.at_us.checked_sub(earlier.at_us)?;
        let used_us = self.cpu_us.checked_sub(earlier.cpu_us)?;
        let whole = u128::from(span_us) * u128::from(cpus);
        let percent = (u128::from(used_us) * 100_000_000).checked_div(whole)?;
        u64::try_from(percent).ok()
    }

    /// Percent of `mem` bytes, in thousandths.
    pub(super) fn memory(&self, mem: u64) -> Option<u64> {
        let percent = (u128::from(self.rss_bytes) * 100_000).checked_div(u128::from(mem))?;
        u64::try_from(percent).ok()
    }
}

#[derive(Deserialize)]
struct Answer {
    at_us: u64,
    tasks: BTreeMap<Arc<str>, Used>,
}

#[derive(Deserialize)]
struct Used {
    cpu_us: u64,
    rss_bytes: u64,
    connections: Option<u64>,
}

pub(super) struct Sources {
    agents: Client,
    /// Made when a URL is asked for the first time.
    urls: std::sync::OnceLock<Option<reqwest::Client>>,
    /// Made when an instance is asked for the first time.
    pub(super) instances: std::sync::OnceLock<Option<reqwest::Client>>,
}

impl Sources {
    pub(super) fn new(agents: Client) -> Self {
        Self {
            agents,
            urls: std::sync::OnceLock::new(),
            instances: std::sync::OnceLock::new(),
        }
    }

    /// Asks agents, all at the same time, what these tasks have used.
    pub(super) async fn usage(
        &self,
        framework_id: &str,
        agents: Vec<(String, Question)>,
    ) -> BTreeMap<Arc<str>, Sample> {
        let mut questions = tokio::task::JoinSet::new();
        for (authority, question) in agents {
            let client = self.agents.clone();
            let mut body = json!(question);
            body["framework_id"] = framework_id.into();
            let body = body.to_string();
            questions.spawn(async move {
                let answer = tokio::time::timeout(PATIENCE, ask(&client, &authority, body)).await;
                let answer = answer.unwrap_or_else(|_| Err("no answer in time".into()));
                answer
                    .inspect_err(|error| tracing::debug!(authority, error, "usage is not known"))
                    .ok()
            });
        }
        let mut all = BTreeMap::new();
        while let Some(answer) = questions.join_next().await {
            let Ok(Some(Answer { at_us, tasks })) = answer else {
                continue;
            };
            let sample = |used: Used| Sample {
                at_us,
                cpu_us: used.cpu_us,
                rss_bytes: used.rss_bytes,
                connections: used.connections,
            };
            all.extend(tasks.into_iter().map(|(id, used)| (id, sample(used))));
        }
        all
    }

    /// The number that a URL answers, in thousandths.
    pub(super) async fn number(&self, url: &str) -> Option<u64> {
        let made = || reqwest::Client::builder().timeout(PATIENCE).build().ok();
        let client = self.urls.get_or_init(made).as_ref()?;
        fetch(client, url)
            .await
            .inspect_err(|error| tracing::warn!(url, error, "a metric cannot be measured"))
            .ok()
    }
}

async fn ask(client: &Client, authority: &str, body: String) -> Result<Answer, String> {
    let headers = [("Content-Type", "application/json")];
    let answer = client
        .send(authority, Method::POST, "/v1/usage", &headers, body.into())
        .await
        .map_err(|error| error.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(format!("it answered {}", answer.status));
    }
    let body = answer
        .read(MOST_BYTES_OF_USAGE)
        .await
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<u64, String> {
    let text = read(client, url, MOST_BYTES_OF_NUMBER).await?;
    thousandths(text.trim()).ok_or_else(|| "the answer is not a number of 0 or more".to_owned())
}

/// The text that a URL answers.
pub(super) async fn read(
    client: &reqwest::Client,
    url: &str,
    most: usize,
) -> Result<String, String> {
    let answer = client.get(url).send().await;
    let mut answer = answer
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| error.to_string())?;
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
        body.extend_from_slice(&piece);
        if body.len() > most {
            return Err(format!("the answer has more than {most} bytes"));
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// A number of 0 or more.
pub(super) fn thousandths(text: &str) -> Option<u64> {
    let number: f64 = text.parse().ok()?;
    let scaled = (number * 1_000.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies within the bounds"
    )]
    (0.0..9e15).contains(&scaled).then_some(scaled as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_told_in_thousandths_of_a_percent_of_what_was_asked_for() {
        let before = Sample {
            at_us: 1_000_000,
            cpu_us: 500_000,
            rss_bytes: 0,
            connections: None,
        };
        let now = Sample {
            at_us: 3_000_000,
            cpu_us: 1_500_000,
            rss_bytes: 48 << 20,
            connections: Some(3),
        };
        // Half a cpu of two.
        assert_eq!(now.cpu_since(&before, 2_000), Some(25_000));
        assert_eq!(
            before.cpu_since(&now, 2_000),
            None,
            "the agent was restarted"
        );
        assert_eq!(now.cpu_since(&now, 2_000), None);
        assert_eq!(now.memory(64 << 20), Some(75_000));
        assert_eq!(now.memory(0), None);
        assert_eq!(now.connections(), Some(3_000));
        assert_eq!(before.connections(), None);
    }

    #[test]
    fn a_number_has_decimals_and_nothing_else() {
        assert_eq!(thousandths("12.5"), Some(12_500));
        assert_eq!(thousandths("-1"), None);
        assert_eq!(thousandths("NaN"), None);
        assert_eq!(thousandths("12 jobs"), None);
    }
}
