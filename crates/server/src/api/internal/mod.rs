//! Everything under `/internal`: reads need a key, writes the operator's.

mod audit;
mod batch;
mod dead_letters;
mod events;
mod import;
mod metrics;
mod pause;
mod stream;

use super::{App, auth};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{delete, get, post},
};
use std::sync::Arc;

pub(super) use events::word;

/// Bytes of a batch at most.
pub(super) const MAX_BATCH: usize = 4 << 20;
/// Bytes of imported lines at most: a batch's, and one line that is too long for it.
pub(super) const MAX_IMPORT: usize = 8 << 20;

/// Every route below `/internal`.
pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/events", post(events::enqueue))
        .route("/events/metrics", get(metrics::metrics))
        .route("/events/dead-letter", get(dead_letters::list))
        .route("/events/dead-letter/replay", post(dead_letters::replay))
        .route("/events/dead-letter/discard", post(dead_letters::discard))
        .route("/events/dead-letter/{id}/replay", post(dead_letters::replay_one))
        .route("/events/dead-letter/{id}", delete(dead_letters::discard_one))
        .route("/events/stream", get(stream::stream))
        .route("/pipeline", get(pause::state))
        .route("/pipeline/pause", post(pause::pause))
        .route("/pipeline/resume", post(pause::resume))
        .route("/audit", get(audit::list))
        .route("/cache/clear", post(metrics::clear_cache))
        .route("/events/{event_id}", get(events::find))
        .route("/events/batch", post(batch::enqueue).layer(DefaultBodyLimit::max(MAX_BATCH)))
        .route("/import", post(import::import).layer(DefaultBodyLimit::max(MAX_IMPORT)))
        .route("/cache/stats", get(metrics::cache))
        .route_layer(from_fn_with_state(Arc::clone(app), auth::layer))
}
