//! `net.rhiz.trust.getRanking`

use super::{error::Error, params::Params, views::percent};
use crate::api::{App, etag::Tag};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct ThroughView {
    did: String,
    share: u8,
}

#[derive(Debug, Serialize)]
struct RankedView {
    did: String,
    visits: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<ThroughView>,
}

#[derive(Debug, Serialize)]
struct Answer {
    viewer: String,
    ranking: Vec<RankedView>,
}

/// Whom one trusts, through whom: most visited first.
pub(super) async fn get_ranking(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["did", "limit"])?;
    let viewer = params.did("did")?;
    let limit = params.integer("limit", 1..=100, 50)?.into();
    let tag = Tag::now(&app);
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let (viewer, found) = app.answers.ranking(viewer.as_str(), limit).await?;
    let shown = found.into_iter().map(|ranked| RankedView {
        did: ranked.did,
        visits: in_thousand(ranked.visits),
        through: ranked.through.map(|(did, share)| ThroughView { did, share: percent(share) }),
    });
    Ok(tag.json(Answer { viewer: viewer.to_string(), ranking: shown.collect() }))
}

/// Visits in a walk as visits in a thousand, rounded half up.
fn in_thousand(visits: f64) -> u32 {
    // Not negative; a walk is short, and the cast saturates.
    (visits * 1000.0 + 0.5).floor() as u32
}
