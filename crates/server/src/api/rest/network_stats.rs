//! `GET /api/v1/analytics/network-stats`

use super::outlook::date;
use crate::api::{App, etag::Tag, problem::Problem};
use axum::{extract::State, http::HeaderMap, response::Response};
use serde_json::json;
use std::sync::Arc;

/// Numbers of the whole.
pub(super) async fn network_stats(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tag = Tag::now(&app);
    let version = app.answers.as_of().version;
    let s = app.answers.network_stats().await?;
    // The average of a large graph comes later than what it is of.
    let tag = tag.with_a_number_of(s.avg_version, s.avg_day);
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    Ok(tag.json(json!({
        "total_entities": s.total_entities,
        "total_relationships": s.total_relationships,
        "total_attestations": s.total_attestations,
        "mutual_relationships": s.mutual_relationships,
        "avg_trust_score": s.avg_trust_score,
        "avg_version": s.avg_version,
        "avg_as_of": date(s.avg_day),
        "verified_entities": s.verified_entities,
        "graph_version": version,
    })))
}
