//! The HTTP server: REST, XRPC, the internal endpoints, health, and the pages.
//!
//! | folder | what |
//! |---|---|
//! | `rest` | the blueprint's API: snake_case, strengths 0.0–1.0 |
//! | `xrpc` | the AT Protocol's: camelCase, integers 0–100 |
//! | `internal` | keyed: events in, dead letters, metrics |
//!
//! Every error is a [`problem::Problem`]; what an answer's error means is decided there alone.

mod auth;
mod body;
mod cache_stats;
mod etag;
mod health;
mod internal;
mod limit;
mod page;
mod pages;
pub mod problem;
mod request;
mod rest;
mod xrpc;

pub use auth::Keys;

use crate::{answers::Answers, config::Cors, health::Health, node::Node};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, Method, header},
    middleware::from_fn_with_state,
};
use std::sync::Arc;
use tower_http::{
    compression::CompressionLayer,
    cors::{AllowOrigin, CorsLayer},
};

/// Bytes of a request's body at most.
pub const MAX_BODY: usize = 1 << 20;

/// What handlers share.
pub struct App {
    /// The node.
    pub node: Node,
    /// Its answers.
    pub answers: Answers,
    /// Who may do what.
    pub keys: Keys,
    /// How everything is.
    pub health: Arc<Health>,
    /// Held by a batch that comes with an `Idempotency-Key`, until it is on disk.
    pub keyed_batches: tokio::sync::Mutex<()>,
    /// Requests of callers without a key.
    pub limiter: Option<limit::Limiter>,
}

impl App {
    /// What handlers share.
    #[must_use]
    pub fn new(node: Node, keys: Keys, health: Arc<Health>) -> Self {
        let limit = &node.config.rate_limit;
        let limiter = limit.enabled.then(|| limit::Limiter::new(limit.requests, limit.window));
        Self {
            answers: Answers::new(node.clone()),
            node,
            keys,
            health,
            keyed_batches: tokio::sync::Mutex::default(),
            limiter,
        }
    }
}

/// Every route, with what surrounds all of them.
pub fn router(app: Arc<App>) -> Router {
    let cors = cors(&app.node.config.api.cors);
    let routes = Router::new()
        .merge(pages::routes())
        .merge(health::routes())
        .nest("/api/v1", rest::routes())
        .nest("/xrpc", xrpc::routes())
        .nest("/internal", internal::routes(&app))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(&app), limit::layer))
        .layer(axum::middleware::from_fn(request::catch_panics))
        .layer(axum::middleware::from_fn(xrpc::in_own_words))
        .layer(CompressionLayer::new().gzip(true).zstd(true))
        .layer(from_fn_with_state(Arc::clone(&app), request::layer));
    let routes = match cors {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes.with_state(app)
}

fn cors(setting: &Cors) -> Option<CorsLayer> {
    let origins = match setting {
        Cors::Closed => return None,
        Cors::Any => AllowOrigin::any(),
        Cors::Loopback => AllowOrigin::predicate(|origin, _| is_loopback(origin)),
        Cors::Origins(list) => {
            AllowOrigin::list(list.iter().filter_map(|o| HeaderValue::from_str(o).ok()))
        }
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            header::IF_NONE_MATCH,
            HeaderName::from_static("x-internal-key"),
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([
            header::ETAG,
            header::RETRY_AFTER,
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("ratelimit-remaining"),
        ]);
    Some(layer)
}

/// A page of this machine, on any port.
fn is_loopback(origin: &HeaderValue) -> bool {
    let host = origin.to_str().ok().and_then(|o| {
        let rest = o.strip_prefix("http://").or_else(|| o.strip_prefix("https://"))?;
        Some(match rest.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => rest,
        })
    });
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_are_loopback() {
        for (origin, yes) in [
            ("http://localhost:5173", true),
            ("https://127.0.0.1", true),
            ("http://[::1]:8080", true),
            ("http://localhost.example.com", false),
            ("http://example.com:80", false),
            ("null", false),
        ] {
            assert_eq!(is_loopback(&HeaderValue::from_static(origin)), yes, "{origin}");
        }
    }
}
