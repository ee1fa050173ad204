//! Requests to other people's servers.
//!
//! The law: nothing is sent to an address that was not judged. A URL is checked before it is asked
//! and so is each redirect; names are looked up by [`Guard`] alone, and the connection goes to the
//! very addresses that it let through, so a name that changes in between changes nothing. There are
//! no proxies, which would look names up themselves.

use crate::{
    backoff::{Backoff, Failure, LONGEST_ASKED, Leave},
    config::ResolverConfig,
    error::ResolveError,
    hosts,
    names::{NameFailure, Names},
};
use reqwest::{
    Client, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header,
};
use rhiz_domain::Clock;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Semaphore;
use url::Url;

/// Whom requests go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// A server that the operator configured: its address is not judged.
    Configured,
    /// Anybody.
    Anybody,
}

/// A client for one kind of server.
pub(crate) struct Web {
    client: Client,
    whom: Whom,
    allow_private: bool,
    timeout: Duration,
    permits: Semaphore,
    backoff: Backoff,
    clock: Arc<dyn Clock>,
}

/// A request.
pub(crate) struct Ask<'a> {
    pub(crate) url: Url,
    /// Another `Host` than the URL's.
    pub(crate) host: Option<&'a str>,
    pub(crate) accept: &'static str,
    /// Most bytes of a body.
    pub(crate) limit: usize,
    /// Redirects that are followed.
    pub(crate) redirects: usize,
}

/// An answer that is no failure.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 2xx.
    Body(Vec<u8>),
    /// 404 or 410; whether it came as JSON.
    Absent { json: bool },
    /// The name servers know no such host.
    NoHost,
}

impl Web {
    pub(crate) fn new(
        config: &ResolverConfig,
        whom: Whom,
        names: Arc<Names>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ResolveError> {
        let judged = whom == Whom::Anybody && !config.allow_private_addresses;
        let may_ask: fn(IpAddr) -> bool = if judged { config.is_public } else { |_| true };
        let guard = Guard { names, may_ask, search: whom == Whom::Configured };
        let client = Client::builder()
            .dns_resolver(Arc::new(guard))
            .tls_backend_preconfigured(tls(&config.extra_roots)?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(config.connect_timeout)
            .timeout(config.timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(if whom == Whom::Configured { 16 } else { 1 })
            .user_agent(&config.user_agent)
            .build()
            .map_err(|e| ResolveError::Setup { why: format!("HTTP client: {e}") })?;
        Ok(Self {
            client,
            whom,
            allow_private: config.allow_private_addresses,
            timeout: config.timeout,
            permits: Semaphore::new(config.max_concurrent),
            backoff: Backoff::new(clock.clone(), config.timeout),
            clock,
        })
    }

    /// Asks, within the time limit.
    pub(crate) async fn get(&self, ask: Ask<'_>) -> Result<Answer, ResolveError> {
        let Ok(Ok(_permit)) = tokio::time::timeout(self.timeout, self.permits.acquire()).await
        else {
            return Err(ResolveError::Busy);
        };
        let mut at = None;
        let asked = tokio::time::timeout(self.timeout, self.hops(ask, &mut at)).await;
        asked
            .unwrap_or_else(|_| {
                let what = at.as_ref().map(|(host, _)| host.clone()).unwrap_or_default();
                Err(ResolveError::TimedOut { what })
            })
            .inspect_err(|e| self.blame(at, e))
    }

    /// A failure is put down to the host it came from.
    fn blame(&self, at: Option<(String, Leave)>, error: &ResolveError) {
        let Some((host, leave)) = at else { return };
        match error {
            ResolveError::Status { status: 429, retry_after, .. } => {
                self.backoff.failed(&host, leave, Failure::TooMany(*retry_after));
            }
            ResolveError::LeftAlone { .. } => {}
            e if e.is_temporary() => self.backoff.failed(&host, leave, Failure::Trouble),
            _ => self.backoff.answered(&host),
        }
    }

    async fn hops(
        &self,
        ask: Ask<'_>,
        at: &mut Option<(String, Leave)>,
    ) -> Result<Answer, ResolveError> {
        let (mut url, mut host_header) = (ask.url, ask.host);
        let mut left = ask.redirects;
        loop {
            if self.whom == Whom::Anybody {
                hosts::check_url(&url, self.allow_private)?;
            }
            let host = hosts::host_of(&url);
            *at = None;
            let leave = self.backoff.enter(&host).map_err(|retry_after| {
                ResolveError::LeftAlone { host: host.clone(), retry_after }
            })?;
            *at = Some((host.clone(), leave));
            let mut request = self.client.get(url.clone()).header(header::ACCEPT, ask.accept);
            if let Some(name) = host_header {
                request = request.header(header::HOST, name);
            }
            let response = match request.send().await {
                Ok(response) => response,
                Err(e) => match failure(&host, &e.without_url()) {
                    Some(error) => return Err(error),
                    None => return Ok(Answer::NoHost),
                },
            };
            let status = response.status();
            if status.is_success() {
                let body = body(response, &host, ask.limit).await?;
                self.backoff.answered(&host);
                return Ok(Answer::Body(body));
            }
            if matches!(status.as_u16(), 408 | 425 | 429 | 500..) {
                let retry_after = self.retry_after(&response);
                let status = status.as_u16();
                return Err(ResolveError::Status { host, status, retry_after });
            }
            self.backoff.answered(&host);
            if status == StatusCode::NOT_FOUND || status == StatusCode::GONE {
                return Ok(Answer::Absent { json: is_json(&response) });
            }
            let location = response.headers().get(header::LOCATION);
            let Some(location) = location.filter(|_| status.is_redirection()) else {
                return Err(ResolveError::Refused { host, status: status.as_u16() });
            };
            let no = |why| Err(ResolveError::ForbiddenUrl { host: host.clone(), why });
            if left == 0 {
                return no("it redirects once too often");
            }
            let Some(next) = location.to_str().ok().and_then(|to| url.join(to).ok()) else {
                return no("it redirects to something that is no URL");
            };
            if url.scheme() == "https" && next.scheme() != "https" {
                return no("it redirects from https to something less");
            }
            (url, host_header, left) = (next, None, left - 1);
        }
    }

    /// `Retry-After`, in seconds or as a date; an hour at most.
    fn retry_after(&self, response: &Response) -> Option<Duration> {
        let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = if let Ok(seconds) = text.parse() {
            Duration::from_secs(seconds)
        } else {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            // A date that has passed is no wait.
            Duration::try_from(date.duration_since(self.clock.now())).unwrap_or_default()
        };
        Some(wait.min(LONGEST_ASKED))
    }
}

/// What went wrong before there was an answer; `None` when there is no such host.
fn failure(host: &str, error: &reqwest::Error) -> Option<ResolveError> {
    let host = host.to_owned();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut last = error.to_string();
    while let Some(e) = cause {
        match e.downcast_ref::<NameFailure>() {
            Some(NameFailure::Absent) => return None,
            Some(NameFailure::Private) => return Some(ResolveError::PrivateAddress { host }),
            Some(NameFailure::Failed(why)) => {
                return Some(ResolveError::Dns { name: host, why: why.clone() });
            }
            None => last = e.to_string(),
        }
        cause = e.source();
    }
    if error.is_timeout() {
        return Some(ResolveError::TimedOut { what: host });
    }
    // The innermost cause says most, and names no URL.
    Some(ResolveError::Unreachable { host, why: last })
}

async fn body(mut response: Response, host: &str, limit: usize) -> Result<Vec<u8>, ResolveError> {
    let too_large = || ResolveError::TooLarge { host: host.to_owned(), limit };
    if response.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > limit => return Err(too_large()),
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Err(e) => {
                return Err(failure(host, &e.without_url())
                    .unwrap_or_else(|| ResolveError::TimedOut { what: host.to_owned() }));
            }
        }
    }
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    kind.is_some_and(|kind| kind.contains("json"))
}

fn tls(extra_roots: &[Vec<u8>]) -> Result<rustls::ClientConfig, ResolveError> {
    let setup = |why: rustls::Error| ResolveError::Setup { why: format!("TLS: {why}") };
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for der in extra_roots {
        roots.add(der.clone().into()).map_err(setup)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// Looks names up for the client, and lets through the addresses it may connect to.
struct Guard {
    names: Arc<Names>,
    may_ask: fn(IpAddr) -> bool,
    search: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, may_ask, search) = (self.names.clone(), self.may_ask, self.search);
        Box::pin(async move {
            let mut addresses = names.addresses(name.as_str(), search).await?;
            addresses.retain(|a| may_ask(*a));
            if addresses.is_empty() {
                return Err(NameFailure::Private.into());
            }
            // Port 0 becomes that of the URL.
            let addresses: Vec<_> = addresses.into_iter().map(|a| SocketAddr::new(a, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
