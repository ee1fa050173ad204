//! `net.rhiz.graph.listIntroductions`

use super::{
    error::Error,
    params::Params,
    views::{PathView, percent},
};
use crate::{
    answers::{Algorithm, PathQuestion},
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
struct IntroductionView {
    through: String,
    willingness: u8,
    score: u8,
    path: PathView,
}

#[derive(Debug, Serialize)]
struct Answer {
    introductions: Vec<IntroductionView>,
}

/// Who could introduce one to another, best first; nobody is an empty list.
pub(super) async fn list_introductions(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["from", "to", "maxHops", "minStrength", "limit"])?;
    // The lexicon's defaults, not the configured ones: who reads it has to get what it says.
    let question = PathQuestion {
        from: params.required("from")?.to_owned(),
        to: params.required("to")?.to_owned(),
        max_hops: Some(params.integer("maxHops", 1..=10, 6)?.into()),
        min_strength: Some(f64::from(params.integer("minStrength", 0..=100, 50)?) / 100.0),
        kinds: None,
        exclude: Vec::new(),
        algorithm: Algorithm::Strongest,
        k: params.integer("limit", 1..=10, 5)?.into(),
        refresh: false,
    };
    // Who has stated nothing is as willing as predicted.
    let tag = Tag::of_predictions(&app);
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let (from, to, found) = app.answers.introductions(question).await?;
    let mut introductions = Vec::with_capacity(found.len());
    for introduction in found {
        introductions.push(IntroductionView {
            through: introduction.through,
            willingness: percent(introduction.willingness),
            score: percent(introduction.score),
            path: PathView::new(&app.answers, &from, &to, introduction.path).await?,
        });
    }
    Ok(tag.json(Answer { introductions }))
}
