//! `GET /internal/events/metrics`, `GET /internal/cache/stats`, `POST /internal/cache/clear`

use crate::api::{App, body::Body, cache_stats, problem::Problem};
use axum::{Json, extract::State};
use rhiz_pipeline::Snapshot;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// The pipeline at this instant.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Json<Snapshot> {
    Json(app.node.pipeline.snapshot())
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
