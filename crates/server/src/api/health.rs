//! How the node is. Answers come from the sampler's last look and wait for nothing.

use super::{App, auth::Role};
use crate::health::{Overall, Snapshot, age_seconds};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// `/health` and below.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(live))
        .route("/health/startup", get(startup))
        .route("/health/ready", get(ready))
        .route("/health/detailed", get(detailed))
}

/// Alive: the process answers. Never looks at a dependency.
async fn live(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"status": "healthy", "timestamp": app.node.clock.now()}))
}

/// Started: who can ask has the graph loaded, for the port opens after it.
async fn startup(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({"status": "started", "timestamp": app.node.clock.now()}))
}

fn code(snapshot: &Snapshot) -> StatusCode {
    match snapshot.overall {
        Overall::Ready | Overall::Degraded => StatusCode::OK,
        Overall::Unready => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Value>) {
    let snapshot = app.health.snapshot();
    let body = json!({
        "status": snapshot.overall.as_str(),
        "checks": snapshot.words(),
        "age_ms": snapshot.age_ms,
        "timestamp": app.node.clock.now(),
    });
    (code(&snapshot), Json(body))
}

async fn detailed(State(app): State<Arc<App>>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    let snapshot = app.health.snapshot();
    if app.keys.role_or_anybody(&headers) < Role::Viewer {
        let body = json!({
            "status": snapshot.overall.as_str(),
            "dependencies": snapshot.words(),
            "note": "details need the internal or the viewer's key",
            "timestamp": app.node.clock.now(),
        });
        return (code(&snapshot), Json(body));
    }
    let stats = app.node.cache.stats();
    let cache = app.node.cache.health_check().await;
    // Nothing is said of it where too much else is to be done.
    let memory = app.answers.graph_memory().await.ok();
    let body = json!({
        "status": snapshot.overall.as_str(),
        "timestamp": app.node.clock.now(),
        "age_ms": snapshot.age_ms,
        "uptime_seconds": app.health.uptime().as_secs(),
        "version": env!("CARGO_PKG_VERSION"),
        "environment": app.node.config.api.environment,
        "dependencies": snapshot.details(),
        "cache": {
            "status": cache.status.as_str(),
            "error": cache.code,
            "reason": cache.reason,
            "latency_ms": cache.latency.as_secs_f64() * 1e3,
            "backend": cache.backend,
            "has_fallback": cache.has_fallback,
            "hit_rate": cache.hit_rate,
            "total_keys": cache.total_keys,
            "statistics": super::cache_stats::shown(&stats),
        },
        "event_pipeline": app.node.pipeline.snapshot(),
        "dead_letters": app.health.letters().map(|letters| json!({
            "count": letters.count,
            "oldest_died_at": letters.oldest,
            "oldest_seconds": letters.oldest.map(|at| age_seconds(at, app.node.clock.now())),
            "counted_at": letters.at,
        })),
        "graph": {
            "version": app.node.graph.version(),
            "as_of_day": app.node.graph.as_of(),
            "edges": app.node.graph.edges(),
            "bytes": memory.map(|m| m.web + m.facts + m.derived),
        },
        "disk": {"free_bytes": app.health.free_bytes()},
    });
    (code(&snapshot), Json(body))
}
