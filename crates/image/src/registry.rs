//! The client of registries: version 2 of their API, with tokens or passwords, retried and resumed.
//!
//! Owns no file of its own: what is downloaded goes into the store, and counts only once its digest was found right.

mod answer;
mod blob;
mod error;
mod token;

pub use blob::Told;
pub use error::RegistryError;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};

use crate::credentials::Credential;
use crate::digest::Digest;
use crate::limits::Limits;
use crate::media;
use crate::reference::{Reference, RegistryHost, Selector};

/// How registries are talked to.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// Those that may be plain HTTP or have any certificate. Those on this machine may be plain in any case.
    pub insecure: BTreeSet<RegistryHost>,
    /// Further authorities, each as PEM.
    pub authorities: Vec<Vec<u8>>,
    /// How long nothing may come.
    pub stall: Duration,
    /// How often something is tried again without having got further.
    pub retries: u32,
    /// The first wait before that; later ones are longer.
    pub backoff: Duration,
}

impl Default for RegistrySettings {
    fn default() -> Self {
        Self {
            insecure: BTreeSet::new(),
            authorities: Vec::new(),
            stall: Duration::from_mins(1),
            retries: 5,
            backoff: Duration::from_millis(500),
        }
    }
}

/// What a server answers for the name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The document.
    pub bytes: Vec<u8>,
    /// As what it came.
    pub media_type: Option<String>,
    /// Its name, found from its content.
    pub digest: Digest,
}

/// All registries.
#[derive(Debug)]
pub struct Registries {
    strict: Client,
    lax: Client,
    settings: RegistrySettings,
    /// Insecure ones that turned out to be plain.
    plain: Mutex<BTreeSet<RegistryHost>>,
    passes: Mutex<BTreeMap<PassKey, Pass>>,
}

/// What lets us in: to a repository, as somebody.
type PassKey = (RegistryHost, String, Option<Digest>);

#[derive(Clone, Debug)]
struct Pass {
    header: String,
    until: Instant,
}

impl Registries {
    /// Talks to no one yet.
    pub fn new(settings: RegistrySettings) -> Result<Arc<Self>, RegistryError> {
        Ok(Arc::new(Self {
            strict: client(&settings, false)?,
            lax: client(&settings, true)?,
            settings,
            plain: Mutex::default(),
            passes: Mutex::default(),
        }))
    }

    /// Talks about one repository, as somebody. The fingerprint tells whom from whom.
    pub fn session(
        self: &Arc<Self>,
        reference: &Reference,
        credential: Option<Credential>,
        fingerprint: Option<Digest>,
        limits: &Limits,
    ) -> Session {
        Session {
            registries: Arc::clone(self),
            reference: reference.clone(),
            credential,
            fingerprint,
            limits: limits.clone(),
        }
    }
}

fn client(settings: &RegistrySettings, lax: bool) -> Result<Client, RegistryError> {
    const MOST_REDIRECTS: usize = 10;
    let refused = |error: reqwest::Error| RegistryError::Client(plain(&error));
    let policy = redirect::Policy::custom(|attempt| {
        let was_safe = attempt
            .previous()
            .last()
            .is_some_and(|url| url.scheme() == "https");
        if attempt.previous().len() > MOST_REDIRECTS {
            attempt.error("it redirects too often")
        } else if was_safe && attempt.url().scheme() != "https" {
            attempt.error("it redirects from https to an address that is not")
        } else {
            attempt.follow()
        }
    });
    let mut authorities = Vec::new();
    for pem in &settings.authorities {
        authorities.extend(reqwest::Certificate::from_pem_bundle(pem).map_err(refused)?);
    }
    Client::builder()
        .user_agent(concat!("mezzanine/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.stall)
        .redirect(policy)
        .tls_certs_merge(authorities)
        .tls_danger_accept_invalid_certs(lax)
        .build()
        .map_err(refused)
}

/// The innermost reason, which is what helps.
pub(crate) fn plain(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Asks for one image.
#[derive(Debug)]
pub struct Session {
    registries: Arc<Registries>,
    reference: Reference,
    credential: Option<Credential>,
    fingerprint: Option<Digest>,
    limits: Limits,
}

impl Session {
    /// What the reference stands for now, without the document; `None` where the registry does not say.
    pub async fn digest(&self) -> Result<Option<Digest>, RegistryError> {
        let path = format!("manifests/{}", self.reference.selector());
        let response = self.retried(|| self.ask(Method::HEAD, &path)).await?;
        let header = response.headers().get("docker-content-digest");
        let text = header.and_then(|value| value.to_str().ok());
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// The document of the reference itself.
    pub async fn document(&self) -> Result<Answer, RegistryError> {
        self.manifest(self.reference.selector()).await
    }

    /// A manifest or an index.
    pub async fn manifest(&self, selector: &Selector) -> Result<Answer, RegistryError> {
        self.retried(|| self.manifest_once(selector)).await
    }

    async fn manifest_once(&self, selector: &Selector) -> Result<Answer, RegistryError> {
        let path = format!("manifests/{selector}");
        let response = self.ask(Method::GET, &path).await?;
        let text = |name| {
            let value = response.headers().get(name)?;
            Some(value.to_str().ok()?.to_owned())
        };
        let media_type = text(CONTENT_TYPE.as_str());
        let said: Option<Digest> = text("docker-content-digest").and_then(|text| text.parse().ok());
        let bytes = self
            .body(response, &path, self.limits.document_bytes)
            .await?;
        let expected = match (selector, said) {
            (Selector::Digest(digest), _) => Some(digest.clone()),
            (Selector::Tag(_), said) => said,
        };
        let expected = expected.unwrap_or_else(|| Digest::of(&bytes));
        if !expected.names(&bytes) {
            return Err(RegistryError::WrongDigest {
                host: self.host().clone(),
                what: path,
                expected,
                found: Digest::of(&bytes).to_string(),
            });
        }
        Ok(Answer {
            bytes,
            media_type,
            digest: expected,
        })
    }

    fn host(&self) -> &RegistryHost {
        self.reference.host()
    }

    fn pass_key(&self) -> PassKey {
        let repository = self.reference.repository().to_owned();
        (self.host().clone(), repository, self.fingerprint.clone())
    }

    fn remembered(&self) -> Option<String> {
        let passes = self.registries.passes.lock();
        let passes = passes.unwrap_or_else(PoisonError::into_inner);
        let pass = passes.get(&self.pass_key())?;
        (pass.until > Instant::now()).then(|| pass.header.clone())
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Response, RegistryError> {
        let accept = media::ACCEPTED.join(", ");
        self.send(method, path, &|request| request.header(ACCEPT, &accept))
            .await
    }

    /// Sends a request, answering what the registry wants to see first.
    async fn send(
        &self,
        method: Method,
        path: &str,
        dress: &(dyn Fn(RequestBuilder) -> RequestBuilder + Sync),
    ) -> Result<Response, RegistryError> {
        // A pass that was remembered may have been taken back, and what it gets instead may have to be wider.
        const CHALLENGES: usize = 2;
        let mut pass = self.remembered();
        for challenge in 0.. {
            let response = self.once(&method, path, pass.as_deref(), dress).await?;
            let unknown = response.status() == StatusCode::UNAUTHORIZED;
            if !unknown || challenge == CHALLENGES {
                return self.accepted(response, path).await;
            }
            match self.answer(&response).await? {
                Some(header) => pass = Some(header),
                None => return self.accepted(response, path).await,
            }
        }
        unreachable!("the last challenge returns")
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        pass: Option<&str>,
        dress: &(dyn Fn(RequestBuilder) -> RequestBuilder + Sync),
    ) -> Result<Response, RegistryError> {
        let host = self.host();
        let registries = &self.registries;
        let trusting = registries.settings.insecure.contains(host);
        let may_be_plain = trusting || host.is_loopback();
        let is_plain = may_be_plain && self.is_plain();
        let client = if trusting {
            &registries.lax
        } else {
            &registries.strict
        };
        let request = |scheme: &str| {
            let repository = self.reference.repository();
            let url = format!("{scheme}://{}/v2/{repository}/{path}", host.endpoint());
            let request = dress(client.request(method.clone(), url));
            match pass {
                Some(pass) => request.header(AUTHORIZATION, pass),
                None => request,
            }
        };
        let scheme = if is_plain { "http" } else { "https" };
        match self.within(request(scheme).send()).await? {
            Ok(response) => Ok(response),
            Err(error) if may_be_plain && !is_plain && error.is_connect() => {
                let response = self.within(request("http").send()).await?;
                let response = response.map_err(|error| self.broken(&error))?;
                let mut plain = registries
                    .plain
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                plain.insert(host.clone());
                Ok(response)
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn is_plain(&self) -> bool {
        let plain = self.registries.plain.lock();
        let plain = plain.unwrap_or_else(PoisonError::into_inner);
        plain.contains(self.host())
    }

    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, RegistryError> {
        let after = self.registries.settings.stall;
        let done = tokio::time::timeout(after, work).await;
        done.map_err(|_| RegistryError::Stalled {
            host: self.host().clone(),
            after,
        })
    }

    fn broken(&self, error: &reqwest::Error) -> RegistryError {
        RegistryError::Connection {
            host: self.host().clone(),
            message: plain(error),
        }
    }

    /// Tries again what may go better next time.
    async fn retried<T, F: Future<Output = Result<T, RegistryError>>>(
        &self,
        mut work: impl FnMut() -> F,
    ) -> Result<T, RegistryError> {
        let mut failures = 0;
        loop {
            match work().await {
                Err(error) if error.is_passing() && failures < self.registries.settings.retries => {
                    self.pause(&error, failures).await;
                    failures += 1;
                }
                result => return result,
            }
        }
    }

    /// Waits longer each time, or as long as the registry says.
    async fn pause(&self, error: &RegistryError, failures: u32) {
        const LONGEST: Duration = Duration::from_mins(1);
        let doubled = self.registries.settings.backoff * 2_u32.saturating_pow(failures.min(10));
        let wait = error.wait().unwrap_or(doubled).min(LONGEST);
        tracing::debug!(%error, ?wait, "a registry is tried again");
        tokio::time::sleep(wait).await;
    }
}
