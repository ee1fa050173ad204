//! `net.rhiz.trust.predict`

use super::{
    error::Error,
    params::Params,
    views::{PathView, percent, signed_percent},
};
use crate::{
    answers::{Algorithm, NoAnswer, PathQuestion},
    api::{App, etag::Tag},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Uri},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::sync::Arc;

#[derive(Debug, Serialize)]
struct Interval {
    low: u8,
    high: u8,
}

#[derive(Debug, Serialize)]
struct Addends {
    mean: u8,
    rater: i32,
    ratee: i32,
    reciprocity: i32,
}

#[derive(Debug, Serialize)]
struct Answer {
    from: String,
    to: String,
    estimate: u8,
    interval: Interval,
    addends: Addends,
    #[serde(skip_serializing_if = "Option::is_none")]
    stated: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathView>,
}

/// What one would state about another; the path illustrates and is never the number.
pub(super) async fn predict(
    State(app): State<Arc<App>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let params = Params::read(&uri, &["from", "to"])?;
    let (from, to) = (params.required("from")?, params.required("to")?);
    // As findPath searches when nothing else is said.
    let illustration = PathQuestion {
        from: from.to_owned(),
        to: to.to_owned(),
        max_hops: Some(6),
        min_strength: Some(0.5),
        kinds: None,
        exclude: Vec::new(),
        algorithm: Algorithm::Strongest,
        k: 1,
        refresh: false,
    };
    let tag = Tag::of_predictions(&app);
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let (from, to, p) = app.answers.predict(from, to).await?;
    let (path, of) = match app.answers.paths(illustration).await {
        Ok(found) => (found.paths.into_iter().next(), Some(found.of)),
        Err(NoAnswer::NoPath(_, of)) => (None, Some(of)),
        Err(NoAnswer::TimeLimit(_) | NoAnswer::Busy) => (None, None),
        Err(error) => return Err(error.into()),
    };
    let path = match path {
        Some(path) => Some(PathView::new(&app.answers, &from, &to, path).await?),
        None => None,
    };
    let answer = Answer {
        from: from.to_string(),
        to: to.to_string(),
        estimate: percent(p.estimate),
        interval: Interval { low: percent(p.low), high: percent(p.high) },
        addends: Addends {
            mean: percent(p.mean),
            rater: signed_percent(p.rater),
            ratee: signed_percent(p.ratee),
            reciprocity: signed_percent(p.reciprocity),
        },
        stated: p.stated.map(percent),
        path,
    };
    // A path that was not found for lack of time may be found next time: nothing to keep.
    Ok(match of {
        Some(of) => tag.but_of(of).json(answer),
        None => Json(answer).into_response(),
    })
}
