//! `net.rhiz.trust.getMetrics`

use super::{error::Error, params::Params, views::percent};
use crate::api::{App, etag::Tag};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use rhiz_domain::syntax::format_datetime;
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    did: String,
    trust_score: u8,
    reputation: u8,
    reciprocity: u8,
    consistency: u8,
    verification_ratio: u8,
    network: u8,
    standing: u8,
    relationship_count: u32,
    verified_relationship_count: u32,
    last_calculated: String,
}

/// Every score of one entity.
pub(super) async fn get_metrics(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["did", "refresh"])?;
    let (of, refresh) = (params.did("did")?, params.flag("refresh")?);
    let tag = Tag::now(&app);
    if let Some(unchanged) = tag.unchanged(&headers).filter(|_| !refresh) {
        return Ok(unchanged);
    }
    let (did, answer) = app.answers.trust_metrics(of.as_str(), refresh).await?;
    let m = &answer.metrics;
    Ok(tag.json(Answer {
        did: did.to_string(),
        trust_score: percent(m.trust_score),
        reputation: percent(m.reputation),
        reciprocity: percent(m.reciprocity),
        consistency: percent(m.consistency),
        verification_ratio: percent(m.verification_ratio),
        network: percent(m.network),
        standing: percent(m.standing),
        relationship_count: m.relationship_count,
        verified_relationship_count: m.verified_relationship_count,
        last_calculated: format_datetime(answer.at),
    }))
}
