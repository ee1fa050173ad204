//! XRPC under `/xrpc`: camelCase, integers 0–100, described by the lexicons in `lexicons/`. One
//! method a file.
//!
//! Law: what a method answers, and what it is asked with, is what its lexicon says. A test reads
//! the lexicons and checks every answer against them.

mod error;
mod find_path;
mod get_metrics;
mod get_neighbors;
mod get_profile;
mod get_ranking;
mod get_record;
mod get_score;
mod list_at_risk;
mod list_attestations;
mod list_introductions;
mod params;
mod predict;
mod views;

pub(super) use error::in_own_words;

use super::App;
use axum::{
    Json, Router,
    handler::Handler,
    http::{Method, Uri},
    routing::{MethodRouter, get},
};
use error::Error;
use serde_json::{Value, json};
use std::sync::Arc;

/// Every route below `/xrpc`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/net.rhiz.graph.findPath", query(find_path::find_path))
        .route("/net.rhiz.graph.getNeighbors", query(get_neighbors::get_neighbors))
        .route("/net.rhiz.graph.listIntroductions", query(list_introductions::list_introductions))
        .route("/net.rhiz.conviction.getScore", query(get_score::get_score))
        .route("/net.rhiz.conviction.listAttestations", query(list_attestations::list_attestations))
        .route("/net.rhiz.trust.getMetrics", query(get_metrics::get_metrics))
        .route("/net.rhiz.trust.getRanking", query(get_ranking::get_ranking))
        .route("/net.rhiz.trust.listAtRisk", query(list_at_risk::list_at_risk))
        .route("/net.rhiz.trust.predict", query(predict::predict))
        .route("/net.rhiz.entity.getProfile", query(get_profile::get_profile))
        .route("/net.rhiz.relationship.getRecord", query(get_record::get_record))
        .route("/_health", query(health))
        .fallback(unknown_method)
}

/// A method that is asked with GET.
fn query<H: Handler<T, Arc<App>>, T: 'static>(handler: H) -> MethodRouter<Arc<App>> {
    get(handler).fallback(wrong_verb)
}

/// What every service of the protocol answers, for those who watch it.
async fn health() -> Json<Value> {
    Json(json!({"version": env!("CARGO_PKG_VERSION")}))
}

async fn unknown_method(uri: Uri) -> Error {
    Error::unknown_method(uri.path().trim_start_matches('/'))
}

async fn wrong_verb(method: Method, uri: Uri) -> Error {
    let name = uri.path().trim_start_matches('/');
    Error::invalid(format!("{name} is a query: it takes GET, not {method}"))
}
