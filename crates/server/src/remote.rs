//! A running server, as the command line talks to it.

use crate::{config::Config, exit::Failure, key};
use serde_json::Value;
use std::{path::Path, time::Duration};

/// Longest wait for a server that says how it is.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// A server and the key to it.
pub struct Remote {
    base: reqwest::Url,
    key: key::SecretKey,
    http: reqwest::Client,
}

/// What a server answered when it said no.
#[derive(Debug)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// Its reason, in a sentence.
    pub detail: String,
    /// Seconds after which to come again, if it said so.
    pub retry_after: Option<u64>,
}

impl Remote {
    /// The server at `url`; the key from the file given, else the configured one, else the one in
    /// the data directory.
    pub fn new(url: &str, key_file: Option<&Path>, config: &Config) -> Result<Self, Failure> {
        let base = reqwest::Url::parse(url)
            .ok()
            .filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
            .ok_or_else(|| {
                Failure::failed(format!("--server {url:?} is no http:// or https:// address"))
            })?;
        let stored = config.data.dir.join(key::NAME);
        let key = match (key_file, &config.keys.internal) {
            (Some(path), _) => key::read(path)?,
            (None, Some(key)) => Some(key.clone()),
            (None, None) => key::read(&stored)?,
        };
        let key = key.ok_or_else(|| {
            Failure::failed("there is no key for the server").hint(
                "name its file with --key-file, or set INTERNAL_API_KEY, or give the server's --data-dir",
            )
        })?;
        // rustls wants its provider chosen once for the process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .build()
            .map_err(|e| Failure::failed(format!("cannot make an HTTP client: {e}")))?;
        Ok(Self { base, key, http })
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str()
    }

    fn request(
        &self,
        method: reqwest::Method,
        path: &str,
    ) -> Result<reqwest::RequestBuilder, Failure> {
        let url = self
            .base
            .join(path)
            .map_err(|e| Failure::failed(format!("{path} is no path of a server: {e}")))?;
        Ok(self.http.request(method, url).header("X-Internal-Key", self.key.expose()))
    }

    /// Asks; a JSON body comes back.
    pub async fn get(&self, path: &str) -> Result<Result<Value, Refusal>, Failure> {
        self.answer(self.request(reqwest::Method::GET, path)?).await
    }

    /// Sends a text; a JSON body comes back.
    pub async fn post(
        &self,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<Result<Value, Refusal>, Failure> {
        let request = self.request(reqwest::Method::POST, path)?;
        self.answer(request.header("Content-Type", kind).body(body)).await
    }

    /// Asks how it is: the status code and the body, whatever they say.
    pub async fn look(&self, path: &str) -> Result<(u16, Value), Failure> {
        let unreachable = |e: reqwest::Error| self.unreachable(&e);
        let request = self.request(reqwest::Method::GET, path)?.timeout(LOOK_LIMIT);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(unreachable)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::failed(format!("the server at {} does not answer: {error}", self.base))
            .hint("is it running? `rhiz serve` prints its address")
    }

    async fn answer(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Result<Value, Refusal>, Failure> {
        let unreachable = |e: reqwest::Error| self.unreachable(&e);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.parse().ok());
        let body = response.bytes().await.map_err(unreachable)?;
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status < 400 {
            return Ok(Ok(value));
        }
        let detail = value["detail"].as_str().or(value["message"].as_str());
        let detail = detail.unwrap_or("the server gave no reason").to_owned();
        Ok(Err(Refusal { status, detail, retry_after }))
    }
}

impl Refusal {
    /// As a failure of the command.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::failed(format!("the server says no ({}): {}", self.status, self.detail))
    }
}
