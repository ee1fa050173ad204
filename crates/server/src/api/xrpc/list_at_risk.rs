//! `net.rhiz.trust.listAtRisk`

use super::{error::Error, params::Params, views::percent};
use crate::api::{
    App,
    etag::Tag,
    page::{read_fading, write_fading},
};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use jiff::Timestamp;
use rhiz_domain::{fact::Day, syntax::format_datetime};
use rhiz_graph::RiskQuery;
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FadingView {
    relationship_uri: String,
    did: String,
    trust: u8,
    below_on: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    relationships: Vec<FadingView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
}

/// Relationships that fall below a threshold if nothing happens, the soonest first.
pub(super) async fn list_at_risk(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["did", "threshold", "days", "limit", "cursor"])?;
    let of = params.did("did")?;
    let threshold = f64::from(params.integer("threshold", 0..=100, 30)?) / 100.0;
    let days = params.integer("days", 1..=3650, 90)?.into();
    let limit = params.integer("limit", 1..=100, 50)?.into();
    let after = params.optional("cursor")?.map(read_fading).transpose()?;
    let tag = Tag::now(&app);
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let query = RiskQuery { threshold, days, limit, after };
    let (_, page) = app.answers.at_risk(of.as_str(), query).await?;
    let shown = page.relationships.into_iter().map(|fading| FadingView {
        relationship_uri: fading.relationship_uri,
        did: fading.counterpart,
        trust: percent(fading.trust),
        below_on: midnight(fading.on),
    });
    let cursor = page.next.as_ref().map(write_fading);
    Ok(tag.json(Answer { relationships: shown.collect(), cursor }))
}

/// When a day begins, in UTC: lexicons have no dates.
fn midnight(day: Day) -> String {
    let time = Timestamp::from_second(i64::from(day) * 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
    format_datetime(time)
}
