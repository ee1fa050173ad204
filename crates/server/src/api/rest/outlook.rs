//! `GET /api/v1/analytics/predict`, `at-risk/{did}`, `introductions`, `ranking/{did}`

use super::find_path::Path as PathShown;
use crate::{
    answers::{Algorithm, NoAnswer, PathQuestion},
    api::{
        App,
        body::{Params, Path, page_size},
        etag::Tag,
        page::{read_fading, write_fading},
        problem::Problem,
    },
};
use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use rhiz_graph::RiskQuery;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Debug, Deserialize)]
pub(crate) struct Pair {
    from: String,
    to: String,
    max_hops: Option<i64>,
    min_strength: Option<f64>,
    k: Option<i64>,
}

impl Pair {
    fn question(self, k: i64) -> PathQuestion {
        PathQuestion {
            from: self.from,
            to: self.to,
            max_hops: self.max_hops,
            min_strength: self.min_strength,
            kinds: None,
            exclude: Vec::new(),
            algorithm: Algorithm::Strongest,
            k: self.k.unwrap_or(k),
            refresh: false,
        }
    }
}

/// What one would state about another, with an interval, its addends, and the best path as an
/// illustration (never as the number).
pub(crate) async fn predict(
    State(app): State<Arc<App>>,
    Params(pair): Params<Pair>,
) -> Result<Response, Problem> {
    let tag = Tag::of_predictions(&app);
    let (from, to, p) = app.answers.predict(&pair.from, &pair.to).await?;
    let (illustration, of) = match app.answers.paths(pair.question(1)).await {
        Ok(found) => (found.paths.into_iter().next().map(PathShown::from), Some(found.of)),
        Err(NoAnswer::NoPath(_, of)) => (None, Some(of)),
        Err(_) => (None, None),
    };
    let answer = json!({
        "from": from,
        "to": to,
        "estimate": p.estimate,
        "interval": {"low": p.low, "high": p.high, "share": 0.8},
        "addends": {
            "mean": p.mean,
            "rater": p.rater,
            "ratee": p.ratee,
            "reciprocity": p.reciprocity,
        },
        "stated": p.stated,
        "path": illustration,
    });
    // A path that was not found for lack of time may be found next time: nothing to keep.
    Ok(match of {
        Some(of) => tag.but_of(of).json(answer),
        None => Json(answer).into_response(),
    })
}

#[derive(Debug, Deserialize)]
pub(crate) struct Risk {
    threshold: Option<f64>,
    days: Option<i64>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// A day as `YYYY-MM-DD`.
pub(crate) fn date(day: i32) -> String {
    let time = Timestamp::from_second(i64::from(day) * 86_400).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_string().chars().take(10).collect()
}

/// Which relationships fade below a threshold, and when.
pub(crate) async fn at_risk(
    State(app): State<Arc<App>>,
    Path(did): Path<String>,
    Params(risk): Params<Risk>,
) -> Result<Response, Problem> {
    let threshold = risk.threshold.unwrap_or(0.3);
    if !(0.0..=1.0).contains(&threshold) {
        return Err(Problem::field(
            "threshold",
            format!("{threshold} is not a number from 0 to 1"),
        ));
    }
    let days = risk.days.unwrap_or(90);
    let Some(within) = u32::try_from(days).ok().filter(|d| (1..=3650).contains(d)) else {
        return Err(Problem::field("days", format!("{days} is not a whole number from 1 to 3650")));
    };
    let limit = page_size(risk.limit, 50, 100)?;
    let after = risk.cursor.as_deref().map(read_fading).transpose()?;
    let tag = Tag::now(&app);
    let query = RiskQuery { threshold, days: within, limit, after };
    let (did, page) = app.answers.at_risk(&did, query).await?;
    let found: Vec<Value> = page
        .relationships
        .iter()
        .map(|f| {
            json!({
                "relationship_id": f.relationship_uri,
                "entity_id": f.counterpart,
                "trust": f.trust,
                "below_on": date(f.on),
            })
        })
        .collect();
    let mut answer = json!({
        "entity_id": did, "threshold": threshold, "days": within, "relationships": found,
    });
    if let Some(place) = &page.next {
        answer["cursor"] = write_fading(place).into();
    }
    Ok(tag.json(answer))
}

/// Who could introduce one to another: best first.
pub(crate) async fn introductions(
    State(app): State<Arc<App>>,
    Params(pair): Params<Pair>,
) -> Result<Response, Problem> {
    // Who has stated nothing is as willing as predicted.
    let tag = Tag::of_predictions(&app);
    let (from, to, found) = app.answers.introductions(pair.question(5)).await?;
    let found: Vec<Value> = found
        .into_iter()
        .map(|i| {
            json!({
                "through": i.through,
                "willingness": i.willingness,
                "score": i.score,
                "path": PathShown::from(i.path),
            })
        })
        .collect();
    Ok(tag.json(json!({"from": from, "to": to, "introductions": found})))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Rank {
    limit: Option<i64>,
}

/// Whom one trusts, through whom.
pub(crate) async fn ranking(
    State(app): State<Arc<App>>,
    Path(did): Path<String>,
    Params(rank): Params<Rank>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = page_size(rank.limit, 50, 100)?;
    let tag = Tag::now(&app);
    if let Some(unchanged) = tag.unchanged(&headers) {
        return Ok(unchanged);
    }
    let (viewer, found) = app.answers.ranking(&did, limit).await?;
    let found: Vec<Value> = found
        .iter()
        .map(|r| {
            let through =
                r.through.as_ref().map(|(d, share)| json!({"entity_id": d, "share": share}));
            json!({"entity_id": r.did, "visits": r.visits, "through": through})
        })
        .collect();
    Ok(tag.json(json!({"viewer": viewer, "ranking": found})))
}
