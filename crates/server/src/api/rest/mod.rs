//! REST under `/api/v1`: snake_case, strengths 0.0–1.0. One endpoint a file.

mod attestations;
mod entities;
mod find_path;
mod identity;
mod neighbors;
mod network_stats;
mod outlook;
mod relationships;
mod trust;

use super::App;
use axum::{
    Router,
    routing::{get, post},
};
use std::sync::Arc;

/// Every route below `/api/v1`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/graph/find-path", post(find_path::find_path))
        .route("/graph/neighbors/{did}", get(neighbors::neighbors))
        .route("/entities", get(entities::search))
        .route("/entities/by-handle/{handle}", get(entities::by_handle))
        .route("/entities/{did}", get(entities::entity))
        .route("/relationships/{*uri}", get(relationships::relationship))
        .route("/analytics/trust-health/{did}", get(trust::health))
        .route("/analytics/trust-metrics/{did}", get(trust::metrics))
        .route("/analytics/network-stats", get(network_stats::network_stats))
        .route("/analytics/predict", get(outlook::predict))
        .route("/analytics/at-risk/{did}", get(outlook::at_risk))
        .route("/analytics/introductions", get(outlook::introductions))
        .route("/analytics/ranking/{did}", get(outlook::ranking))
        .route("/identity/{actor}", get(identity::identity))
        .route("/attestations", post(attestations::attest))
}

/// 0–100 as 0.0–1.0.
fn fraction(percent: u8) -> f64 {
    f64::from(percent) / 100.0
}
