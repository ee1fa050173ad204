//! `net.rhiz.graph.findPath`

use super::{error::Error, params::Params, views::percent};
use crate::{
    answers::{Algorithm, HopAnswer, NoAnswer, PathAnswer, PathQuestion},
    api::{App, etag::Tag},
};
use axum::{
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HopView {
    from: String,
    to: String,
    relationship_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    relationship_cid: Option<String>,
    strength: u8,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PathView {
    from: String,
    to: String,
    hops: Vec<HopView>,
    total_strength: u8,
    distance: usize,
}

#[derive(Debug, Serialize)]
struct Answer {
    paths: Vec<PathView>,
}

const KNOWN: [&str; 7] =
    ["from", "to", "maxHops", "minStrength", "relationshipTypes", "excludeDids", "limit"];

/// The strongest paths between two, strongest first; none is an empty list.
pub(super) async fn find_path(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &KNOWN)?;
    // The lexicon's defaults, not the configured ones: who reads it has to get what it says.
    let question = PathQuestion {
        from: params.required("from")?.to_owned(),
        to: params.required("to")?.to_owned(),
        max_hops: Some(params.integer("maxHops", 1..=10, 6)?.into()),
        min_strength: Some(f64::from(params.integer("minStrength", 0..=100, 50)?) / 100.0),
        kinds: params.types("relationshipTypes")?,
        exclude: params.dids("excludeDids")?,
        algorithm: Algorithm::Strongest,
        k: params.integer("limit", 1..=10, 3)?.into(),
        refresh: false,
    };
    let tag = Tag::now(&app);
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let found = match app.answers.paths(question).await {
        Ok(found) => found,
        Err(NoAnswer::NoPath(_)) => return Ok(tag.json(Answer { paths: Vec::new() })),
        Err(error) => return Err(error.into()),
    };
    let (from, to) = (found.from.to_string(), found.to.to_string());
    let mut paths = Vec::with_capacity(found.paths.len());
    for path in found.paths {
        paths.push(view(&app, &from, &to, path).await?);
    }
    Ok(tag.json(Answer { paths }))
}

async fn view(app: &App, from: &str, to: &str, path: PathAnswer) -> Result<PathView, Error> {
    let mut hops = Vec::with_capacity(path.hops.len());
    for hop in path.hops {
        let HopAnswer { from, to, relationship_uri, strength, .. } = hop;
        let relationship_cid = app.answers.relationship_cid(&relationship_uri).await?;
        hops.push(HopView { from, to, relationship_uri, relationship_cid, strength });
    }
    Ok(PathView {
        from: from.to_owned(),
        to: to.to_owned(),
        distance: hops.len(),
        hops,
        total_strength: percent(path.total_strength),
    })
}
