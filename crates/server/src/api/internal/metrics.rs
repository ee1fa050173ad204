//! `GET /internal/events/metrics`, `GET /internal/cache/stats`, `POST /internal/cache/clear`

use crate::{
    api::{App, body::Body, cache_stats, problem::Problem},
    health::age_seconds,
};
use axum::{Json, extract::State, http::StatusCode};
use rhiz_domain::{cache::CacheError, store::DeadFilter};
use rhiz_pipeline::Snapshot;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

/// The pipeline at this instant, and what is beside it.
#[derive(Debug, Serialize)]
pub(super) struct Metrics {
    #[serde(flatten)]
    pipeline: Snapshot,
    /// Dead letters there are.
    dead_letters: u64,
    /// For how long the first of them has been dead; nothing when there is none.
    oldest_dead_letter_seconds: Option<f64>,
    /// How far behind the firehose the journal is; nothing without one, or before its first message.
    source_lag_seconds: Option<f64>,
}

/// The pipeline at this instant.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Json<Metrics>, Problem> {
    let letters = DeadFilter { limit: 1, ..DeadFilter::default() };
    let letters = app.node.store.dead_letters(letters).await?;
    let now = app.node.clock.now();
    Ok(Json(Metrics {
        dead_letters: letters.count,
        oldest_dead_letter_seconds: letters.oldest.map(|at| age_seconds(at, now)),
        source_lag_seconds: app.health.source_lag(now).map(|lag| lag.as_secs_f64()),
        pipeline: app.node.pipeline.snapshot(),
    }))
}

/// The cache at this instant.
pub(super) async fn cache(State(app): State<Arc<App>>) -> Json<Value> {
    Json(cache_stats::shown(&app.node.cache.stats()))
}

/// What to clear.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clear {
    pattern: Option<String>,
    tag: Option<String>,
}

/// Only the caller's words are the caller's fault.
fn refused(field: &str, error: &CacheError) -> Problem {
    match error {
        CacheError::Pattern { .. } | CacheError::Tag { .. } | CacheError::Key { .. } => {
            Problem::field(field, error.to_string())
        }
        CacheError::ChangeLog(_) | CacheError::Encode { .. } | CacheError::Setting { .. } => {
            tracing::warn!(%error, "a clear could not be written down");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "cache_unavailable",
                "it was cleared on this node, but could not be written down for the others: clear \
                 again",
            )
            .retry_after(1)
        }
    }
}

/// Clears by pattern or by tag.
pub(crate) async fn clear_cache(
    State(app): State<Arc<App>>,
    Body(clear): Body<Clear>,
) -> Result<Json<Value>, Problem> {
    let cache = &app.node.cache;
    let (field, cleared) = match (&clear.pattern, &clear.tag) {
        (Some(pattern), None) => ("pattern", cache.clear_pattern(pattern).await),
        (None, Some(tag)) => ("tag", cache.clear_tag(tag).await),
        _ => return Err(Problem::field("pattern", "say either a pattern or a tag")),
    };
    cleared.map_err(|error| refused(field, &error))?;
    Ok(Json(json!({"status": "cleared"})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_caller_said_is_the_callers_fault() {
        let bad = CacheError::Tag { shown: "x".into(), reason: "it is empty" };
        assert_eq!(refused("tag", &bad).status(), StatusCode::UNPROCESSABLE_ENTITY);
        let out = refused("tag", &CacheError::ChangeLog("disk I/O error".into()));
        assert_eq!(
            (out.status(), out.code()),
            (StatusCode::SERVICE_UNAVAILABLE, "cache_unavailable")
        );
        assert!(!out.detail().contains("disk"), "the backend's words are for the log");
        let response = axum::response::IntoResponse::into_response(out);
        assert!(response.headers().contains_key("retry-after"));
    }
}
