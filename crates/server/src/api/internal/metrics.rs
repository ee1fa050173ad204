//! `GET /internal/events/metrics`, `GET /internal/cache/stats`, `POST /internal/cache/clear`

use crate::api::{App, body::Body, cache_stats, problem::Problem};
use axum::{Json, extract::State};
use rhiz_domain::store::DeadFilter;
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
    /// How old the newest message of the firehose was when it came; nothing without one.
    source_lag_seconds: Option<f64>,
}

/// The pipeline at this instant.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Json<Metrics>, Problem> {
    let letters = DeadFilter { limit: 1, ..DeadFilter::default() };
    Ok(Json(Metrics {
        dead_letters: app.node.store.dead_letters(letters).await?.count,
        source_lag_seconds: app.health.source_lag().map(|lag| lag.as_secs_f64()),
        pipeline: app.node.pipeline.snapshot(),
    }))
}

/// The cache at this instant.
pub(super) async fn cache(State(app): State<Arc<App>>) -> Json<Value> {
    Json(cache_stats::shown(&app.node.cache.stats()))
}

/// What to clear.
#[derive(Debug, Deserialize)]
pub(crate) struct Clear {
    pattern: Option<String>,
    tag: Option<String>,
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
    cleared.map_err(|e| Problem::field(field, e.to_string()))?;
    Ok(Json(json!({"status": "cleared"})))
}
