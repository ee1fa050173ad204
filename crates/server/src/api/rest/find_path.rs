//! `POST /api/v1/graph/find-path`

use super::fraction;
use crate::{
    answers::{Algorithm, HopAnswer, PathAnswer, PathQuestion},
    api::{App, body::Body, problem::Problem},
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Debug, Deserialize)]
pub(super) struct Request {
    from: String,
    to: String,
    max_hops: Option<i64>,
    min_strength: Option<f64>,
    relationship_types: Option<Vec<String>>,
    #[serde(default)]
    exclude_entities: Vec<String>,
    algorithm: Option<String>,
    #[serde(default = "one")]
    k: i64,
    #[serde(default)]
    refresh: bool,
}

fn one() -> i64 {
    1
}

#[derive(Debug, Serialize)]
pub(super) struct Hop {
    from: String,
    to: String,
    relationship_id: String,
    strength: f64,
    trust: f64,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Path {
    hops: Vec<Hop>,
    total_strength: f64,
    distance: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct Response {
    from: String,
    to: String,
    #[serde(flatten)]
    best: Path,
    alternatives: Vec<Path>,
}

impl From<HopAnswer> for Hop {
    fn from(hop: HopAnswer) -> Self {
        Self {
            from: hop.from,
            to: hop.to,
            relationship_id: hop.relationship_uri,
            strength: fraction(hop.strength),
            trust: hop.trust,
            kind: hop.kind,
        }
    }
}

impl From<PathAnswer> for Path {
    fn from(path: PathAnswer) -> Self {
        Self {
            distance: path.hops.len(),
            hops: path.hops.into_iter().map(Hop::from).collect(),
            total_strength: path.total_strength,
        }
    }
}

/// The names of ways to search.
fn algorithm(name: Option<&str>) -> Result<Algorithm, Problem> {
    match name {
        None | Some("strongest" | "astar" | "dijkstra") => Ok(Algorithm::Strongest),
        Some("shortest" | "bfs") => Ok(Algorithm::Shortest),
        Some(other) => Err(Problem::field(
            "algorithm",
            format!("{other:?} is not one of strongest, astar, dijkstra, shortest, bfs"),
        )),
    }
}

/// The best path between two, and up to k − 1 alternatives.
pub(super) async fn find_path(
    State(app): State<Arc<App>>,
    Body(request): Body<Request>,
) -> Result<Json<Response>, Problem> {
    let question = PathQuestion {
        from: request.from,
        to: request.to,
        max_hops: request.max_hops,
        min_strength: request.min_strength,
        kinds: request.relationship_types,
        exclude: request.exclude_entities,
        algorithm: algorithm(request.algorithm.as_deref())?,
        k: request.k,
        refresh: request.refresh,
    };
    let answer = app.answers.paths(question).await?;
    let mut paths = answer.paths.into_iter().map(Path::from);
    let best = paths.next().ok_or_else(Problem::internal)?;
    Ok(Json(Response {
        from: answer.from.to_string(),
        to: answer.to.to_string(),
        best,
        alternatives: paths.collect(),
    }))
}
