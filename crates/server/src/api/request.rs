//! What surrounds every request: its id, the security headers, and a net under panics.

use super::{App, problem::Problem};
use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use rhiz_domain::EventId;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    panic::AssertUnwindSafe,
    sync::Arc,
};

/// The request that this task answers.
struct Current {
    id: String,
    /// Of its path and query.
    target: u64,
}

tokio::task_local! {
    static CURRENT: Current;
}

/// The id of the request that this task answers.
pub(super) fn current_id() -> Option<String> {
    CURRENT.try_with(|current| current.id.clone()).ok()
}

/// A number for what is asked: the same for the same path and query.
pub(super) fn current_target() -> u64 {
    CURRENT.try_with(|current| current.target).unwrap_or_default()
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Scripts and styles come from this server alone; nothing may frame it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// Names the request, and adds the headers of every response.
pub(super) async fn layer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|v| v.to_str().ok());
    let id = match given {
        Some(id) if (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()) => {
            id.to_owned()
        }
        _ => EventId::generate(app.node.clock.now(), &*app.node.entropy).to_string(),
    };
    let value = HeaderValue::from_str(&id);
    let mut hasher = DefaultHasher::new();
    request.uri().path_and_query().hash(&mut hasher);
    let current = Current { id, target: hasher.finish() };
    let mut response = CURRENT.scope(current, next.run(request)).await;
    let headers = response.headers_mut();
    if let Ok(value) = value {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    response
}

/// A panic is our fault and one caller's bad luck; it ends neither the process nor the answer.
pub(super) async fn catch_panics(request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(%path, request_id = current_id(), "a handler panicked");
            Problem::internal().into_response()
        }
    }
}
