//! `GET /internal/events/metrics` and `GET /internal/cache/stats`

use crate::api::{App, cache_stats};
use axum::{Json, extract::State};
use rhiz_pipeline::Snapshot;
use serde_json::Value;
use std::sync::Arc;

/// The pipeline at this instant.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Json<Snapshot> {
    Json(app.node.pipeline.snapshot())
}

/// The cache at this instant.
pub(super) async fn cache(State(app): State<Arc<App>>) -> Json<Value> {
    Json(cache_stats::shown(&app.node.cache.stats()))
}
