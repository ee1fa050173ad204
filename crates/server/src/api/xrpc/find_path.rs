//! `net.rhiz.graph.findPath`

use super::{error::Error, params::Params, views::PathView};
use crate::{
    answers::{Algorithm, NoAnswer, PathQuestion},
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
struct Answer {
    paths: Vec<PathView>,
}

const KNOWN: [&str; 8] = [
    "from",
    "to",
    "maxHops",
    "minStrength",
    "relationshipTypes",
    "excludeDids",
    "limit",
    "refresh",
];

/// The strongest paths between two, strongest first; none is an empty list.
pub(super) async fn find_path(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &KNOWN)?;
    let refresh = params.flag("refresh")?;
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
        refresh,
    };
    let tag = Tag::now(&app);
    if let Some(unchanged) = tag.unchanged(&headers).filter(|_| !refresh) {
        return Ok(unchanged);
    }
    let found = match app.answers.paths(question).await {
        Ok(found) => found,
        Err(NoAnswer::NoPath(_, of)) => {
            return Ok(tag.but_of(of).json(Answer { paths: Vec::new() }));
        }
        Err(error) => return Err(error.into()),
    };
    let tag = tag.but_of(found.of);
    let mut paths = Vec::with_capacity(found.paths.len());
    for path in found.paths {
        paths.push(PathView::new(&app.answers, &found.from, &found.to, path).await?);
    }
    Ok(tag.json(Answer { paths }))
}
